package sys

import (
	"bytes"
	"encoding/binary"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Populate gets the memory of a long new slice from the kernel by one call (madvise(2), MADV_POPULATE_WRITE, Linux 5.14), and not by
// a page fault for every 4 KiB of it: virtual machines are known where each costs 20 µs, twenty times as much. Contents stay as
// they are; where the kernel has no such call nothing is gained or lost. T holds whatever the garbage collector knows of.
func Populate[T any](s []T) {
	if cap(s) == 0 {
		return
	}
	page := uintptr(os.Getpagesize())
	from := (uintptr(unsafe.Pointer(unsafe.SliceData(s))) + page - 1) &^ (page - 1)
	to := (uintptr(unsafe.Pointer(unsafe.SliceData(s))) + uintptr(cap(s))*unsafe.Sizeof(*new(T))) &^ (page - 1)
	if to > from && to-from >= 8*page {
		unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_POPULATE_WRITE)
	}
}

// MapFile shows a file as a string without copying it. It stays mapped for the life of the process, so it is for files that are read
// once and are only ever replaced: of one that is cut short while it is read, the kernel would send SIGBUS.
func MapFile(path string) (string, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Size == 0 || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return "", err
	}
	b, err := unix.Mmap(fd, 0, int(st.Size), unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_POPULATE)
	if err != nil {
		return "", &os.PathError{Op: "map", Path: path, Err: err}
	}
	return unsafe.String(unsafe.SliceData(b), len(b)), nil
}

// Names are those of all entries of a directory, in the order of the kernel, as pieces of one text.
func Names(dir *os.File) ([]string, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(dir.Fd()), &st); err != nil {
		return nil, os.NewSyscallError("fstat", err)
	}
	// On most file systems the size is about that of the answer.
	buf := make([]byte, 0, min(max(st.Size+st.Size/4, 16<<10), 16<<20))
	Populate(buf)
	for {
		if cap(buf)-len(buf) < 4096 {
			buf = append(make([]byte, 0, 4*cap(buf)), buf...)
		}
		n, err := unix.Getdents(int(dir.Fd()), buf[len(buf):cap(buf)])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, os.NewSyscallError("getdents64", err)
		}
		if n == 0 {
			break
		}
		buf = buf[:len(buf)+n]
	}
	names := make([]string, 0, len(buf)/64)
	for len(buf) >= direntName {
		size := int(binary.NativeEndian.Uint16(buf[direntSize:]))
		name := buf[direntName:size]
		name = name[:max(0, bytes.IndexByte(name, 0))]
		if buf = buf[size:]; string(name) != "." && string(name) != ".." {
			names = append(names, unsafe.String(unsafe.SliceData(name), len(name)))
		}
	}
	return names, nil
}

// Offsets in struct linux_dirent64 (getdents64(2)).
const (
	direntSize = 16
	direntName = 19
)
