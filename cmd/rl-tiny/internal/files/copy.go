package files

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/cmd/rl-tiny/internal/tool"
)

// targets gives each source of cp and mv its target: below the last operand when that is a directory.
func targets(args []string, noDir bool) (map[string]string, []string, error) {
	if len(args) < 2 {
		return nil, nil, tool.Usage("SOURCE... TARGET")
	}
	last := args[len(args)-1]
	sources := args[:len(args)-1]
	info, err := os.Stat(last)
	dir := err == nil && info.IsDir() && !noDir
	if len(sources) > 1 && !dir {
		return nil, nil, &fs.PathError{Op: "copy", Path: last, Err: unix.ENOTDIR}
	}
	to := map[string]string{}
	for _, s := range sources {
		if to[s] = last; dir {
			to[s] = filepath.Join(last, filepath.Base(s))
		}
	}
	return to, sources, nil
}

type copier struct{ recursive, preserve, links, force, noClobber bool }

func cp(c *tool.Call) error {
	o, args, err := c.Options("rRapdPLfnTv", "recursive=r", "archive=a", "force=f", "no-clobber=n", "verbose=v", "preserve=p")
	if err != nil {
		return err
	}
	to, sources, err := targets(args, o.Has('T'))
	if err != nil {
		return err
	}
	archive := o.Has('a')
	how := copier{recursive: archive || o.Has('r') || o.Has('R'), preserve: archive || o.Has('p'), force: o.Has('f'), noClobber: o.Has('n')}
	how.links = archive || o.Has('d') || o.Has('P') || how.recursive && !o.Has('L')
	for _, s := range sources {
		if o.Has('v') {
			c.Printf("'%s' -> '%s'\n", s, to[s])
		}
		if err := how.copy(s, to[s]); err != nil {
			c.Warn(err)
		}
	}
	return nil
}

func (h copier) copy(from, to string) error {
	stat := os.Stat
	if h.links {
		stat = os.Lstat
	}
	info, err := stat(from)
	if err != nil {
		return err
	}
	if there, err := os.Lstat(to); err == nil {
		if h.noClobber && !there.IsDir() {
			return nil
		}
		if os.SameFile(info, there) {
			return fmt.Errorf("'%s' and '%s' are the same file", from, to)
		}
	}
	switch mode := info.Mode(); {
	case mode.IsDir():
		err = h.copyDir(from, to, info)
	case mode.IsRegular():
		err = h.copyFile(from, to, info)
	case mode&fs.ModeSymlink != 0:
		err = copyLink(from, to)
	default:
		err = copyNode(to, info)
	}
	if err == nil && h.preserve {
		err = preserve(to, info)
	}
	return err
}

func (h copier) copyDir(from, to string, info fs.FileInfo) error {
	if !h.recursive {
		return fmt.Errorf("-r not given; omitting directory '%s'", from)
	}
	inside, err := filepath.Abs(to)
	if err != nil {
		return err
	}
	if outer, err := filepath.Abs(from); err == nil && strings.HasPrefix(inside+"/", outer+"/") {
		return fmt.Errorf("cannot copy '%s' into itself, '%s'", from, to)
	}
	if err := os.Mkdir(to, info.Mode().Perm()|0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	errs := []error{}
	for _, e := range entries {
		errs = append(errs, h.copy(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())))
	}
	return errors.Join(errs...)
}

func (h copier) copyFile(from, to string, info fs.FileInfo) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, info.Mode().Perm())
	if err != nil && h.force {
		os.Remove(to)
		out, err = os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, info.Mode().Perm())
	}
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if close := out.Close(); err == nil {
		err = close
	}
	return err
}

func copyLink(from, to string) error {
	target, err := os.Readlink(from)
	if err != nil {
		return err
	}
	if info, err := os.Lstat(to); err == nil && !info.IsDir() {
		os.Remove(to)
	}
	return os.Symlink(target, to)
}

func copyNode(to string, info fs.FileInfo) error {
	st := info.Sys().(*syscall.Stat_t)
	if err := unix.Mknod(to, st.Mode, int(st.Rdev)); err != nil {
		return &fs.PathError{Op: "mknod", Path: to, Err: err}
	}
	return nil
}

