package cgroup

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rl-containers/rl/hint"
)

// fakeTree is a directory that looks like a part of the hierarchy: "PATH: controllers / given to children / processes".
func fakeTree(t *testing.T, own string, cgroups ...string) tree {
	t.Helper()
	root := t.TempDir()
	for _, c := range cgroups {
		p, rest, _ := strings.Cut(c, ":")
		parts := append(strings.Split(rest, "/"), "", "")
		files := map[string]string{"cgroup.controllers": parts[0], "cgroup.subtree_control": parts[1], "cgroup.procs": parts[2],
			"cgroup.type": "domain", "cgroup.events": "populated 0\nfrozen 0\n", "cgroup.freeze": "0"}
		if p == "/" {
			delete(files, "cgroup.type")
		}
		for name, text := range files {
			put(t, filepath.Join(root, p, name), strings.TrimSpace(text)+"\n")
		}
	}
	return tree{mount: root, own: own, fake: true}
}

func put(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, elem ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(elem...))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// forbid takes the right to put processes below the cgroup.
func forbid(t *testing.T, tr tree, cgroup string) {
	t.Helper()
	if os.Geteuid() == 0 {
		t.Skip("root may write everything")
	}
	if err := os.Chmod(filepath.Join(tr.mount, cgroup, "cgroup.procs"), 0o444); err != nil {
		t.Fatal(err)
	}
}

func quiet(t *testing.T) func(string) {
	return func(line string) { t.Errorf("said: %s", line) }
}

func TestOpenBelowOwn(t *testing.T) {
	tr := fakeTree(t, "/a", "/:memory pids/memory pids", "/a:memory pids//1")
	g, err := tr.open("", "x", nil, quiet(t))
	if err != nil || g.Dir() != tr.mount+"/a/rl-oci-x" {
		t.Fatalf("%q, %v", g.Dir(), err)
	}
	// Another container of that id (of another state directory) is left alone.
	g2, err := tr.open("", "x", nil, quiet(t))
	if err != nil || g2.Dir() != tr.mount+"/a/rl-oci-x-1" {
		t.Fatalf("%q, %v", g2.Dir(), err)
	}
	if got := get(t, tr.mount, "a/cgroup.subtree_control"); got != "" {
		t.Errorf("controllers %q were given beside processes", got)
	}
}

func TestOpenWithoutV2(t *testing.T) {
	none := tree{v1: true}
	for _, p := range []string{"", "a", "/a/b"} {
		if g, err := none.open(p, "x", resources(t, `{"cpu":{"shares":1024},"pids":{"limit":-1}}`), quiet(t)); g != nil || err != nil {
			t.Errorf("%q: %v, %v", p, g, err)
		}
	}
	_, err := none.open("", "x", resources(t, `{"memory":{"limit":9}}`), quiet(t))
	expectHint(t, err, "cannot set memory limit", "systemd.unified_cgroup_hierarchy=1")
}

func expectHint(t *testing.T, err error, want, wantHint string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want one with %q", err, want)
		return
	}
	if hints := strings.Join(hint.Of(err), "\n"); !strings.Contains(hints, wantHint) {
		t.Errorf("%v: hint %q, want one with %q", err, hints, wantHint)
	}
}

// TestOpenDevices: only the machine's root, whom the rules would have bound, is told that they are left out.
func TestOpenDevices(t *testing.T) {
	var said []string
	say := func(line string) { said = append(said, line) }
	for _, rules := range []string{`{"devices":[{"allow":true}]}`, `{"devices":[{"allow":false,"access":"rwm"}]}`} {
		if _, err := (tree{}).open("", "x", resources(t, rules), say); err != nil {
			t.Error(err)
		}
	}
	if want := hostRoot(); (len(said) == 1) != want || len(said) > 1 {
		t.Errorf("said %q; the machine's root: %v", said, want)
	}
}

func TestOpenNotOurs(t *testing.T) {
	tr := fakeTree(t, "/a", "/:memory/memory", "/a:memory//1")
	forbid(t, tr, "/")
	forbid(t, tr, "/a")
	if g, err := tr.open("/x/y", "x", nil, quiet(t)); g != nil || err != nil {
		t.Errorf("%v, %v", g, err)
	}
	_, err := tr.open("", "x", resources(t, `{"memory":{"limit":9}}`), quiet(t))
	expectHint(t, err, "is not ours to write", "systemd-run --user --scope")
}

