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

	"golang.org/x/sys/unix"
)

// Change is what a container did to a name of its image.
type Change struct {
	Kind string // A added, C changed, D deleted
	Path string // absolute, inside the container
}

// Upper is the writable directory of an overlay file system.
type Upper struct {
	Dir int
	// Hidden are the places, absolute inside the container, that rl itself made to mount something there. They are no changes
	// as long as they are empty.
	Hidden []string
}

// whiteoutPrefix marks a deleted name in a layer (OCI image-spec, layer.md, "Whiteouts"), and in the upper directory where
// fuse-overlayfs may make no device 0:0.
const (
	whiteoutPrefix = ".wh."
	opaqueName     = ".wh..wh..opq"
)

// whiteout returns the name that an entry of an upper directory or a layer deletes.
func whiteout(st *unix.Stat_t, name string) (string, bool) {
	if kind(st) == unix.S_IFCHR && st.Rdev == 0 {
		return name, true
	}
	if rest, ok := strings.CutPrefix(name, whiteoutPrefix); ok && kind(st) == unix.S_IFREG && st.Size == 0 {
		return rest, true
	}
	return "", false
}

// opaque tells whether the directory fd hides all that is below it in the layers (Documentation/filesystems/overlayfs.rst;
// fuse-overlayfs has its own marks).
func opaque(fd int) bool {
	for _, name := range []string{"user.overlay.opaque", "trusted.overlay.opaque", "user.fuseoverlayfs.opaque"} {
		if v, err := xattr(fd, name); err == nil && string(v) == "y" {
			return true
		}
	}
	return unix.Faccessat(fd, opaqueName, unix.F_OK, unix.AT_SYMLINK_NOFOLLOW) == nil
}

// covers tells whether the hidden places are at name or below it.
func (u *Upper) covers(name string) bool {
	return slices.ContainsFunc(u.Hidden, func(h string) bool { return h == name || strings.HasPrefix(h, strings.TrimSuffix(name, "/")+"/") })
}

// hides tells whether the entry name at at is nothing but a place for a mount, or a directory made for one.
func (u *Upper) hides(dir int, name, at string, st *unix.Stat_t) bool {
	if !slices.Contains(u.Hidden, at) {
		return false
	}
	switch kind(st) {
	case unix.S_IFREG:
		return st.Size == 0
	case unix.S_IFDIR:
		return u.bare(dir, name, at)
	case unix.S_IFLNK, unix.S_IFCHR:
		return strings.HasPrefix(at, "/dev/")
	}
	return false
}

