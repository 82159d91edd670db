package archive

import (
	"archive/tar"
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/sys"
)

// UnpackOptions say where a stream goes, in docker's terms of `cp`.
type UnpackOptions struct {
	// Path is the destination as typed.
	Path string
	// Name is that of the top entry in the stream ("." for the contents of a directory), or "" for an archive of the user's: that
	// goes into the directory Path as it is.
	Name string
	// Overwrite lets a directory take the place of what is none, and the other way round.
	Overwrite bool
	// Owner owns all that is made; nil: as the archive says. Lenient: who can't be had is left out.
	Owner   *[2]int
	Lenient bool
	// Host: the archive came out of a container, and this is the host. Nobody is given files (unless Keep), no device is made, and
	// setuid, setgid and capabilities are taken off.
	Host, Keep bool
	// Warn gets a line for what is left out.
	Warn func(string)
}

// unpacker makes files below base, the handle of a directory.
type unpacker struct {
	UnpackOptions
	tar  *tar.Reader
	base int
	// top is the name of the top entry below base.
	top  string
	buf  []byte
	dirs []directory
	// dir is the handle of dirName, the directory of the last entry.
	dir     int
	dirName string
	// count is how many entries came.
	count int
	// stranger: that an owner can't be had was told.
	stranger bool
}

// directory is one that is completed at the end: until then it must be written to, and changes its time.
type directory struct {
	name string
	h    *tar.Header
}

// Unpack makes the files of a stream below root.
func Unpack(r io.Reader, root *sys.Root, o UnpackOptions) error {
	u := &unpacker{UnpackOptions: o, tar: tar.NewReader(bufio.NewReaderSize(r, bufferSize)), base: -1, dir: -1, buf: make([]byte, bufferSize)}
	defer func() {
		unix.Close(u.base)
		unix.Close(u.dir)
	}()
	if o.Name == "" {
		if err := u.intoDir(root); err != nil {
			return err
		}
	}
	for {
		h, err := u.tar.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return u.broken(err)
		}
		if u.base < 0 {
			if err := u.destination(root, h.Typeflag == tar.TypeDir); err != nil {
				return err
			}
		}
		u.count++
		if err := u.entry(h); err != nil {
			return err
		}
	}
	if u.base < 0 || u.count == 0 && u.Name == "" {
		return u.broken(io.ErrUnexpectedEOF)
	}
	// Whoever writes a tar stream may add more zeros than its end has.
	io.Copy(io.Discard, r)
	return u.complete()
}

func (u *unpacker) broken(err error) error {
	if u.Name == "" && (u.count == 0 || errors.Is(err, tar.ErrHeader)) {
		return hint.Errorf("tar -cf - FILE… | rl cp - CONTAINER:DIR; a compressed one through gzip -dc or the like", "not a tar archive: %w", err)
	}
	return fmt.Errorf("read archive: %w", err)
}

// intoDir is the destination of an archive of the user's.
func (u *unpacker) intoDir(root *sys.Root) error {
	p, err := Find(root, u.Path, true)
	if err != nil {
		return explainPlace(err)
	}
	defer p.Close()
	switch {
	case !p.Exists:
		return noParent(u.Path)
	case !p.IsDir():
		return hint.Errorf("an archive goes into a directory", "%s: not a directory", u.Path)
	}
	u.base, err = beneath(p.Dir, p.Name, unix.O_PATH|unix.O_DIRECTORY)
	return err
}

func noParent(name string) error {
	return hint.With(&fs.PathError{Op: "copy to", Path: name, Err: errors.New("no such directory")}, "it must be there: mkdir -p makes it (rl exec CONTAINER mkdir -p …)")
}

func explainPlace(err error) error {
	var dir *fs.PathError
	if errors.As(err, &dir) && errors.Is(err, unix.ENOENT) {
		return noParent(path.Clean(dir.Path))
	}
	return err
}

