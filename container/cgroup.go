package container

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/rl-containers/rl/cgroup"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/session"
	"github.com/rl-containers/rl/storage"
	"github.com/rl-containers/rl/sys"
	"github.com/rl-containers/rl/systemd"
)

// What --cgroups takes, beside "": one is made where limits or the flag ask for it, or where it costs nothing.
const (
	cgroupsEnabled  = "enabled"
	cgroupsDisabled = "disabled"
	cgroupsSplit    = "split" // in that of the caller, which must be the caller's to divide
)

// defaultPids is the limit of processes of a container that has a cgroup, as podman's.
const defaultPids = 2048

// groupName is the name of the cgroup in a scope of its own.
const groupName = "container"

// checkGroup looks at what was typed of cgroups.
func (r *run) checkGroup() error {
	switch r.Cgroups {
	case "", cgroupsEnabled, cgroupsSplit:
	case "no-conmon": // limits are the container's alone, and never count what stays with it
		r.Cgroups = cgroupsEnabled
	case cgroupsDisabled:
		if res, err := r.Options.Limits.Resources(); res != nil || err != nil || r.CgroupParent != "" {
			return hint.Errorf("leave one of them out", "--cgroups=disabled: limits and --cgroup-parent need a cgroup")
		}
	default:
		return hint.Errorf("enabled, disabled, no-conmon or split", "--cgroups %s: no such mode", r.Cgroups)
	}
	switch r.Limits {
	case "", "strict", "best-effort":
		return nil
	}
	return hint.Errorf("strict (an error, the default) or best-effort (a warning)", "--limits %s: not what becomes of a limit that can't be enforced", r.Limits)
}

// wantsGroup: a start without a cgroup is not what was asked for.
func (r *Request) wantsGroup() bool {
	res, err := r.Options.Limits.Resources()
	return res != nil || err != nil || r.CgroupParent != "" || r.Cgroups != "" && r.Cgroups != cgroupsDisabled
}

// openGroup makes the container's cgroup, or leaves it at none. The ladder: a scope of the user's systemd, a directory of
// cgroup v2 that the caller may write to, none.
func (r *run) openGroup() (err error) {
	if r.group != nil || r.Cgroups == cgroupsDisabled {
		return nil
	}
	if !r.wantsGroup() && !r.scope && !r.spec.Systemd {
		r.group = r.freeGroup()
		return nil
	}
	if r.old {
		if l, err := storage.ReadLife(r.dir.Dir); err == nil {
			dropGroup(l)
		}
	}
	res := r.spec.Spec.Linux.Resources
	r.group, err = r.place(res)
	if err != nil && r.Limits == "best-effort" {
		r.group, err = r.placeSome(res, err)
	}
	if r.spec.Systemd && r.group == nil {
		return hint.With(fmt.Errorf("systemd in the container needs a cgroup of version 2: %w", cmp.Or(err, errNoGroup)), "rl doctor; --systemd=false starts it all the same")
	}
	if err == nil && r.group == nil && r.Cgroups+r.CgroupParent != "" && r.Limits != "best-effort" {
		err = hint.Errorf("without --cgroups and --cgroup-parent it runs without one", "no cgroup of version 2 can be made there (rl doctor)")
	}
	return err
}

var errNoGroup = errors.New("none can be made here")

// freeGroup is for a start that asks for nothing: below the caller's own cgroup, where that is the caller's and no systemd's.
func (r *run) freeGroup() *cgroup.Group {
	if mine := cgroup.Mine(); mine == "" || session.PlaceOf(mine).Kind != session.Free {
		return nil
	}
	g, _ := cgroup.Open(r.scopeName(), r.id, withPids(nil), sayNothing)
	if g == nil {
		g, _ = cgroup.Open(r.scopeName(), r.id, nil, sayNothing)
	}
	return g
}

func sayNothing(string) {}