func TestOpenLacking(t *testing.T) {
	tr := fakeTree(t, "/s/a", "/:io memory/memory", "/s:memory", "/s/a:memory//1")
	forbid(t, tr, "/")
	_, err := tr.open("", "x", resources(t, `{"blockIO":{"weight":100}}`), quiet(t))
	expectHint(t, err, "cannot set io limit: container could not join or create cgroup: cgroup "+tr.mount+"/s", "Delegate=cpu cpuset io memory pids")
	_, err = tr.open("", "x", resources(t, `{"pids":{"limit":100}}`), quiet(t))
	expectHint(t, err, "offers no controller pids", "cgroup_disable=")
	if _, err := os.Stat(tr.mount + "/s/rl-oci-x"); err == nil {
		t.Error("a failed Open left its cgroup")
	}
}

func TestOpenBusy(t *testing.T) {
	tr := fakeTree(t, "/s/a", "/:memory/memory", "/s:memory//7", "/s/a:memory//1")
	forbid(t, tr, "/")
	_, err := tr.open("", "x", resources(t, `{"memory":{"limit":9}}`), quiet(t))
	expectHint(t, err, "holds processes", "systemd-run --user --scope")
}

// TestOpenSibling: with a limit the container goes beside the caller, below an ancestor without processes; here the file is not
// made, as it would be by the kernel, so that the limit fails, and nothing is left.
func TestOpenSibling(t *testing.T) {
	tr := fakeTree(t, "/s/a", "/:memory pids/memory pids", "/s:memory pids", "/s/a:memory//1")
	_, err := tr.open("", "x", resources(t, `{"memory":{"limit":9}}`), quiet(t))
	expectHint(t, err, "/s/rl-oci-x/memory.max", "")
	// A fake takes the last write for the whole value.
	if got := get(t, tr.mount, "s/cgroup.subtree_control"); !strings.Contains(got, "memory") {
		t.Errorf("given to the children of /s: %q", got)
	}
	if _, err := os.Stat(tr.mount + "/s/rl-oci-x"); err == nil {
		t.Error("a failed Open left its cgroup")
	}
}

func TestOpenGiven(t *testing.T) {
	tr := fakeTree(t, "/a", "/:memory/memory", "/a:memory//1", "/pod:memory/memory", "/pod/c:memory")
	put(t, tr.mount+"/pod/c/memory.max", "max\n")
	g, err := tr.open("/pod/c", "x", resources(t, `{"memory":{"limit":99}}`), quiet(t))
	if err != nil || g.Dir() != tr.mount+"/pod/c" || get(t, g.Dir(), "memory.max") != "99" {
		t.Fatalf("%q, %v", g.Dir(), err)
	}
	put(t, tr.mount+"/pod/c/cgroup.procs", "5\n6\n")
	_, err = tr.open("/pod/c", "y", nil, quiet(t))
	expectHint(t, err, "container's cgroup is not empty: 2 process", "")
	put(t, tr.mount+"/pod/c/cgroup.procs", "")
	put(t, tr.mount+"/pod/c/cgroup.freeze", "1\n")
	_, err = tr.open("/pod/c", "y", nil, quiet(t))
	expectHint(t, err, "container's cgroup unexpectedly frozen", "")
}

func TestOpenAbsoluteFallsBack(t *testing.T) {
	tr := fakeTree(t, "/a", "/:/", "/a:")
	forbid(t, tr, "/")
	var said []string
	g, err := tr.open("/pod/c", "x", nil, func(line string) { said = append(said, line) })
	if err != nil || g.Dir() != tr.mount+"/a/pod/c" || len(said) != 1 || !strings.Contains(said[0], "/pod/c") {
		t.Errorf("%q, %v, said %q", g.Dir(), err, said)
	}
}

func TestOpenThreaded(t *testing.T) {
	tr := fakeTree(t, "/a", "/:/", "/a:", "/a/c:")
	forbid(t, tr, "/")
	put(t, tr.mount+"/a/c/cgroup.type", "domain invalid\n")
	if g, err := tr.open("c", "x", nil, quiet(t)); g != nil || err != nil {
		t.Errorf("%q, %v", g.Dir(), err)
	}
}

