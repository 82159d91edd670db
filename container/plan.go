package container

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/enter"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/idmap"
	"github.com/rl-containers/rl/seccomp"
	"github.com/rl-containers/rl/spec"
	"github.com/rl-containers/rl/sys"
)

// plan compiles a container's spec into what its inside does, in order.
func plan(c *spec.Container, m idmap.Map) (*enter.Plan, error) {
	s := c.Spec
	p := &enter.Plan{Hostname: s.Hostname, Domainname: s.Domainname, Masked: s.Linux.MaskedPaths, Locked: s.Linux.ReadonlyPaths}
	p.Root.ReadOnly = s.Root.Readonly
	for _, mount := range s.Mounts {
		e, err := planMount(mount, m)
		if err != nil {
			return nil, err
		}
		p.Mounts = append(p.Mounts, e)
		if mount.Destination == "/dev" && mount.Type == "tmpfs" {
			p.Mounts = append(p.Mounts, devices()...)
			if c.AllDevices {
				p.Mounts = append(p.Mounts, hostDevices(p.Mounts)...)
			}
		}
	}
	p.Owner = owner(m)
	p.Sysctls = sysctls(s, m)
	p.Loopback = hasNew(s, specs.NetworkNamespace)
	var err error
	p.Process, err = planProcess(c, m)
	return p, err
}

// owner is root inside, unless the one id that is mapped is another.
func owner(m idmap.Map) enter.Owner {
	if m.Rung == idmap.Single {
		return enter.Owner{UID: int(m.UIDs[0].Container), GID: int(m.GIDs[0].Container)}
	}
	return enter.Owner{}
}

// attribute maps an option of a mount to MOUNT_ATTR_* that it sets: the words of mount(8) and of runtime-spec config.md,
// "Linux mount options". known is false for what the file system itself must understand.
func attribute(word string) (set uint64, known bool) {
	switch word {
	case "ro", "rro":
		return unix.MOUNT_ATTR_RDONLY, true
	case "nosuid":
		return unix.MOUNT_ATTR_NOSUID, true
	case "nodev":
		return unix.MOUNT_ATTR_NODEV, true
	case "noexec":
		return unix.MOUNT_ATTR_NOEXEC, true
	case "noatime":
		return unix.MOUNT_ATTR_NOATIME, true
	case "strictatime":
		return unix.MOUNT_ATTR_STRICTATIME, true
	case "nodiratime":
		return unix.MOUNT_ATTR_NODIRATIME, true
	case "nosymfollow":
		return unix.MOUNT_ATTR_NOSYMFOLLOW, true
	case "defaults", "bind", "rbind", "rw", "suid", "dev", "exec", "relatime", "atime", "diratime", "async":
		return 0, true
	}
	return 0, false
}

// propagationOf maps mount_namespaces(7)'s words to MS_*; 0 for others.
func propagationOf(word string) uint64 {
	switch strings.TrimPrefix(word, "r") {
	case "private":
		return unix.MS_PRIVATE
	case "slave":
		return unix.MS_SLAVE
	case "shared":
		return unix.MS_SHARED
	}
	return 0
}

// planMount compiles one mount of the spec.
func planMount(m specs.Mount, ids idmap.Map) (enter.Mount, error) {
	e := enter.Mount{Kind: enter.New, FS: m.Type, Target: m.Destination}
	bind := m.Type == "bind" || slices.Contains(m.Options, "bind") || slices.Contains(m.Options, "rbind")
	if bind {
		e = enter.Mount{Kind: enter.Bind, Source: m.Source, Target: m.Destination, Propagation: unix.MS_PRIVATE,
			Recursive: !slices.Contains(m.Options, "bind")}
		if m.Destination == "/dev/mqueue" {
			e.Optional = "the host has no POSIX message queues"
		}
	}
	for _, o := range m.Options {
		set, known := attribute(o)
		switch {
		case known:
			e.Attr |= set
		case propagationOf(o) != 0:
			e.Propagation = propagationOf(o)
		case o == "tmpcopyup":
			e.CopyUp = true
		case o == "notmpcopyup":
		case bind:
			return e, fmt.Errorf("mount %s: option %q has no meaning for a bind mount", m.Destination, o)
		default:
			key, value, _ := strings.Cut(o, "=")
			e.Options = append(e.Options, sys.Option{Key: key, Value: value})
		}
	}
	if !bind {
		e.Propagation = 0
		adapt(&e, ids)
	}
	return e, nil
}