// place makes the cgroup with the limits, and with that of processes where it can be had.
func (r *run) place(res *specs.LinuxResources) (*cgroup.Group, error) {
	open, err := r.findPlace()
	if err != nil {
		return nil, err
	}
	if res == nil || res.Pids == nil {
		if g, err := open(withPids(res), sayNothing); err == nil && g != nil {
			return g, nil
		}
	}
	return open(res, func(note string) { r.say("note: " + note) })
}

// withPids adds the default limit of processes.
func withPids(res *specs.LinuxResources) *specs.LinuxResources {
	all, limit := specs.LinuxResources{}, int64(defaultPids)
	if res != nil {
		all = *res
	}
	all.Pids = &specs.LinuxPids{Limit: &limit}
	return &all
}

// opener makes a cgroup with limits at a place that it knows.
type opener func(res *specs.LinuxResources, say func(string)) (*cgroup.Group, error)

// findPlace is where the cgroup can be.
func (r *run) findPlace() (opener, error) {
	slice := ""
	switch {
	case r.Cgroups == cgroupsSplit:
		return beside(r.scopeName()), nil
	case strings.HasSuffix(r.CgroupParent, ".slice") && !strings.Contains(r.CgroupParent, "/"):
		slice = r.CgroupParent
	case r.CgroupParent != "":
		return func(res *specs.LinuxResources, say func(string)) (*cgroup.Group, error) {
			return cgroup.OpenOnly(r.CgroupParent+"/"+r.scopeName(), r.id, res, say)
		}, nil
	}
	if strings.HasPrefix(cgroup.Own(), r.scopeName()) { // the life before this one was in it
		return beside(groupName), nil
	}
	err := r.enterScope(slice)
	switch {
	case err == nil:
		return beside(groupName), nil
	case slice != "" || r.scope:
		return nil, scopeRefused(slice, err)
	}
	return r.directory(err), nil
}

// scopeRefused: systemd isn't there, or it says itself what is wrong with what it was asked for.
func scopeRefused(slice string, err error) error {
	failed := fmt.Errorf("ask systemd for a scope: %w", err)
	switch {
	case errors.Is(err, systemd.ErrNone):
		return hint.With(failed, "loginctl enable-linger starts your own systemd, also without a login")
	case slice != "":
		return hint.With(failed, "--cgroup-parent takes the name of a slice, as in work.slice or work-db.slice (systemd.slice(5))")
	}
	return failed
}

// beside divides the caller's own cgroup.
func beside(name string) opener {
	return func(res *specs.LinuxResources, say func(string)) (*cgroup.Group, error) {
		return cgroup.Split(name, res, say)
	}
}

// directory is the rung below systemd: a cgroup of the caller's, then the caller's own one divided, as the root that a container or a CI
// job sees wants it.
func (r *run) directory(refused error) opener {
	return func(res *specs.LinuxResources, say func(string)) (*cgroup.Group, error) {
		g, err := cgroup.Open(r.scopeName(), r.id, res, say)
		if err == nil {
			return g, nil
		}
		if session.Here().Place().Kind == session.Free {
			if g, err := beside(r.scopeName())(res, say); err == nil && g != nil {
				return g, nil
			}
		}
		switch none := errors.Is(refused, systemd.ErrNone); {
		case !none:
			err = fmt.Errorf("%w; a scope of systemd's: %w", err, refused)
		case systemd.Booted(): // systemd-run needs what linger starts
			err = hint.Errorf("loginctl enable-linger starts your own systemd, which gives limits also without a login", "%s", err)
		}
		return nil, err
	}
}

// scopeName is that of a scope without its ending, and of a cgroup that no systemd made.
func (r *run) scopeName() string { return "rl-" + r.id }

// enterScope moves this rl, which stays with the container, into a scope of its own. The container is cloned into a cgroup beside.
func (r *run) enterScope(slice string) error {
	m, err := systemd.Dial()
	if err != nil {
		return err
	}
	defer m.Close()
	s := systemd.Scope{Name: r.scopeName() + ".scope", Description: "container " + r.Name, Slice: slice, Pid: os.Getpid()}
	if patience := time.Duration(r.StopTimeout) * time.Second; patience > time.Minute {
		s.Stop = patience + 10*time.Second // systemd's own is 90 seconds
	}
	for n := 1; n < 10; n++ {
		if err = m.Start(s); !errors.Is(err, systemd.ErrExists) {
			return err
		}
		// systemd has not seen yet that the last life's is empty.
		s.Name = r.scopeName() + "-" + strconv.Itoa(n) + ".scope"
	}
	return err
}

