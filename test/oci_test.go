package test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// ociBundle is a bundle of a busybox root, and the runtime that is called with it: rl by the name rl-oci, a copy that belongs to
// the user, as in ~/bin.
type ociBundle struct {
	*login
	t       *testing.T
	runtime string
	dir     string
	spec    *specs.Spec
	env     []string
}

func newBundle(t *testing.T) *ociBundle {
	u := newLogin(t)
	b := &ociBundle{login: u, t: t, dir: mkdir(t, filepath.Join(u.work, "bundle")), runtime: filepath.Join(u.work, "rl-oci")}
	rl, err := os.ReadFile(filepath.Join(u.bin, "rl"))
	b.check(err)
	b.check(os.WriteFile(b.runtime, rl, 0o755))
	// Engines give next to nothing.
	b.env = []string{"XDG_RUNTIME_DIR=" + mkdir(t, filepath.Join(u.work, "run"))}
	busybox, err := os.ReadFile("/bin/busybox")
	b.check(err)
	for _, d := range []string{"bin", "proc", "dev", "etc", "sys", "tmp"} {
		mkdir(t, b.root(d))
		b.check(os.Chmod(b.root(d), 0o755))
	}
	b.check(os.WriteFile(b.root("bin/busybox"), busybox, 0o755))
	for _, name := range []string{"sh", "cat", "echo", "ls", "sleep", "true", "id", "grep", "kill", "hostname", "ps", "mount", "touch", "pwd"} {
		b.check(os.Symlink("busybox", b.root("bin/"+name)))
	}
	b.must("spec", "--rootless", "--bundle", b.dir)
	text, err := os.ReadFile(filepath.Join(b.dir, "config.json"))
	b.check(err)
	b.spec = new(specs.Spec)
	b.check(json.Unmarshal(text, b.spec))
	b.spec.Process.Terminal, b.spec.Root.Readonly = false, false
	return b
}

func (b *ociBundle) check(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// root is a path of the root file system.
func (b *ociBundle) root(name string) string { return filepath.Join(b.dir, "rootfs", name) }

// script makes a shell script the program.
func (b *ociBundle) script(text string) { b.spec.Process.Args = []string{"sh", "-c", text} }

func (b *ociBundle) write() {
	text, err := json.Marshal(b.spec)
	b.check(err)
	b.check(os.WriteFile(filepath.Join(b.dir, "config.json"), text, 0o644))
}

func (b *ociBundle) command(args ...string) *exec.Cmd {
	cmd := exec.Command(b.runtime, args...)
	cmd.Env, cmd.Dir = b.env, b.dir
	return cmd
}

// call runs a verb; code is its exit code, out both its outputs.
func (b *ociBundle) call(args ...string) (out string, code int) {
	b.t.Helper()
	file, err := os.CreateTemp(b.work, "out") // a pipe would be held open by what goes on
	b.check(err)
	defer os.Remove(file.Name())
	cmd := b.command(args...)
	cmd.Stdout, cmd.Stderr = file, file
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		b.t.Fatal(err)
	}
	text, err := os.ReadFile(file.Name())
	b.check(err)
	return string(text), cmd.ProcessState.ExitCode()
}

func (b *ociBundle) must(args ...string) string {
	b.t.Helper()
	out, code := b.call(args...)
	if code != 0 {
		b.t.Fatalf("rl-oci %v: exit code %d: %s", args, code, out)
	}
	return out
}

// run runs a container with the bundle's configuration to its end.
func (b *ociBundle) run() string {
	b.t.Helper()
	b.write()
	return b.must("run", "c")
}

// fails expects an error with a part of its message.
func (b *ociBundle) fails(want string, args ...string) {
	b.t.Helper()
	if out, code := b.call(args...); code == 0 || !strings.Contains(out, want) {
		b.t.Errorf("rl-oci %v: exit code %d, %q; want an error with %q", args, code, out, want)
	}
}

