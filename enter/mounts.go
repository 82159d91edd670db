package enter

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/sys"
)

// mountAll carries out Plan.Mounts in order.
func (b *builder) mountAll() error {
	for i := range b.plan.Mounts {
		m := &b.plan.Mounts[i]
		err := b.mount(m, b.sources[i])
		if err == nil {
			continue
		}
		if m.Optional == "" || !refused(err) {
			return explainMount(m, err)
		}
	}
	return nil
}

// refused: the kernel doesn't let this user namespace do it, or doesn't have it.
func refused(err error) bool {
	for _, e := range []unix.Errno{unix.EPERM, unix.EACCES, unix.EROFS, unix.EBUSY, unix.ENODEV, unix.EINVAL, unix.ENOSYS} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func explainMount(m *Mount, err error) error {
	err = fmt.Errorf("mount %s: %w", m.Target, err)
	var place *fs.PathError
	if errors.As(err, &place) && place.Op == "make mount point" {
		return hint.With(err, "choose another place, or one that exists: /proc, /sys and directories that are not yours take no new names")
	}
	if m.FS == "proc" && errors.Is(err, unix.EPERM) {
		return hint.With(err, "parts of /proc are masked here, as in a container: start the outer one with --security-opt unmask=ALL, or use --pid host")
	}
	return err
}

func (b *builder) mount(m *Mount, source int) error {
	if m.Kind == Link {
		return b.link(m)
	}
	if m.IfDir && !b.isDir(path.Dir(m.Target)) || source == missing {
		return nil
	}
	copied := m.CopyUp && b.isDir(m.Target)
	fd, file, err := b.detached(m, source)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	target, err := b.root.Target(m.Target, file)
	if err != nil {
		return err
	}
	defer unix.Close(target)
	if err := sameType(target, file); err != nil {
		return err
	}
	if copied {
		if err := copyUp(target, fd); err != nil {
			return err
		}
	}
	return sys.Attach(fd, target)
}

// sameType says what the kernel's EINVAL would mean: a file covers a file, a directory a directory.
func sameType(target int, file bool) error {
	var st unix.Stat_t
	if err := unix.Fstat(target, &st); err != nil {
		return err
	}
	switch dir := st.Mode&unix.S_IFMT == unix.S_IFDIR; {
	case file && dir:
		return hint.Errorf("name the file in the target, too", "the source is a file, in the container this is a directory")
	case !file && !dir:
		return hint.Errorf("name a directory as the target", "the source is a directory, in the container this is a file")
	}
	return nil
}

func (b *builder) isDir(name string) bool {
	fd, err := b.root.Open(name, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return false
	}
	unix.Close(fd)
	return true
}

// detached returns the mount, still attached nowhere, and whether it is a file.
func (b *builder) detached(m *Mount, source int) (fd int, file bool, err error) {
	switch m.Kind {
	case New:
		fd, err = sys.NewMount(m.FS, m.Options, int(m.Attr))
		return fd, false, err
	case File:
		if source, err = b.scratchFile(m.Source); err != nil {
			return -1, true, err
		}
	}
	var st unix.Stat_t
	if err := unix.Fstat(source, &st); err != nil {
		return -1, false, err
	}
	if m.Attr|m.Clear|m.Propagation != 0 {
		if err := sys.SetAttr(source, m.Attr, m.Clear, m.Propagation, m.Recursive); err != nil {
			return -1, false, explainAttr(err)
		}
	}
	return source, st.Mode&unix.S_IFMT != unix.S_IFDIR, nil
}

func explainAttr(err error) error {
	if errors.Is(err, unix.ENOSYS) {
		return hint.With(err, "mount_setattr needs Linux 5.12")
	}
	return err
}

// scratchFile writes one of Plan.Files to the scratch tmpfs and returns a detached mount of it: no file of it is on any disk.
func (b *builder) scratchFile(name string) (int, error) {
	fd, err := unix.Openat(b.scratch, name, unix.O_CREAT|unix.O_EXCL|unix.O_RDWR|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return -1, err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	if _, err := f.Write(b.plan.Files[name]); err != nil {
		return -1, err
	}
	return sys.CloneTree(b.scratch, name, false)
}

func (b *builder) link(m *Mount) error {
	dir, base := path.Split(m.Target)
	fd, err := b.root.Target(dir, false)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Symlinkat(m.Source, fd, base); err != nil && err != unix.EEXIST {
		return &os.LinkError{Op: "symlink", Old: m.Source, New: m.Target, Err: err}
	}
	return nil
}

// hide covers the masked paths and makes the locked ones read-only. Targets are handles, and what stands for "empty" is
// made here and checked, not taken from the image (CVE-2025-31133: a /dev/null that is a link).
func (b *builder) hide() error {
	made := false
	for _, name := range b.plan.Masked {
		target, err := b.root.Open(name, unix.O_PATH, 0)
		if err != nil {
			continue // not there: nothing to hide
		}
		if !made {
			if err := b.makeEmpty(); err != nil {
				return err
			}
			made = true
		}
		if err := b.cover(target); err != nil {
			return fmt.Errorf("mask %s: %w", name, err)
		}
		unix.Close(target)
	}
	for _, name := range b.plan.Locked {
		if err := b.lock(name); err != nil {
			return fmt.Errorf("make %s read-only: %w", name, err)
		}
	}
	return nil
}

// makeEmpty makes the two entries that all masks show: a directory and a file, both empty.
func (b *builder) makeEmpty() error {
	if err := unix.Mkdirat(b.scratch, "empty", 0o555); err != nil {
		return err
	}
	fd, err := unix.Openat(b.scratch, "none", unix.O_CREAT|unix.O_EXCL|unix.O_RDONLY|unix.O_CLOEXEC, 0o444)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

func (b *builder) cover(target int) error {
	var st unix.Stat_t
	if err := unix.Fstat(target, &st); err != nil {
		return err
	}
	name := "none"
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		name = "empty"
	}
	fd, err := sys.CloneTree(b.scratch, name, false)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := sys.SetAttr(fd, unix.MOUNT_ATTR_RDONLY, 0, unix.MS_PRIVATE, false); err != nil {
		return err
	}
	return sys.Attach(fd, target)
}

// lock binds name over itself, read-only with all below it.
func (b *builder) lock(name string) error {
	target, err := b.root.Open(name, unix.O_PATH, 0)
	if err != nil {
		return nil // not there
	}
	defer unix.Close(target)
	fd, err := sys.CloneTree(target, "", true)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := sys.SetAttr(fd, unix.MOUNT_ATTR_RDONLY, 0, 0, true); err != nil {
		return err
	}
	return sys.Attach(fd, target)
}

// configure sets what the new namespaces keep: host name, sysctls, loopback.
func (b *builder) configure() error {
	if h := b.plan.Hostname; h != "" {
		if err := unix.Sethostname([]byte(h)); err != nil {
			return fmt.Errorf("set host name %q: %w", h, err)
		}
	}
	if d := b.plan.Domainname; d != "" {
		if err := unix.Setdomainname([]byte(d)); err != nil {
			return fmt.Errorf("set domain name %q: %w", d, err)
		}
	}
	if b.plan.Loopback {
		if err := loopbackUp(); err != nil {
			return fmt.Errorf("bring up lo: %w", err)
		}
	}
	for _, s := range b.plan.Sysctls {
		if err := b.sysctl(s.Key, s.Value); err != nil && !s.Default {
			return explainSysctl(fmt.Errorf("set sysctl %s=%s: %w", s.Key, s.Value, err))
		}
	}
	return nil
}

func explainSysctl(err error) error {
	switch {
	case errors.Is(err, unix.ENOENT):
		return hint.With(err, "this kernel has none of that name: sysctl -a lists those of the machine")
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ERANGE):
		return hint.With(err, "the kernel doesn't take this value")
	}
	return hint.With(err, "a user may set those of the container's own namespaces only: net.*, kernel.shm*, kernel.msg*, kernel.sem, fs.mqueue.*")
}

// sysctl writes below /proc/sys of the container's own proc. The file system is checked: an image may bring another /proc
// (CVE-2025-52881: writes redirected to a file of the attacker's choice).
func (b *builder) sysctl(key, value string) error {
	fd, err := b.root.Open("/proc/sys/"+strings.ReplaceAll(key, ".", "/"), unix.O_WRONLY, 0)
	if err != nil {
		return errors.Unwrap(err)
	}
	defer unix.Close(fd)
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err != nil {
		return err
	}
	if st.Type != unix.PROC_SUPER_MAGIC {
		return errors.New("/proc of the container is not a proc file system")
	}
	_, err = unix.Write(fd, []byte(value))
	return err
}

// loopbackUp sets IFF_UP on lo (netdevice(7)).
func loopbackUp() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, req)
}

