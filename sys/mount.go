package sys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Option is one parameter of a file system: a key, and a value unless it is a flag (fsconfig(2)).
type Option struct{ Key, Value string }

// ErrOption: the file system doesn't have this option, or not this value.
var ErrOption = errors.New("wrong option")

// NewMount makes a new instance of a file system that is attached nowhere yet (fsopen(2), fsconfig, fsmount; Linux 5.2)
// and returns its descriptor. attr is a set of MOUNT_ATTR_*.
func NewMount(fstype string, options []Option, attr int) (int, error) {
	ctx, err := unix.Fsopen(fstype, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, mountError("fsopen", fstype, err)
	}
	defer unix.Close(ctx)
	// The name that mountinfo shows for the source.
	if len(options) == 0 || options[0].Key != "source" {
		options = append([]Option{{"source", fstype}}, options...)
	}
	for _, o := range options {
		if o.Value == "" {
			err = unix.FsconfigSetFlag(ctx, o.Key)
		} else {
			err = unix.FsconfigSetString(ctx, o.Key, o.Value)
		}
		if err != nil {
			return -1, mountError("set option "+o.Key+" of", fstype, fmt.Errorf("%w: %w", ErrOption, describe(ctx, err)))
		}
	}
	if err := unix.FsconfigCreate(ctx); err != nil {
		return -1, mountError("create", fstype, describe(ctx, err))
	}
	fd, err := unix.Fsmount(ctx, unix.FSMOUNT_CLOEXEC, attr)
	if err != nil {
		return -1, mountError("mount", fstype, describe(ctx, err))
	}
	return fd, nil
}

// describe adds what the kernel wrote to the file system context (fsopen(2): "error messages"); errors.Is still finds the errno.
func describe(ctx int, err error) error {
	buf := make([]byte, 512)
	n, rerr := unix.Read(ctx, buf)
	if rerr != nil || n < 3 {
		return err
	}
	return fmt.Errorf("%w (%s)", err, strings.TrimSpace(string(buf[2:n])))
}

// CloneTree makes a detached copy of the mount at path, with what is mounted below it if recursive (open_tree(2), Linux 5.2).
func CloneTree(dir int, path string, recursive bool) (int, error) {
	flags := uint(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC)
	if path == "" {
		flags |= unix.AT_EMPTY_PATH
	}
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	fd, err := unix.OpenTree(dir, path, flags)
	if err != nil {
		return -1, &fs.PathError{Op: "bind", Path: path, Err: err}
	}
	return fd, nil
}

// SetAttr changes the attributes and the propagation (MS_PRIVATE, MS_SLAVE, MS_SHARED or 0) of a mount, and of those below it
// if recursive (mount_setattr(2), Linux 5.12).
func SetAttr(fd int, set, clear, propagation uint64, recursive bool) error {
	flags := uint(unix.AT_EMPTY_PATH)
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	if set&unix.MOUNT_ATTR__ATIME != 0 {
		clear |= unix.MOUNT_ATTR__ATIME // a value of three, which is replaced as a whole
	}
	attr := unix.MountAttr{Attr_set: set, Attr_clr: clear, Propagation: propagation}
	return os.NewSyscallError("mount_setattr", unix.MountSetattr(fd, "", flags, &attr))
}

// Attach mounts the detached mount fd on target, an O_PATH handle: no path is resolved in between.
func Attach(fd, target int) error {
	return os.NewSyscallError("move_mount", unix.MoveMount(fd, "", target, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH))
}

// Pivot makes fd, the handle of a mount point, the root of the calling process's mount namespace and detaches the old one
// with all below it, without a directory to put it in (pivot_root(2), "pivot_root(".", ".")").
func Pivot(fd int) error {
	if err := unix.Fchdir(fd); err != nil {
		return os.NewSyscallError("fchdir", err)
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return os.NewSyscallError("pivot_root", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return os.NewSyscallError("umount2", err)
	}
	return os.NewSyscallError("chdir", unix.Chdir("/"))
}

// MoveRoot does it without pivot_root(2), which the kernel refuses on an initramfs: the mount fd goes over "/", and becomes the
// root directory by chroot(2). The old root stays below it, out of reach but not gone.
func MoveRoot(fd int) error {
	if err := unix.Fchdir(fd); err != nil {
		return os.NewSyscallError("fchdir", err)
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return os.NewSyscallError("mount MS_MOVE", err)
	}
	if err := unix.Chroot("."); err != nil {
		return os.NewSyscallError("chroot", err)
	}
	return os.NewSyscallError("chdir", unix.Chdir("/"))
}

func mountError(op, fstype string, err error) error {
	return fmt.Errorf("%s %s: %w", op, fstype, err)
}
