// Package files are the programs of rl-tiny that work on files and directories.
package files

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/cmd/rl-tiny/internal/tool"
)

// Programs are the programs of this package.
func Programs() []tool.Program {
	return []tool.Program{
		{Name: "basename", Run: basename}, {Name: "cat", Run: cat}, {Name: "chgrp", Run: chown}, {Name: "chmod", Run: chmod},
		{Name: "chown", Run: chown}, {Name: "cp", Run: cp}, {Name: "dd", Run: dd}, {Name: "df", Run: df},
		{Name: "dirname", Run: dirname}, {Name: "du", Run: du}, {Name: "find", Run: find}, {Name: "ln", Run: ln},
		{Name: "ls", Run: ls}, {Name: "mkdir", Run: mkdir}, {Name: "mkfifo", Run: mkfifo}, {Name: "mktemp", Run: mktemp},
		{Name: "mv", Run: mv}, {Name: "readlink", Run: readlink}, {Name: "realpath", Run: realpath}, {Name: "rm", Run: rm},
		{Name: "rmdir", Run: rmdir}, {Name: "stat", Run: stat}, {Name: "sync", Run: sync}, {Name: "tee", Run: tee},
		{Name: "touch", Run: touch}, {Name: "truncate", Run: truncate},
	}
}

func cat(c *tool.Call) error {
	_, names, err := c.Options("u")
	if err != nil {
		return err
	}
	c.Each(names, func(_ string, r io.Reader) error {
		_, err := io.Copy(flushing{c}, r)
		return err
	})
	return nil
}

// flushing writes through: cat shows what it has at once.
type flushing struct{ c *tool.Call }

func (f flushing) Write(p []byte) (int, error) {
	n, err := f.c.Out.Write(p)
	if err == nil {
		err = f.c.Out.Flush()
	}
	return n, err
}

func tee(c *tool.Call) error {
	o, names, err := c.Options("a", "append=a")
	if err != nil {
		return err
	}
	mode := os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	if o.Has('a') {
		mode = os.O_WRONLY | os.O_CREATE | os.O_APPEND
	}
	to := []io.Writer{flushing{c}}
	for _, name := range names {
		f, err := os.OpenFile(name, mode, 0o666)
		if err != nil {
			c.Warn(err)
			continue
		}
		defer f.Close()
		to = append(to, f)
	}
	_, err = io.Copy(io.MultiWriter(to...), c.In)
	return err
}

func basename(c *tool.Call) error {
	o, args, err := c.Options("as:", "suffix=s", "multiple=a")
	if err != nil {
		return err
	}
	suffix := o.Get('s')
	if !o.Has('a') && !o.Has('s') {
		if len(args) == 2 {
			suffix, args = args[1], args[:1]
		} else if len(args) != 1 {
			return tool.Usage("basename NAME [SUFFIX]")
		}
	}
	for _, a := range args {
		base := filepath.Base(a)
		if base != suffix {
			base = strings.TrimSuffix(base, suffix)
		}
		c.Printf("%s\n", base)
	}
	return nil
}

func dirname(c *tool.Call) error {
	if len(c.Args) == 0 {
		return tool.Usage("dirname NAME...")
	}
	for _, a := range c.Args {
		if trimmed := strings.TrimRight(a, "/"); trimmed != "" {
			a = trimmed
		}
		c.Printf("%s\n", filepath.Dir(a))
	}
	return nil
}

func mkdir(c *tool.Call) error {
	o, names, err := c.Options("pm:", "parents=p", "mode=m")
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return tool.Usage("mkdir [-p] [-m MODE] DIRECTORY...")
	}
	for _, name := range names {
		if o.Has('p') {
			err = os.MkdirAll(name, 0o777)
		} else {
			err = os.Mkdir(name, 0o777)
		}
		if err == nil && o.Has('m') {
			err = changeMode(name, o.Get('m'))
		}
		if err != nil {
			c.Warn(fmt.Errorf("cannot create directory %s", tool.Reason(err)))
		}
	}
	return nil
}

func rmdir(c *tool.Call) error {
	o, names, err := c.Options("p")
	if err != nil {
		return err
	}
	for _, name := range names {
		for ; name != "." && name != "/"; name = filepath.Dir(name) {
			if err := unix.Rmdir(name); err != nil {
				c.Warn(&fs.PathError{Op: "rmdir", Path: name, Err: err})
				break
			}
			if !o.Has('p') {
				break
			}
		}
	}
	return nil
}