// openTerminal makes the pty in the container's own devpts and sends the master to the outside. The slave comes from the
// master by TIOCGPTPEER, not from a path (CVE-2025-52565).
func (b *builder) openTerminal() error {
	if !b.plan.Process.Terminal {
		return nil
	}
	master, err := b.root.Open("/dev/pts/ptmx", unix.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("open terminal: %w", err)
	}
	defer unix.Close(master)
	var st unix.Statfs_t
	if err := unix.Fstatfs(master, &st); err != nil || st.Type != devptsMagic {
		return errors.New("open terminal: /dev/pts of the container is not a devpts file system")
	}
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		return fmt.Errorf("unlock terminal: %w", err)
	}
	slave, err := ioctl(master, unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if err != nil {
		return fmt.Errorf("open terminal: %w", err)
	}
	if err := b.console(slave); err != nil {
		return fmt.Errorf("mount /dev/console: %w", err)
	}
	for fd := 0; fd < 3; fd++ {
		if err := unix.Dup3(slave, fd, 0); err != nil {
			return fmt.Errorf("terminal as stdio: %w", err)
		}
	}
	return sys.Send(Sock, 't', master)
}

// console binds the slave on /dev/console, where docker's images expect it.
func (b *builder) console(slave int) error {
	fd, err := sys.CloneTree(slave, "", false)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	target, err := b.root.Target("/dev/console", true)
	if err != nil {
		return err
	}
	defer unix.Close(target)
	return sys.Attach(fd, target)
}

const devptsMagic = 0x1cd1 // linux/magic.h, DEVPTS_SUPER_MAGIC

func ioctl(fd int, req, arg uintptr) (int, error) {
	r, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), req, arg)
	if e != 0 {
		return -1, os.NewSyscallError("ioctl "+strconv.Itoa(int(req)), e)
	}
	return int(r), nil
}