// TestOpenLinks: a symlink (cgroupfs has none, but something else may be mounted there) and a file are no cgroups.
func TestOpenLinks(t *testing.T) {
	tr := fakeTree(t, "/", "/:/")
	outside := t.TempDir()
	if err := os.Symlink(outside, tr.mount+"/link"); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"/link/x", "link", "cgroup.procs", "cgroup.procs/x"} {
		if g, err := tr.open(p, "x", nil, quiet(t)); g != nil {
			t.Errorf("%s: %q, %v", p, g.Dir(), err)
		}
	}
	if left, _ := os.ReadDir(outside); len(left) > 0 {
		t.Errorf("made %v outside", left)
	}
	tr.fake = false
	if g, _ := tr.open("x", "x", nil, quiet(t)); g != nil {
		t.Errorf("took a directory that is no cgroup: %s", g.Dir())
	}
}

func TestOwnBindMounted(t *testing.T) {
	tr := fakeTree(t, "", "/:/", "/a:")
	for own, want := range map[string]string{"/a": "/a", "/docker/0123": "/", "": "/"} {
		if got := tr.at(own).own; got != want {
			t.Errorf("%q: %q, want %q", own, got, want)
		}
	}
}

func TestApply(t *testing.T) {
	tr := fakeTree(t, "/a", "/:memory cpu/memory", "/a:memory cpu", "/a/c:memory cpu")
	dir := tr.mount + "/a/c"
	for name, text := range map[string]string{"memory.max": "1000", "memory.swap.max": "max", "memory.current": "900", "cpu.weight": "100",
		"cpu.max": "5000 100000", "io.weight": "100"} {
		put(t, filepath.Join(dir, name), text+"\n")
	}
	g, err := openGroup(-1, dir, dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Apply(resources(t, `{"memory":{"limit":2000,"swap":3000},"cpu":{"shares":2048,"period":50000},"blockIO":{"weight":500}}`)); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"memory.max": "2000", "memory.swap.max": "1000", "cpu.weight": "174", "cpu.max": "5000 50000", "io.weight": "4950"} {
		if got := get(t, dir, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	expectHint(t, g.Apply(resources(t, `{"pids":{"limit":5}}`)), "no controller pids", "Delegate=")
	put(t, tr.mount+"/a/cgroup.controllers", "memory cpu pids\n")
	put(t, tr.mount+"/a/cgroup.procs", "1\n")
	expectHint(t, g.Apply(resources(t, `{"pids":{"limit":5}}`)), "/a holds processes", "make the container with a limit")
	expectHint(t, g.Apply(resources(t, `{"unified":{"memory.nonsense":"5"}}`)), "no such file or directory", "")
	if err := g.Apply(resources(t, `{"pids":{"limit":-1}}`)); err != nil {
		t.Errorf("no limit of pids: %v", err)
	}
}

func TestNil(t *testing.T) {
	var g *Group
	fd, err := g.Fd()
	if g.Dir() != "" || fd != -1 || err != nil || g.Frozen() || g.Populated() || g.OOMKills() != 0 {
		t.Error("a nil group is something")
	}
	pids, err := g.Procs()
	if len(pids) != 0 || err != nil {
		t.Errorf("processes %v, %v", pids, err)
	}
	for name, err := range map[string]error{"add": g.Add(1), "kill": g.Kill(), "remove": g.Remove(), "close": g.Close(), "thaw": g.Freeze(false),
		"apply": g.Apply(resources(t, `{"cpu":{"shares":1024}}`))} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := g.Stats(); err != nil {
		t.Error(err)
	}
	if g.Freeze(true) == nil || g.Apply(resources(t, `{"pids":{"limit":3}}`)) == nil {
		t.Error("what needs a cgroup succeeded without one")
	}
	if Reopen("") != nil || Reopen("/nowhere") != nil || Reopen(t.TempDir()) != nil {
		t.Error("reopened what is no cgroup")
	}
}

// TestDescriptors: none is left open, whether a cgroup is made or not.
func TestDescriptors(t *testing.T) {
	count := func() int {
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(fds)
	}
	tr := fakeTree(t, "/s/a", "/:memory/memory", "/s:memory", "/s/a:memory//1")
	before := count()
	for range 20 {
		g, err := tr.open("pod/c", "x", nil, quiet(t))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tr.open("", "x", resources(t, `{"memory":{"limit":9}}`), quiet(t)); err == nil {
			t.Fatal("a fake has no memory.max")
		}
		if err := g.Remove(); err != nil {
			t.Fatal(err)
		}
		g.Close()
		g.Close()
	}
	if after := count(); after > before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}
