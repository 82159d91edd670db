//go:build !amd64 && !arm64

package sys

import "syscall"

// sharing needs a vfork in assembly.
const sharing = 0

//go:norace
//go:nosplit
func vfork(nr, a, b, c uintptr) (result, errno uintptr) {
	r, _, e := syscall.RawSyscall6(nr, a, b, c, 0, 0, 0)
	return r, uintptr(e)
}
