package seccomp

import "golang.org/x/sys/unix"

// do80 is only asked for by the tests of amd64.
func do80(kcall) unix.Errno { return unix.ENOSYS }
