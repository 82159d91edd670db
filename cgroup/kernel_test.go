package cgroup

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// delegated skips where the kernel's cgroups can't be tested: hack/unified-view makes the place for it.
func delegated(t *testing.T) tree {
	t.Helper()
	tr := here()
	dir := tr.mount + tr.own
	if tr.mount == "" || tr.own == "/" || unix.Access(dir, unix.W_OK) != nil || unix.Access(dir+"/cgroup.procs", unix.W_OK) != nil {
		t.Skip("no cgroup v2 directory of ours here; hack/unified-view makes one")
	}
	return tr
}

func open(t *testing.T, path string) *Group {
	t.Helper()
	g, err := Open(path, fmt.Sprintf("test-%d-%s", os.Getpid(), t.Name()), nil, func(string) {})
	if err != nil || g == nil {
		t.Fatalf("open %q: %v, %v", path, g, err)
	}
	t.Cleanup(func() {
		_ = g.Kill()
		if err := g.Remove(); err != nil {
			t.Error(err)
		}
		g.Close()
	})
	return g
}

// process starts one in the cgroup, as userns does.
func process(t *testing.T, g *Group) *exec.Cmd {
	t.Helper()
	fd, err := g.Fd()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	cmd := exec.Command("sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: fd, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd
}

func exists(dir string) bool { return unix.Access(dir, unix.F_OK) == nil }

// TestHere: this machine, whatever it is, lets a container without limits start, with a cgroup or without.
func TestHere(t *testing.T) {
	if hostRoot() {
		t.Skip("root would make its cgroup among the machine's")
	}
	g, err := Open("", fmt.Sprintf("test-here-%d", os.Getpid()), resources(t, `{"cpu":{"shares":1024},"devices":[{"allow":false,"access":"rwm"}]}`), quiet(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("cgroup: %q", g.Dir())
	if err := g.Remove(); err != nil || g != nil && exists(g.Dir()) {
		t.Errorf("removed: %v", err)
	}
}

func TestKernelLife(t *testing.T) {
	tr := delegated(t)
	g := open(t, "")
	if !strings.HasPrefix(g.Dir(), tr.mount+tr.own+"/rl-oci-") {
		t.Errorf("made in %s", g.Dir())
	}
	cmd := process(t, g)
	if err := g.Freeze(true); err != nil || !g.Frozen() {
		t.Errorf("freeze: %v, %v", err, g.Frozen())
	}
	// Another process of rl, later.
	again := Reopen(g.Dir())
	defer again.Close()
	if pids, err := again.Procs(); err != nil || !slices.Equal(pids, []int{cmd.Process.Pid}) || !again.Populated() {
		t.Errorf("processes %v, %v, want %d", pids, err, cmd.Process.Pid)
	}
	if err := g.Freeze(false); err != nil {
		t.Error(err)
	}
	if s, err := g.Stats(); err != nil || s.Pids.Current != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	start := time.Now()
	if err := again.Remove(); err == nil || time.Since(start) < emptyLimit {
		t.Errorf("a populated cgroup was removed: %v", err)
	}
	_ = g.Freeze(true)
	if err := again.Kill(); err != nil {
		t.Error(err)
	}
	if err := again.Remove(); err != nil || exists(g.Dir()) {
		t.Errorf("remove: %v", err)
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the process ended: %v", err)
	}
	for name, err := range map[string]error{"remove": g.Remove(), "kill": g.Kill()} {
		if err != nil {
			t.Errorf("%s again: %v", name, err)
		}
	}
	if pids, err := g.Procs(); err != nil || len(pids) > 0 {
		t.Errorf("processes of one that is gone: %v, %v", pids, err)
	}
	if _, err := g.Stats(); err == nil {
		t.Error("figures of one that is gone")
	}
}

// TestKernelName: a handle removes its cgroup only, not a later one of the same name.
func TestKernelName(t *testing.T) {
	delegated(t)
	old := open(t, "same/name")
	if err := unix.Rmdir(old.Dir()); err != nil {
		t.Fatal(err)
	}
	now := open(t, "same/name")
	if err := old.Remove(); err != nil || !exists(now.Dir()) {
		t.Errorf("%v; the new one is there: %v", err, exists(now.Dir()))
	}
}

func TestKernelParents(t *testing.T) {
	tr := delegated(t)
	pod := tr.mount + tr.own + "/deep/pod"
	a, b := open(t, "deep/pod/a"), open(t, "deep/pod/b")
	if a.Dir() != pod+"/a" || b.Dir() != pod+"/b" {
		t.Fatalf("%s, %s", a.Dir(), b.Dir())
	}
	if err := a.Remove(); err != nil || exists(a.Dir()) || !exists(b.Dir()) {
		t.Fatalf("remove a: %v", err)
	}
	if err := b.Remove(); err != nil || exists(filepath.Dir(pod)) {
		t.Errorf("parents are left: %v", err)
	}
	// One that somebody else made stays.
	if err := os.Mkdir(filepath.Dir(pod), 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(filepath.Dir(pod))
	c := open(t, "deep/pod/c")
	if err := c.Remove(); err != nil || exists(pod) || !exists(filepath.Dir(pod)) {
		t.Errorf("remove c: %v", err)
	}
}

// TestKernelRace: the last container of a parent goes while the next one comes.
func TestKernelRace(t *testing.T) {
	tr := delegated(t)
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			for n := range 30 {
				g, err := Open(fmt.Sprintf("race/pod/c%d-%d", worker, n), "id", nil, func(string) {})
				if err != nil || g == nil {
					t.Errorf("open: %v, %v", g, err)
					return
				}
				if err := g.Remove(); err != nil {
					t.Error(err)
				}
				g.Close()
			}
		})
	}
	all.Wait()
	if exists(tr.mount + tr.own + "/race") {
		t.Error("the parent is left")
	}
}

// TestKernelDeep: a container that owns its cgroup makes as many below as it likes.
func TestKernelDeep(t *testing.T) {
	delegated(t)
	g := open(t, "")
	at, err := g.Below(".")
	if err != nil {
		t.Fatal(err)
	}
	for range 200 {
		name := strings.Repeat("d", 100)
		for _, n := range []string{name, "side"} {
			if err := unix.Mkdirat(at.fd, n, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		next, err := at.Below(name)
		if err != nil {
			t.Fatal(err)
		}
		at.Close()
		at = next
	}
	cmd := process(t, at)
	at.Close()
	if pids, err := g.Procs(); err != nil || !slices.Equal(pids, []int{cmd.Process.Pid}) {
		t.Errorf("%v, %v", pids, err)
	}
	if err := g.Kill(); err != nil {
		t.Error(err)
	}
	if err := g.Remove(); err != nil || exists(g.Dir()) {
		t.Errorf("remove: %v", err)
	}
}

// TestKernelKillEach is Kill before Linux 5.14, against a process that is frozen.
func TestKernelKillEach(t *testing.T) {
	delegated(t)
	g := open(t, "")
	cmd := process(t, g)
	if err := g.Freeze(true); err != nil {
		t.Fatal(err)
	}
	if err := g.killEach(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait()
	if err := g.Remove(); err != nil {
		t.Error(err)
	}
}

func TestKernelKillsNotItself(t *testing.T) {
	tr := delegated(t)
	g := Reopen(tr.mount + tr.own)
	defer g.Close()
	if err := g.Kill(); err == nil || !strings.Contains(err.Error(), "the caller is in it") {
		t.Error(err) // if it can still say so
	}
}

func TestKernelGiven(t *testing.T) {
	delegated(t)
	g := open(t, "given")
	process(t, g)
	if _, err := Open("given", "other", nil, quiet(t)); err == nil || !strings.Contains(err.Error(), "container's cgroup is not empty") {
		t.Errorf("shared with a running container: %v", err)
	}
}

func TestKernelBelow(t *testing.T) {
	delegated(t)
	g := open(t, "")
	cmd := process(t, g)
	if err := os.Mkdir(g.Dir()+"/sub", 0o755); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"sub": "/sub", "/sub/": "/sub", "../../sub": "/sub", "": "", "/": ""} {
		sub, err := g.Below(path)
		if err != nil || sub.Dir() != g.Dir()+want {
			t.Errorf("%q: %q, %v", path, sub.Dir(), err)
		}
		sub.Close()
	}
	if sub, err := g.Below("none"); err == nil {
		t.Errorf("below none: %s", sub.Dir())
	}
	if e, err := g.ForExec(cmd.Process.Pid); err != nil || e.Dir() != g.Dir() {
		t.Errorf("%q, %v", e.Dir(), err)
	}
	sub, err := g.Below("sub")
	if err != nil {
		t.Fatal(err)
	}
	if err := sub.Add(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if dir, err := dirOf(cmd.Process.Pid); err != nil || dir != sub.Dir() {
		t.Errorf("%q, %v", dir, err)
	}
}

func TestKernelWatch(t *testing.T) {
	delegated(t)
	g := open(t, "")
	cmd := process(t, g)
	w, err := g.Watch()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	_ = w.SetReadDeadline(time.Now().Add(20 * time.Second))
	if err := g.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	for g.Populated() {
		if _, err := w.Read(make([]byte, 4096)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestKernelAbsolute(t *testing.T) {
	tr := delegated(t)
	parent := filepath.Dir(tr.own)
	if unix.Access(tr.mount+parent+"/cgroup.procs", unix.W_OK) != nil {
		t.Skip("the parent of our cgroup is not ours")
	}
	g, err := Open(parent+"/abs/c", "x", nil, quiet(t))
	if err != nil || g.Dir() != tr.mount+parent+"/abs/c" {
		t.Fatalf("%q, %v", g.Dir(), err)
	}
	process(t, g)
	_ = g.Kill()
	if err := g.Remove(); err != nil || exists(tr.mount+parent+"/abs") {
		t.Error(err)
	}
	if os.Geteuid() == 0 {
		return
	}
	var said []string
	g, err = Open("/not-ours/c", "x", nil, func(line string) { said = append(said, line) })
	if err != nil || g.Dir() != tr.mount+tr.own+"/not-ours/c" || len(said) != 1 {
		t.Errorf("%q, %v, said %q", g.Dir(), err, said)
	}
	_ = g.Remove()
}

// TestKernelLimits: a limit holds or is an error, by what the machine's controllers are.
func TestKernelLimits(t *testing.T) {
	tr := delegated(t)
	for controller, c := range map[string]struct{ res, file, want string }{
		"memory": {`{"memory":{"limit":104857600}}`, "memory.max", "104857600"},
		"pids":   {`{"pids":{"limit":33}}`, "pids.max", "33"},
		"cpu":    {`{"cpu":{"quota":20000,"period":100000,"shares":512}}`, "cpu.max", "20000 100000"},
	} {
		g, err := Open("", fmt.Sprintf("limit-%d", os.Getpid()), resources(t, c.res), quiet(t))
		if !slices.Contains(strings.Fields(get(t, tr.mount, filepath.Dir(tr.own), "cgroup.controllers")), controller) {
			if err == nil || !strings.Contains(err.Error(), controller) || g != nil {
				t.Errorf("%s: %v without the controller", controller, err)
			}
			continue
		}
		if err != nil || get(t, g.Dir(), c.file) != c.want {
			t.Errorf("%s: %v", controller, err)
			continue
		}
		process(t, g)
		_ = g.Kill()
		if err := g.Remove(); err != nil {
			t.Error(err)
		}
	}
	if left, _ := filepath.Glob(tr.mount + tr.own + "/*-limit-*"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
