package archive

import (
	"archive/tar"
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
)

// PackOptions say what a stream holds.
type PackOptions struct {
	// Name is the name of the top entry in the archive; "." for the contents of a directory, "" for those without an entry of the
	// directory itself.
	Name string
	// OneMount leaves out what is in other mounts than that of the top entry: their mount points are empty.
	OneMount bool
	// Owner translates owners; nil takes them as they are.
	Owner func(uid, gid int) (int, int, error)
	// Warn gets a line for what an archive can't hold.
	Warn func(string)
}

const bufferSize = 256 << 10

type packer struct {
	PackOptions
	tar *tar.Writer
	buf []byte
	// links are the names of the files with several links, by device and inode.
	links map[[2]uint64]string
	mount uint64
	// whole seconds only, in layers, as other tools write them.
	whole bool
}

func newPacker(w io.Writer, o PackOptions) *packer {
	return &packer{PackOptions: o, tar: tar.NewWriter(w), buf: make([]byte, bufferSize), links: map[[2]uint64]string{}}
}

// Pack writes the tree at p. Nothing is kept in memory but the names of hard links.
func Pack(w io.Writer, p *Place, o PackOptions) error {
	b := bufio.NewWriterSize(w, bufferSize)
	k := newPacker(b, o)
	if o.OneMount {
		k.mount = mountOf(p.Dir, p.Name)
	}
	if p.IsDir() && kernelFS(p.Dir, p.Name) {
		return hint.Errorf("rl exec CONTAINER cat shows a file of it", "%s is on a file system of the kernel, which has no files to copy", p.Name)
	}
	if err := k.entry(p.Dir, p.Name, o.Name, p.Stat.Dev); err != nil {
		return readerGone(err)
	}
	return k.finish(b)
}

func (k *packer) finish(b *bufio.Writer) error {
	if err := k.tar.Close(); err != nil {
		return readerGone(err)
	}
	return readerGone(b.Flush())
}

func readerGone(err error) error {
	if errors.Is(err, unix.EPIPE) {
		return fmt.Errorf("%w: %w", ErrReader, err)
	}
	return err
}

// entry writes what is at name in dir, under the name as. dev is the device of the directory above.
func (k *packer) entry(dir int, name, as string, dev uint64) error {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &fs.PathError{Op: "stat", Path: as, Err: err}
	}
	switch kind(&st) {
	case unix.S_IFDIR:
		return k.dir(dir, name, as, dev)
	case unix.S_IFREG:
		return k.file(dir, name, as)
	case unix.S_IFSOCK:
		k.Warn(as + ": a socket is left out, which an archive can't hold")
		return nil
	}
	h, err := k.header(&st, as, -1)
	if err != nil {
		return err
	}
	if kind(&st) == unix.S_IFLNK {
		if h.Linkname, err = readlink(dir, name); err != nil {
			return &fs.PathError{Op: "read link", Path: as, Err: err}
		}
	}
	return k.tar.WriteHeader(h)
}

