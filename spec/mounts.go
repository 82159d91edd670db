package spec

import (
	"fmt"
	"path"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/rl-containers/rl/hint"
)

// mounts are rl's own file systems, then those of the user, the shallower targets first.
func (m *maker) mounts() error {
	own, err := m.ownMounts()
	if err != nil {
		return err
	}
	users, err := m.userMounts()
	if err != nil {
		return err
	}
	for _, mount := range own {
		if !slices.ContainsFunc(users, func(u specs.Mount) bool { return u.Destination == mount.Destination }) {
			m.s.Mounts = append(m.s.Mounts, mount)
		}
	}
	depth := func(u specs.Mount) int { return strings.Count(u.Destination, "/") }
	slices.SortStableFunc(users, func(a, b specs.Mount) int { return depth(a) - depth(b) })
	m.s.Mounts = append(m.s.Mounts, users...)
	return nil
}

// ownMounts are runtime-spec config-linux.md's default file systems, as tight as they still work.
func (m *maker) ownMounts() ([]specs.Mount, error) {
	shm, err := m.shm()
	if err != nil {
		return nil, err
	}
	all := []specs.Mount{
		m.proc(),
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "noexec", "strictatime", "mode=755", "size=65536k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
		m.mqueue(),
	}
	if m.o.IPC != "none" {
		all = slices.Insert(all, 3, shm)
	}
	if m.c.Systemd {
		all = append(all, systemdMounts()...)
	} else if m.o.ReadOnly && !m.o.NoTmpfs {
		// What programs write to even where all else is fixed, as podman does.
		for _, t := range [][2]string{{"/run", "mode=755"}, {"/tmp", "mode=1777"}, {"/var/tmp", "mode=1777"}} {
			all = append(all, specs.Mount{Destination: t[0], Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "nodev", "tmpcopyup", t[1]}})
		}
	}
	return append(all, m.sys(), m.cgroup()), nil
}

// TheirsType is the type of a mount of the spec that is another container's: that in which it has its IPC namespace. Whoever starts
// the container takes it from there.
const TheirsType = "theirs"

// shm is /dev/shm, where POSIX shared memory and semaphores are (shm_overview(7)): it belongs to whom the IPC namespace belongs.
func (m *maker) shm() (specs.Mount, error) {
	size := m.o.ShmSize
	if size == "" {
		size = "64m"
	}
	kind, _, _ := strings.Cut(m.o.IPC, ":")
	if whose := map[string]string{"host": "the machine's", "container": "the other container's", "none": "not there"}[kind]; whose != "" && m.o.ShmSize != "" {
		return specs.Mount{}, hint.Errorf("leave one of the two out", "--shm-size %s: with --ipc %s /dev/shm is %s", size, m.o.IPC, whose)
	}
	switch kind {
	case "host":
		return specs.Mount{Destination: "/dev/shm", Type: "bind", Source: "/dev/shm", Options: []string{"rbind", "nosuid", "nodev", "noexec"}}, nil
	case "container":
		return specs.Mount{Destination: "/dev/shm", Type: TheirsType, Source: "/dev/shm", Options: []string{"nosuid", "nodev", "noexec"}}, nil
	}
	if err := checkSize(strings.TrimSuffix(size, "b")); err != nil {
		return specs.Mount{}, fmt.Errorf("--shm-size %s: %w", size, err)
	}
	return specs.Mount{Destination: "/dev/shm", Type: "tmpfs", Source: "shm",
		Options: []string{"nosuid", "nodev", "noexec", "mode=1777", "size=" + strings.TrimSuffix(size, "b")}}, nil
}

func (m *maker) mqueue() specs.Mount {
	if m.o.IPC == "host" {
		return specs.Mount{Destination: "/dev/mqueue", Type: "bind", Source: "/dev/mqueue", Options: []string{"rbind", "nosuid", "nodev", "noexec"}}
	}
	return specs.Mount{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "nodev", "noexec"}}
}

// proc is the host's with --pid host: a new one belongs to a PID namespace of the user's (pid_namespaces(7)).
func (m *maker) proc() specs.Mount {
	if m.o.PID == "host" {
		return specs.Mount{Destination: "/proc", Type: "bind", Source: "/proc", Options: []string{"rbind", "nosuid", "nodev", "noexec"}}
	}
	return specs.Mount{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "nodev", "noexec"}}
}

// sys is the host's with --network host: a new one belongs to a network namespace of the user's.
func (m *maker) sys() specs.Mount {
	options := []string{"nosuid", "nodev", "noexec"}
	if !m.o.Privileged || m.o.HostNetwork {
		options = append(options, "ro")
	}
	if m.o.HostNetwork {
		return specs.Mount{Destination: "/sys", Type: "bind", Source: "/sys", Options: append(options, "rbind")}
	}
	return specs.Mount{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: options}
}

