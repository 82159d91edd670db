package cgroup

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// tree is the hierarchy of version 2 as the caller sees it. The zero value is a machine without one.
type tree struct {
	mount string
	own   string // the caller's cgroup, a path below mount
	v1    bool   // beside it or instead of it there are hierarchies of version 1, which may hold the controllers
	fake  bool   // a test's directory
}

// mountPoint looks at the two places where version 2 is mounted, by what is there: reading mountinfo costs more with each mount.
func mountPoint() string {
	for _, dir := range []string{unifiedMount, hybridMount} {
		var st unix.Statfs_t
		if unix.Statfs(dir, &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC {
			return dir
		}
	}
	return ""
}

const (
	unifiedMount = "/sys/fs/cgroup"
	hybridMount  = "/sys/fs/cgroup/unified"
)

func here() tree {
	t := tree{mount: mountPoint()}
	t.v1 = t.mount != unifiedMount
	if t.mount == "" {
		return t
	}
	text, _ := os.ReadFile("/proc/self/cgroup")
	return t.at(ownPath(string(text)))
}

// at sets the caller's cgroup. In a container that shares the host's cgroup namespace only a part of the hierarchy may be mounted
// (a bind of the container's cgroup): the path then leads nowhere, and that part's root is as close as we get.
func (t tree) at(own string) tree {
	t.own = own
	if own == "" || unix.Access(t.mount+own, unix.F_OK) != nil {
		t.own = "/"
	}
	return t
}

// Open makes the cgroup of a container and sets its limits. path is linux.cgroupsPath: "" or a relative one is below the
// caller's cgroup (or the closest ancestor that serves), an absolute one below the root of the hierarchy, and where the caller may
// not write there, below its own after all, which say is told.
//
// Without a cgroup to write the result is nil, nil, but a limit that would then not hold is an error. What limits nothing (the
// default cpu shares, "max", …) needs nothing. Device rules are left out: only root can set them, and in a user namespace the
// devices of a container are those that were bound into it.
func Open(path, id string, res *specs.LinuxResources, say func(string)) (*Group, error) {
	return here().open(path, id, res, say)
}

// OpenOnly is Open at no other place than the path says.
func OpenOnly(path, id string, res *specs.LinuxResources, say func(string)) (*Group, error) {
	w, err := parsePath(path, id)
	if err != nil {
		return nil, err
	}
	t := here()
	if w.base = t.own; w.absolute {
		w.base = "/"
	}
	return t.openWish(w, res, say)
}

func (t tree) open(path, id string, res *specs.LinuxResources, say func(string)) (*Group, error) {
	w, err := parsePath(path, id)
	if err != nil {
		return nil, err
	}
	return t.openWish(w, res, say)
}

func (t tree) openWish(w wish, res *specs.LinuxResources, say func(string)) (*Group, error) {
	l, err := compile(res, func(string) string { return "" })
	if err != nil {
		return nil, err
	}
	if restricts(res) && hostRoot() {
		l.note("device rules are left out: a container of the machine's root with CAP_MKNOD reaches every device")
	}
	for _, note := range l.notes {
		say(note)
	}
	set := slices.DeleteFunc(l.set, setting.isDefault)
	g, err := t.place(w, controllers(set), say)
	if g == nil || err != nil {
		return nil, err
	}
	if err := g.set(set); err != nil {
		return nil, errors.Join(err, g.Remove(), g.Close())
	}
	return g, nil
}

// restricts: some device rule takes something away.
func restricts(res *specs.LinuxResources) bool {
	return res != nil && slices.ContainsFunc(res.Devices, func(d specs.LinuxDeviceCgroup) bool { return !d.Allow })
}

// hostRoot: uid 0 of the initial user namespace, which maps all ids to themselves (user_namespaces(7)).
func hostRoot() bool {
	if os.Geteuid() != 0 {
		return false
	}
	text, err := os.ReadFile("/proc/self/uid_map")
	return err == nil && slices.Equal(strings.Fields(string(text)), []string{"0", "0", "4294967295"})
}

// place makes the cgroup in the first base that offers the controllers.
func (t tree) place(w wish, need []string, say func(string)) (*Group, error) {
	var best *refusal
	for i, base := range t.bases(w) {
		g, err := t.try(base, w, need)
		var no *refusal
		switch {
		case err == nil:
			if w.absolute && i > 0 {
				say(fmt.Sprintf("cgroupsPath /%s: not ours to write, the cgroup is %s", strings.Join(w.names, "/"), g.dir))
			}
			return g, nil
		case !errors.As(err, &no):
			return nil, err
		case best == nil || no.why > best.why:
			best = no
		}
	}
	if len(need) == 0 {
		return nil, nil
	}
	return nil, t.explain(need, best)
}

func (t tree) bases(w wish) []string {
	if t.mount == "" {
		return nil
	}
	return w.bases(t.own)
}

// try is make, again when another container's end took a parent away in between.
func (t tree) try(base string, w wish, need []string) (*Group, error) {
	for range 10 {
		g, err := t.make(base, w, need)
		if !gone(err) {
			return g, err
		}
	}
	return nil, refuse(notOurs, path.Join(base, path.Join(w.names...)), unix.ENOENT)
}

// make goes down from base, making what is missing, and leaves nothing of it when it fails.
func (t tree) make(base string, w wish, need []string) (*Group, error) {
	ancestor := t.mount + shared(t.own, path.Join(base, path.Join(w.names...)))
	if err := unix.Access(filepath.Join(ancestor, "cgroup.procs"), unix.W_OK); err != nil {
		return nil, refuse(notOurs, ancestor, err)
	}
	top, err := openGroup(unix.AT_FDCWD, filepath.Join(t.mount, base), filepath.Join(t.mount, base))
	if err != nil {
		return nil, refuse(notOurs, t.mount+base, err)
	}
	if !t.fake && !onCgroup2(top.fd) {
		return nil, errors.Join(refuse(notOurs, top.dir, unix.EXDEV), top.Close())
	}
	c := chain{groups: []*Group{top}, old: 1}
	if err := c.extend(w, need); err != nil {
		c.undo()
		return nil, err
	}
	return c.last(), c.release()
}

// chain is the way from a base to a container's cgroup. What was there before comes first.
type chain struct {
	groups []*Group
	old    int
}

func (c *chain) last() *Group { return c.groups[len(c.groups)-1] }

func (c *chain) extend(w wish, need []string) error {
	for i, name := range w.names {
		if err := c.last().enable(need); err != nil {
			return err
		}
		step := c.parent
		if i == len(w.names)-1 {
			step = c.leaf
		}
		if err := step(name, w.given); err != nil {
			return err
		}
	}
	return c.last().fit()
}

// parent opens or makes a cgroup on the way. One that we make carries a mark, so that the last container in it removes it.
func (c *chain) parent(name string, _ bool) error {
	isNew, err := c.add(name)
	if isNew && err == nil {
		c.last().mark()
	}
	return err
}

// leaf makes the container's own cgroup. A chosen name may be there already, if it is empty (an engine prepared it); one of
// ours that is there belongs to another container, perhaps one whose process is yet to come.
func (c *chain) leaf(name string, given bool) error {
	for n := range 100 {
		tried := name
		if n > 0 {
			tried += "-" + strconv.Itoa(n)
		}
		isNew, err := c.add(tried)
		if err != nil || isNew {
			return err
		}
		if given {
			return c.last().unused()
		}
		c.drop()
	}
	return fmt.Errorf("make a cgroup in %s: a hundred of the name %s exist", c.last().dir, name)
}

// add opens a child of the last cgroup, after making it if need be.
func (c *chain) add(name string) (isNew bool, err error) {
	at := c.last().fd
	err = unix.Mkdirat(at, name, 0o755)
	if err != nil && err != unix.EEXIST {
		return false, refuse(notOurs, c.last().dir, err)
	}
	g, openErr := openGroup(at, name, filepath.Join(c.last().dir, name))
	if openErr != nil {
		return false, refuse(notOurs, c.last().dir, openErr)
	}
	c.groups = append(c.groups, g)
	if err != nil && len(c.groups) == c.old+1 {
		c.old++
	}
	return err == nil, nil
}

func (c *chain) drop() {
	c.last().Close()
	c.groups = c.groups[:len(c.groups)-1]
	c.old = min(c.old, len(c.groups))
}

// undo removes what was made.
func (c *chain) undo() {
	for len(c.groups) > 0 {
		if len(c.groups) > c.old {
			c.last().rmdir()
		}
		c.drop()
	}
}

// release closes all but the last.
func (c *chain) release() error {
	var errs []error
	for _, g := range c.groups[:len(c.groups)-1] {
		errs = append(errs, g.Close())
	}
	return errors.Join(errs...)
}

// enable gives the controllers to the children of g: those that are needed, and of those that figures come from (memory, which
// also tells of OOM kills, and pids) what costs nobody anything.
func (g *Group) enable(need []string) error {
	has, given := strings.Fields(g.word("cgroup.controllers")), strings.Fields(g.word("cgroup.subtree_control"))
	if lacking := without(need, has); len(lacking) > 0 {
		return refuse(lacks, g.dir, fmt.Errorf("it offers %s", cmp.Or(strings.Join(has, " "), "none")))
	}
	missing := without(need, given)
	if g.word("cgroup.type") == "" { // the root of the hierarchy is free of the rules, and the machine's
		return g.give(missing)
	}
	if g.word("cgroup.procs") != "" {
		if len(missing) > 0 {
			return refuse(busy, g.dir, unix.EBUSY)
		}
		return nil
	}
	for _, name := range without([]string{"memory", "pids"}, append(given, need...)) {
		if slices.Contains(has, name) {
			_ = g.give([]string{name})
		}
	}
	return g.give(missing)
}

func (g *Group) give(names []string) error {
	if len(names) == 0 {
		return nil
	}
	if err := g.write("cgroup.subtree_control", "+"+strings.Join(names, " +")); err != nil {
		return refuse(notOurs, g.dir, err)
	}
	return nil
}

// fit: g takes processes. In a threaded subtree it would not.
func (g *Group) fit() error {
	if kind := g.word("cgroup.type"); kind != "" && kind != "domain" {
		return refuse(threaded, g.dir, fmt.Errorf("it is %q", kind))
	}
	return nil
}

// unused refuses a cgroup that holds processes, which would be frozen and killed with the container, and one that is frozen,
// where the container would never start. Callers look for these words, which are runc's.
func (g *Group) unused() error {
	if err := unix.Faccessat(g.fd, "cgroup.procs", unix.W_OK, 0); err != nil {
		return refuse(notOurs, g.dir, err)
	}
	pids, err := g.Procs()
	switch {
	case err != nil:
		return err
	case len(pids) > 0 || g.event("populated") == "1":
		return fmt.Errorf("container's cgroup is not empty: %d process(es) found in %s", len(pids), g.dir)
	case g.word("cgroup.freeze") == "1":
		return fmt.Errorf("container's cgroup unexpectedly frozen: %s", g.dir)
	}
	return nil
}

// without is what of names is not in the others.
func without(names, others []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(others, name) })
}
