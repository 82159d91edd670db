package archive

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/cmd/rl-tiny/internal/tool"
)

func (a *archiver) read(in io.Reader) error {
	b := bufio.NewReaderSize(in, 64<<10)
	if magic, _ := b.Peek(2); string(magic) == "\x1f\x8b" {
		z, err := gzip.NewReader(b)
		if err != nil {
			return err
		}
		in = z
	} else {
		in = b
	}
	r := tar.NewReader(in)
	root, err := os.OpenRoot(".")
	if err != nil {
		return err
	}
	defer root.Close()
	x := &extractor{archiver: a, root: root}
	for {
		h, err := r.Next()
		if err == io.EOF {
			return x.finish()
		}
		if err != nil {
			return err
		}
		if !a.wanted(h.Name) {
			continue
		}
		if err := x.entry(h, r); err != nil {
			a.c.Warn(fmt.Errorf("%s: %s", h.Name, strings.TrimPrefix(tool.Reason(err), h.Name+": ")))
			a.c.Code = 2
		}
	}
}

func (a *archiver) wanted(name string) bool {
	clean := strings.TrimSuffix(name, "/")
	if a.excluded(clean) {
		return false
	}
	return len(a.names) == 0 || slices.ContainsFunc(a.names, func(n string) bool {
		n = strings.TrimSuffix(n, "/")
		return clean == n || strings.HasPrefix(clean, n+"/")
	})
}

// extractor writes below root only: os.Root follows no link out of it, whatever the archive says.
type extractor struct {
	*archiver
	root *os.Root
	dirs []*tar.Header // their modes and times are set last
}

func (x *extractor) entry(h *tar.Header, r io.Reader) error {
	switch {
	case x.o.Has('t') && x.o.Last("cxt") == 't':
		x.list(h)
		return nil
	case x.o.Has('O'):
		_, err := io.Copy(x.c.Out, r)
		return err
	}
	name := strings.TrimLeft(filepath.Clean("/"+h.Name), "/")
	for range x.strip {
		_, rest, _ := strings.Cut(name, "/")
		name = rest
	}
	if name == "" {
		return nil
	}
	if slices.Contains(strings.Split(h.Name, "/"), "..") {
		return errors.New("the name contains '..', skipped")
	}
	if x.o.Has('v') {
		x.c.Printf("%s\n", h.Name)
	}
	if dir := filepath.Dir(name); dir != "." {
		if err := x.root.MkdirAll(dir, 0o777); err != nil {
			return err
		}
	}
	return x.make(name, h, r)
}

func (x *extractor) list(h *tar.Header) {
	if !x.o.Has('v') {
		x.c.Printf("%s\n", h.Name)
		return
	}
	owner := fmt.Sprintf("%d/%d", h.Uid, h.Gid)
	if h.Uname != "" && !x.o.Has('N') {
		owner = h.Uname + "/" + h.Gname
	}
	arrow := ""
	if h.Linkname != "" {
		arrow = " -> " + h.Linkname
	}
	x.c.Printf("%s %s %9d %s %s%s\n", h.FileInfo().Mode(), owner, h.Size, h.ModTime.Format("2006-01-02 15:04"), h.Name, arrow)
}

func (x *extractor) make(name string, h *tar.Header, r io.Reader) error {
	if info, err := x.root.Lstat(name); err == nil && !(info.IsDir() && h.Typeflag == tar.TypeDir) {
		if x.o.Has('k') {
			return fs.ErrExist
		}
		if err := x.root.Remove(name); err != nil {
			return err
		}
	}
	switch h.Typeflag {
	case tar.TypeDir:
		if err := x.root.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		dir := *h
		dir.Name = name
		x.dirs = append(x.dirs, &dir)
		return nil
	case tar.TypeSymlink:
		return x.root.Symlink(h.Linkname, name)
	case tar.TypeLink:
		return x.root.Link(strings.TrimLeft(filepath.Clean("/"+h.Linkname), "/"), name)
	case tar.TypeReg:
	default:
		return fmt.Errorf("type %q is not unpacked", h.Typeflag)
	}
	f, err := x.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	if close := f.Close(); err == nil {
		err = close
	}
	if err != nil {
		return err
	}
	return x.attributes(name, h)
}

// attributes sets owner (as root, unless -o), mode and time.
func (x *extractor) attributes(name string, h *tar.Header) error {
	if os.Geteuid() == 0 && !x.o.Has('o') {
		if err := x.root.Lchown(name, h.Uid, h.Gid); err != nil {
			return err
		}
	}
	mode := h.FileInfo().Mode()
	if os.Geteuid() != 0 && !x.o.Has('p') {
		mask := unix.Umask(0)
		unix.Umask(mask)
		mode = mode.Perm() &^ fs.FileMode(mask)
	}
	if err := x.root.Chmod(name, mode&(fs.ModePerm|fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky)); err != nil {
		return err
	}
	if x.o.Has('m') {
		return nil
	}
	return x.root.Chtimes(name, time.Time{}, h.ModTime)
}

func (x *extractor) finish() error {
	var errs []error
	for _, h := range slices.Backward(x.dirs) {
		errs = append(errs, x.attributes(h.Name, h))
	}
	return errors.Join(errs...)
}
