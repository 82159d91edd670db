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
	if errors.Is(err, sys.ErrOption) {
		return false
	}
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

func (b *builder) mount(m *Mount, source int) (err error) {
	switch m.Kind {
	case Link:
		return b.link(m)
	case Node:
		return b.node(m)
	}
	if m.NoLink {
		if err := b.noLink(m.Target); err != nil {
			return err
		}
	}
	if m.IfDir && !b.isDir(path.Dir(m.Target)) || source == missing {
		return nil
	}
	if source == inside {
		if source, err = b.root.Open(strings.TrimPrefix(m.Source, b.plan.Root.Dir), unix.O_PATH, 0); err != nil {
			return err
		}
	}
	if m.Volume != nil {
		if source, err = b.volume(m, source); err != nil {
			return err
		}
	}
	copied := m.CopyUp && b.isDir(m.Target)
	if m.KeepMode {
		m.Options = append(m.Options, b.modeOf(m.Target)...)
	}
	fd, file, err := b.detached(m, source)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	target, err := b.place(m, file)
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

// place is the handle of what is mounted on.
func (b *builder) place(m *Mount, file bool) (int, error) {
	if m.OnLink {
		if fd, err := b.root.Open(m.Target, unix.O_PATH|unix.O_NOFOLLOW, 0); err == nil {
			return fd, nil
		}
	}
	return b.root.Target(m.Target, file)
}

func (b *builder) modeOf(name string) []sys.Option {
	fd, err := b.root.Open(name, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return nil
	}
	return []sys.Option{{Key: "mode", Value: strconv.FormatUint(uint64(st.Mode&0o7777), 8)}}
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
		if err != nil && m.Fallback != "" && refused(err) {
			fd, err = bindInstead(m)
		}
		if err == nil && m.Propagation != 0 {
			err = setPropagation(fd, m)
		}
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
	// The copy is made now: the order of the mounts, which programs see in mountinfo, is that in which they are made.
	if m.Namespace == 0 { // else it is one
		handle := source
		source, err = sys.CloneTree(handle, "", m.Recursive)
		unix.Close(handle)
		if err != nil {
			return -1, false, explainSource(*m, err)
		}
	}
	if m.Device != 0 && (st.Rdev != m.Device || st.Mode&unix.S_IFMT != m.Mode&unix.S_IFMT) {
		return -1, false, fmt.Errorf("%s of this machine is another device than %d:%d", m.Source, unix.Major(m.Device), unix.Minor(m.Device))
	}
	if m.DeepAttr|m.DeepClear != 0 {
		if err := sys.SetAttr(source, m.DeepAttr, m.DeepClear, 0, true); err != nil {
			return -1, false, explainAttr(err)
		}
	}
	if m.Attr|m.Clear != 0 {
		if err := setAttr(source, m); err != nil {
			return -1, false, explainAttr(err)
		}
	}
	if m.Propagation != 0 {
		if err := setPropagation(source, m); err != nil {
			return -1, false, explainAttr(err)
		}
	}
	return source, st.Mode&unix.S_IFMT != unix.S_IFDIR, nil
}

// setAttr changes a bind mount. When access times are recorded belongs to whoever mounted the source: in a user namespace the
// kernel locks it (mount_namespaces(7), "Restrictions on mount namespaces"), and it stays as it is.
func setAttr(fd int, m *Mount) error {
	err := sys.SetAttr(fd, m.Attr, m.Clear, 0, m.Recursive && !m.Shallow)
	if rest := m.Attr &^ unix.MOUNT_ATTR__ATIME; errors.Is(err, unix.EPERM) && rest != m.Attr {
		err = sys.SetAttr(fd, rest, m.Clear, 0, m.Recursive && !m.Shallow)
	}
	return err
}

func setPropagation(fd int, m *Mount) error {
	return sys.SetAttr(fd, 0, 0, m.Propagation&^unix.MS_REC, m.Recursive && !m.Shallow || m.Propagation&unix.MS_REC != 0)
}

// bindInstead takes the host's own, read-only, for a file system that this namespace may not have an instance of.
func bindInstead(m *Mount) (int, error) {
	fd, err := sys.CloneTree(unix.AT_FDCWD, m.Fallback, true)
	if err != nil {
		return -1, err
	}
	return fd, sys.SetAttr(fd, unix.MOUNT_ATTR_RDONLY|m.Attr, 0, unix.MS_SLAVE, true)
}

// noLink: the last component of target, if it is there, is no symlink.
func (b *builder) noLink(target string) error {
	fd, err := b.root.Open(target, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil // made when it is mounted on
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return hint.Errorf("the image is broken or hostile", "%s of the root file system is a symlink: it must be mounted on ordinary directory", target)
	}
	return nil
}

// node makes a device or a FIFO; where the kernel gives no right to, the host's device is bound.
func (b *builder) node(m *Mount) error {
	dir, base := path.Split(m.Target)
	fd, err := b.root.Target(dir, false)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	err = unix.Mknodat(fd, base, m.Mode, int(m.Device))
	if err == unix.EEXIST {
		unix.Unlinkat(fd, base, 0)
		err = unix.Mknodat(fd, base, m.Mode, int(m.Device))
	}
	if err == nil {
		if err = unix.Fchmodat(fd, base, m.Mode&0o7777, 0); err == nil {
			err = unix.Fchownat(fd, base, m.UID, m.GID, unix.AT_SYMLINK_NOFOLLOW)
		}
		return err
	}
	if m.Mode&unix.S_IFMT == unix.S_IFIFO {
		return os.NewSyscallError("mknod", err)
	}
	source, err := openSource(m.Source)
	if err != nil {
		return hint.With(err, "without root a device can only be shown as the host has it")
	}
	bind := *m
	bind.Kind = Bind
	return b.mount(&bind, source)
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
	return unix.Openat(b.scratch, name, unix.O_PATH|unix.O_CLOEXEC, 0)
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
	if b.plan.ReadOnlyDev {
		if err := b.readOnly("/dev"); err != nil {
			return fmt.Errorf("make /dev read-only: %w", err)
		}
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

// readOnly makes the mount at name read-only, what is mounted below it not.
func (b *builder) readOnly(name string) error {
	target, err := b.root.Open(name, unix.O_PATH, 0)
	if err != nil {
		return err
	}
	defer unix.Close(target)
	return sys.SetAttr(target, unix.MOUNT_ATTR_RDONLY, 0, 0, false)
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
	if b.plan.NewTime {
		if err := newTime(b.plan.TimeOffsets); err != nil {
			return fmt.Errorf("make time namespace: %w", err)
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
	if err := isProc(fd); err != nil {
		return err
	}
	_, err = unix.Write(fd, []byte(value))
	return err
}

// newTime makes the time namespace of this thread's children and of what it executes (Linux 6.3), whose clocks are set while
// nobody is in it.
func newTime(offsets string) error {
	if err := unix.Unshare(unix.CLONE_NEWTIME); err != nil {
		return os.NewSyscallError("unshare", err)
	}
	if offsets == "" {
		return nil
	}
	// By the number of the thread: /proc/thread-self has no such file, and /proc/self is the first thread's.
	self, err := os.Readlink("/proc/thread-self")
	if err != nil {
		return err
	}
	return os.WriteFile("/proc/"+path.Base(self)+"/timens_offsets", []byte(offsets), 0)
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
	if size := b.plan.Process.ConsoleSize; size != nil {
		unix.IoctlSetWinsize(master, unix.TIOCSWINSZ, &unix.Winsize{Row: size[0], Col: size[1]})
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
	if b.plan.Enter {
		return nil // it is the first process's
	}
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