func (b *ociBundle) status(id string) string {
	var s specs.State
	if err := json.Unmarshal([]byte(b.must("state", id)), &s); err != nil {
		b.t.Fatal(err)
	}
	return string(s.Status)
}

// detached starts a container that stays, and has it removed at the end.
func (b *ociBundle) detached(id string) {
	b.t.Helper()
	b.write()
	b.must("run", "--detach", id)
	b.t.Cleanup(func() { b.call("delete", "--force", id) })
}

func TestOCILifecycle(t *testing.T) {
	b := newBundle(t)
	b.script("trap 'exit 3' TERM; echo started; while :; do sleep 0.05; done")
	b.write()
	pidFile := filepath.Join(b.work, "pid")
	b.must("create", "--bundle", b.dir, "--pid-file", pidFile, "c")
	if got := b.status("c"); got != "created" {
		t.Errorf("status %s after create", got)
	}
	if text, _ := os.ReadFile(pidFile); len(text) == 0 || strings.Trim(string(text), "0123456789") != "" {
		t.Errorf("pid file %q", text)
	}
	b.fails("container with id exists", "create", "c")
	b.fails("not stopped", "delete", "c")
	b.must("start", "c")
	if got := b.status("c"); got != "running" {
		t.Errorf("status %s after start", got)
	}
	b.fails("cannot start a container in the running state", "start", "c")
	if out := b.must("exec", "c", "id"); !strings.HasPrefix(out, "uid=0") {
		t.Errorf("exec id: %q", out)
	}
	if out, code := b.call("exec", "--env", "CODE=7", "c", "sh", "-c", "exit $CODE"); code != 7 {
		t.Errorf("exit code %d of exec, %s", code, out)
	}
	if out, code := b.call("exec", "c", "nosuch"); code != 255 || !strings.Contains(out, "executable file not found in $PATH") {
		t.Errorf("exec of a missing program: %d, %s", code, out)
	}
	var pids []int
	b.check(json.Unmarshal([]byte(b.must("ps", "--format", "json", "c")), &pids))
	if len(pids) < 1 {
		t.Error("ps lists nothing")
	}
	b.must("kill", "c", "TERM")
	b.check(eventually(func() error {
		if got := b.status("c"); got != "stopped" {
			return fmt.Errorf("status %s after kill", got)
		}
		return nil
	}))
	b.fails("container not running", "kill", "c", "TERM")
	b.must("delete", "c")
	b.fails(`container "c" does not exist`, "state", "c")
	b.must("delete", "--force", "c")
}

// TestOCIKilled: the process of a created container is gone, with or without its maker.
func TestOCIKilled(t *testing.T) {
	b := newBundle(t)
	b.write()
	b.must("create", "c")
	var s specs.State
	b.check(json.Unmarshal([]byte(b.must("state", "c")), &s))
	b.check(unix.Kill(s.Pid, unix.SIGKILL))
	b.check(eventually(func() error {
		if got := b.status("c"); got != "stopped" {
			return fmt.Errorf("status %s", got)
		}
		return nil
	}))
	b.fails("stopped state", "start", "c")
	b.must("delete", "c")
	for i := range 20 {
		cmd := b.command("create", "c")
		b.check(cmd.Start())
		for spin := 0; spin < i*20000; spin++ { // another moment each time
			_ = spin
		}
		cmd.Process.Kill()
		cmd.Wait()
		b.must("delete", "--force", "c")
	}
	if out := b.must("list", "--quiet"); out != "" {
		t.Errorf("left: %s", out)
	}
	b.check(eventually(func() error { return nothingLeft(filepath.Join(b.work, "run"), "/nonexistent") }))
}

// TestOCIDeletes: of two at once none fails and one wins.
func TestOCIDeletes(t *testing.T) {
	b := newBundle(t)
	b.spec.Process.Args = []string{"sleep", "1000"}
	for range 5 {
		b.write()
		b.must("run", "--detach", "c")
		first, second := b.command("delete", "--force", "c"), b.command("delete", "--force", "c")
		b.check(first.Start())
		b.check(second.Start())
		for _, cmd := range []*exec.Cmd{first, second} {
			if err := cmd.Wait(); err != nil {
				t.Errorf("delete --force: %v", err)
			}
		}
		b.fails("does not exist", "state", "c")
	}
}

