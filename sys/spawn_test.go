package sys

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMain is also the program that the tests spawn: it says what it finds and waits for the end of its stdin.
func TestMain(m *testing.M) {
	if os.Args[0] != "spawned" {
		os.Exit(m.Run())
	}
	fmt.Println("write to own binary:", unix.Faccessat(unix.AT_FDCWD, "/proc/self/exe", unix.W_OK, 0))
	for _, ns := range []string{"user", "mnt", "uts", "net"} {
		link, _ := os.Readlink("/proc/self/ns/" + ns)
		fmt.Println(ns, link)
	}
	var st unix.Stat_t
	for fd := 3; fd < 200; fd++ {
		// What the runtime of Go itself opens is close-on-exec.
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 && unix.Fstat(fd, &st) == nil {
			fmt.Println("leaked", fd)
		}
	}
	fmt.Println("ready")
	bufio.NewReader(os.Stdin).ReadString('\n')
	os.Exit(0)
}

type spawned struct {
	*Process
	facts map[string]string
	stdin *os.File
}

// spawn starts this program again, and reads what it says.
func spawn(t *testing.T, s *Spawn) *spawned {
	t.Helper()
	inR, inW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := SealFds(3); err != nil { // what the caller of the tests leaked
		t.Fatal(err)
	}
	s.Path, s.Argv, s.Files = ownProgram(t), []string{"spawned"}, []*os.File{inR, outW, os.Stderr}
	p, err := s.Start()
	inR.Close()
	outW.Close()
	if err != nil {
		t.Fatal(err)
	}
	c := &spawned{p, map[string]string{}, inW}
	t.Cleanup(func() {
		inW.Close()
		p.Wait()
	})
	for lines := bufio.NewScanner(outR); lines.Scan() && lines.Text() != "ready"; {
		key, value, _ := strings.Cut(lines.Text(), " ")
		if key == "write" {
			key, value, _ = strings.Cut(lines.Text(), ": ")
		}
		c.facts[key] = value
	}
	if len(c.facts) == 0 {
		t.Fatal("the child said nothing")
	}
	return c
}

// ownProgram is a copy of this program that its user may write to, as with an rl in ~/bin.
func ownProgram(t *testing.T) string {
	b, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, b, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestSpawnSealed: CVE-2019-5736. Root of a container is the user who may own the binary of rl.
func TestSpawnSealed(t *testing.T) {
	c := spawn(t, &Spawn{Flags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS, AmbientCaps: true})
	if got := c.facts["write to own binary"]; got != unix.EROFS.Error() {
		t.Errorf("access(/proc/self/exe, W_OK) in the child: %s, want %v", got, unix.EROFS)
	}
	if c.facts["leaked"] != "" {
		t.Errorf("descriptor %s leaked", c.facts["leaked"])
	}
}

// TestSpawnUnsealable: without a mount namespace there is a copy in memory instead.
func TestSpawnUnsealable(t *testing.T) {
	c := spawn(t, &Spawn{Flags: unix.CLONE_NEWUSER, AmbientCaps: true})
	if exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", c.Pid)); !strings.HasPrefix(exe, "/memfd:") {
		t.Errorf("executes %s", exe)
	}
}

func TestSpawnJoin(t *testing.T) {
	holder := spawn(t, &Spawn{Flags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWUTS, AmbientCaps: true})
	var join []*os.File
	for _, ns := range []string{"user", "uts"} {
		f, err := os.Open(fmt.Sprintf("/proc/%d/ns/%s", holder.Pid, ns))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		join = append(join, f)
	}
	c := spawn(t, &Spawn{Join: join, Flags: unix.CLONE_NEWNET, AmbientCaps: true})
	for _, ns := range []string{"user", "uts"} {
		if c.facts[ns] != holder.facts[ns] {
			t.Errorf("%s: joined %s, is in %s", ns, holder.facts[ns], c.facts[ns])
		}
	}
	if c.facts["net"] == holder.facts["net"] {
		t.Error("the network namespace is not new")
	}
	if got := c.facts["write to own binary"]; got != unix.EROFS.Error() {
		t.Errorf("access(/proc/self/exe, W_OK) in the child: %s, want %v", got, unix.EROFS)
	}
	c.stdin.Close()
	if status, err := c.Wait(); err != nil || status != 0 {
		t.Errorf("is no child of ours, or failed: %v, %v", status, err)
	}
}

func TestSpawnFailure(t *testing.T) {
	f, err := os.Open("/proc/self/ns/user") // one's own can't be entered again
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, err = (&Spawn{Path: "/proc/self/exe", Argv: []string{"spawned"}, Join: []*os.File{f}}).Start()
	if err == nil || !strings.Contains(err.Error(), "setns") {
		t.Errorf("error %v, want one about setns", err)
	}
	var status syscall.WaitStatus
	if pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil); err != syscall.ECHILD {
		t.Errorf("a child is left: %d %v", pid, err)
	}
}
