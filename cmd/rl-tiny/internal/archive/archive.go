// Package archive are the programs of rl-tiny that pack and unpack.
package archive

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/cmd/rl-tiny/internal/tool"
)

// Programs are the programs of this package.
func Programs() []tool.Program {
	return []tool.Program{{Name: "gunzip", Run: zip}, {Name: "gzip", Run: zip}, {Name: "tar", Run: archive}, {Name: "zcat", Run: zip}}
}

// zip is gzip, gunzip and zcat.
func zip(c *tool.Call) error {
	o, names, err := c.Options("cdfkn123456789qt", "decompress=d", "stdout=c", "force=f", "keep=k")
	if err != nil {
		return err
	}
	back := o.Has('d') || o.Has('t') || c.Name != "gzip"
	level := gzip.DefaultCompression
	if l := o.Last("123456789"); l != 0 {
		level = int(l - '0')
	}
	if len(names) == 0 {
		names = []string{"-"}
	}
	for _, name := range names {
		if err := zipOne(c, o, name, level, back); err != nil {
			c.Warn(fmt.Errorf("%s: %s", name, strings.TrimPrefix(tool.Reason(err), name+": ")))
		}
	}
	return nil
}

func zipOne(c *tool.Call, o *tool.Options, name string, level int, back bool) error {
	if name == "-" {
		return squeeze(c.Out, c.In, level, back)
	}
	in, err := os.Open(name)
	if err != nil {
		return err
	}
	defer in.Close()
	if o.Has('t') {
		return squeeze(io.Discard, in, level, back)
	}
	if o.Has('c') || c.Name == "zcat" {
		return squeeze(c.Out, in, level, back)
	}
	target := name + ".gz"
	if back {
		var ok bool
		if target, ok = strings.CutSuffix(name, ".gz"); !ok {
			if target, ok = strings.CutSuffix(name, ".tgz"); !ok {
				return errors.New("unknown suffix")
			}
			target += ".tar"
		}
	}
	info, err := in.Stat()
	if err != nil {
		return err
	}
	mode := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if o.Has('f') {
		mode = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	out, err := os.OpenFile(target, mode, info.Mode().Perm())
	if err != nil {
		return err
	}
	err = squeeze(out, in, level, back)
	if close := out.Close(); err == nil {
		err = close
	}
	if err != nil {
		os.Remove(target)
		return err
	}
	if o.Has('k') {
		return nil
	}
	return os.Remove(name)
}

func squeeze(out io.Writer, in io.Reader, level int, back bool) error {
	if back {
		r, err := gzip.NewReader(in)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, r)
		return err
	}
	w, err := gzip.NewWriterLevel(out, level)
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, in); err != nil {
		return err
	}
	return w.Close()
}

type archiver struct {
	c     *tool.Call
	o     *tool.Options
	names []string
	strip int
	links map[[2]uint64]string
	skip  string // of the archive itself
}

func archive(c *tool.Call) error {
	if len(c.Args) > 0 && !strings.HasPrefix(c.Args[0], "-") { // "tar xzf"
		c.Args[0] = "-" + c.Args[0]
	}
	o, names, err := c.Options("cxtzf:C:vpkOmoaNs:e:", "create=c", "extract=x", "get=x", "list=t", "gzip=z", "file=f", "directory=C", "verbose=v",
		"exclude=e", "strip-components=s", "numeric-owner=N", "no-same-owner=o", "same-permissions=p", "to-stdout=O", "preserve-permissions=p")
	if err != nil {
		return err
	}
	a := &archiver{c: c, o: o, names: names, links: map[[2]uint64]string{}}
	if a.strip, err = o.Int('s', 0); err != nil {
		return err
	}
	file := o.Get('f')
	if file != "" && file != "-" {
		if file, err = filepath.Abs(file); err != nil {
			return err
		}
	}
	stream, err := a.stream(file)
	if err != nil {
		return err
	}
	if dir := o.Get('C'); dir != "" {
		if err := os.Chdir(dir); err != nil {
			return err
		}
	}
	switch o.Last("cxt") {
	case 'c':
		err = a.create(stream, strings.HasSuffix(file, "gz") && o.Has('a'))
	case 'x', 't':
		err = a.read(stream)
	default:
		return tool.Usage("tar {c|x|t}[zvpO] [-f FILE] [-C DIRECTORY] [--exclude PATTERN] [--strip-components N] [NAME...]")
	}
	if close := stream.Close(); err == nil {
		err = close
	}
	return err
}

func (a *archiver) stream(file string) (*os.File, error) {
	create := a.o.Last("cxt") == 'c'
	switch {
	case (file == "" || file == "-") && create:
		return os.Stdout, nil
	case file == "" || file == "-":
		return a.c.In, nil
	case create:
		a.skip = file
		return os.Create(file)
	}
	return os.Open(file)
}

func (a *archiver) excluded(name string) bool {
	for _, p := range a.o.All('e') {
		for n := strings.TrimPrefix(name, "./"); n != "." && n != "/" && n != ""; n = filepath.Dir(n) {
			if ok, _ := filepath.Match(p, n); ok {
				return true
			}
			if ok, _ := filepath.Match(p, filepath.Base(n)); ok {
				return true
			}
		}
	}
	return false
}

func (a *archiver) create(out io.Writer, byName bool) error {
	if len(a.names) == 0 {
		return tool.Usage("nothing to put in")
	}
	if a.o.Has('z') || byName {
		z := gzip.NewWriter(out)
		defer z.Close()
		out = z
	}
	w := tar.NewWriter(out)
	for _, name := range a.names {
		err := filepath.WalkDir(name, func(path string, d fs.DirEntry, err error) error {
			if err == nil && a.excluded(path) {
				if d.IsDir() {
					return fs.SkipDir
				}
				return nil
			}
			if err == nil {
				err = a.add(w, path)
			}
			var bad *fs.PathError
			if errors.As(err, &bad) {
				a.c.Warn(err)
				return nil
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return w.Close()
}

func (a *archiver) add(w *tar.Writer, path string) error {
	if abs, err := filepath.Abs(path); err == nil && abs == a.skip {
		return nil
	}
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSocket != 0 {
		return nil
	}
	target := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		if target, err = os.Readlink(path); err != nil {
			return err
		}
	}
	h, err := tar.FileInfoHeader(info, target)
	if err != nil {
		return err
	}
	if a.o.Has('N') {
		h.Uname, h.Gname = "", ""
	}
	h.AccessTime, h.ChangeTime = time.Time{}, time.Time{}
	h.ModTime = h.ModTime.Truncate(time.Second)
	if h.Name = strings.TrimLeft(path, "/"); info.IsDir() {
		h.Name += "/"
	}
	key := [2]uint64{st.Dev, st.Ino}
	if first, seen := a.links[key]; seen && info.Mode().IsRegular() {
		h.Typeflag, h.Linkname, h.Size = tar.TypeLink, first, 0
	} else if st.Nlink > 1 {
		a.links[key] = h.Name
	}
	if a.o.Has('v') {
		fmt.Fprintln(os.Stderr, h.Name)
	}
	return writeEntry(w, h, path)
}

func writeEntry(w *tar.Writer, h *tar.Header, path string) error {
	if h.Typeflag != tar.TypeReg {
		return w.WriteHeader(h)
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err = io.CopyN(w, f, h.Size) // as long as the header says, whatever grows
	return err
}