// TestOCIBad: bundles that are none. Each is one error, told once in the log, and leaves nothing.
func TestOCIBad(t *testing.T) {
	b := newBundle(t)
	config := filepath.Join(b.dir, "config.json")
	b.write()
	valid, err := os.ReadFile(config)
	b.check(err)
	edit := func(change func(s *specs.Spec)) func() {
		return func() {
			b.spec = new(specs.Spec)
			b.check(json.Unmarshal(valid, b.spec))
			change(b.spec)
			b.write()
		}
	}
	for name, c := range map[string]struct {
		make func()
		want string
	}{
		"missing":   {func() { os.Remove(config) }, "no such file"},
		"fifo":      {func() { os.Remove(config); unix.Mkfifo(config, 0o600) }, "not a regular file"},
		"malformed": {func() { os.Remove(config); os.WriteFile(config, []byte(`{"ociVersion":`), 0o600) }, "not a runtime configuration"},
		"huge":      {func() { os.WriteFile(config, bytes.Repeat([]byte(" "), 9<<20), 0o600) }, "more than"},
		"version":   {edit(func(s *specs.Spec) { s.Version = "2.0.0" }), "not supported"},
		"no root":   {edit(func(s *specs.Spec) { s.Root = nil }), "root.path"},
		"root gone": {edit(func(s *specs.Spec) { s.Root.Path = "nothere" }), "no such file"},
		"no args":   {edit(func(s *specs.Spec) { s.Process.Args = nil }), "process.args"},
		"cwd":       {edit(func(s *specs.Spec) { s.Process.Cwd = "tmp" }), "process.cwd"},
		"twice": {edit(func(s *specs.Spec) {
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.PIDNamespace})
		}), "twice"},
		"namespace": {edit(func(s *specs.Spec) { s.Linux.Namespaces[0].Path = "/dev/null" }), "no namespace of this type"},
		"sysctl":    {edit(func(s *specs.Spec) { s.Linux.Sysctl = map[string]string{"kernel.panic": "1"} }), "separate kernel namespace"},
		"rdt":       {edit(func(s *specs.Spec) { s.Linux.IntelRdt = &specs.LinuxIntelRdt{} }), "intelRdt"},
		"option": {edit(func(s *specs.Spec) {
			s.Mounts = append(s.Mounts, specs.Mount{Destination: "/x", Type: "tmpfs", Options: []string{"nonsense=1"}})
		}), "nonsense"},
		"source": {edit(func(s *specs.Spec) {
			s.Mounts = append(s.Mounts, specs.Mount{Destination: "/x", Source: "/nothere", Options: []string{"bind"}})
		}), "no such file"},
	} {
		c.make()
		log := filepath.Join(b.work, "log-"+strings.ReplaceAll(name, " ", "-"))
		if out, code := b.call("--log", log, "--log-format=json", "create", "c"); code != 1 || !strings.Contains(out, c.want) {
			t.Errorf("%s: exit code %d, %q; want 1 and %q", name, code, out, c.want)
		}
		text, err := os.ReadFile(log)
		b.check(err)
		var line struct{ Msg, Level, Time string }
		if err := json.Unmarshal(text, &line); err != nil || line.Level != "error" || !strings.Contains(line.Msg, c.want) {
			t.Errorf("%s: log %q (%v)", name, text, err)
		}
		b.fails("does not exist", "state", "c")
		os.Remove(config)
	}
	for _, id := range []string{"", ".", "..", "a/b", "../x", "a b", strings.Repeat("x", 256)} {
		b.fails("container ID", "state", id)
	}
}

