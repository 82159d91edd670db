package sys

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Names of sockets are used by a handle of their directory, since the address of a socket has room for 107 bytes only (unix(7)).

// Listen makes a listening socket with that name; an older one is replaced. It dies with whoever holds it, the name stays.
func Listen(path string) (*os.File, error) {
	var listener *os.File
	err := socket(path, func(fd int, address unix.Sockaddr) error {
		os.Remove(path)
		if err := unix.Bind(fd, address); err != nil {
			return os.NewSyscallError("bind", err)
		}
		if err := unix.Listen(fd, 16); err != nil {
			return os.NewSyscallError("listen", err)
		}
		listener = os.NewFile(uintptr(fd), path)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("make socket %s: %w", path, err)
	}
	return listener, nil
}

// Dial connects to it.
func Dial(path string) (*os.File, error) { return DialWithin(path, 0) }

// DialWithin connects to a socket that may be another program's: each step, connecting, reading and writing, fails with EAGAIN after
// that time (SO_RCVTIMEO, SO_SNDTIMEO in socket(7)); 0 is no limit.
func DialWithin(path string, limit time.Duration) (*os.File, error) {
	var conn *os.File
	err := socket(path, func(fd int, address unix.Sockaddr) error {
		if err := Patience(fd, limit); err != nil {
			return err
		}
		if err := unix.Connect(fd, address); err != nil {
			return os.NewSyscallError("connect", err)
		}
		conn = os.NewFile(uintptr(fd), path)
		return nil
	})
	return conn, err
}

func socket(path string, use func(fd int, address unix.Sockaddr) error) error {
	dir, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: filepath.Dir(path), Err: err}
	}
	defer unix.Close(dir)
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	short := "/proc/self/fd/" + strconv.Itoa(dir) + "/" + filepath.Base(path)
	if err := use(fd, &unix.SockaddrUnix{Name: short}); err != nil {
		unix.Close(fd)
		return err
	}
	return nil
}

// Patience sets how long each step on a blocking socket may take.
func Patience(fd int, limit time.Duration) error {
	tv := unix.NsecToTimeval(limit.Nanoseconds())
	for _, option := range []int{unix.SO_RCVTIMEO, unix.SO_SNDTIMEO} {
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, option, &tv); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	return nil
}
