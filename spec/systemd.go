package spec

import (
	"path"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/rl-containers/rl/hint"
)

// systemd decides whether the program is a systemd that is to be PID 1, and prepares what that needs (its CONTAINER_INTERFACE.md): file
// systems in memory where it keeps what is of this boot, a tree of cgroups that it may write to, and its own signal to shut down.
func (m *maker) systemd() error {
	switch m.o.Systemd {
	case "false":
		return nil
	case "", "true":
		if !isSystemd(m.s.Process.Args[0]) {
			return nil
		}
	case "always":
	default:
		return hint.Errorf("true (when the program is an init), always or false", "--systemd %s: no such mode", m.o.Systemd)
	}
	if m.o.Cgroupns == "host" || m.o.PID != "" && m.o.PID != "private" || m.o.Init {
		return hint.Errorf("leave them out, or --systemd=false", "systemd is PID 1 of its own tree of cgroups: no --cgroupns host, --pid or --init")
	}
	m.c.Systemd = true
	return nil
}

// isSystemd: podman's list.
func isSystemd(program string) bool {
	return path.Base(program) == "systemd" || slices.Contains([]string{"/sbin/init", "/usr/sbin/init", "/usr/local/sbin/init"}, program)
}

// systemdMounts are in memory: what is there belongs to one boot.
func systemdMounts() (all []specs.Mount) {
	for _, t := range [][2]string{{"/run", "mode=755"}, {"/run/lock", "mode=1777"}, {"/tmp", "mode=1777"}, {"/var/log/journal", "mode=755"}} {
		all = append(all, specs.Mount{Destination: t[0], Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "nodev", "tmpcopyup", t[1]}})
	}
	return all
}
