package enter

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/sys"
)

// builder holds the handles from which the root file system is put together.
type builder struct {
	plan    *Plan
	sources []int // handles of what the Bind mounts show, by index of Plan.Mounts
	root    *sys.Root
	scratch int // a small tmpfs for Plan.Files and for the masks
}

// missing stands for the source of an optional mount that this machine doesn't have.
const missing = -2

// inside stands for a source in the root file system, which a mount before may have to make: it is opened below the root, then.
const inside = -3

// openSources opens all that is taken from the host: before anything of the image is in the tree, and as the caller.
func (b *builder) openSources() (err error) {
	b.sources = make([]int, len(b.plan.Mounts))
	for i, m := range b.plan.Mounts {
		if m.Kind != Bind {
			continue
		}
		if m.Volume != nil {
			if b.sources[i], err = unix.Open(m.Source, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0); err != nil {
				return fmt.Errorf("mount %s: open volume: %w", m.Target, err)
			}
			continue
		}
		if b.plan.Root.Kind == Bind && strings.HasPrefix(m.Source, b.plan.Root.Dir+"/") {
			b.sources[i] = inside
			continue
		}
		if m.Namespace > 0 {
			if b.sources[i], err = cloneTheirs(m.Namespace, m.Source); err != nil {
				return fmt.Errorf("mount %s: take it from the other container: %w", m.Target, err)
			}
			continue
		}
		b.sources[i], err = openSource(m.Source)
		if err != nil && m.Optional != "" {
			b.sources[i], err = missing, nil
		}
		if err != nil {
			return explainSource(m, err)
		}
	}
	return nil
}

func openSource(path string) (int, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "bind", Path: path, Err: err}
	}
	return fd, nil
}

func explainSource(m Mount, err error) error {
	err = fmt.Errorf("mount %s: %w", m.Target, err)
	switch {
	case errors.Is(err, unix.ENOENT):
		return hint.With(err, "the source must exist on this machine: mkdir -p '"+m.Source+"'")
	case errors.Is(err, unix.EACCES):
		return hint.With(err, "you have no right to read '"+m.Source+"': ls -ld it and the directories above it")
	case errors.Is(err, unix.EINVAL) && !m.Recursive:
		return hint.With(err, "there are mounts below the source that a user may not uncover: use rbind instead of bind")
	}
	return err
}

// mountRoot attaches the scratch tmpfs and, over it, the root file system on the container's own directory: both are
// seen only in this mount namespace, and pivot takes the upper one as the new root.
func (b *builder) mountRoot() error {
	r := &b.plan.Root
	if r.Cut {
		if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("make mounts private: %w", err)
		}
	}
	dir, err := unix.Open(r.Dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return explainRoot(r, err)
	}
	defer unix.Close(dir)
	var bind int
	if r.Kind == Bind {
		if bind, err = sys.CloneTree(dir, "", true); err != nil {
			return explainRoot(r, err)
		}
	}
	b.scratch, err = sys.NewMount("tmpfs", []sys.Option{{Key: "mode", Value: "0755"}, {Key: "size", Value: "4m"},
		// Not the caller's, who may have no id inside (--userns=nomap).
		{Key: "uid", Value: strconv.Itoa(b.plan.Owner.UID)}, {Key: "gid", Value: strconv.Itoa(b.plan.Owner.GID)}},
		unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
	if err != nil {
		return err
	}
	if err := sys.Attach(b.scratch, dir); err != nil {
		return fmt.Errorf("attach scratch tmpfs: %w", err)
	}
	switch r.Kind {
	case Bind:
		err = attachBind(bind, dir, r.Devices)
	case Fuse:
		err = mountFuse(dir, b.plan.Owner)
	default:
		err = mountOverlay(r, dir)
	}
	if err != nil {
		return explainRoot(r, err)
	}
	b.root, err = sys.OpenRoot(r.Dir)
	return err
}

func attachBind(fd, dir int, devices bool) error {
	set := uint64(unix.MOUNT_ATTR_NODEV)
	if devices {
		set = 0
	}
	if err := sys.SetAttr(fd, set, 0, unix.MS_PRIVATE, true); err != nil {
		return err
	}
	return sys.Attach(fd, dir)
}

