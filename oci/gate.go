package oci

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// The gate is a listening socket that the waiting process of a created container has, and whose name is in the state directory:
// start connects to it. It dies with the process. Names are used by a handle of their directory, since the address of a socket
// has room for 107 bytes only (unix(7)).

func listen(path string) (*os.File, error) {
	var listener *os.File
	err := socket(path, func(fd int, address unix.Sockaddr) error {
		os.Remove(path)
		if err := unix.Bind(fd, address); err != nil {
			return os.NewSyscallError("bind", err)
		}
		if err := unix.Listen(fd, 1); err != nil {
			return os.NewSyscallError("listen", err)
		}
		listener = os.NewFile(uintptr(fd), path)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("make gate %s: %w", path, err)
	}
	return listener, nil
}

func dial(path string) (*os.File, error) {
	var conn *os.File
	err := socket(path, func(fd int, address unix.Sockaddr) error {
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