func rm(c *tool.Call) error {
	o, names, err := c.Options("rRfdv", "recursive=r", "force=f", "dir=d", "verbose=v")
	if err != nil {
		return err
	}
	if len(names) == 0 && !o.Has('f') {
		return tool.Usage("rm [-rf] FILE...")
	}
	for _, name := range names {
		base := filepath.Base(name)
		if base == "." || base == ".." || name == "/" {
			c.Warn(fmt.Errorf("refusing to remove %q", name))
			continue
		}
		err := remove(name, o)
		if err != nil && !(o.Has('f') && errors.Is(err, fs.ErrNotExist)) {
			c.Warn(err)
		} else if err == nil && o.Has('v') {
			c.Printf("removed '%s'\n", name)
		}
	}
	return nil
}

func remove(name string, o *tool.Options) error {
	info, err := os.Lstat(name)
	switch {
	case err != nil:
		return err
	case info.IsDir() && (o.Has('r') || o.Has('R')):
		return os.RemoveAll(name)
	case info.IsDir() && !o.Has('d'):
		return &fs.PathError{Op: "rm", Path: name, Err: unix.EISDIR}
	}
	return os.Remove(name)
}

func ln(c *tool.Call) error {
	o, args, err := c.Options("sfnT", "symbolic=s", "force=f", "no-dereference=n")
	if err != nil {
		return err
	}
	if len(args) == 0 {
		return tool.Usage("ln [-sf] TARGET... LINK")
	}
	if len(args) == 1 {
		args = append(args, ".")
	}
	last := args[len(args)-1]
	for _, target := range args[:len(args)-1] {
		link := last
		if info, err := os.Stat(last); err == nil && info.IsDir() && !o.Has('T') && !(o.Has('n') && isLink(last)) {
			link = filepath.Join(last, filepath.Base(target))
		}
		if o.Has('f') {
			os.Remove(link)
		}
		if o.Has('s') {
			err = os.Symlink(target, link)
		} else {
			err = os.Link(target, link)
		}
		if err != nil {
			c.Warn(err)
		}
	}
	return nil
}

func isLink(name string) bool {
	info, err := os.Lstat(name)
	return err == nil && info.Mode()&fs.ModeSymlink != 0
}

func touch(c *tool.Call) error {
	o, names, err := c.Options("acmd:r:t:", "date=d", "reference=r", "no-create=c")
	if err != nil {
		return err
	}
	now, err := touchTime(o)
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
			if o.Has('c') {
				continue
			}
			f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o666)
			if err != nil {
				c.Warn(err)
				continue
			}
			f.Close()
		}
		times := []unix.Timespec{now, now}
		if o.Has('a') && !o.Has('m') {
			times[1].Nsec = unix.UTIME_OMIT
		} else if o.Has('m') && !o.Has('a') {
			times[0].Nsec = unix.UTIME_OMIT
		}
		if err := unix.UtimesNanoAt(unix.AT_FDCWD, name, times, 0); err != nil {
			c.Warn(&fs.PathError{Op: "touch", Path: name, Err: err})
		}
	}
	return nil
}

func touchTime(o *tool.Options) (unix.Timespec, error) {
	switch {
	case o.Has('r'):
		info, err := os.Stat(o.Get('r'))
		if err != nil {
			return unix.Timespec{}, err
		}
		return unix.NsecToTimespec(info.ModTime().UnixNano()), nil
	case o.Has('d'):
		t, err := ParseTime(o.Get('d'))
		return unix.NsecToTimespec(t.UnixNano()), err
	case o.Has('t'):
		t, err := time.ParseInLocation("200601021504", strings.Split(o.Get('t'), ".")[0], time.Local)
		return unix.NsecToTimespec(t.UnixNano()), err
	}
	return unix.Timespec{Nsec: unix.UTIME_NOW}, nil
}

