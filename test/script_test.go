// Package test types rl's commands as a user would and looks at what comes out, what is left and what leaks. README.md in this
// directory says how to write and run a script.
package test

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rogpeppe/go-internal/testscript"
)

// lab is what all scripts of one run share.
type lab struct {
	bin      string // directory of rl, rl-image and rl-tiny
	root     string // everything that the run writes is below
	fixtures *fixtures
	registry *registries
	before   map[int]bool // processes that ran already
	kept     bool         // a script wants its containers to stay
}

var openLab = sync.OnceValues(func() (*lab, error) {
	bin := os.Getenv("RL_BIN")
	if bin == "" {
		return nil, fmt.Errorf("RL_BIN is not set: run the scripts by hack/test")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return nil, err
	}
	// Not below /tmp: that may be a tmpfs, and users' stores are in their homes.
	cache := filepath.Join(home, ".cache")
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return nil, err
	}
	root, err := os.MkdirTemp(cache, "rl-test-")
	if err != nil {
		return nil, err
	}
	l := &lab{bin: bin, root: root, before: map[int]bool{}}
	l.fixtures = &fixtures{dir: filepath.Join(root, "fixtures"), debianTar: os.Getenv("RL_TEST_DEBIAN")}
	l.registry = &registries{fixtures: l.fixtures}
	for _, p := range foreign() {
		l.before[p.pid] = true
	}
	return l, nil
})

func TestMain(m *testing.M) {
	// What nohup(1) or the "&" of a shell's script ignores would be ignored by all commands. What is caught here is not, there.
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGQUIT, syscall.SIGHUP} {
		if signal.Ignored(sig) {
			signal.Notify(make(chan os.Signal, 1), sig)
		}
	}
	code := m.Run()
	if os.Getenv("RL_BIN") != "" {
		if l, err := openLab(); err == nil {
			code = max(code, l.close())
		}
	}
	os.Exit(code)
}

// close looks once more, over all scripts: whatever is in a user namespace now came from here.
func (l *lab) close() int {
	code := 0
	err := eventually(func() error {
		for _, p := range foreign() {
			if !l.before[p.pid] && !l.kept {
				return fmt.Errorf("left behind by some script: %s", p)
			}
		}
		return nil
	})
	if err != nil {
		fmt.Printf("--- FAIL: leftovers\n    %v\n", err)
		code = 1
	}
	l.registry.close()
	if err := remove(l.root); err != nil {
		fmt.Printf("--- FAIL: clean-up\n    %v\n", err)
		code = 1
	}
	return code
}

// remove deletes a tree with files of the user's subordinate uids or in closed directories, as root of a namespace.
func remove(dir string) error {
	err := os.RemoveAll(dir)
	if err == nil {
		return nil
	}
	words := []string{"-U", "--map-root-user", "rm", "-rf", dir}
	if first, _ := subuids(); first != "" {
		words = slices.Insert(words, 1, "--map-auto")
	}
	out, err := exec.Command("unshare", words...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("remove %s: %v: %s", dir, err, out)
	}
	return nil
}

func TestScript(t *testing.T) { runScripts(t, "script") }

// TestRuntimeDir is each verb again, by a user whose login made an XDG_RUNTIME_DIR.
func TestRuntimeDir(t *testing.T) {
	var files []string
	for _, name := range []string{"df", "events", "files_commit", "files_cp", "files_diff", "files_export", "groups", "health", "image_inspect", "image_load",
		"image_pull", "inspect", "limits", "live_attach", "live_exec", "live_join", "live_restart", "live_states", "logs", "net_publish", "prune", "ps",
		"run_basic", "run_tty", "stats", "top", "volume_use", "volume_verbs"} {
		files = append(files, filepath.Join("script", name+".txtar"))
	}
	l := mustLab(t)
	p := l.params(t)
	p.Files = files
	p.Setup = func(env *testscript.Env) error {
		err := l.setup(env)
		env.Setenv("XDG_RUNTIME_DIR", mkdir(t, filepath.Join(env.WorkDir, "xdg")))
		return err
	}
	testscript.Run(t, p)
}

// TestNosub is run as a user without subuid ranges.
func TestNosub(t *testing.T) {
	if first, _ := subuids(); first != "" {
		t.Skip("this user has subuid ranges: run it by hack/test, as rlnosub")
	}
	runScripts(t, "nosub")
}

