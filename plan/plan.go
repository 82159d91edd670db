// Package plan compiles an OCI runtime spec into what the inside of a container does, in order: the one translation for
// `rl run`, whose spec comes from flags and an image, and for the OCI runtime, whose spec comes from a bundle. The host isn't
// looked at.
package plan

import (
	"fmt"
	"os"
	"slices"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/enter"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/idmap"
	"github.com/rl-containers/rl/spec"
	"github.com/rl-containers/rl/sys"
)

// Options are what a spec has no word for.
type Options struct {
	// Exact reads the spec as runtime-spec wants it. Without it the spec is rl's own, which is stricter by default: bind mounts
	// are recursive, and so is what they are restricted to.
	Exact bool
	// Bundle is the directory that relative sources of bind mounts are below.
	Bundle string
}

// Compile compiles all but who the program runs as and its seccomp filter, and leaves Root.Kind and what belongs to it open.
func Compile(s *specs.Spec, ids idmap.Map, o Options) (*enter.Plan, error) {
	p := &enter.Plan{Hostname: s.Hostname, Domainname: s.Domainname}
	p.Loopback = HasNew(s, specs.NetworkNamespace)
	if s.Root != nil {
		p.Root.ReadOnly = s.Root.Readonly
	}
	l := s.Linux
	if l == nil {
		l = &specs.Linux{}
	}
	p.Masked, p.Locked = slices.Compact(slices.Sorted(slices.Values(l.MaskedPaths))), l.ReadonlyPaths
	for k, v := range l.Sysctl {
		p.Sysctls = append(p.Sysctls, enter.Sysctl{Key: k, Value: v})
	}
	var err error
	if p.Mounts, err = mounts(s, l, ids, o); err != nil {
		return nil, err
	}
	for i := range p.Mounts {
		if m := &p.Mounts[i]; m.Target == "/dev" && m.Kind == enter.New && m.Attr&unix.MOUNT_ATTR_RDONLY != 0 {
			m.Attr &^= unix.MOUNT_ATTR_RDONLY
			p.ReadOnlyDev = true
		}
	}
	if s.Hooks != nil {
		//lint:ignore SA1019 engines still write prestart hooks
		p.HooksOutside = len(s.Hooks.Prestart)+len(s.Hooks.CreateRuntime) > 0
		p.Hooks = Hooks(s.Hooks.CreateContainer)
	}
	if s.Process != nil {
		p.Process, err = Process(s.Process)
	}
	return p, err
}

// Hooks are those of the spec.
func Hooks(all []specs.Hook) []sys.Hook {
	var hooks []sys.Hook
	for _, h := range all {
		one := sys.Hook{Path: h.Path, Args: h.Args, Env: h.Env}
		if h.Env == nil {
			one.Env = os.Environ() // as runc and crun do; those inside have none to inherit
		}
		if h.Timeout != nil {
			one.Timeout = time.Duration(*h.Timeout) * time.Second
		}
		hooks = append(hooks, one)
	}
	return hooks
}

// HasNew tells whether the spec asks for a new namespace of this type.
func HasNew(s *specs.Spec, t specs.LinuxNamespaceType) bool {
	return s.Linux != nil && slices.ContainsFunc(s.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == t && n.Path == "" })
}

// NamespaceFlags are the clone flags of the spec's new namespaces, the user and time namespaces left out.
func NamespaceFlags(s *specs.Spec) (flags uintptr) {
	for _, n := range s.Linux.Namespaces {
		if n.Path == "" {
			flags |= NamespaceFlag(n.Type)
		}
	}
	return flags &^ (unix.CLONE_NEWUSER | unix.CLONE_NEWTIME)
}

// NamespaceFlag is CLONE_NEW* of a type; 0 for one that isn't known.
func NamespaceFlag(t specs.LinuxNamespaceType) uintptr {
	switch t {
	case specs.UserNamespace:
		return unix.CLONE_NEWUSER
	case specs.MountNamespace:
		return unix.CLONE_NEWNS
	case specs.PIDNamespace:
		return unix.CLONE_NEWPID
	case specs.UTSNamespace:
		return unix.CLONE_NEWUTS
	case specs.IPCNamespace:
		return unix.CLONE_NEWIPC
	case specs.NetworkNamespace:
		return unix.CLONE_NEWNET
	case specs.CgroupNamespace:
		return unix.CLONE_NEWCGROUP
	case specs.TimeNamespace:
		return unix.CLONE_NEWTIME
	}
	return 0
}

// Process compiles what is executed.
func Process(s *specs.Process) (p enter.Process, err error) {
	p = enter.Process{Args: s.Args, Env: s.Env, Cwd: s.Cwd, NoNewPrivs: s.NoNewPrivileges, Terminal: s.Terminal,
		Label: s.SelinuxLabel, Apparmor: s.ApparmorProfile}
	if s.Capabilities != nil {
		if p.Caps, err = caps(s.Capabilities); err != nil {
			return p, fmt.Errorf("process.capabilities: %w", err)
		}
	}
	if s.ConsoleSize != nil {
		p.ConsoleSize = &[2]uint16{uint16(s.ConsoleSize.Height), uint16(s.ConsoleSize.Width)}
	}
	for _, l := range s.Rlimits {
		t, err := rlimitType(l.Type)
		if err != nil {
			return p, err
		}
		p.Rlimits = append(p.Rlimits, enter.Rlimit{Name: l.Type, Type: t, Soft: l.Soft, Hard: l.Hard})
	}
	return p, nil
}

// caps are the sets of the spec. A name that isn't known is an error: runc and crun go on without it, and nobody notices the
// misspelt one.
func caps(c *specs.LinuxCapabilities) (all sys.Caps, err error) {
	for _, set := range []struct {
		to    *uint64
		names []string
	}{{&all.Bounding, c.Bounding}, {&all.Effective, c.Effective}, {&all.Permitted, c.Permitted}, {&all.Inheritable, c.Inheritable}, {&all.Ambient, c.Ambient}} {
		var unknown []string
		if *set.to, unknown = spec.CapSet(set.names); len(unknown) > 0 {
			return all, fmt.Errorf("unknown capability %q", unknown[0])
		}
	}
	// The kernel has no ambient capability that isn't inheritable and permitted (capabilities(7)). buildah asks for such, and
	// means as many as there can be: inheritable ones would be too many (CVE-2022-29162).
	all.Ambient &= all.Permitted & all.Inheritable
	return all, nil
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
