package spec

import (
	"fmt"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/rl-containers/rl/hint"
)

// maskedPaths tell of the host's hardware, kernel and other users, or reach them. They are podman 5's and more: symbols and
// modules of the kernel, its configuration, disks. (thermal_throttle, one directory a processor, is left out: the timing it
// gives away is coarse, and hiding it would cost with each processor.)
func maskedPaths() []string {
	return []string{"/proc/acpi", "/proc/asound", "/proc/config.gz", "/proc/diskstats", "/proc/interrupts", "/proc/kallsyms",
		"/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/partitions", "/proc/sched_debug", "/proc/scsi",
		"/proc/slabinfo", "/proc/swaps", "/proc/timer_list", "/proc/timer_stats", "/proc/vmallocinfo",
		"/sys/dev/block", "/sys/devices/virtual/powercap", "/sys/firmware", "/sys/fs/selinux", "/sys/kernel/debug",
		"/sys/kernel/notes", "/sys/kernel/security", "/sys/kernel/slab", "/sys/kernel/tracing", "/sys/module"}
}

func readonlyPaths() []string {
	return []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
}

func (m *maker) security() error {
	m.s.Linux.MaskedPaths, m.s.Linux.ReadonlyPaths = maskedPaths(), readonlyPaths()
	if m.o.Privileged {
		m.s.Linux.MaskedPaths, m.s.Linux.ReadonlyPaths = nil, nil
		m.c.Seccomp = "unconfined"
	}
	// On by default: a setuid program of the image gains nothing, unlike under docker and podman.
	m.s.Process.NoNewPrivileges = !m.o.Privileged
	for _, opt := range m.o.SecurityOpt {
		if err := m.securityOpt(opt); err != nil {
			return hint.With(fmt.Errorf("--security-opt %s: %w", opt, err),
				"seccomp=FILE|unconfined, no-new-privileges[=false], mask=PATH[:PATH…], unmask=PATH[:PATH…]|ALL")
		}
	}
	return nil
}

// securityOpt takes one option; docker writes some with a colon.
func (m *maker) securityOpt(opt string) error {
	at := strings.IndexAny(opt, "=:")
	key, value := opt, ""
	if at >= 0 {
		key, value = opt[:at], opt[at+1:]
	}
	switch key {
	case "no-new-privileges":
		return m.noNewPrivs(value)
	case "seccomp":
		if value == "" {
			return fmt.Errorf("no profile")
		}
		m.c.Seccomp = value
	case "mask":
		return m.mask(value)
	case "unmask":
		return m.unmask(value)
	case "systempaths":
		if value != "unconfined" {
			return fmt.Errorf("neither systempaths=unconfined nor left out")
		}
		return m.unmask("ALL")
	case "label", "apparmor":
		if value != "disable" && value != "unconfined" {
			return fmt.Errorf("rl sets no SELinux or AppArmor label: an unprivileged user can't")
		}
	default:
		return fmt.Errorf("unknown option")
	}
	return nil
}

func (m *maker) noNewPrivs(value string) error {
	on := value == "" || value == "true"
	if !on && value != "false" {
		return fmt.Errorf("neither true nor false")
	}
	m.s.Process.NoNewPrivileges = on
	return nil
}

func (m *maker) mask(value string) error {
	for p := range strings.SplitSeq(value, ":") {
		if !strings.HasPrefix(p, "/") {
			return fmt.Errorf("%q is not an absolute path", p)
		}
		m.s.Linux.MaskedPaths = append(m.s.Linux.MaskedPaths, p)
	}
	return nil
}

func (m *maker) unmask(value string) error {
	if value == "ALL" {
		m.s.Linux.MaskedPaths, m.s.Linux.ReadonlyPaths = nil, nil
		return nil
	}
	for p := range strings.SplitSeq(value, ":") {
		if !strings.HasPrefix(p, "/") {
			return fmt.Errorf("%q is neither an absolute path nor ALL", p)
		}
		named := func(path string) bool {
			prefix, glob := strings.CutSuffix(p, "*")
			return path == p || glob && strings.HasPrefix(path, prefix)
		}
		m.s.Linux.MaskedPaths = slices.DeleteFunc(m.s.Linux.MaskedPaths, named)
		m.s.Linux.ReadonlyPaths = slices.DeleteFunc(m.s.Linux.ReadonlyPaths, named)
	}
	return nil
}

// namespaces are all new but those that the user shares with the host.
func (m *maker) namespaces() error {
	all := []specs.LinuxNamespaceType{specs.UserNamespace, specs.MountNamespace}
	switch m.o.Cgroupns {
	case "", "private":
		all = append(all, specs.CgroupNamespace)
	case "host":
	default:
		return hint.Errorf("private, or host", "--cgroupns %s: no such mode", m.o.Cgroupns)
	}
	if !m.o.HostNetwork && !m.o.SharedNetwork {
		all = append(all, specs.NetworkNamespace)
	}
	for _, n := range []struct {
		flag, value, modes string
		kind               specs.LinuxNamespaceType
	}{
		{"--pid", m.o.PID, "private, host or container:NAME", specs.PIDNamespace},
		{"--ipc", m.o.IPC, "private, shareable, none, host or container:NAME", specs.IPCNamespace},
		{"--uts", m.o.UTS, "private, host or container:NAME", specs.UTSNamespace},
	} {
		switch mode, name, _ := strings.Cut(n.value, ":"); {
		case n.value == "" || n.value == "private", n.kind == specs.IPCNamespace && (n.value == "shareable" || n.value == "none"):
			all = append(all, n.kind)
		case n.value == "host", mode == "container" && name != "":
		case mode == "ns":
			return hint.Errorf(n.flag+" container:NAME", "%s %s: a namespace by its path belongs to a user namespace that rl doesn't know", n.flag, n.value)
		default:
			return hint.Errorf(n.flag+" "+n.modes+", or leave it out", "%s %s: no such mode", n.flag, n.value)
		}
	}
	for _, kind := range all {
		m.s.Linux.Namespaces = append(m.s.Linux.Namespaces, specs.LinuxNamespace{Type: kind})
	}
	return m.hostname()
}

// hostname goes into /etc/hosts, too: no character that would start another line or word there.
func (m *maker) hostname() (err error) {
	if m.s.Hostname, err = m.utsName("--hostname", m.o.Hostname); err == nil {
		m.s.Domainname, err = m.utsName("--domainname", m.o.Domainname)
	}
	return err
}

func (m *maker) utsName(flag, h string) (string, error) {
	if h != "" && m.o.UTS != "" && m.o.UTS != "private" {
		return "", hint.Errorf("leave one of the two out", "%s %s: with --uts %s the name is another's", flag, h, m.o.UTS)
	}
	bad := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == '_')
	}
	if len(h) > 64 || strings.ContainsFunc(h, bad) {
		return "", hint.Errorf("letters, digits, - and ., at most 64 (sethostname(2))", "%s %q: not a host name", flag, h)
	}
	return h, nil
}