// bare: nothing is below but places for mounts.
func (u *Upper) bare(dir int, name, at string) bool {
	fd, err := beneath(dir, name, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	names, err := list(fd)
	if err != nil {
		return false
	}
	for _, n := range names {
		var st unix.Stat_t
		if unix.Fstatat(fd, n, &st, unix.AT_SYMLINK_NOFOLLOW) != nil || !u.hides(fd, n, path.Join(at, n), &st) {
			return false
		}
	}
	return true
}

// comparison walks an upper directory beside the layers below it.
type comparison struct {
	*Upper
	all []Change
}

// Changes compares the upper directory with the layers, the topmost first, and returns what differs, sorted by path. Directories
// whose entries changed are changed themselves, as docker and podman show them.
func Changes(u *Upper, layers []int) ([]Change, error) {
	c := &comparison{Upper: u}
	if err := c.dir(u.Dir, layers, "/"); err != nil {
		return nil, err
	}
	slices.SortFunc(c.all, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	return c.all, nil
}

func (c *comparison) add(kind, name string) { c.all = append(c.all, Change{kind, name}) }

// dir compares one directory; lower are those of the same path in the layers that can be seen through it.
func (c *comparison) dir(fd int, lower []int, at string) error {
	names, err := list(fd)
	if err != nil {
		return &fs.PathError{Op: "read directory", Path: at, Err: err}
	}
	if opaque(fd) {
		if err := c.vanished(lower, names, at); err != nil {
			return err
		}
	}
	for _, name := range names {
		if err := c.entry(fd, lower, name, path.Join(at, name)); err != nil {
			return err
		}
	}
	return nil
}

// vanished are the names that an opaque directory no longer shows.
func (c *comparison) vanished(lower []int, names []string, at string) error {
	seen := map[string]bool{}
	for _, fd := range lower {
		old, err := list(fd)
		if err != nil {
			return err
		}
		for _, name := range old {
			if seen[name] {
				continue
			}
			seen[name] = true
			b := before(lower, name)
			b.close()
			if b.exists && !slices.Contains(names, name) {
				c.add("D", path.Join(at, name))
			}
		}
	}
	return nil
}

func (c *comparison) entry(fd int, lower []int, name, at string) error {
	var st unix.Stat_t
	if err := unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return ignoreGone(err)
	}
	if deleted, ok := whiteout(&st, name); ok {
		b := before(lower, deleted)
		b.close()
		if b.exists {
			c.add("D", path.Join(path.Dir(at), deleted))
		}
		return nil
	}
	b := before(lower, name)
	defer b.close()
	switch {
	case !b.exists && c.hides(fd, name, at, &st):
		return nil
	case kind(&st) != unix.S_IFDIR:
		c.add(letter(b.exists), at)
		return nil
	}
	return c.subdir(fd, b, &st, name, at)
}

// ignoreGone: a running container may delete what was just seen.
func ignoreGone(err error) error {
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

func letter(existed bool) string {
	if existed {
		return "C"
	}
	return "A"
}

func (c *comparison) subdir(fd int, b *old, st *unix.Stat_t, name, at string) error {
	sub, err := beneath(fd, name, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return ignoreGone(err)
	}
	defer unix.Close(sub)
	count := len(c.all)
	if err := c.dir(sub, b.dirs, at); err != nil {
		return err
	}
	// What rl mounts changes the time of the directory around it.
	placed := c.covers(at) && len(c.all) == count
	changed := len(c.all) > count || !placed && st.Mtim != b.st.Mtim
	if !b.exists || changed || st.Mode != b.st.Mode || st.Uid != b.st.Uid || st.Gid != b.st.Gid {
		c.add(letter(b.exists), at)
	}
	return nil
}

// old is what the layers have of a name.
type old struct {
	exists bool
	st     unix.Stat_t
	dirs   []int // open, when it is a directory: those that are merged
}

func (o *old) close() {
	for _, fd := range o.dirs {
		unix.Close(fd)
	}
}

// before looks a name up in the layers, as overlayfs merges them.
func before(lower []int, name string) *old {
	o := &old{}
	for _, fd := range lower {
		var st, mark unix.Stat_t
		if unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
			if unix.Fstatat(fd, whiteoutPrefix+name, &mark, unix.AT_SYMLINK_NOFOLLOW) == nil {
				return o
			}
			continue
		}
		if _, gone := whiteout(&st, name); gone || o.exists && kind(&st) != unix.S_IFDIR {
			return o
		}
		if !o.exists {
			o.exists, o.st = true, st
		}
		if kind(&st) != unix.S_IFDIR {
			return o
		}
		dir, err := beneath(fd, name, unix.O_RDONLY|unix.O_DIRECTORY)
		if err != nil {
			return o
		}
		o.dirs = append(o.dirs, dir)
		if opaque(dir) {
			return o
		}
	}
	return o
}

// WriteLayer writes the upper directory as a layer of an image (OCI image-spec, layer.md).
func WriteLayer(w io.Writer, u *Upper, warn func(string)) error {
	b := bufio.NewWriterSize(w, bufferSize)
	k := newPacker(b, PackOptions{Warn: warn})
	k.whole = true
	l := &layer{u, k}
	if err := l.dir(u.Dir, "/"); err != nil {
		return readerGone(err)
	}
	return k.finish(b)
}

type layer struct {
	*Upper
	*packer
}

func (l *layer) dir(fd int, at string) error {
	names, err := list(fd)
	if err != nil {
		return &fs.PathError{Op: "read directory", Path: at, Err: err}
	}
	if at != "/" && opaque(fd) {
		if err := l.mark(path.Join(at, opaqueName)); err != nil {
			return err
		}
	}
	for _, name := range names {
		if err := l.entry(fd, name, path.Join(at, name)); ignoreGone(err) != nil {
			return err
		}
	}
	return nil
}

// mark writes an empty file whose name says something.
func (l *layer) mark(at string) error {
	return l.tar.WriteHeader(&tar.Header{Format: tar.FormatPAX, Typeflag: tar.TypeReg, Name: at[1:], Mode: 0o600})
}

func (l *layer) entry(fd int, name, at string) error {
	var st unix.Stat_t
	if err := unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &fs.PathError{Op: "stat", Path: at, Err: err}
	}
	if deleted, ok := whiteout(&st, name); ok {
		if strings.HasPrefix(deleted, whiteoutPrefix) { // the mark of an opaque directory
			return nil
		}
		return l.mark(path.Join(path.Dir(at), whiteoutPrefix+deleted))
	}
	switch {
	case l.hides(fd, name, at, &st):
		return nil
	case strings.HasPrefix(name, whiteoutPrefix):
		l.Warn(fmt.Sprintf("%s: left out, a name that means a deleted file in an image", at))
		return nil
	case kind(&st) != unix.S_IFDIR:
		return l.packer.entry(fd, name, at[1:], st.Dev)
	}
	return l.subdir(fd, name, at)
}

func (l *layer) subdir(fd int, name, at string) error {
	sub, st, err := openStat(fd, name, at, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer unix.Close(sub)
	if err := l.dirHeader(&st, at[1:], sub); err != nil {
		return err
	}
	return l.dir(sub, at)
}
