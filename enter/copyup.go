package enter

import (
	"errors"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// copier copies a tree of the image to an empty directory: a tmpfs, a volume. The image is hostile: every entry is opened by its
// name in the handle of its directory, no symlink is followed, no mount entered (openat2(2), RESOLVE_NO_XDEV), and devices and
// sockets are left out.
type copier struct {
	top int // where the copy begins
	// links are the first names, below top, of files that have several.
	links map[inode]string
}

type inode struct{ dev, ino uint64 }

// copyUp copies the content of the directory behind the O_PATH handle from to the directory to, which may be a detached mount:
// directories, files, symlinks and FIFOs, with mode (setuid, too), owner, times and extended attributes. Nothing is copied from
// what isn't a directory.
func copyUp(from, to int) error {
	src, err := unix.Openat(from, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOTDIR) {
		return nil
	}
	if err != nil {
		return err
	}
	c := &copier{top: to, links: map[inode]string{}}
	return c.dir(src, to, "")
}

// dir copies the entries of src, which it closes, to dst. below is the path of dst from the top, with a slash behind.
func (c *copier) dir(src, dst int, below string) error {
	dir := os.NewFile(uintptr(src), "directory of the image")
	defer dir.Close()
	var st unix.Stat_t
	if err := unix.Fstat(src, &st); err != nil {
		return err
	}
	for {
		names, err := dir.Readdirnames(1024) // not all at once: there may be millions
		for _, name := range names {
			if err := c.entry(src, dst, below, name); err != nil {
				return &os.PathError{Op: "copy from the image", Path: below + name, Err: err}
			}
		}
		if err == io.EOF {
			return finish(dst, ".", &st)
		}
		if err != nil {
			return err
		}
	}
}

func (c *copier) entry(src, dst int, below, name string) error {
	var st unix.Stat_t
	if err := unix.Fstatat(src, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return c.subdir(src, dst, below, name)
	case unix.S_IFREG:
		return c.file(src, dst, below, name, &st)
	case unix.S_IFLNK:
		buf := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(src, name, buf)
		if err != nil {
			return err
		}
		if err := unix.Symlinkat(string(buf[:n]), dst, name); err != nil {
			return err
		}
		return finish(dst, name, &st)
	case unix.S_IFIFO:
		if err := unix.Mknodat(dst, name, unix.S_IFIFO|0o600, 0); err != nil {
			return err
		}
		return finish(dst, name, &st)
	}
	return nil
}

// openEntry opens an entry of a directory of the image, unless it is a symlink or something is mounted on it.
func openEntry(dir int, name string, flags uint64) (int, error) {
	for {
		fd, err := unix.Openat2(dir, name, &unix.OpenHow{Flags: flags | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC,
			Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV})
		if err != unix.EAGAIN && err != unix.EINTR {
			return fd, err
		}
	}
}

func (c *copier) subdir(src, dst int, below, name string) error {
	in, err := openEntry(src, name, unix.O_RDONLY|unix.O_DIRECTORY)
	if err == unix.EXDEV {
		return nil // a mount of the container's, not the image's
	}
	if err != nil {
		return err
	}
	if err := unix.Mkdirat(dst, name, 0o700); err != nil {
		unix.Close(in)
		return err
	}
	out, err := unix.Openat(dst, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		unix.Close(in)
		return err
	}
	defer unix.Close(out)
	return c.dir(in, out, below+name+"/")
}

func (c *copier) file(src, dst int, below, name string, st *unix.Stat_t) error {
	if st.Nlink > 1 {
		if c.link(dst, below, name, st) {
			return nil
		}
	}
	fd, err := openEntry(src, name, unix.O_RDONLY)
	if err == unix.EXDEV {
		return nil
	}
	if err != nil {
		return err
	}
	in := os.NewFile(uintptr(fd), name)
	defer in.Close()
	out, err := unix.Openat(dst, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	to := os.NewFile(uintptr(out), name)
	defer to.Close()
	if err := copyData(in, to, st.Size); err != nil {
		return err
	}
	if err := finish(dst, name, st); err != nil {
		return err
	}
	return copyAttributes(fd, out)
}

// link makes name a further name of a file that was copied before; false when this is its first.
func (c *copier) link(dst int, below, name string, st *unix.Stat_t) bool {
	key := inode{uint64(st.Dev), st.Ino}
	first, again := c.links[key]
	if !again {
		c.links[key] = below + name
		return false
	}
	return unix.Linkat(c.top, first, dst, name, 0) == nil // a path that is too long, too many links: then it is a copy
}

// copyData copies what is there of a file and leaves its holes.
func copyData(in, out *os.File, size int64) error {
	for at := int64(0); at < size; {
		data, err := unix.Seek(int(in.Fd()), at, unix.SEEK_DATA)
		switch {
		case err == unix.ENXIO: // a hole up to the end
			return out.Truncate(size)
		case err != nil: // a file system without the notion
			data = at
		}
		hole, err := unix.Seek(int(in.Fd()), data, unix.SEEK_HOLE)
		if err != nil || hole <= data {
			hole = size
		}
		if _, err := in.Seek(data, io.SeekStart); err != nil {
			return err
		}
		if _, err := out.Seek(data, io.SeekStart); err != nil {
			return err
		}
		n, err := io.CopyN(out, in, hole-data)
		if err != nil && err != io.EOF {
			return err
		}
		if n == 0 {
			break
		}
		at = data + n
	}
	return out.Truncate(size)
}

// finish gives the entry name of dst the owner, mode and times of st. Names and not descriptors, since that of a mount that is
// attached nowhere is an O_PATH one (fsmount(2)).
func finish(dst int, name string, st *unix.Stat_t) error {
	err := unix.Fchownat(dst, name, int(st.Uid), int(st.Gid), unix.AT_SYMLINK_NOFOLLOW)
	if err != nil && err != unix.EINVAL { // an id that isn't mapped stays what it is
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFLNK {
		// After the owner: chown(2) takes the setuid bit.
		if err := unix.Fchmodat(dst, name, st.Mode&0o7777, 0); err != nil {
			return err
		}
	}
	times := []unix.Timespec{st.Atim, st.Mtim}
	unix.UtimesNanoAt(dst, name, times, unix.AT_SYMLINK_NOFOLLOW)
	return nil
}

// copyAttributes copies a file's extended attributes: capabilities, access lists, the user's. A file system that has none of a
// kind, or a label that is the host's business, is no failure.
func copyAttributes(from, to int) error {
	names, err := listAttributes(from)
	if err != nil {
		return err
	}
	for _, name := range names {
		if name == "" || strings.HasPrefix(name, "security.") && name != "security.capability" || strings.HasPrefix(name, "user.overlay.") {
			continue
		}
		value := make([]byte, 65536) // XATTR_SIZE_MAX
		n, err := unix.Fgetxattr(from, name, value)
		if err == nil {
			err = unix.Fsetxattr(to, name, value[:n], 0)
		}
		switch err {
		case nil, unix.ENOTSUP, unix.EPERM, unix.EINVAL, unix.ENODATA:
		default:
			return &os.PathError{Op: "copy attribute", Path: name, Err: err}
		}
	}
	return nil
}

func listAttributes(fd int) ([]string, error) {
	size, err := unix.Flistxattr(fd, nil)
	if err == unix.ENOTSUP || err == nil && size == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	list := make([]byte, size)
	if size, err = unix.Flistxattr(fd, list); err != nil {
		return nil, err
	}
	return strings.Split(string(list[:size]), "\x00"), nil
}