// adapt fits a new file system to what this user namespace may have.
func adapt(e *enter.Mount, ids idmap.Map) {
	switch e.FS {
	case "cgroup", "cgroup2":
		e.FS, e.Options = "cgroup2", nil
		e.Optional = "no cgroup v2 here"
	case "mqueue":
		e.Optional = "no POSIX message queues in this kernel"
	case "devpts":
		if _, ok := ids.HostGID(5); !ok {
			e.Options = slices.DeleteFunc(e.Options, func(o sys.Option) bool { return o.Key == "gid" })
		}
	}
}

// devices are the nodes and links of a minimal /dev (runtime-spec config-linux.md, "Default Devices"): a user can't make
// nodes, so the host's are bound.
func devices() []enter.Mount {
	var all []enter.Mount
	for _, d := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		all = append(all, enter.Mount{Kind: enter.Bind, Source: "/dev/" + d, Target: "/dev/" + d, Propagation: unix.MS_PRIVATE,
			Attr: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NOEXEC})
	}
	for _, l := range [][2]string{{"pts/ptmx", "ptmx"}, {"/proc/self/fd", "fd"}, {"/proc/self/fd/0", "stdin"},
		{"/proc/self/fd/1", "stdout"}, {"/proc/self/fd/2", "stderr"}} {
		all = append(all, enter.Mount{Kind: enter.Link, Source: l[0], Target: "/dev/" + l[1]})
	}
	return all
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

func hasNew(s *specs.Spec, t specs.LinuxNamespaceType) bool {
	return slices.ContainsFunc(s.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == t && n.Path == "" })
}

// sysctls are the user's, after rl's own for a new network namespace: a user that is not root may ping and bind low ports
// there, where nobody else is.
func sysctls(s *specs.Spec, ids idmap.Map) []enter.Sysctl {
	var all []enter.Sysctl
	if hasNew(s, specs.NetworkNamespace) {
		all = append(all, enter.Sysctl{Key: "net.ipv4.ip_unprivileged_port_start", Value: "0", Default: true},
			enter.Sysctl{Key: "net.ipv4.ping_group_range", Value: "0 " + lastGID(ids), Default: true})
	}
	for k, v := range s.Linux.Sysctl {
		all = append(all, enter.Sysctl{Key: k, Value: v})
	}
	return all
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

// planProcess compiles what is executed, and as whom.
func planProcess(c *spec.Container, m idmap.Map) (enter.Process, error) {
	s := c.Spec.Process
	p := enter.Process{Args: s.Args, Env: s.Env, Cwd: s.Cwd, User: c.User, Groups: c.Groups, KeepGroups: c.KeepGroups,
		NoGroups: m.NoGroups(), NoNewPrivs: s.NoNewPrivileges, Terminal: s.Terminal, Init: c.Init}
	if m.Rung == idmap.Single {
		p.Single = &enter.Single{Owner: owner(m), Fix: m.Fix}
	}
	if s.Capabilities != nil {
		p.Caps = capsOf(s.Capabilities)
	}
	for _, l := range s.Rlimits {
		t, err := rlimitType(l.Type)
		if err != nil {
			return p, err
		}
		p.Rlimits = append(p.Rlimits, enter.Rlimit{Name: l.Type, Type: t, Soft: l.Soft, Hard: l.Hard})
	}
	p.Rlimits = append(defaultRlimits(p.Rlimits), p.Rlimits...)
	var err error
	p.Seccomp, err = filters(c, m)
	return p, err
}

func capsOf(c *specs.LinuxCapabilities) sys.Caps {
	set := func(names []string) uint64 {
		s, _ := spec.CapSet(names) // package spec has refused unknown names
		return s
	}
	return sys.Caps{Bounding: set(c.Bounding), Effective: set(c.Effective), Permitted: set(c.Permitted),
		Inheritable: set(c.Inheritable), Ambient: set(c.Ambient)}
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

// rlimitType is the number of a name of getrlimit(2).
func rlimitType(name string) (int, error) {
	for i, n := range []string{"CPU", "FSIZE", "DATA", "STACK", "CORE", "RSS", "NPROC", "NOFILE", "MEMLOCK", "AS", "LOCKS",
		"SIGPENDING", "MSGQUEUE", "NICE", "RTPRIO", "RTTIME"} {
		if name == "RLIMIT_"+n {
			return i, nil
		}
	}
	return 0, hint.Errorf("getrlimit(2) lists them", "unknown resource limit %q", name)
}
