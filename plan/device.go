package plan

import (
	"fmt"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/enter"
)

// nodes are the devices and links of a minimal /dev (runtime-spec config-linux.md, "Default Devices"), and those of the spec.
// Where /dev is a directory of the host nothing is made in it.
func nodes(devices []specs.LinuxDevice, mounts []specs.Mount, o Options) ([]enter.Mount, error) {
	if slices.ContainsFunc(mounts, func(m specs.Mount) bool { return isDev(m) && isBind(m) }) {
		return nil, nil
	}
	var all []enter.Mount
	for _, d := range devices {
		if d.Path == "/dev/ptmx" {
			continue // the container's own (devpts), made below
		}
		n, err := node(d)
		if err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	for _, d := range defaults() {
		path := "/dev/" + d.name
		if slices.ContainsFunc(devices, func(d specs.LinuxDevice) bool { return d.Path == path }) {
			continue
		}
		m := enter.Mount{Kind: enter.Bind, Source: path, Target: path, Propagation: unix.MS_PRIVATE, Attr: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NOEXEC}
		if o.Exact {
			m.Kind, m.Mode, m.Device = enter.Node, unix.S_IFCHR|0o666, unix.Mkdev(d.major, d.minor)
		}
		all = append(all, m)
	}
	for _, l := range [][2]string{{"pts/ptmx", "ptmx"}, {"/proc/self/fd", "fd"}, {"/proc/self/fd/0", "stdin"},
		{"/proc/self/fd/1", "stdout"}, {"/proc/self/fd/2", "stderr"}} {
		all = append(all, enter.Mount{Kind: enter.Link, Source: l[0], Target: "/dev/" + l[1]})
	}
	return all, nil
}

type number struct {
	name         string
	major, minor uint32
}

// defaults are the devices that every container has, with their numbers (admin-guide/devices.txt of the kernel).
func defaults() []number {
	return []number{{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}}
}

// node is one device of the spec. A user can't make device files: the host's is shown then.
func node(d specs.LinuxDevice) (enter.Mount, error) {
	kinds := map[string]uint32{"c": unix.S_IFCHR, "u": unix.S_IFCHR, "b": unix.S_IFBLK, "p": unix.S_IFIFO}
	kind, ok := kinds[d.Type]
	if !ok || d.Path == "" {
		return enter.Mount{}, fmt.Errorf("device %q: unknown type %q: c, u, b or p", d.Path, d.Type)
	}
	m := enter.Mount{Kind: enter.Node, Source: d.Path, Target: d.Path, Propagation: unix.MS_PRIVATE, Mode: kind | 0o666}
	if kind != unix.S_IFIFO {
		m.Device = unix.Mkdev(uint32(d.Major), uint32(d.Minor))
	}
	if d.FileMode != nil {
		m.Mode = kind | uint32(*d.FileMode)&0o7777
	}
	if d.UID != nil {
		m.UID = int(*d.UID)
	}
	if d.GID != nil {
		m.GID = int(*d.GID)
	}
	return m, nil
}