func TestOCIList(t *testing.T) {
	b := newBundle(t)
	b.spec.Process.Args = []string{"true"}
	b.write()
	b.must("create", "a")
	b.must("kill", "a", "KILL")
	// A thousand stopped ones: what list reads of each is its record.
	state := filepath.Join(b.work, "run/rl-oci")
	record, err := os.ReadFile(filepath.Join(state, "a/state.json"))
	b.check(err)
	for i := range 1000 {
		dir := mkdir(t, filepath.Join(state, "c"+strconv.Itoa(i)))
		b.check(os.WriteFile(filepath.Join(dir, "state.json"), record, 0o600))
	}
	var all []specs.State
	b.check(json.Unmarshal([]byte(b.must("list", "--format", "json")), &all))
	if len(all) != 1001 {
		t.Errorf("%d containers listed, want 1001", len(all))
	}
}

func TestOCIHooks(t *testing.T) {
	b := newBundle(t)
	b.check(os.Chmod(b.work, 0o755))
	trace := filepath.Join(b.work, "trace")
	hook := func(name string) []specs.Hook {
		script := "read -r state; echo " + name + ` "$state" >> ` + trace
		return []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", script}}}
	}
	//lint:ignore SA1019 engines still write prestart hooks
	b.spec.Hooks = &specs.Hooks{Prestart: hook("prestart"), CreateRuntime: hook("createRuntime"), CreateContainer: hook("createContainer"),
		Poststart: hook("poststart"), Poststop: hook("poststop"),
		StartContainer: []specs.Hook{{Path: "/bin/touch", Args: []string{"touch", "/tmp/startContainer"}}}}
	b.script("ls /tmp")
	if out := b.run(); out != "startContainer\n" {
		t.Errorf("the program found %q", out)
	}
	text, err := os.ReadFile(trace)
	b.check(err)
	var names []string
	for line := range strings.Lines(string(text)) {
		name, state, _ := strings.Cut(line, " ")
		names = append(names, name)
		var s specs.State
		if err := json.Unmarshal([]byte(state), &s); err != nil || s.ID != "c" || s.Bundle != b.dir {
			t.Errorf("%s was told %q (%v)", name, state, err)
		}
	}
	if got, want := strings.Join(names, " "), "prestart createRuntime createContainer poststart poststop"; got != want {
		t.Errorf("order %q, want %q", got, want)
	}
	for name, hooks := range map[string]*specs.Hooks{
		"createRuntime": {CreateRuntime: []specs.Hook{{Path: "/bin/false"}}}, "createContainer": {CreateContainer: []specs.Hook{{Path: "/bin/false"}}},
		"startContainer": {StartContainer: []specs.Hook{{Path: "/bin/false"}}}, "poststart": {Poststart: []specs.Hook{{Path: "/bin/false"}}},
	} {
		b.spec.Hooks = hooks
		b.write()
		if out, code := b.call("run", "c"); code == 0 || !strings.Contains(out, "hook /bin/false") {
			t.Errorf("failing %s: exit code %d, %s", name, code, out)
		}
		b.fails("does not exist", "state", "c")
	}
}

// TestCVE_2019_5736: processes of the container can't write to the runtime's binary, though root inside is the user who owns it.
func TestCVE_2019_5736(t *testing.T) {
	b := newBundle(t)
	before := b.digest()
	b.check(os.WriteFile(b.root("bin/evil"), []byte("#!/proc/self/exe\n"), 0o755))
	b.script("while :; do for p in /proc/[0-9]*; do case $p in /proc/1) ;; *) echo overwritten > $p/exe ;; esac; done; done 2>/dev/null")
	b.detached("c")
	for range 20 {
		b.call("exec", "c", "/bin/evil")
		b.call("exec", "c", "true")
	}
	if b.digest() != before {
		t.Fatal("the runtime was overwritten")
	}
	b.spec.Process.Args = []string{"/proc/self/exe", "version"}
	b.write()
	b.call("run", "self")
	b.call("delete", "--force", "self")
	if b.digest() != before {
		t.Fatal("the runtime was overwritten")
	}
}

