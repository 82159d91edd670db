package sys

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// SealFds marks all descriptors from first on close-on-exec (close_range(2), Linux 5.11): what the caller of rl leaked
// into it never reaches a container (CVE-2024-21626).
func SealFds(first uint) error {
	return os.NewSyscallError("close_range", unix.CloseRange(first, ^uint(0)>>1, unix.CLOSE_RANGE_CLOEXEC))
}

// Keep lets the next program of this process have f, and returns its number there; -1 for nil.
func Keep(f *os.File) int {
	if f == nil {
		return -1
	}
	fd := -1
	if conn, err := f.SyscallConn(); err == nil {
		conn.Control(func(n uintptr) {
			unix.FcntlInt(n, unix.F_SETFD, 0)
			fd = int(n)
		})
	}
	return fd
}

// Inherited counts the descriptors from 3 on that the caller passed, up to the first that is not open, or is the Go runtime's own: those
// are close-on-exec. It is asked before SealFds.
func Inherited() int {
	n := 0
	for {
		if flags, err := unix.FcntlInt(uintptr(3+n), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC != 0 {
			return n
		}
		n++
	}
}

// SocketPair returns two ends of a stream, both close-on-exec.
func SocketPair() (a, b *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	return os.NewFile(uintptr(fds[0]), "parent"), os.NewFile(uintptr(fds[1]), "child"), nil
}

// Send writes one byte that carries descriptors (unix(7), SCM_RIGHTS).
func Send(sock int, b byte, fds ...int) error {
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	for {
		err := unix.Sendmsg(sock, []byte{b}, oob, nil, unix.MSG_NOSIGNAL)
		if err != unix.EINTR {
			return os.NewSyscallError("sendmsg", err)
		}
	}
}

// Recv reads one byte and the descriptors that came with it, close-on-exec. The other side's end is io.EOF.
func Recv(sock int) (byte, []int, error) {
	buf, oob := make([]byte, 1), make([]byte, unix.CmsgSpace(4*4))
	n, oobn, _, _, err := unix.Recvmsg(sock, buf, oob, unix.MSG_CMSG_CLOEXEC)
	for err == unix.EINTR {
		n, oobn, _, _, err = unix.Recvmsg(sock, buf, oob, unix.MSG_CMSG_CLOEXEC)
	}
	// A peer that died with unread input resets the connection: its end, too.
	if n == 0 && err == nil || errors.Is(err, unix.ECONNRESET) {
		return 0, nil, io.EOF
	}
	if err != nil {
		return 0, nil, os.NewSyscallError("recvmsg", err)
	}
	fds, err := rights(oob[:oobn])
	return buf[0], fds, err
}

func rights(oob []byte) ([]int, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	var all []int
	for i := range msgs {
		fds, err := unix.ParseUnixRights(&msgs[i])
		if err != nil {
			return nil, err
		}
		all = append(all, fds...)
	}
	return all, nil
}
