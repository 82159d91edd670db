package container

import (
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/enter"
	"github.com/rl-containers/rl/idmap"
	"github.com/rl-containers/rl/plan"
	"github.com/rl-containers/rl/seccomp"
	"github.com/rl-containers/rl/spec"
)

// compilePlan adds to the plan of the spec what the spec has no word for.
func compilePlan(c *spec.Container, m idmap.Map) (*enter.Plan, error) {
	p, err := plan.Compile(c.Spec, m, plan.Options{})
	if err != nil {
		return nil, err
	}
	if c.AllDevices {
		p.Mounts = slices.Insert(p.Mounts, afterDev(p.Mounts), hostDevices(p.Mounts)...)
	}
	p.Owner = owner(m)
	p.Sysctls = append(networkSysctls(c.Spec, m), p.Sysctls...)
	q := &p.Process
	q.User, q.Groups, q.KeepGroups, q.Init = c.User, c.Groups, c.KeepGroups, c.Init
	q.Umask = c.Spec.Process.User.Umask
	q.NoGroups = m.NoGroups()
	if m.Rung == idmap.Single {
		q.Single = &enter.Single{Owner: owner(m), Fix: m.Fix}
	}
	q.Rlimits = append(defaultRlimits(q.Rlimits), q.Rlimits...)
	q.Seccomp, err = filters(c, m)
	return p, err
}

// owner is root inside, unless the one id that is mapped is another.
func owner(m idmap.Map) enter.Owner {
	if m.Rung == idmap.Single {
		return enter.Owner{UID: int(m.UIDs[0].Container), GID: int(m.GIDs[0].Container)}
	}
	return enter.Owner{}
}

// afterDev is the place of further devices: after the links, the last of what every /dev has.
func afterDev(mounts []enter.Mount) int {
	for i, m := range slices.Backward(mounts) {
		if m.Kind == enter.Link {
			return i + 1
		}
	}
	return 0
}

// hostDevices are the device nodes of the host for --privileged: each with the rights that the caller has on it. Terminals
// and shared memory stay the container's own.
func hostDevices(have []enter.Mount) []enter.Mount {
	var all []enter.Mount
	filepath.WalkDir("/dev", func(path string, d fs.DirEntry, err error) error {
		own := slices.ContainsFunc(have, func(m enter.Mount) bool { return m.Target == path })
		switch {
		case err != nil, own && path != "/dev", path == "/dev/pts", path == "/dev/shm", path == "/dev/mqueue", path == "/dev/console", path == "/dev/ptmx":
			if d != nil && d.IsDir() {
				return fs.SkipDir
			}
		case d.Type()&fs.ModeDevice != 0:
			all = append(all, enter.Mount{Kind: enter.Bind, Source: path, Target: path, Propagation: unix.MS_PRIVATE, Optional: "the device is gone"})
		}
		return nil
	})
	return all
}

// networkSysctls are rl's own wishes for a new network namespace: a user that is not root may ping and bind low ports there,
// where nobody else is.
func networkSysctls(s *specs.Spec, ids idmap.Map) []enter.Sysctl {
	if !plan.HasNew(s, specs.NetworkNamespace) {
		return nil
	}
	return []enter.Sysctl{{Key: "net.ipv4.ip_unprivileged_port_start", Value: "0", Default: true},
		{Key: "net.ipv4.ping_group_range", Value: "0 " + lastGID(ids), Default: true}}
}

// lastGID is the end of the run of gids that starts at 0: the kernel wants both ends mapped.
func lastGID(m idmap.Map) string {
	var last uint32
	for {
		grown := false
		for _, r := range m.GIDs {
			if r.Container <= last+1 && r.Container+r.Size-1 > last {
				last, grown = r.Container+r.Size-1, true
			}
		}
		if !grown {
			return strconv.FormatUint(uint64(min(last, 1<<31-1)), 10)
		}
	}
}

// filters are the seccomp programs. In a single-id namespace one more makes changes of ownership look done, so that package
// managers work.
func filters(c *spec.Container, m idmap.Map) ([][]byte, error) {
	var all [][]byte
	add := func(program []byte, err error) error {
		all = append(all, program)
		return err
	}
	var caps []string
	if c.Spec.Process.Capabilities != nil {
		caps = c.Spec.Process.Capabilities.Bounding
	}
	var err error
	switch c.Seccomp {
	case "unconfined":
	case "":
		if c.Compat {
			err = add(seccomp.Compat(caps))
		} else {
			err = add(seccomp.Default(caps))
		}
	default:
		err = add(seccomp.Load(c.Seccomp, caps))
	}
	if err != nil {
		return nil, err
	}
	if m.Rung == idmap.Single {
		all = append(all, seccomp.FakeRoot())
	}
	return all, nil
}

// defaultRlimits: no core dumps, and as many files as the caller may have, up to a million (some programs walk all of them),
// unless the user said something.
func defaultRlimits(asked []enter.Rlimit) []enter.Rlimit {
	var all []enter.Rlimit
	for _, l := range []enter.Rlimit{
		{Type: unix.RLIMIT_CORE, Soft: 0, Hard: unix.RLIM_INFINITY, Clamp: true},
		{Type: unix.RLIMIT_NOFILE, Soft: 1 << 20, Hard: 1 << 20, Clamp: true},
	} {
		if !slices.ContainsFunc(asked, func(a enter.Rlimit) bool { return a.Type == l.Type }) {
			all = append(all, l)
		}
	}
	return all
}