// destination decides where the top entry goes, as docker's cp does (docker cp, "Extended description").
func (u *unpacker) destination(root *sys.Root, dir bool) error {
	p, err := Find(root, u.Path, true)
	if err != nil {
		return explainPlace(err)
	}
	defer p.Close()
	switch {
	case p.IsDir():
		// Into it, or with the contents of a directory on it.
		u.top = u.Name
		u.base, err = beneath(p.Dir, p.Name, unix.O_PATH|unix.O_DIRECTORY)
		return err
	case p.Exists && dir && !u.Overwrite:
		return fmt.Errorf("%s: cannot copy a directory to a file", u.Path)
	case p.Exists && WantsDir(u.Path):
		return fmt.Errorf("%s: not a directory", u.Path)
	case p.Exists && u.Host && kind(&p.Stat) != unix.S_IFREG:
		return hint.Errorf("- is standard output, with a tar archive", "%s: neither a file nor a directory, and not to be replaced", u.Path)
	case !p.Exists && !dir && WantsDir(u.Path):
		return noParent(u.Path)
	}
	u.top = p.Name
	u.base, err = beneath(p.Dir, ".", unix.O_PATH|unix.O_DIRECTORY)
	return err
}

// rename turns a name of the archive into one below base.
func (u *unpacker) rename(name string) (string, error) {
	clean := strings.TrimPrefix(path.Clean("/"+name), "/")
	if slices.Contains(strings.Split(name, "/"), "..") {
		return "", fmt.Errorf("%q in the archive leads out of the destination", name)
	}
	if u.Name == "" {
		return clean, nil
	}
	if u.Name != "." {
		rest, ok := strings.CutPrefix(clean, u.Name)
		if !ok || rest != "" && rest[0] != '/' {
			return "", fmt.Errorf("%q in the archive is not below %q", name, u.Name)
		}
		clean = rest
	}
	return strings.TrimPrefix(path.Join(u.top, clean), "/"), nil
}

func (u *unpacker) entry(h *tar.Header) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	name, err := u.rename(h.Name)
	if err != nil {
		return err
	}
	if name == "" || name == "." {
		return nil // the destination itself, which stays as it is
	}
	if err := u.enter(path.Dir(name)); err != nil {
		return explainLink(name, err)
	}
	if err := u.make(u.dir, name, h); err != nil {
		return u.explain(name, err)
	}
	return nil
}

// explainLink says what an ELOOP of beneath means.
func explainLink(name string, err error) error {
	err = &fs.PathError{Op: "make", Path: name, Err: err}
	if errors.Is(err, unix.ELOOP) {
		return hint.With(err, "a directory above it is a symlink at the destination, which is not followed: copy to where it leads")
	}
	return err
}

func (u *unpacker) explain(name string, err error) error {
	var known *fs.PathError
	if !errors.As(err, &known) {
		err = &fs.PathError{Op: "make", Path: name, Err: err}
	}
	if errors.Is(err, unix.EROFS) {
		return hint.With(err, "it is read-only (--read-only, or a volume with :ro)")
	}
	return err
}

// enter opens the directory of an entry, if it isn't that of the entry before.
func (u *unpacker) enter(name string) error {
	if u.dir >= 0 && u.dirName == name {
		return nil
	}
	dir, err := u.parent(name)
	if err != nil {
		return err
	}
	unix.Close(u.dir)
	u.dir, u.dirName = dir, name
	return nil
}

// parent opens the directory that an entry is in; an archive of the user's may not name it before.
func (u *unpacker) parent(name string) (int, error) {
	fd, err := beneath(u.base, name, unix.O_PATH|unix.O_DIRECTORY)
	if err != unix.ENOENT || u.Name != "" {
		return fd, err
	}
	above, err := u.parent(path.Dir(name))
	if err != nil {
		return -1, err
	}
	defer unix.Close(above)
	if err := unix.Mkdirat(above, path.Base(name), 0o755); err != nil && err != unix.EEXIST {
		return -1, err
	}
	return beneath(u.base, name, unix.O_PATH|unix.O_DIRECTORY)
}

// make makes the entry h in dir.
func (u *unpacker) make(dir int, name string, h *tar.Header) error {
	base := path.Base(name)
	if h.Typeflag == tar.TypeDir {
		return u.makeDir(dir, name, h)
	}
	busy, err := u.clear(dir, base)
	if err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeReg:
		return u.makeFile(dir, base, h, busy)
	case tar.TypeSymlink:
		if err := unix.Symlinkat(h.Linkname, dir, base); err != nil {
			return err
		}
	case tar.TypeLink:
		return u.link(dir, base, h)
	case tar.TypeFifo, tar.TypeChar, tar.TypeBlock:
		if made, err := u.node(dir, name, h); !made || err != nil {
			return err
		}
	default:
		u.Warn(fmt.Sprintf("%s: left out, an entry of the unknown type %q", name, h.Typeflag))
		return nil
	}
	return u.finishNode(dir, base, h)
}