// ParseTime reads a time as date -d and touch -d take it: @SECONDS, an ISO date, with or without a time.
func ParseTime(s string) (time.Time, error) {
	if n, ok := strings.CutPrefix(s, "@"); ok {
		seconds, err := strconv.ParseFloat(n, 64)
		return time.Unix(0, int64(seconds*1e9)), err
	}
	if s == "now" {
		return time.Now(), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02", time.RFC1123Z, time.RFC1123, time.UnixDate, time.ANSIC} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("invalid date %q", s)
}

func mkfifo(c *tool.Call) error {
	o, names, err := c.Options("m:")
	if err != nil {
		return err
	}
	for _, name := range names {
		err := unix.Mkfifo(name, 0o666)
		if err == nil && o.Has('m') {
			err = changeMode(name, o.Get('m'))
		}
		if err != nil {
			c.Warn(&fs.PathError{Op: "mkfifo", Path: name, Err: err})
		}
	}
	return nil
}

func mktemp(c *tool.Call) error {
	o, args, err := c.Options("dtup:", "directory=d", "dry-run=u", "tmpdir=p")
	if err != nil {
		return err
	}
	pattern, dir := "tmp.XXXXXXXXXX", ""
	if len(args) > 0 {
		pattern = args[0]
	}
	if len(args) == 0 || o.Has('t') || o.Has('p') {
		if dir = o.Get('p'); dir == "" {
			dir = os.TempDir()
		}
	}
	stem := strings.TrimRight(pattern, "X")
	if len(pattern)-len(stem) < 3 {
		return fmt.Errorf("too few X's in template %q", pattern)
	}
	dir, stem = filepath.Split(filepath.Join(dir, stem+"X"))
	dir, stem = filepath.Clean(dir+"."), strings.TrimSuffix(stem, "X")
	var name string
	if o.Has('d') {
		name, err = os.MkdirTemp(dir, stem+"*")
	} else {
		var f *os.File
		if f, err = os.CreateTemp(dir, stem+"*"); err == nil {
			name = f.Name()
			f.Close()
		}
	}
	if err != nil {
		return err
	}
	if o.Has('u') {
		os.Remove(name)
	}
	c.Printf("%s\n", name)
	return nil
}

func readlink(c *tool.Call) error {
	o, names, err := c.Options("fenm", "canonicalize=f")
	if err != nil {
		return err
	}
	end := "\n"
	if o.Has('n') {
		end = ""
	}
	for _, name := range names {
		var target string
		if o.Has('f') || o.Has('e') || o.Has('m') {
			target, err = canonical(name, !o.Has('e'))
		} else {
			target, err = os.Readlink(name)
		}
		if err != nil {
			c.Code = 1 // silent, as GNU's
			continue
		}
		c.Printf("%s%s", target, end)
	}
	return nil
}

func realpath(c *tool.Call) error {
	o, names, err := c.Options("em")
	if err != nil {
		return err
	}
	for _, name := range names {
		target, err := canonical(name, !o.Has('e'))
		if err != nil {
			c.Warn(err)
			continue
		}
		c.Printf("%s\n", target)
	}
	return nil
}

// canonical is name without links; the last element may be missing.
func canonical(name string, missing bool) (string, error) {
	abs, err := filepath.Abs(name)
	if err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(abs)
	if !missing || !errors.Is(err, fs.ErrNotExist) {
		return real, err
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(abs))
	return filepath.Join(dir, filepath.Base(abs)), err
}

func sync(*tool.Call) error {
	unix.Sync()
	return nil
}

func truncate(c *tool.Call) error {
	o, names, err := c.Options("s:c", "size=s", "no-create=c")
	if err != nil {
		return err
	}
	size, err := Size(strings.TrimLeft(o.Get('s'), "+"))
	if err != nil || !o.Has('s') {
		return tool.Usage("truncate -s [+]SIZE FILE...")
	}
	for _, name := range names {
		mode := os.O_WRONLY | os.O_CREATE
		if o.Has('c') {
			mode = os.O_WRONLY
		}
		if err := truncateOne(name, mode, size, strings.HasPrefix(o.Get('s'), "+")); err != nil {
			c.Warn(err)
		}
	}
	return nil
}

func truncateOne(name string, mode int, size int64, add bool) error {
	f, err := os.OpenFile(name, mode, 0o666)
	if err != nil {
		return err
	}
	defer f.Close()
	if add {
		info, err := f.Stat()
		if err != nil {
			return err
		}
		size += info.Size()
	}
	return f.Truncate(size)
}

// Size reads a number of bytes: 512, 4k, 4K, 1M, 2G, 1KiB, 1MB (decimal).
func Size(s string) (int64, error) {
	digits := strings.TrimRight(s, "bBcikKmMgGtTw")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("invalid size %q", s)
	}
	unit := s[len(digits):]
	base := int64(1024)
	if len(unit) == 2 && unit[1] == 'B' {
		base = 1000
	}
	switch strings.ToLower(strings.TrimSuffix(strings.TrimSuffix(unit, "B"), "i")) {
	case "", "c":
		return n, nil
	case "w":
		return n * 2, nil
	case "b":
		return n * 512, nil
	case "k":
		return n * base, nil
	case "m":
		return n * base * base, nil
	case "g":
		return n * base * base * base, nil
	case "t":
		return n * base * base * base * base, nil
	}
	return 0, fmt.Errorf("invalid size %q", s)
}
