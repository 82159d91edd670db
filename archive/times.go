package archive

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// futimens is futimens(3): package unix has only the calls by name.
func futimens(fd int, t time.Time) error {
	ts := times(t)
	_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
