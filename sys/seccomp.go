package sys

import (
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// InstallFilter installs a classic BPF program (struct sock_filter, 8 bytes each) on the calling thread (seccomp(2)). The
// caller has no_new_privs set or CAP_SYS_ADMIN. The result is the listener of SECCOMP_FILTER_FLAG_NEW_LISTENER, else 0.
func InstallFilter(program []byte, flags uint) (listener int, err error) {
	prog := unix.SockFprog{Len: uint16(len(program) / 8), Filter: (*unix.SockFilter)(unsafe.Pointer(unsafe.SliceData(program)))}
	fd, _, e := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, uintptr(flags), uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(program)
	if e != 0 {
		return -1, os.NewSyscallError("seccomp", e)
	}
	return int(fd), nil
}
