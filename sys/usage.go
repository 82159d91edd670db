package sys

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// DiskUsage is how many bytes of disk the tree at path takes, files with several names counted once (du(1)); it follows no symlink.
// complete is false when something in it is closed to the caller, and not counted. What isn't there takes nothing.
func DiskUsage(path string) (bytes int64, complete bool) {
	u := &usage{seen: map[[2]uint64]bool{}}
	u.add(unix.AT_FDCWD, path)
	return u.bytes, !u.closed
}

// FileSizes is how long the files of the tree are together, as ls -l shows it: a directory counts nothing, a hole all that it spans.
func FileSizes(path string) (bytes int64, complete bool) {
	u := &usage{seen: map[[2]uint64]bool{}, lengths: true}
	u.add(unix.AT_FDCWD, path)
	return u.bytes, !u.closed
}

type usage struct {
	bytes   int64
	closed  bool
	lengths bool // of the files, instead of their blocks
	seen    map[[2]uint64]bool
}

func (u *usage) add(dir int, name string) {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		u.closed = u.closed || !errors.Is(err, unix.ENOENT)
		return
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		if !u.lengths {
			u.bytes += st.Blocks * 512
		}
		u.below(dir, name)
		return
	}
	if st.Nlink > 1 {
		key := [2]uint64{uint64(st.Dev), st.Ino}
		if u.seen[key] {
			return
		}
		u.seen[key] = true
	}
	if u.lengths {
		u.bytes = max(u.bytes, u.bytes+st.Size) // not over the edge: a container's files may be holes of any length
	} else {
		u.bytes += st.Blocks * 512
	}
}

func (u *usage) below(dir int, name string) {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		u.closed = true
		return
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	for {
		names, err := f.Readdirnames(1024)
		for _, n := range names {
			u.add(fd, n)
		}
		if err != nil {
			u.closed = u.closed || err != io.EOF
			return
		}
	}
}
