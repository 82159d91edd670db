package cgroup

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// supervisor is the cgroup that Split moves processes to.
const supervisor = "supervisor"

// Split makes the cgroup of a container, of that name, in the caller's own one, which must be the caller's to divide: a scope with
// Delegate=yes, or the root that a container sees. Only a cgroup without processes gives controllers to those below it: so the
// processes that are there, the caller's too, move to one beside the container's. A second call finds them there. Limits are as in Open.
func Split(name string, res *specs.LinuxResources, say func(string)) (*Group, error) {
	return here().split(name, res, say)
}

func (t tree) split(name string, res *specs.LinuxResources, say func(string)) (*Group, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if t.mount == "" {
		return t.openWish(wish{names: []string{name}}, res, say) // nothing, or why there is nothing
	}
	base := t.divided()
	if t.own == base {
		if err := t.vacate(base, res); err != nil {
			return nil, t.explainFor(res, err)
		}
		t.own = path.Join(base, supervisor)
	}
	return t.openWish(wish{names: []string{name}, given: true, base: base}, res, say)
}

// divided is the caller's cgroup as it was before a Split.
func (t tree) divided() string {
	if path.Base(t.own) == supervisor {
		return path.Dir(t.own)
	}
	return t.own
}

// Own is the name of the caller's cgroup, or of the one above after a Split: that of a unit, under systemd.
func Own() string { return path.Base(here().divided()) }

// vacate moves the processes of a cgroup below it. Each round finds those that were born in the one before.
func (t tree) vacate(base string, res *specs.LinuxResources) error {
	from, err := openGroup(unix.AT_FDCWD, t.mount+base, t.mount+base)
	if err != nil {
		return refuse(notOurs, t.mount+base, err)
	}
	defer from.Close()
	if err := from.offers(res); err != nil { // before anything moves
		return err
	}
	if err := unix.Mkdirat(from.fd, supervisor, 0o755); err != nil && err != unix.EEXIST {
		return refuse(notOurs, from.dir, err)
	}
	to, err := openGroup(from.fd, supervisor, path.Join(from.dir, supervisor))
	if err != nil {
		return refuse(notOurs, from.dir, err)
	}
	defer to.Close()
	for range 20 {
		pids := strings.Fields(from.word("cgroup.procs"))
		if len(pids) == 0 {
			return nil
		}
		for _, word := range pids {
			pid, _ := strconv.Atoi(word) // 0 is the caller: only a process that this pid namespace can't see is called so
			if err := to.Add(pid); err != nil && !errors.Is(err, unix.ESRCH) {
				return errors.Join(refuse(notOurs, from.dir, err), to.rmdir())
			}
		}
	}
	return refuse(busy, from.dir, unix.EBUSY)
}

// explainFor is explain for a refusal, with the controllers that limits need; another error stays as it is.
func (t tree) explainFor(res *specs.LinuxResources, err error) error {
	var no *refusal
	l, bad := compile(res, func(string) string { return "" })
	if bad != nil || !errors.As(err, &no) {
		return err
	}
	if need := controllers(slices.DeleteFunc(l.set, setting.isDefault)); len(need) > 0 {
		return t.explain(need, no)
	}
	return err
}

// offers: there are the controllers that limits need.
func (g *Group) offers(res *specs.LinuxResources) error {
	l, err := compile(res, func(string) string { return "" })
	if err != nil {
		return err
	}
	has := strings.Fields(g.word("cgroup.controllers"))
	if lacking := without(controllers(slices.DeleteFunc(l.set, setting.isDefault)), has); len(lacking) > 0 {
		return refuse(lacks, g.dir, fmt.Errorf("it offers %s", cmp.Or(strings.Join(has, " "), "none")))
	}
	return nil
}

// Mine is the caller's own cgroup, a path below the root of the hierarchy, where the caller may make others in it; else "". The root
// itself is the machine's.
func Mine() string {
	t := here()
	if t.mount == "" || t.own == "/" || unix.Access(t.mount+t.own+"/cgroup.procs", unix.W_OK) != nil {
		return ""
	}
	return t.own
}

// Reachable tells whether the caller may put processes into g: the kernel asks for the right to write to cgroup.procs of the
// closest cgroup that holds both.
func (g *Group) Reachable() bool { return g == nil || here().reaches(g) }

func (t tree) reaches(g *Group) bool {
	its := strings.TrimPrefix(g.dir, t.mount)
	return t.mount != "" && unix.Access(t.mount+path.Join(shared(t.own, path.Clean("/"+its)), "cgroup.procs"), unix.W_OK) == nil
}

// ForksRefused is how many times the limit of processes kept one from being made.
func (g *Group) ForksRefused() uint64 {
	if g == nil {
		return 0
	}
	return number(field(g.word("pids.events"), "max"))
}

// MemoryLimit is the limit in bytes, 0 without one.
func (g *Group) MemoryLimit() uint64 {
	if g == nil {
		return 0
	}
	n, _ := strconv.ParseUint(g.word("memory.max"), 10, 64)
	return n
}