// clear takes away what stands in the place of a file. busy: it is a mount point, which can only be written to.
func (u *unpacker) clear(dir int, base string) (busy bool, err error) {
	err = unix.Unlinkat(dir, base, 0)
	switch {
	case err == nil || err == unix.ENOENT:
		return false, nil
	case err == unix.EBUSY:
		return true, nil
	case err != unix.EISDIR && !(err == unix.EPERM && isDir(dir, base)):
		return false, err
	case !u.Overwrite:
		return false, hint.Errorf("--overwrite lets it", "cannot overwrite directory %q with non-directory", base)
	}
	return false, sys.RemoveAt(dir, base)
}

func isDir(dir int, base string) bool {
	var st unix.Stat_t
	return unix.Fstatat(dir, base, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && kind(&st) == unix.S_IFDIR
}

// makeDir makes a directory, or takes the one that is there, which stays as it is.
func (u *unpacker) makeDir(dir int, name string, h *tar.Header) error {
	base := path.Base(name)
	err := unix.Mkdirat(dir, base, 0o700)
	if err == unix.EEXIST && isDir(dir, base) {
		if u.Name == "" {
			u.dirs = append(u.dirs, directory{name, h}) // docker's way with archives
		}
		return nil
	}
	if err == unix.EEXIST {
		if !u.Overwrite {
			return hint.Errorf("--overwrite lets it", "cannot overwrite non-directory %q with directory", base)
		}
		if err = unix.Unlinkat(dir, base, 0); err == nil {
			err = unix.Mkdirat(dir, base, 0o700)
		}
	}
	if err != nil {
		return err
	}
	u.dirs = append(u.dirs, directory{name, h})
	return nil
}

func (u *unpacker) makeFile(dir int, base string, h *tar.Header, busy bool) error {
	flags := unix.O_CREAT | unix.O_EXCL
	if busy {
		flags = unix.O_TRUNC | unix.O_NONBLOCK
	}
	fd, err := unix.Openat(dir, base, flags|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_NOCTTY|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := u.content(fd, h.Size); err != nil {
		return err
	}
	if busy {
		return nil // its owner and mode are those of what is mounted there
	}
	return u.finish(fd, h)
}

// content writes size bytes. Blocks of zeros become holes: a sparse file stays one.
func (u *unpacker) content(fd int, size int64) error {
	hole := false
	for left := size; left > 0; {
		part := u.buf[:min(int64(len(u.buf)), left)]
		if _, err := io.ReadFull(u.tar, part); err != nil {
			return u.broken(err)
		}
		left -= int64(len(part))
		if hole = allZero(part); hole {
			if _, err := unix.Seek(fd, int64(len(part)), io.SeekCurrent); err != nil {
				return err
			}
			continue
		}
		if err := writeAll(fd, part); err != nil {
			return err
		}
	}
	if hole {
		return unix.Ftruncate(fd, size)
	}
	return nil
}

func allZero(b []byte) bool {
	for len(b) >= 8 {
		if b[0]|b[1]|b[2]|b[3]|b[4]|b[5]|b[6]|b[7] != 0 {
			return false
		}
		b = b[8:]
	}
	return !slices.ContainsFunc(b, func(c byte) bool { return c != 0 })
}

func writeAll(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := unix.Write(fd, b)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// link makes a hard link to an entry that was made before.
func (u *unpacker) link(dir int, base string, h *tar.Header) error {
	old, err := u.rename(h.Linkname)
	if err != nil {
		return err
	}
	from, err := beneath(u.base, path.Dir(old), unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer unix.Close(from)
	// No AT_SYMLINK_FOLLOW: a symlink that came there meanwhile is linked itself.
	return unix.Linkat(from, path.Base(old), dir, base, 0)
}

// node makes a pipe or a device; where that can't or must not be, it is left out.
func (u *unpacker) node(dir int, name string, h *tar.Header) (made bool, err error) {
	mode, device := uint32(unix.S_IFIFO), 0
	if h.Typeflag != tar.TypeFifo {
		mode, device = unix.S_IFCHR, int(unix.Mkdev(uint32(h.Devmajor), uint32(h.Devminor)))
		if h.Typeflag == tar.TypeBlock {
			mode = unix.S_IFBLK
		}
		if u.Host {
			u.Warn(name + ": a device is left out: none is made outside of a container")
			return false, nil
		}
	}
	err = unix.Mknodat(dir, path.Base(name), mode|u.mode(h)&0o777, device)
	if err == unix.EPERM && device != 0 {
		u.Warn(name + ": a device is left out, which a user can't make")
		return false, nil
	}
	return err == nil, err
}

// mode is that of the archive, but for what would let others run a container's program as the caller.
func (u *unpacker) mode(h *tar.Header) uint32 {
	if u.Host {
		return uint32(h.Mode) & 0o1777
	}
	return uint32(h.Mode) & 0o7777
}

// owner is who is to own an entry; false leaves that to whom it is.
func (u *unpacker) owner(h *tar.Header) (uid, gid int, set bool) {
	switch {
	case u.Host && !u.Keep:
		return 0, 0, false
	case u.Owner != nil:
		return u.Owner[0], u.Owner[1], true
	}
	return h.Uid, h.Gid, true
}

func (u *unpacker) chownFailed(h *tar.Header, err error) error {
	if err == nil {
		return nil
	}
	if u.Lenient && (err == unix.EINVAL || err == unix.EPERM) {
		if !u.stranger {
			u.Warn(fmt.Sprintf("%s: its owner %d:%d is none of the container's ids; such files belong to root there", h.Name, h.Uid, h.Gid))
		}
		u.stranger = true
		return nil
	}
	return hint.With(fmt.Errorf("%s: give it to %d:%d: %w", h.Name, h.Uid, h.Gid, err), "these ids are none of the container's: leave -a out")
}

// finish completes the open file fd. The order counts: a change of owner clears setuid bits and capabilities, all of them
// change the time.
func (u *unpacker) finish(fd int, h *tar.Header) error {
	if uid, gid, set := u.owner(h); set {
		if err := u.chownFailed(h, unix.Fchown(fd, uid, gid)); err != nil {
			return err
		}
	}
	if err := unix.Fchmod(fd, u.mode(h)); err != nil {
		return err
	}
	if err := u.setXattrs(fd, h); err != nil {
		return err
	}
	// The descriptor's own name needs a proc that can be trusted; a NULL path doesn't (utimensat(2), as futimens(3) does it).
	return futimens(fd, h.ModTime)
}

// finishNode completes what has no content: a symlink, a pipe, a device. A handle makes sure that it is still that, and no other
// name of a file that somebody would like to have (a hard link put in its place).
func (u *unpacker) finishNode(dir int, base string, h *tar.Header) error {
	fd, err := unix.Openat(dir, base, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if kind(&st) == unix.S_IFREG || kind(&st) == unix.S_IFDIR || st.Nlink != 1 {
		return errExchanged
	}
	if uid, gid, set := u.owner(h); set {
		if err := u.chownFailed(h, unix.Fchownat(fd, "", uid, gid, unix.AT_EMPTY_PATH)); err != nil {
			return err
		}
	}
	if h.Typeflag == tar.TypeFifo {
		if err := u.chmodPipe(dir, base, h); err != nil {
			return err
		}
	}
	t := times(h.ModTime)
	return unix.UtimesNanoAt(dir, base, t[:], unix.AT_SYMLINK_NOFOLLOW)
}

var errExchanged = errors.New("somebody exchanged it while it was made")

// chmodPipe: the mode that a pipe is made with is cut by the umask. Opened by its name again, it must be one.
func (u *unpacker) chmodPipe(dir int, base string, h *tar.Header) error {
	fd, err := beneath(dir, base, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || kind(&st) != unix.S_IFIFO {
		return errExchanged
	}
	return unix.Fchmod(fd, u.mode(h))
}

func (u *unpacker) setXattrs(fd int, h *tar.Header) error {
	for key, value := range h.PAXRecords {
		name, ok := strings.CutPrefix(key, paxXattr)
		if !ok || !carried(name) || u.Host && name == capability {
			continue
		}
		err := unix.Fsetxattr(fd, name, []byte(value), 0)
		if err != nil && err != unix.EOPNOTSUPP && err != unix.EPERM {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}

// complete gives the directories what they are to have, the deepest first.
func (u *unpacker) complete() error {
	for _, d := range slices.Backward(u.dirs) {
		fd, err := beneath(u.base, d.name, unix.O_RDONLY|unix.O_DIRECTORY)
		if err != nil {
			return explainLink(d.name, err)
		}
		err = u.finish(fd, d.h)
		unix.Close(fd)
		if err != nil {
			return u.explain(d.name, err)
		}
	}
	return nil
}

func times(t time.Time) [2]unix.Timespec {
	ts, err := unix.TimeToTimespec(t)
	if err != nil {
		ts = unix.Timespec{}
	}
	return [2]unix.Timespec{ts, ts}
}