// cgroup is the container's own cgroup as the root of the tree; with --cgroupns host the host's tree, to look at.
func (m *maker) cgroup() specs.Mount {
	if m.o.Cgroupns == "host" {
		return specs.Mount{Destination: "/sys/fs/cgroup", Type: "bind", Source: "/sys/fs/cgroup", Options: []string{"rbind", "ro", "nosuid", "nodev", "noexec"}}
	}
	options := []string{"nosuid", "nodev", "noexec", "relatime"}
	if !m.o.Privileged && !m.c.Systemd {
		options = append(options, "ro")
	}
	return specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: options}
}

// userMounts reads the four flags; a target that two of them name is a mistake. What other containers and the image bring comes
// after them.
func (m *maker) userMounts() ([]specs.Mount, error) {
	var all []specs.Mount
	for _, f := range []struct {
		flag   string
		values []string
		parse  func(string) (specs.Mount, error)
	}{
		{"-v", m.o.Volumes, m.volume}, {"--mount", m.o.Mounts, m.mount}, {"--tmpfs", m.o.Tmpfs, tmpfs}, {"--device", m.o.Devices, m.device},
	} {
		for _, value := range f.values {
			mount, err := f.parse(value)
			if err != nil {
				return nil, fmt.Errorf("%s %s: %w", f.flag, value, err)
			}
			if slices.ContainsFunc(all, func(o specs.Mount) bool { return o.Destination == mount.Destination }) {
				return nil, fmt.Errorf("%s %s: %s is mounted on twice", f.flag, value, mount.Destination)
			}
			all = append(all, mount)
		}
	}
	return m.imageVolumes(m.inherited(all))
}

// target cleans the path of a mount inside the container.
func target(p string) (string, error) {
	if !path.IsAbs(p) {
		return "", hint.Errorf("the second part is a path inside the container: /"+strings.TrimPrefix(p, "./"), "target %q is not absolute", p)
	}
	if p = path.Clean(p); p == "/" {
		return "", hint.Errorf("rl run --rootfs DIR uses a directory as the root", "the target can't be the root directory")
	}
	return p, nil
}

// tmpfs reads --tmpfs PATH[:OPTION,…].
func tmpfs(s string) (specs.Mount, error) {
	dst, options, _ := strings.Cut(s, ":")
	m := specs.Mount{Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "nodev", "noexec", "tmpcopyup"}}
	var err error
	if m.Destination, err = target(dst); err != nil {
		return m, err
	}
	if options == "" {
		return m, nil
	}
	for o := range strings.SplitSeq(options, ",") {
		if err := tmpfsOption(&m, o); err != nil {
			return m, err
		}
	}
	return m, nil
}

// tmpfsOption adds one option of tmpfs(5) or mount(8), or takes back a default.
func tmpfsOption(m *specs.Mount, o string) error {
	key, value, _ := strings.Cut(o, "=")
	var err error
	switch key {
	case "suid", "dev", "exec", "tmpcopyup", "rw":
		m.Options = slices.DeleteFunc(m.Options, func(old string) bool { return old == "no"+key })
		return nil
	case "notmpcopyup":
		m.Options = slices.DeleteFunc(m.Options, func(old string) bool { return old == "tmpcopyup" })
		return nil
	case "nosuid", "nodev", "noexec":
		return nil
	case "ro", "noatime", "nodiratime", "relatime", "strictatime", "rprivate", "private":
	case "size", "nr_blocks", "nr_inodes":
		err = checkSize(value)
	case "mode":
		if value == "" || strings.Trim(value, "01234567") != "" || len(value) > 5 {
			err = fmt.Errorf("mode=%s is not an octal number", value)
		}
	case "uid", "gid":
		if _, ok := number(value); !ok {
			err = fmt.Errorf("%s is not a number", o)
		}
	default:
		err = hint.Errorf("size=64m, mode=1777, uid=, gid=, nr_inodes=, ro, exec, suid, dev, noatime, notmpcopyup", "tmpfs has no option %q", o)
	}
	m.Options = append(m.Options, o)
	return err
}

// checkSize accepts what the kernel's memparse does: a number, with k, m, g, t or % behind it.
func checkSize(s string) error {
	digits := strings.TrimRight(strings.ToLower(s), "kmgt%")
	if _, ok := number(digits); !ok && len(digits) < 19 || len(s)-len(digits) > 1 || strings.Trim(digits, "0123456789") != "" {
		return fmt.Errorf("%q is not a size such as 64m", s)
	}
	return nil
}
