package container

import (
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/enter"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/userns"
)

// step tells what was done (--log-level debug).
func step(format string, args ...any) { hint.Logf(hint.LevelDebug, format, args...) }

// tellSurroundings tells what was chosen before there is an image.
func (r *run) tellSurroundings() {
	if !hint.Tells(hint.LevelInfo) {
		return
	}
	hint.Logf(hint.LevelInfo, "ids: %s", r.ids)
	network := r.mode.Kind.String()
	if r.Options.SharedNetwork {
		network = r.Network
	}
	hint.Logf(hint.LevelInfo, "network: %s %s", network, r.mode.Program)
}

// tellStart tells which root file system is tried in which namespaces, and at the last level the whole plan of the inside.
func (r *run) tellStart(c *userns.Config) {
	if !hint.Tells(hint.LevelInfo) {
		return
	}
	root := &r.plan.Root
	hint.Logf(hint.LevelInfo, "root file system: %s, %d layers, in %s", root.Kind, len(root.Lower), root.Dir)
	var joined []string
	for _, f := range c.Join {
		joined = append(joined, f.Name())
	}
	made := namespaceNames(c.Namespaces)
	if !c.Same {
		made = "user " + made
	}
	step("clone: new namespaces %s; those of others: %s", made, joined)
	if hint.Tells(hint.LevelTrace) {
		tellPlan(r.plan)
	}
}

func namespaceNames(flags uintptr) string {
	var names []string
	for _, n := range []struct {
		flag uintptr
		name string
	}{{unix.CLONE_NEWNS, "mnt"}, {unix.CLONE_NEWPID, "pid"}, {unix.CLONE_NEWUTS, "uts"}, {unix.CLONE_NEWIPC, "ipc"}, {unix.CLONE_NEWNET, "net"}, {unix.CLONE_NEWCGROUP, "cgroup"}} {
		if flags&n.flag != 0 {
			names = append(names, n.name)
		}
	}
	return strings.Join(names, " ")
}

// tellPlan leaves the environment out, which may hold passwords.
func tellPlan(p *enter.Plan) {
	trace := func(format string, args ...any) { hint.Logf(hint.LevelTrace, format, args...) }
	for _, m := range p.Mounts {
		trace("mount %s: %s %s %s %v", m.Target, m.Kind, m.FS, m.Source, m.Options)
	}
	trace("masked: %s", p.Masked)
	trace("read-only: %s", p.Locked)
	for _, s := range p.Sysctls {
		trace("sysctl %s=%s", s.Key, s.Value)
	}
	q := &p.Process
	trace("capabilities: bounding %#x, effective %#x; no_new_privs %v; seccomp filters: %d", q.Caps.Bounding, q.Caps.Effective, q.NoNewPrivs, len(q.Seccomp))
	trace("program: %q as %q in %s", q.Args, q.User, q.Cwd)
}