// below writes the entries of a directory. One that vanished since it was listed is no failure.
func (k *packer) below(fd int, as string, dev uint64) error {
	names, err := list(fd)
	if err != nil {
		return &fs.PathError{Op: "read directory", Path: as, Err: err}
	}
	for _, name := range names {
		under := as + "/" + name
		if as == "" {
			under = name
		}
		err := k.entry(fd, name, under, dev)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// list returns the names in the directory fd, sorted.
func list(fd int) ([]string, error) {
	again, err := beneath(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(again), "directory")
	defer f.Close()
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

// openStat opens an entry of a directory, which errors call as, and looks at what it got.
func openStat(dir int, name, as string, flags uint64) (fd int, st unix.Stat_t, err error) {
	if fd, err = beneath(dir, name, flags); err != nil {
		return -1, st, &fs.PathError{Op: "open", Path: as, Err: err}
	}
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return -1, st, &fs.PathError{Op: "stat", Path: as, Err: err}
	}
	return fd, st, nil
}

func (k *packer) dir(dir int, name, as string, dev uint64) error {
	fd, st, err := openStat(dir, name, as, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := k.dirHeader(&st, as, fd); err != nil {
		return err
	}
	if k.OneMount && mountOf(fd, ".") != k.mount || st.Dev != dev && kernelFS(fd, ".") {
		return nil
	}
	return k.below(fd, as, st.Dev)
}

func (k *packer) dirHeader(st *unix.Stat_t, as string, fd int) error {
	if as == "" {
		return nil
	}
	h, err := k.header(st, as, fd)
	if err != nil {
		return err
	}
	return k.tar.WriteHeader(h)
}

func (k *packer) file(dir int, name, as string) error {
	// What stands there now may be something else: a pipe doesn't block, a terminal becomes nobody's.
	fd, st, err := openStat(dir, name, as, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if kind(&st) != unix.S_IFREG {
		k.Warn(as + ": left out, it was exchanged while it was read")
		return nil
	}
	h, err := k.header(&st, as, fd)
	if err != nil {
		return err
	}
	if k.OneMount && mountOf(fd, "") != k.mount {
		h.Size = 0
	}
	if h.Typeflag == tar.TypeLink {
		return k.tar.WriteHeader(h)
	}
	if err := k.tar.WriteHeader(h); err != nil {
		return err
	}
	return k.content(fd, as, h.Size)
}

// content writes size bytes, as the header promised, whatever becomes of the file meanwhile.
func (k *packer) content(fd int, as string, size int64) error {
	n, err := io.CopyBuffer(struct{ io.Writer }{k.tar}, io.LimitReader(plainFile(fd), size), k.buf)
	if err != nil {
		return &fs.PathError{Op: "read", Path: as, Err: err}
	}
	if n == size {
		return nil
	}
	k.Warn(as + ": it became shorter while it was read; the rest is zeros")
	_, err = io.CopyBuffer(struct{ io.Writer }{k.tar}, io.LimitReader(zeros{}, size-n), k.buf)
	return err
}

// plainFile reads a regular file without the runtime's poller, which would be asked about each.
type plainFile int

func (f plainFile) Read(b []byte) (int, error) {
	for {
		n, err := unix.Read(int(f), b)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// header describes a file; fd is -1 for one that can't be opened.
func (k *packer) header(st *unix.Stat_t, as string, fd int) (*tar.Header, error) {
	h := &tar.Header{Format: tar.FormatPAX, Name: as, Mode: int64(st.Mode & 0o7777), Uid: int(st.Uid), Gid: int(st.Gid), ModTime: time.Unix(st.Mtim.Unix())}
	if k.whole {
		h.ModTime = h.ModTime.Truncate(time.Second)
	}
	if k.Owner != nil {
		var err error
		if h.Uid, h.Gid, err = k.Owner(h.Uid, h.Gid); err != nil {
			return nil, fmt.Errorf("%s: %w", as, err)
		}
	}
	k.describe(h, st)
	if fd >= 0 && h.Typeflag != tar.TypeLink {
		k.xattrs(h, fd)
	}
	return h, nil
}

// describe fills in what depends on the kind of file.
func (k *packer) describe(h *tar.Header, st *unix.Stat_t) {
	switch kind(st) {
	case unix.S_IFDIR:
		h.Typeflag, h.Name = tar.TypeDir, h.Name+"/"
		return
	case unix.S_IFLNK:
		h.Typeflag = tar.TypeSymlink
	case unix.S_IFIFO:
		h.Typeflag = tar.TypeFifo
	case unix.S_IFCHR, unix.S_IFBLK:
		if h.Typeflag = tar.TypeChar; kind(st) == unix.S_IFBLK {
			h.Typeflag = tar.TypeBlock
		}
		h.Devmajor, h.Devminor = int64(unix.Major(st.Rdev)), int64(unix.Minor(st.Rdev))
	default:
		h.Typeflag, h.Size = tar.TypeReg, st.Size
	}
	if st.Nlink < 2 {
		return
	}
	id := [2]uint64{st.Dev, st.Ino}
	if first, ok := k.links[id]; ok {
		h.Typeflag, h.Linkname, h.Size = tar.TypeLink, first, 0
		return
	}
	k.links[id] = h.Name
}

func (k *packer) xattrs(h *tar.Header, fd int) {
	for _, name := range xattrNames(fd) {
		value, err := xattr(fd, name)
		if err != nil {
			continue // it was removed, or isn't for us to read
		}
		if h.PAXRecords == nil {
			h.PAXRecords = map[string]string{}
		}
		h.PAXRecords[paxXattr+name] = string(value)
	}
}

// mountOf identifies the mount that name in dir is on (statx(2), STATX_MNT_ID, Linux 5.8).
func mountOf(dir int, name string) uint64 {
	var st unix.Statx_t
	if unix.Statx(dir, name, unix.AT_SYMLINK_NOFOLLOW|unix.AT_EMPTY_PATH|unix.AT_NO_AUTOMOUNT, unix.STATX_MNT_ID, &st) != nil {
		return 0
	}
	return st.Mnt_id
}

// kernelFS: the directory is of a file system that is a face of the kernel. Its files have no size, and no end.
func kernelFS(dir int, name string) bool {
	fd, err := beneath(dir, name, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	var st unix.Statfs_t
	if unix.Fstatfs(fd, &st) != nil {
		return false
	}
	const mqueue = 0x19800202
	return slices.Contains([]int64{unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC, unix.DEVPTS_SUPER_MAGIC,
		unix.SECURITYFS_MAGIC, unix.DEBUGFS_MAGIC, unix.TRACEFS_MAGIC, unix.BPF_FS_MAGIC, mqueue}, int64(st.Type))
}
