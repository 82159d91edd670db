package enter

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/sys"
)

// cloneTheirs makes a detached copy of a mount of another mount namespace: the kernel makes one of the caller's own namespace only, so
// this thread goes there and comes back. What is there is in the hands of the container that lives there.
func cloneTheirs(namespace int, path string) (tree int, err error) {
	own, err := unix.Open("/proc/thread-self/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("open", err)
	}
	defer unix.Close(own)
	here, err := unix.Open(".", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("open", err)
	}
	defer unix.Close(here)
	// Root and working directory change with a mount namespace: no other thread may share them (setns(2)).
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return -1, os.NewSyscallError("unshare", err)
	}
	if err := unix.Setns(namespace, unix.CLONE_NEWNS); err != nil {
		return -1, os.NewSyscallError("setns", err)
	}
	tree, err = cloneStraight(path)
	if err := unix.Setns(own, unix.CLONE_NEWNS); err != nil {
		return -1, os.NewSyscallError("setns", err)
	}
	if err := unix.Fchdir(here); err != nil {
		return -1, os.NewSyscallError("fchdir", err)
	}
	return tree, err
}

// cloneStraight follows no link on the way.
func cloneStraight(path string) (int, error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS}
	fd, err := unix.Openat2(unix.AT_FDCWD, path, &how)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	return sys.CloneTree(fd, "", false)
}
