// Package cgroup gives a container a cgroup of version 2 by writing to a directory that the caller may write: limits, figures,
// freezing, killing all at once. Where there is no such directory (version 1, hybrids, nothing delegated) it does nothing,
// unless a limit was asked for: that is an error which says what is missing.
//
// Rules of the kernel that shape it (cgroups(7), Documentation/admin-guide/cgroup-v2.rst):
//   - To put a process into a cgroup one must be allowed to write cgroup.procs of it and of the closest ancestor that it shares
//     with the process's cgroup ("delegation containment").
//   - A cgroup with processes gives no controllers to its children ("no internal processes"). So a container without limits
//     lives below the caller's cgroup, one with limits below the closest ancestor that holds no processes and is ours.
//   - pids and cpu could be given beside processes, but that makes the parent the root of a threaded subtree, in which no child
//     can hold a process: never done here.
//
// All below a cgroup belongs to the container, which can make, name and fill cgroups there: it is walked by handles.
package cgroup

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Group is the cgroup of one container. A nil *Group is a container that has none: its methods do nothing, and fail only when
// what they are asked for can't be left out.
type Group struct {
	dir string
	// fd is O_PATH: it stays this cgroup, whatever becomes of the name. No *os.File: its finalizer could close it under a method
	// of a Group that nobody holds any more.
	fd int
}

const openDir = unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC

// Reopen finds a cgroup again by what Dir said: nil for "" and for one that is gone. It believes dir: whoever reads it from a
// file makes sure that the file is the caller's own.
func Reopen(dir string) *Group {
	if dir == "" {
		return nil
	}
	g, err := openGroup(unix.AT_FDCWD, dir, dir)
	if err != nil {
		return nil
	}
	if !onCgroup2(g.fd) {
		g.Close()
		return nil
	}
	return g
}

// openGroup opens name below the directory at, and calls it dir.
func openGroup(at int, name, dir string) (*Group, error) {
	fd, err := unix.Openat(at, name, openDir, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open cgroup", Path: dir, Err: err}
	}
	return &Group{dir, fd}, nil
}

func onCgroup2(fd int) bool {
	var st unix.Statfs_t
	return unix.Fstatfs(fd, &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC
}

// Dir is the absolute path, "" for nil.
func (g *Group) Dir() string {
	if g == nil {
		return ""
	}
	return g.dir
}

// Fd is a new O_PATH descriptor for CLONE_INTO_CGROUP, which the caller closes; -1 for nil.
func (g *Group) Fd() (int, error) {
	if g == nil {
		return -1, nil
	}
	fd, err := unix.FcntlInt(uintptr(g.fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return -1, &fs.PathError{Op: "open cgroup", Path: g.dir, Err: err}
	}
	return fd, nil
}

// Close releases the handle. The cgroup stays.
func (g *Group) Close() error {
	if g == nil || g.fd < 0 {
		return nil
	}
	fd := g.fd
	g.fd = -1
	return unix.Close(fd)
}

// Add moves a process into the cgroup.
func (g *Group) Add(pid int) error {
	if g == nil {
		return nil
	}
	return g.write("cgroup.procs", strconv.Itoa(pid))
}

// Below opens a cgroup that the container made below its own.
func (g *Group) Below(path string) (*Group, error) {
	if g == nil {
		return nil, fmt.Errorf("cgroup %q of the container: it has no cgroup", path)
	}
	how := unix.OpenHow{Flags: openDir, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV}
	rel := strings.TrimLeft(filepath.Clean("/"+path), "/")
	if rel == "" {
		rel = "."
	}
	fd, err := unix.Openat2(g.fd, rel, &how)
	if err != nil {
		return nil, fmt.Errorf("cgroup %q of the container: %w", path, err)
	}
	dir := filepath.Join(g.dir, rel)
	return &Group{dir, fd}, nil
}

// ForExec is where a further process of the container starts, for the pid of its init: the cgroup itself; or, when the container
// has given controllers to cgroups below (a systemd does), so that the kernel takes no process here, the one that init is in.
func (g *Group) ForExec(pid int) (*Group, error) {
	if g == nil {
		return nil, nil
	}
	given, _ := g.read("cgroup.subtree_control")
	if strings.TrimSpace(given) == "" {
		return g.Below(".")
	}
	dir, err := dirOf(pid)
	if err != nil {
		return nil, fmt.Errorf("cgroup of the container's init: %w", err)
	}
	if !below(dir, g.dir) {
		return nil, fmt.Errorf("cgroup of the container's init: %s is not below %s", dir, g.dir)
	}
	return g.Below(dir[len(g.dir):])
}

// dirOf is the cgroup of a process as we see the hierarchy. 0 is the caller.
func dirOf(pid int) (string, error) {
	who := "self"
	if pid != 0 {
		who = strconv.Itoa(pid)
	}
	text, err := os.ReadFile("/proc/" + who + "/cgroup")
	if err != nil {
		return "", err
	}
	own := ownPath(string(text))
	if own == "" {
		return "", fmt.Errorf("process %d is outside of what we see of cgroup version 2", pid)
	}
	return filepath.Join(mountPoint(), own), nil
}

// read is a file of the cgroup.
func (g *Group) read(name string) (string, error) {
	fd, err := unix.Openat(g.fd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", &fs.PathError{Op: "open", Path: filepath.Join(g.dir, name), Err: err}
	}
	f := os.NewFile(uintptr(fd), filepath.Join(g.dir, name))
	defer f.Close()
	b, err := io.ReadAll(f)
	return string(b), err
}

// word is what a file of one value says, "" when it can't be read.
func (g *Group) word(name string) string {
	text, _ := g.read(name)
	return strings.TrimSpace(text)
}

// write sets a file, which must exist: cgroupfs makes none, and a test's directory is to behave like it.
func (g *Group) write(name, value string) error {
	fd, err := unix.Openat(g.fd, name, unix.O_WRONLY|unix.O_TRUNC|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err == nil {
		defer unix.Close(fd)
		// One write: the kernel takes each for a request of its own.
		_, err = unix.Write(fd, []byte(value))
	}
	if err != nil {
		return &fs.PathError{Op: fmt.Sprintf("write %q to", value), Path: filepath.Join(g.dir, name), Err: err}
	}
	return nil
}

// gone: the cgroup was removed, seen by its name or by a handle.
func gone(err error) bool { return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) }