// cloneInto is the descriptor for clone(2), nil without a cgroup.
func (r *run) cloneInto() (*os.File, error) {
	fd, err := r.group.Fd()
	if err != nil || fd < 0 {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "cgroup"), nil
}

// endGroup reads what the cgroup tells of the end, and takes it away. untold: the kernel killed something for want of memory, and there
// was no event of that.
func (r *run) endGroup(code int) (untold bool) {
	if r.group == nil {
		return false
	}
	untold = r.starving.end(r.group)
	if why := outOfMemory(r.group, code); why != "" {
		r.life.OOMKilled = true
		if r.life.Error = why; r.proc != nil {
			r.say(why)
		}
	}
	endAll(r.group)
	r.group, r.life.Cgroup, r.starving = nil, "", nil
	return untold
}

// countGroup is endGroup of a life that only its record tells of.
func (w *watcher) countGroup(l *storage.Life) (untold bool) {
	g := w.group
	untold = w.starving.end(g)
	if why := outOfMemory(g, l.ExitCode); why != "" {
		l.OOMKilled, l.Error = true, why
	}
	endAll(g)
	l.Cgroup = ""
	return untold
}

// scoreOOM sets rl's own score, which the child inherits, until the result is called. Only a privileged process may go below what
// its ancestors got from one (proc(5), oom_score_adj).
func (r *run) scoreOOM() (restore func(), err error) {
	want := r.spec.Spec.Process.OOMScoreAdj
	if want == nil {
		return func() {}, nil
	}
	const file = "/proc/self/oom_score_adj"
	before, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, []byte(strconv.Itoa(*want)), 0)
	}
	if err != nil {
		return nil, hint.Errorf("yours can't be lower than what you have: cat /proc/self/oom_score_adj", "--oom-score-adj %d: %w", *want, err)
	}
	return func() { os.WriteFile(file, before, 0) }, nil
}

// endAll takes a cgroup away, and what still runs in it: with --pid=host the kernel ends nothing with the first process.
func endAll(g *cgroup.Group) {
	if g.Populated() {
		g.Kill()
	}
	g.Remove()
	g.Close()
}

// dropGroup takes away the cgroup of a life that is over. Cgroups don't outlast their boot.
func dropGroup(l *storage.Life) {
	if l.Cgroup == "" || l.BootID != sys.BootID() {
		return
	}
	g := cgroup.Reopen(l.Cgroup)
	endAll(g)
}

// joinGroup is where a further process of the container is cloned into. A caller in a login session may not put a process anywhere in
// the cgroups of the user's systemd: it goes there first.
func (r *run) joinGroup(s *storage.State) (*os.File, error) {
	g := cgroup.Reopen(s.Cgroup)
	defer g.Close()
	r.killsBefore = g.OOMKills()
	if !g.Reachable() {
		if err := enterManager(s); err != nil {
			return nil, err
		}
	}
	inner, err := g.ForExec(s.Pid)
	if err != nil {
		return nil, err
	}
	defer inner.Close()
	fd, err := inner.Fd()
	if err != nil || fd < 0 {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "cgroup"), nil
}

func enterManager(s *storage.State) error {
	m, err := systemd.Dial()
	if err == nil {
		defer m.Close()
		name := fmt.Sprintf("rl-exec-%.12s-%d.scope", s.ID, os.Getpid())
		err = m.Start(systemd.Scope{Name: name, Description: "rl exec in container " + s.Name, Pid: os.Getpid()})
	}
	if err != nil {
		return hint.With(fmt.Errorf("enter the cgroup of container %s, which your login session is outside of: %w", s.Name, err), "systemd-run --user --scope rl exec …")
	}
	return nil
}