// preserve gives to the owner (where that is allowed), mode and times of info.
func preserve(to string, info fs.FileInfo) error {
	st := info.Sys().(*syscall.Stat_t)
	owned := os.Lchown(to, int(st.Uid), int(st.Gid)) == nil
	if info.Mode()&fs.ModeSymlink == 0 {
		mode := info.Mode()
		if !owned {
			mode &^= fs.ModeSetuid | fs.ModeSetgid
		}
		if err := os.Chmod(to, mode); err != nil {
			return err
		}
	}
	times := []unix.Timespec{{Sec: st.Atim.Sec, Nsec: st.Atim.Nsec}, {Sec: st.Mtim.Sec, Nsec: st.Mtim.Nsec}}
	return unix.UtimesNanoAt(unix.AT_FDCWD, to, times, unix.AT_SYMLINK_NOFOLLOW)
}

func mv(c *tool.Call) error {
	o, args, err := c.Options("fnTv", "force=f", "no-clobber=n", "verbose=v")
	if err != nil {
		return err
	}
	to, sources, err := targets(args, o.Has('T'))
	if err != nil {
		return err
	}
	for _, s := range sources {
		if _, err := os.Lstat(to[s]); err == nil && o.Has('n') {
			continue
		}
		if o.Has('v') {
			c.Printf("renamed '%s' -> '%s'\n", s, to[s])
		}
		if err := move(s, to[s]); err != nil {
			c.Warn(err)
		}
	}
	return nil
}

func move(from, to string) error {
	err := os.Rename(from, to)
	if !errors.Is(err, unix.EXDEV) {
		return err
	}
	if err := (copier{recursive: true, preserve: true, links: true, force: true}).copy(from, to); err != nil {
		return err
	}
	return os.RemoveAll(from)
}

func dd(c *tool.Call) error {
	v := map[string]string{"bs": "512"}
	for _, a := range c.Args {
		key, value, ok := strings.Cut(a, "=")
		switch key {
		case "if", "of", "bs", "ibs", "obs", "count", "skip", "seek", "conv", "status", "iflag", "oflag":
		default:
			ok = false
		}
		if !ok {
			return tool.Usage("unknown operand %q", a)
		}
		v[key] = value
	}
	n := map[string]int64{"count": -1}
	for _, key := range []string{"bs", "count", "skip", "seek"} {
		if v[key] == "" {
			continue
		}
		size, err := Size(v[key])
		if err != nil {
			return err
		}
		n[key] = size
	}
	if n["bs"] <= 0 {
		return fmt.Errorf("invalid block size %q", v["bs"])
	}
	in, out, err := ddFiles(c, v)
	if err != nil {
		return err
	}
	defer in.Close()
	start := time.Now()
	if n["skip"] > 0 {
		if _, err := in.Seek(n["skip"]*n["bs"], io.SeekStart); err != nil {
			if _, err := io.CopyN(io.Discard, in, n["skip"]*n["bs"]); err != nil && err != io.EOF {
				return err
			}
		}
	}
	if n["seek"] > 0 {
		if _, err := out.Seek(n["seek"]*n["bs"], io.SeekStart); err != nil {
			return err
		}
	}
	total, full, part, err := ddCopy(out, in, n["bs"], n["count"])
	if strings.Contains(v["conv"], "fsync") && err == nil {
		err = out.Sync()
	}
	if close := out.Close(); err == nil {
		err = close
	}
	if v["status"] != "none" {
		fmt.Fprintf(os.Stderr, "%d+%d records in\n%d+%d records out\n%d bytes copied, %.6f s\n", full, part, full, part, total, time.Since(start).Seconds())
	}
	return err
}

func ddFiles(c *tool.Call, v map[string]string) (in, out *os.File, err error) {
	in, out = c.In, os.Stdout
	if v["if"] != "" {
		if in, err = os.Open(v["if"]); err != nil {
			return nil, nil, err
		}
	}
	if v["of"] != "" {
		mode := os.O_WRONLY | os.O_CREATE
		if !strings.Contains(v["conv"], "notrunc") && v["seek"] == "" {
			mode |= os.O_TRUNC
		}
		out, err = os.OpenFile(v["of"], mode, 0o666)
	}
	return in, out, err
}

func ddCopy(out io.Writer, in io.Reader, size, count int64) (total, full, part int64, err error) {
	buf := make([]byte, size)
	for ; count != 0; count-- {
		n, err := in.Read(buf)
		if n > 0 {
			if int64(n) == size {
				full++
			} else {
				part++
			}
			total += int64(n)
			if _, err := out.Write(buf[:n]); err != nil {
				return total, full, part, err
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return total, full, part, err
		}
	}
	return total, full, part, nil
}
