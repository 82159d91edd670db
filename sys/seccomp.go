package sys

import (
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// InstallFilter installs a classic BPF program (struct sock_filter, 8 bytes each) on the calling thread (seccomp(2)). The
// caller has no_new_privs set or CAP_SYS_ADMIN.
func InstallFilter(program []byte) error {
	prog := unix.SockFprog{Len: uint16(len(program) / 8), Filter: (*unix.SockFilter)(unsafe.Pointer(unsafe.SliceData(program)))}
	_, _, e := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(program)
	if e != 0 {
		return os.NewSyscallError("seccomp", e)
	}
	return nil
}
