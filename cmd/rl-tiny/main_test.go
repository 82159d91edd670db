package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// The test binary is rl-tiny when it is called by one of its names: so the tests run what is installed, links and all.
func TestMain(m *testing.M) {
	if name := filepath.Base(os.Args[0]); known(name) || name == "rl-tiny" {
		os.Exit(run(os.Args))
	}
	os.Exit(m.Run())
}

// install makes a bin directory as the image has it.
func install(t *testing.T) (bin string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin = t.TempDir()
	for _, name := range append(names(), "rl-tiny") {
		if err := os.Symlink(exe, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	return bin
}

type result struct {
	out, err string
	code     int
}

func command(bin, dir string, argv ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(bin, argv[0]), argv[1:]...)
	cmd.Dir, cmd.Env = dir, []string{"PATH=" + bin, "HOME=/", "TZ=UTC"}
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

func execute(t *testing.T, bin, dir, stdin string, argv ...string) result {
	t.Helper()
	cmd := command(bin, dir, argv...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%q: %v", argv, err)
	}
	code := cmd.ProcessState.ExitCode()
	if code < 0 {
		code = 1000 // by a signal
	}
	return result{out.String(), errs.String(), code}
}

func TestShell(t *testing.T) {
	bin, dir := install(t), t.TempDir()
	for _, c := range []struct {
		script, out string
		code        int
	}{
		{"exit 7", "", 7},
		{"false", "", 1},
		{"false; echo $?", "1\n", 0},
		{"nosuchprogram", "", 127},
		{"/etc/passwd", "", 126},
		{"/", "", 126},
		{"echo a; echo b >&2", "a\n", 0},
		{"echo b a | cat | tr a-z A-Z", "B A\n", 0},
		{"echo x | (exit 4)", "", 4},
		{"cat <<E\n$((1+2)) ${HOME}\nE", "3 /\n", 0},
		{"exec cat <<E\nfed\nE", "fed\n", 0},
		{"{ exec cat; } <<E\nfed\nE", "fed\n", 0},
		{"cat <<'E'\n$HOME\nE", "$HOME\n", 0},
		{"echo one > f; echo two >> f; cat < f; rm f", "one\ntwo\n", 0},
		{"echo one >| g; cat g; rm g", "one\n", 0},
		{"nosuch 2>/dev/null; echo $?", "127\n", 0},
		{"echo gone > /nonexistent/file; echo $?", "1\n", 0},
		{"x=1; (x=2); echo $x; { x=3; }; echo $x", "1\n3\n", 0},
		{"x=1; echo 5 | read x; echo $x", "1\n", 0},
		{"f() { return 3; }; f; echo $?", "3\n", 0},
		{"set -e; false; echo no", "", 1},
		{"set -e; false || echo yes; if false; then :; fi; echo end", "yes\nend\n", 0},
		{"set -u; echo $nope", "", 1},
		{"for i in 1 2 3; do [ $i = 2 ] && continue; echo $i; done", "1\n3\n", 0},
		{"case abc in x) echo x;; a*) echo a;; esac", "a\n", 0},
		{"i=0; while [ $i -lt 3 ]; do i=$((i+1)); done; echo $i", "3\n", 0},
		{"a=file.tar.gz; echo ${a%.gz} ${a##*.} ${#a} ${b:-none}", "file.tar gz 11 none\n", 0},
		{"cd /; pwd; (cd /etc; pwd); pwd", "/\n/etc\n/\n", 0},
		{"printf '%s-' a b; echo", "a-b-\n", 0},
		{"echo \"$(echo a; echo b)\"", "a\nb\n", 0},
		{"[ $$ = $(echo $$) ] && echo same", "same\n", 0},
		{"umask 077; umask", "0077\n", 0},
		{"if", "", 2},
		{"eval 'exit 9'", "", 9},
		{"echo 'v=5; return 3' > lib; . ./lib; echo $? $v; rm lib", "3 5\n", 0},
		{"while :; do echo y; done | head -n 1", "y\n", 0},
		{"while :; do printf 'y\\n'; done | head -n 1", "y\n", 0},
		{"echo() { /bin/true; }; echo x; printf '%s\\n' -e", "-e\n", 0},
		{"echo -e 'a\\tb' -n; echo -n x", "a\tb -n\nx", 0},
		{"echo x > /dev/full; printf 'after %d\\n' $?", "after 1\n", 0},
		{"yes | head -n 1; echo ok", "y\nok\n", 0},

		{"trap 'echo bye' EXIT; exit 3", "bye\n", 3},
		{"trap 'echo bye' 0; true", "bye\n", 0},
		{"trap 'echo got' TERM; kill -TERM $$; echo after", "got\nafter\n", 0},
		{"trap 'echo got' TERM; kill -TERM $$", "got\n", 0},
		{"trap 'exit 5' USR1; kill -USR1 $$; echo no", "", 5},
		{"trap '' TERM; kill -TERM $$; echo alive", "alive\n", 0},
		{"trap 'echo no' TERM; trap - TERM; kill -TERM $$", "", 1000},
		{"trap 'echo $?' USR1; (exit 6); kill -USR1 $$; true", "0\n", 0},
		{"kill -TERM $$", "", 1000},
		{"sh -c 'kill -TERM $$'; echo $?", "143\n", 0},
		{"sh -c 'kill -KILL $$'; echo $?", "137\n", 0},

		{"sleep 0 & wait $!; echo $?", "0\n", 0},
		{"(exit 4) & wait $!; echo $?", "4\n", 0},
		{"sleep 1000 & kill $!; wait $!; echo $?", "143\n", 0},
		{"v=var; f() { echo $v $1; }; f \"a  b\" & wait", "var a b\n", 0},
		{"sleep 1000 & p=$!; trap 'kill $p; echo woken' USR1; (sleep 0.05; kill -USR1 $$) & wait; echo done", "woken\ndone\n", 0},
		{"eval 'sleep 0 & wait $!'; echo $?", "0\n", 0},
		{"wait 99999999; echo $?", "127\n", 0},

		{"exec echo replaced; echo no", "replaced\n", 0},
		{"(exec echo sub); echo main", "sub\nmain\n", 0},
		{"exec 2>&1; echo err >&2", "err\n", 0},
		{"exec nosuch", "", 127},
		{"echo 'echo script $1' > s; chmod +x s; ./s arg; rm s", "script arg\n", 0},
	} {
		r := execute(t, bin, dir, "", "sh", "-c", c.script)
		if r.out != c.out || r.code != c.code {
			t.Errorf("sh -c %q: printed %q, exit %d; want %q, %d; stderr %q", c.script, r.out, r.code, c.out, c.code, r.err)
		}
	}
}

func TestShellInput(t *testing.T) {
	bin, dir := install(t), t.TempDir()
	for _, c := range []struct {
		in, out string
		code    int
	}{
		{"echo a\necho b", "a\nb\n", 0},
		{"cat\nfor the command\n", "for the command\n", 0},
		{"read x\nvalue\necho got $x\n", "got value\n", 0},
		{"for i in 1 2\ndo echo $i\ndone\n", "1\n2\n", 0},
		{"cat <<E\nhere\nE\necho after\n", "here\nafter\n", 0},
		{"echo one \\\ntwo\n", "one two\n", 0},
		{"exit 3\necho no\n", "", 3},
		{"trap 'echo bye $?' EXIT\n(exit 4)\n", "bye 4\n", 4},
		{"echo a\nif\n", "a\n", 2},
		{"false\n", "", 1},
		{"", "", 0},
	} {
		r := execute(t, bin, dir, c.in, "sh")
		if r.out != c.out || r.code != c.code {
			t.Errorf("sh < %q: printed %q, exit %d; want %q, %d; stderr %q", c.in, r.out, r.code, c.out, c.code, r.err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "script"), []byte("echo $0 $# \"$2\"; exit 6\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := execute(t, bin, dir, "", "sh", "script", "a", "b c"); r.out != "script 2 b c\n" || r.code != 6 {
		t.Errorf("script: %+v", r)
	}
	if r := execute(t, bin, dir, "", "sh", "missing"); r.code != 127 || !strings.Contains(r.err, "missing") {
		t.Errorf("missing script: %+v", r)
	}
	if r := execute(t, bin, dir, "", "sh", "-c", "echo $0 $1", "name", "arg"); r.out != "name arg\n" {
		t.Errorf("names: %+v", r)
	}
}

// TestSignalsFromOutside: a trap of a shell that is in the middle of a loop.
func TestSignalsFromOutside(t *testing.T) {
	bin, dir := install(t), t.TempDir()
	cmd := command(bin, dir, "sh", "-c", `trap "echo hup" HUP; trap "echo term; exit 5" TERM; echo up; while :; do sleep 0.01; done`)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	expect := func(want string) {
		t.Helper()
		buf := make([]byte, len(want))
		if n, err := out.Read(buf); err != nil || string(buf[:n]) != want {
			t.Fatalf("read %q, %v; want %q", buf[:n], err, want)
		}
	}
	expect("up\n")
	for _, name := range []string{"HUP", "TERM"} {
		if r := execute(t, bin, dir, "", "kill", "-"+name, fmt.Sprint(cmd.Process.Pid)); r.code != 0 {
			t.Fatalf("kill: %+v", r)
		}
		expect(strings.ToLower(name) + "\n")
	}
	if cmd.Wait(); cmd.ProcessState.ExitCode() != 5 {
		t.Errorf("ended with %v", cmd.ProcessState)
	}
}

func TestPrograms(t *testing.T) {
	bin, dir := install(t), t.TempDir()
	for _, c := range []struct {
		script, in, out string
		code            int
	}{
		{"sort -k2n", "b 2\na 10\nc 1\n", "c 1\nb 2\na 10\n", 0},
		{"sort -u | wc -l", "a\nb\na\n", "2\n", 0},
		{"uniq -c", "a\na\nb\n", "      2 a\n      1 b\n", 0},
		{"wc", "one two\nthree\n", "      2       3      14\n", 0},
		{"head -n 1", "a\nb\n", "a\n", 0},
		{"head -n -1", "a\nb\n", "a\n", 0},
		{"tail -n +2", "a\nb\nc", "b\nc", 0},
		{"cut -d: -f1,3-", "a:b:c:d\n", "a:c:d\n", 0},
		{"tr -d '\\n'", "a\nb\n", "ab", 0},
		{"tr '\\0' '\\n'", "a\x00b\x00", "a\nb\n", 0},
		{"grep -E '^(a|b)'", "a1\nc\nb2\n", "a1\nb2\n", 0},
		{"grep -c x", "a\n", "0\n", 1},
		{"grep 'a\\{2\\}'", "a\naa\n", "aa\n", 0},
		{"grep -v '[]a]'", "a\nb\n]\n", "b\n", 0},
		{"grep x /nonexistent", "", "", 2},
		{"sed 's/\\([a-z]\\)\\([0-9]\\)/\\2&/g'", "a1 b2\n", "1a1 2b2\n", 0},
		{"sed -n '2,/d/p'", "a\nb\nc\nd\ne\n", "b\nc\nd\n", 0},
		{"sed ':a;N;$!ba;s/\\n/,/g'", "a\nb\nc\n", "a,b,c\n", 0},
		{"sed 's/a\\1//'", "x\n", "", 1},
		{"seq -w 8 10", "", "08\n09\n10\n", 0},
		{"xargs -n 2 echo", "a b c\n", "a b\nc\n", 0},
		{"printf 'a\\0b c\\0' | xargs -0 -n1 echo", "", "a\nb c\n", 0},
		{"od -An -tx1", "abc", " 61 62 63\n", 0},
		{"hexdump -C", "abc", "00000000  61 62 63                                          |abc|\n00000003\n", 0},
		{"base64", "hello", "aGVsbG8=\n", 0},
		{"base64 -d", "aGVsbG8=\n", "hello", 0},
		{"sha256sum", "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  -\n", 0},
		{"mkdir -p d/e; echo x > d/e/f; ln -s f d/e/l; find d | sort; tar c d | tar t | wc -l; rm -r d", "", "d\nd/e\nd/e/f\nd/e/l\n4\n", 0},
		{"mkdir s; echo x > s/f; chmod 640 s/f; cp -a s t; stat -c '%a %s %F' t/f; rm -r s t", "", "640 2 regular file\n", 0},
		{"echo x > a; gzip a; ls; gunzip a.gz; cat a; rm a", "", "a.gz\nx\n", 0},
		{"rm /nonexistent", "", "", 1},
		{"rm -f /nonexistent", "", "", 0},
		{"cat /nonexistent; echo $?", "", "1\n", 0},
		{"touch f; chmod u=rw,go= f; ls -l f | cut -c1-10; rm f", "", "-rw-------\n", 0},
		{"timeout 0.05 sleep 1000", "", "", 124},
		{"timeout -s KILL 0.05 sleep 1000", "", "", 137},
		{"env -i A=1 B=2 " + bin + "/env", "", "A=1\nB=2\n", 0},
		{"date -u -d @0 '+%Y-%m-%d %H:%M:%S'", "", "1970-01-01 00:00:00\n", 0},
		{"basename /a/b.txt .txt; dirname /a/b/", "", "b\n/a\n", 0},
		{"test 1 -lt 2 -a ! -e /nonexistent && [ -d / ]", "", "", 0},
		{"dd if=/dev/zero bs=1k count=3 status=none | wc -c", "", "3072\n", 0},
		{"ls --nonsense", "", "", 2},
	} {
		r := execute(t, bin, dir, c.in, "sh", "-c", c.script)
		if r.out != c.out || r.code != c.code {
			t.Errorf("%q: printed %q, exit %d; want %q, %d; stderr %q", c.script, r.out, r.code, c.out, c.code, r.err)
		}
	}
}

// TestTarStaysInside: an archive of somebody else's writes nothing outside of where it is unpacked.
func TestTarStaysInside(t *testing.T) {
	bin, dir := install(t), t.TempDir()
	script := `mkdir out src; cd src; ln -s ../.. up; tar cf ../a.tar up; rm up; mkdir up; echo evil > up/evil; tar cf ../b.tar up/evil
cd ../out; tar xf ../a.tar; tar xf ../b.tar`
	r := execute(t, bin, dir, "", "sh", "-c", script)
	if r.code == 0 {
		t.Errorf("unpacking through a link succeeded: %+v", r)
	}
	if _, err := os.Lstat(filepath.Join(dir, "evil")); err == nil {
		t.Error("a file was written outside")
	}
	if _, err := os.Lstat(filepath.Join(filepath.Dir(dir), "evil")); err == nil {
		t.Error("a file was written outside")
	}
}

func TestFormats(t *testing.T) {
	bin, dir := install(t), t.TempDir()
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	r := execute(t, bin, dir, "", "id")
	if want := fmt.Sprintf("uid=%s(%s) gid=%s(", u.Uid, u.Username, u.Gid); !strings.HasPrefix(r.out, want) {
		t.Errorf("id: %q, want %q…", r.out, want)
	}
	if !regexp.MustCompile(`^uid=\d+\([^)]+\) gid=\d+\([^)]+\) groups=\d+\([^)]+\)(,\d+(\([^)]+\))?)*\n$`).MatchString(r.out) {
		t.Errorf("id: %q", r.out)
	}
	r = execute(t, bin, dir, "", "ip", "addr", "show", "dev", "lo")
	if !regexp.MustCompile(`(?m)^1: lo: <LOOPBACK[A-Z,_]*> mtu \d+ qdisc \w+ state \w+ group default( qlen \d+)?\n    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00$`).MatchString(r.out) {
		t.Errorf("ip addr: %q", r.out)
	}
	if i, err := net.InterfaceByName("lo"); err == nil && i.Flags&net.FlagUp != 0 && !strings.Contains(r.out, "    inet 127.0.0.1/8 scope host lo\n       valid_lft forever preferred_lft forever\n") {
		t.Errorf("ip addr: %q", r.out)
	}
	if r := execute(t, bin, dir, "", "ip", "addr", "show", "dev", "nosuchdevice"); r.code != 1 {
		t.Errorf("ip of a missing device: %+v", r)
	}
	r = execute(t, bin, dir, "", "rl-tiny", "--list")
	if got := strings.Fields(r.out); !slices.Equal(got, names()) || !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
		t.Errorf("--list: %q", r.out)
	}
}

// TestHTTP: the server's log has the client's address, and wget gets the file.
func TestHTTP(t *testing.T) {
	bin, dir := install(t), t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "page"), []byte("served\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	server := command(bin, dir, "httpd", "-p", address, "-h", dir)
	log, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { server.Process.Kill(); server.Wait() }()
	var r result
	for range 500 {
		if r = execute(t, bin, dir, "", "wget", "-q", "-O", "-", "http://"+address+"/page"); r.code == 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if r.out != "served\n" {
		t.Fatalf("wget: %+v", r)
	}
	line := make([]byte, 200)
	n, err := log.Read(line)
	if err != nil || !regexp.MustCompile(`^127\.0\.0\.1 - - \[[^]]+\] "GET /page HTTP/1\.1" 200 7\n$`).Match(line[:n]) {
		t.Errorf("log: %q, %v", line[:n], err)
	}
	if r := execute(t, bin, dir, "", "wget", "-q", "-O", "-", "http://"+address+"/missing"); r.code != 1 || !strings.Contains(r.err, "404") {
		t.Errorf("wget of a missing page: %+v", r)
	}
}