func (b *ociBundle) digest() [32]byte {
	text, err := os.ReadFile(b.runtime)
	b.check(err)
	return sha256.Sum256(text)
}

// TestCVE_2021_30465: a mount below a symlink that leads out of the root stays inside of it.
func TestCVE_2021_30465(t *testing.T) {
	b := newBundle(t)
	outside := mkdir(t, filepath.Join(b.work, "outside"))
	b.check(os.Symlink("../../../../../../../.."+outside, b.root("link")))
	b.check(os.Symlink(outside, b.root("absolute")))
	for _, dst := range []string{"/link/x", "/absolute/y"} {
		b.spec.Mounts = append(b.spec.Mounts, specs.Mount{Destination: dst, Type: "tmpfs", Source: "tmpfs"})
	}
	b.script("grep -c " + outside + " /proc/self/mountinfo")
	if out := b.run(); strings.TrimSpace(out) != "2" {
		t.Errorf("%s mounts below the root", out)
	}
	if left, _ := os.ReadDir(outside); len(left) > 0 {
		t.Errorf("made outside of the root: %v", left)
	}
}

// TestCVE_2024_21626: neither a leaked descriptor nor a working directory through one leads to the host.
func TestCVE_2024_21626(t *testing.T) {
	b := newBundle(t)
	leak, err := os.Open("/")
	b.check(err)
	defer leak.Close()
	b.script("ls -l /proc/self/fd; pwd")
	b.write()
	leaky := func(args ...string) (string, error) {
		cmd := b.command(args...)
		for range 10 {
			cmd.ExtraFiles = append(cmd.ExtraFiles, leak)
		}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	out, err := leaky("run", "c")
	if err != nil || strings.Contains(out, " 4 -> ") || strings.Contains(out, "-> /\n") {
		t.Errorf("descriptors inside: %v, %s", err, out)
	}
	for fd := 3; fd < 15; fd++ {
		b.spec.Process.Cwd = "/proc/self/fd/" + strconv.Itoa(fd)
		b.write()
		if out, err := leaky("run", "c"); err == nil {
			t.Errorf("working directory %s: %s", b.spec.Process.Cwd, out)
		}
		b.call("delete", "--force", "c")
	}
	b.spec.Process.Cwd, b.spec.Process.Args = "/", []string{"sleep", "1000"}
	b.detached("d")
	for fd := 3; fd < 15; fd++ {
		if out, err := leaky("exec", "--cwd", "/proc/self/fd/"+strconv.Itoa(fd), "d", "pwd"); err == nil {
			t.Errorf("exec --cwd /proc/self/fd/%d: %s", fd, out)
		}
	}
}

// TestCVE_2022_29162: no inheritable capabilities, in the first process and in further ones.
func TestCVE_2022_29162(t *testing.T) {
	b := newBundle(t)
	b.spec.Process.Args = []string{"sleep", "1000"}
	b.detached("c")
	for _, args := range [][]string{{"exec", "c", "grep", "CapInh", "/proc/self/status"}, {"exec", "--cap", "CAP_SYS_CHROOT", "c", "grep", "CapInh", "/proc/self/status"},
		{"exec", "c", "grep", "CapInh", "/proc/1/status"}} {
		if out := b.must(args...); out != "CapInh:\t0000000000000000\n" {
			t.Errorf("%v: %s", args, out)
		}
	}
}

// TestCVE_2023_27561: /proc and /sys that are symlinks in the image would move what is masked (CVE-2019-19921, too).
func TestCVE_2023_27561(t *testing.T) {
	for _, name := range []string{"proc", "sys"} {
		b := newBundle(t)
		b.check(os.Remove(b.root(name)))
		mkdir(t, b.root("elsewhere"))
		b.check(os.Symlink("/elsewhere", b.root(name)))
		b.write()
		b.fails("is a symlink", "run", "c")
		b.fails("does not exist", "state", "c")
		b.check(remove(b.work))
	}
}

// TestCVE_2025_31133: a /dev/null of the image's that is a symlink changes nothing about what masks a path.
func TestCVE_2025_31133(t *testing.T) {
	b := newBundle(t)
	secret := filepath.Join(b.work, "secret")
	b.check(os.WriteFile(secret, []byte("of the host"), 0o600))
	b.check(os.Symlink(secret, b.root("dev/null")))
	b.check(os.WriteFile(b.root("etc/hidden"), []byte("hidden"), 0o644))
	b.spec.Linux.MaskedPaths = append(b.spec.Linux.MaskedPaths, "/etc/hidden")
	b.script("cat /etc/hidden; echo x > /etc/hidden; ls -l /dev/null")
	b.write()
	out, _ := b.call("run", "c")
	if strings.Contains(out, "hidden\n") && !strings.Contains(out, "Read-only") || strings.Contains(out, "of the host") || !strings.Contains(out, "1,   3") {
		t.Errorf("masked file: %s", out)
	}
	if text, _ := os.ReadFile(secret); string(text) != "of the host" {
		t.Errorf("the host's file is now %q", text)
	}
}

// TestCVE_2025_52565: /dev/console and /dev/pts of the image lead nowhere.
func TestCVE_2025_52565(t *testing.T) {
	b := newBundle(t)
	outside := filepath.Join(b.work, "outside")
	b.check(os.WriteFile(outside, []byte("untouched"), 0o600))
	b.check(os.Symlink(outside, b.root("dev/console")))
	b.check(os.Symlink("/proc/sys/kernel", b.root("dev/pts")))
	b.spec.Process.Terminal = true
	b.script("echo on a terminal")
	b.write()
	out, code := b.call("run", "c")
	if code != 0 || !strings.Contains(out, "on a terminal") {
		t.Errorf("exit code %d: %s", code, out)
	}
	if text, _ := os.ReadFile(outside); string(text) != "untouched" {
		t.Errorf("the host's file is now %q", text)
	}
}

// TestCVE_2025_52881: what is written to /proc/sys goes to a proc file system or nowhere.
func TestCVE_2025_52881(t *testing.T) {
	b := newBundle(t)
	mkdir(t, b.root("proc/sys/net/ipv4"))
	fake := b.root("proc/sys/net/ipv4/ip_forward")
	b.check(os.WriteFile(fake, []byte("untouched"), 0o644))
	b.spec.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "1"}
	b.spec.Linux.Namespaces = append(b.spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.NetworkNamespace})
	b.script("cat /proc/sys/net/ipv4/ip_forward")
	if out := b.run(); out != "1\n" {
		t.Errorf("ip_forward is %q", out)
	}
	for i, m := range b.spec.Mounts {
		if m.Destination == "/proc" {
			b.spec.Mounts = append(b.spec.Mounts[:i], b.spec.Mounts[i+1:]...)
			break
		}
	}
	b.spec.Linux.MaskedPaths, b.spec.Linux.ReadonlyPaths = nil, nil
	b.write()
	b.fails("not a proc file system", "run", "c")
	if text, _ := os.ReadFile(fake); string(text) != "untouched" {
		t.Errorf("the file in place of a sysctl is now %q", text)
	}
}

// TestCVE_2026_41579: a /dev that leads out of the root gets nothing made where it leads.
func TestCVE_2026_41579(t *testing.T) {
	b := newBundle(t)
	outside := mkdir(t, filepath.Join(b.work, "outside"))
	b.check(os.Remove(b.root("dev")))
	b.check(os.Symlink(outside, b.root("dev")))
	b.script("ls /dev/null")
	b.write()
	b.call("run", "c") // works, or is refused
	b.call("delete", "--force", "c")
	var left []specs.Mount
	for _, m := range b.spec.Mounts {
		if !strings.HasPrefix(m.Destination, "/dev") {
			left = append(left, m)
		}
	}
	b.spec.Mounts = left
	b.write()
	b.call("run", "c")
	if made, _ := os.ReadDir(outside); len(made) > 0 {
		t.Errorf("made outside of the root: %v", made)
	}
}