// TestRoot is run as root.
func TestRoot(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("not root")
	}
	runScripts(t, "root")
}

// TestUnified is run in a cgroup of version 2 that was delegated to the user.
func TestUnified(t *testing.T) {
	if unix.Access("/sys/fs/cgroup/cgroup.procs", unix.F_OK) != nil {
		t.Skip("no cgroup of version 2 alone: run it by hack/test, in hack/unified-view")
	}
	runScripts(t, "unified")
}

func runScripts(t *testing.T, dir string) {
	p := mustLab(t).params(t)
	p.Dir = dir
	testscript.Run(t, p)
}

func (l *lab) params(t *testing.T) testscript.Params {
	return testscript.Params{
		WorkdirRoot:         mkdir(t, filepath.Join(l.root, t.Name())),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               l.setup,
		Condition:           l.condition,
		Cmds:                l.commands(),
	}
}

func mustLab(t testing.TB) *lab {
	l, err := openLab()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func mkdir(t testing.TB, dir string) string {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// setup gives a script a home of its own, as after a login without a session manager: no XDG_RUNTIME_DIR, no D-Bus. In the
// virtual machine it has what this login has.
func (l *lab) setup(env *testscript.Env) error {
	home := filepath.Join(env.WorkDir, "home")
	if vmGroup() != "" {
		home = os.Getenv("HOME")
		env.Setenv("XDG_RUNTIME_DIR", os.Getenv("XDG_RUNTIME_DIR"))
		env.Setenv("DEBIAN", l.fixtures.debianTar)
	}
	if err := os.MkdirAll(home, 0o700); err != nil {
		return err
	}
	env.Vars = append(env.Vars, l.environment(home)...)
	if first, count := subuids(); first != "" {
		env.Setenv("SUBUID", first)
		env.Setenv("SUBCOUNT", count)
	}
	s := &script{lab: l, work: env.WorkDir, started: map[string]*process{}}
	env.Values[scriptKey{}] = s
	env.Defer(s.close)
	return nil
}

// environment of one simulated login.
func (l *lab) environment(home string) []string {
	name := "nobody"
	if me, err := user.Current(); err == nil {
		name = me.Username
	}
	return []string{
		"NL=\n", "HOST_ADDRESS=" + outwardIP(), "HOME=" + home, "USER=" + name, "LOGNAME=" + name, "SHELL=/bin/bash", "LANG=C.UTF-8",
		"PATH=" + l.bin + ":/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
		"RL_BIN=" + l.bin, "DATA=" + filepath.Join(home, ".local/share/rl"),
		fmt.Sprintf("UID=%d", os.Getuid()), fmt.Sprintf("GID=%d", os.Getgid()),
	}
}

// subuids is the user's first range in /etc/subuid, read here once more: what is tested must not say what is expected.
func subuids() (first, count string) {
	me, err := user.Current()
	if err != nil {
		return "", ""
	}
	data, _ := os.ReadFile("/etc/subuid")
	for line := range strings.Lines(string(data)) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) == 3 && (f[0] == me.Username || f[0] == me.Uid) {
			return f[1], f[2]
		}
	}
	return "", ""
}

// condition is for what a machine may lack; each skip in a script says which.
func (l *lab) condition(name string) (bool, error) {
	switch name {
	case "subuid":
		first, _ := subuids()
		return first != "" && has("newuidmap"), nil
	case "root":
		return os.Getuid() == 0, nil
	case "fuse":
		f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
		if err == nil {
			f.Close()
		}
		return err == nil && has("fuse-overlayfs"), nil
	case "tun":
		f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
		if err == nil {
			f.Close()
		}
		return err == nil, nil
	case "slirp4netns", "pasta", "podman", "skopeo", "strace", "zsh", "fish", "mandoc":
		return has(name), nil
	case "systemd":
		_, err := os.Stat("/run/systemd/system")
		return err == nil, nil
	case "debian":
		return l.fixtures.debianTar != "", nil
	}
	return false, fmt.Errorf("unknown condition [%s]", name)
}

func has(program string) bool {
	for _, dir := range strings.Fields("/usr/local/bin /usr/bin /bin /usr/sbin /sbin") {
		if info, err := os.Stat(filepath.Join(dir, program)); err == nil && info.Mode()&0o111 != 0 {
			return true
		}
	}
	return false
}
