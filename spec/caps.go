package spec

import (
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/rl-containers/rl/hint"
)

// defaultCaps are podman's eleven: docker's without MKNOD, NET_RAW and AUDIT_WRITE.
func defaultCaps() []string {
	return []string{"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_NET_BIND_SERVICE",
		"CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT"}
}

// capabilities follows podman: ALL on one side is the start, the other side's names change it; the same name on both sides
// is a contradiction. Those added for a user that isn't root are ambient, else setuid(2) would take them.
func (m *maker) capabilities() error {
	add, addAll, err := capNames("--cap-add", m.o.CapAdd)
	if err != nil {
		return err
	}
	drop, dropAll, err := capNames("--cap-drop", m.o.CapDrop)
	if err != nil {
		return err
	}
	for _, c := range add {
		if slices.Contains(drop, c) {
			return hint.Errorf("leave one of the two out", "--cap-add and --cap-drop both name %s", c)
		}
	}
	if addAll && dropAll {
		return hint.Errorf("leave one of the two out", "--cap-add ALL and --cap-drop ALL contradict each other")
	}
	base := defaultCaps()
	switch {
	case addAll || m.o.Privileged && !dropAll:
		base = CapNames()
	case dropAll:
		base = nil
	}
	set := slices.DeleteFunc(append(base, add...), func(c string) bool { return slices.Contains(drop, c) })
	slices.Sort(set)
	set = slices.Compact(set)
	caps := &specs.LinuxCapabilities{Bounding: set, Effective: set, Permitted: set}
	if name, _, _ := strings.Cut(m.c.User, ":"); name != "" && name != "root" && name != "0" {
		caps.Inheritable, caps.Ambient = add, add
	}
	m.s.Process.Capabilities = caps
	return nil
}

// capNames accepts chown, CHOWN, CAP_CHOWN and ALL.
func capNames(flag string, typed []string) (names []string, all bool, err error) {
	for _, list := range typed {
		for name := range strings.SplitSeq(list, ",") {
			name = strings.ToUpper(name)
			if name == "ALL" || name == "CAP_ALL" {
				all = true
				continue
			}
			if !strings.HasPrefix(name, "CAP_") {
				name = "CAP_" + name
			}
			if _, unknown := CapSet([]string{name}); len(unknown) > 0 {
				return nil, false, hint.Errorf("capabilities(7) lists them: NET_RAW, SYS_PTRACE, …; or ALL", "%s %s: no such capability", flag, list)
			}
			names = append(names, name)
		}
	}
	return names, all, nil
}

// allCapNames are the names of capabilities(7) in the order of their numbers (linux/capability.h).
const allCapNames = "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE " +
	"NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE " +
	"SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL " +
	"SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"

// CapNames are the names of all capabilities, "CAP_CHOWN" first, by number.
func CapNames() []string {
	names := strings.Fields(allCapNames)
	for i, n := range names {
		names[i] = "CAP_" + n
	}
	return names
}

// CapSet is the set of the named capabilities ("CAP_CHOWN"); unknown names are in unknown.
func CapSet(names []string) (set uint64, unknown []string) {
	all := CapNames()
	for _, n := range names {
		if i := slices.Index(all, n); i >= 0 {
			set |= 1 << i
		} else {
			unknown = append(unknown, n)
		}
	}
	return set, unknown
}