// mountOverlay mounts the layers as native overlay (Linux 5.11: userxattr, in a user namespace) over dir. volatile:
// without it the unmount would sync the whole upper file system. mount(2) and not fsconfig(2), which takes only 256
// bytes a value and has lowerdir+ since Linux 6.8 only.
func mountOverlay(r *RootFS, dir int) error {
	if err := unix.Chdir(r.Base); err != nil {
		return fmt.Errorf("open image store %s: %w", r.Base, err)
	}
	// A descriptor's name instead of the path: the container reads these options in its mountinfo.
	at := "/proc/self/fd/" + strconv.Itoa(dir)
	lower := make([]string, len(r.Lower))
	for i, l := range r.Lower {
		lower[i] = strings.NewReplacer(`\`, `\\`, `:`, `\:`, `,`, `\,`).Replace(l)
	}
	data := "lowerdir=" + strings.Join(lower, ":") + ",upperdir=" + at + "/upper,workdir=" + at + "/work,userxattr,volatile"
	if r.Look {
		data = "lowerdir=" + at + "/upper:" + strings.Join(lower, ":") + ",userxattr"
	}
	if len(data) >= os.Getpagesize() {
		return fmt.Errorf("%d layers need %d bytes of mount options, the kernel takes %d", len(lower), len(data), os.Getpagesize()-1)
	}
	// Read-only comes last, in pivot: mount points are still to be made in it.
	return os.NewSyscallError("mount overlay", unix.Mount("overlay", at, "overlay", unix.MS_NODEV, data))
}

// mountFuse mounts a FUSE file system over dir and hands its descriptor to the outside, which serves it by
// fuse-overlayfs. The kernel wants the descriptor opened in the user namespace that mounts (fs/fuse/inode.c).
func mountFuse(dir int, owner Owner) error {
	dev, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return hint.With(fmt.Errorf("open /dev/fuse: %w", err), "as root: modprobe fuse && chmod 666 /dev/fuse")
	}
	defer unix.Close(dev)
	data := fmt.Sprintf("fd=%d,rootmode=40000,user_id=%d,group_id=%d,allow_other,default_permissions", dev, owner.UID, owner.GID)
	at := "/proc/self/fd/" + strconv.Itoa(dir)
	if err := unix.Mount("fuse-overlayfs", at, "fuse.fuse-overlayfs", unix.MS_NODEV, data); err != nil {
		return os.NewSyscallError("mount fuse", err)
	}
	return sys.Send(Sock, 'f', dev)
}

// errRefused tells the outside that another way of mounting may do.
var errRefused = errors.New("overlay is not possible on this kernel or file system")

func explainRoot(r *RootFS, err error) error {
	err = fmt.Errorf("mount root file system: %w", err)
	if r.Kind != Overlay {
		return err
	}
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EINVAL), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENODEV):
		return hint.With(fmt.Errorf("%w (%w)", err, errRefused), "as root: apt-get install fuse-overlayfs, and rl uses that (see rl doctor)")
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ESTALE):
		return hint.With(err, "a layer of the image is gone: rl pull it again")
	}
	return err
}

// becomeRoot makes the process the container's root, whoever the caller is mapped to, so that what it makes belongs to it. A
// namespace may have no root (EINVAL): the process then stays who it is.
func (p *Plan) becomeRoot() error {
	if err := rawSetresgid(p.Owner.GID); err != nil && err != unix.EINVAL {
		return fmt.Errorf("become root of the user namespace: setresgid: %w", err)
	}
	if err := rawSetresuid(p.Owner.UID); err != nil && err != unix.EINVAL {
		return fmt.Errorf("become root of the user namespace: setresuid: %w", err)
	}
	unix.Umask(0o022)
	return nil
}

// The raw calls change this thread only; x/sys's would change all threads by signals, for nothing.
func rawSetresuid(uid int) error {
	return errno(unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)))
}

func rawSetresgid(gid int) error {
	return errno(unix.RawSyscall(unix.SYS_SETRESGID, uintptr(gid), uintptr(gid), uintptr(gid)))
}

func errno(_, _ uintptr, e unix.Errno) error {
	if e != 0 {
		return e
	}
	return nil
}

// pivot makes the new tree "/" and lets go of the host's.
func (b *builder) pivot() error {
	enter := sys.Pivot
	if b.plan.Root.NoPivot {
		enter = sys.MoveRoot
	}
	if err := enter(b.root.Fd()); err != nil {
		return fmt.Errorf("enter root file system: %w", err)
	}
	if p := b.plan.Root.Propagation; p != 0 {
		if err := sys.SetAttr(b.root.Fd(), 0, 0, p&^unix.MS_REC, p&unix.MS_REC != 0); err != nil {
			return fmt.Errorf("set propagation of root file system: %w", err)
		}
	}
	if !b.plan.Root.ReadOnly {
		return nil
	}
	if err := sys.SetAttr(b.root.Fd(), unix.MOUNT_ATTR_RDONLY, 0, 0, false); err != nil {
		return fmt.Errorf("make root file system read-only: %w", err)
	}
	return nil
}
