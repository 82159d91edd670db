package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	freezeLimit = 10 * time.Second // a process in uninterruptible sleep (a dead NFS server) freezes when it wakes
	emptyLimit  = 2 * time.Second  // what was killed is still on its way out
)

// Freeze stops all processes of the container, or lets them go on, and returns when they have stopped.
func (g *Group) Freeze(on bool) error {
	if g == nil {
		if !on {
			return nil
		}
		return errors.New("freeze the container: it has no cgroup of version 2")
	}
	if !on {
		return g.write("cgroup.freeze", "0")
	}
	if err := g.write("cgroup.freeze", "1"); err != nil {
		return fmt.Errorf("freeze the container: %w", err)
	}
	if err := g.await("frozen", "1", freezeLimit); err != nil {
		return errors.Join(fmt.Errorf("freeze the container: %w", err), g.write("cgroup.freeze", "0"))
	}
	return nil
}

// Frozen tells whether they have stopped.
func (g *Group) Frozen() bool { return g != nil && g.event("frozen") == "1" }

// Populated tells whether there is a live process in the cgroup or below.
func (g *Group) Populated() bool { return g != nil && g.event("populated") == "1" }

// event is a value of cgroup.events.
func (g *Group) event(key string) string {
	text, _ := g.read("cgroup.events")
	return field(text, key)
}

// field is the value of "key value" lines.
func field(text, key string) string {
	for line := range strings.Lines(text) {
		if k, v, _ := strings.Cut(strings.TrimSpace(line), " "); k == key {
			return v
		}
	}
	return ""
}

// await waits until cgroup.events says so. The kernel wakes who polls it (POLLPRI), from the last read on.
func (g *Group) await(key, want string, limit time.Duration) error {
	fd, err := unix.Openat(g.fd, "cgroup.events", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: filepath.Join(g.dir, "cgroup.events"), Err: err}
	}
	defer unix.Close(fd)
	buf, end := make([]byte, 256), time.Now().Add(limit)
	for {
		n, err := unix.Pread(fd, buf, 0)
		if err != nil {
			return &fs.PathError{Op: "read", Path: filepath.Join(g.dir, "cgroup.events"), Err: err}
		}
		if field(string(buf[:n]), key) == want {
			return nil
		}
		left := time.Until(end)
		if left <= 0 {
			return fmt.Errorf("cgroup %s is not %q = %s after %v", g.dir, key, want, limit)
		}
		_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLPRI}}, int(min(left, 100*time.Millisecond).Milliseconds())+1)
	}
}

// Procs are the processes of the container, as the caller's pid namespace counts them.
func (g *Group) Procs() ([]int, error) {
	if g == nil {
		return nil, nil
	}
	var all []int
	err := g.collect(&all)
	if gone(err) {
		return nil, nil
	}
	slices.Sort(all)
	return slices.Compact(all), err
}

func (g *Group) collect(all *[]int) error {
	text, err := g.read("cgroup.procs")
	// A threaded cgroup has threads only; their processes are listed at its root.
	if err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
		return err
	}
	for _, word := range strings.Fields(text) {
		if pid, err := strconv.Atoi(word); err == nil && pid > 0 { // 0: a process that this pid namespace can't see
			*all = append(*all, pid)
		}
	}
	names, err := g.children()
	for _, name := range names {
		if err == nil {
			err = g.collectBelow(name, all)
		}
	}
	return err
}

func (g *Group) collectBelow(name string, all *[]int) error {
	child, err := openGroup(g.fd, name, filepath.Join(g.dir, name))
	if err == nil {
		defer child.Close()
		err = child.collect(all)
	}
	if gone(err) {
		return nil
	}
	return err
}

// entries are the files and cgroups in g.
func (g *Group) entries() ([]fs.DirEntry, error) {
	fd, err := unix.Openat(g.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open cgroup", Path: g.dir, Err: err}
	}
	f := os.NewFile(uintptr(fd), g.dir)
	defer f.Close()
	return f.ReadDir(-1)
}

// children are the names of the cgroups in g.
func (g *Group) children() ([]string, error) {
	entries, err := g.entries()
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// Kill sends SIGKILL to all processes of the container, frozen ones too. It doesn't wait for their end.
func (g *Group) Kill() error {
	if g == nil {
		return nil
	}
	// The caller would die of it before it has told anybody.
	if own, err := dirOf(0); err == nil && below(own, g.dir) {
		return fmt.Errorf("kill cgroup %s: the caller is in it", g.dir)
	}
	err := g.write("cgroup.kill", "1")
	if errors.Is(err, unix.ENOENT) { // before Linux 5.14
		err = g.killEach()
	}
	if gone(err) {
		return nil
	}
	return err
}

// killEach goes on while there are processes: a fork bomb makes new ones in between, unless it is frozen.
func (g *Group) killEach() error {
	_ = g.write("cgroup.freeze", "1")
	defer func() { _ = g.write("cgroup.freeze", "0") }()
	for range 50 {
		pids, err := g.Procs()
		if err != nil || len(pids) == 0 {
			return err
		}
		for _, pid := range pids {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		time.Sleep(2 * time.Millisecond)
	}
	return nil
}

// Remove takes the cgroup away, with all that the container made below, and with the parents that were made for it and are empty
// now. Processes that were killed get a moment to go. One that is gone is no error.
func (g *Group) Remove() error {
	if g == nil {
		return nil
	}
	err := g.removeTree()
	if errors.Is(err, unix.EBUSY) {
		if err = g.await("populated", "0", emptyLimit); err == nil {
			err = g.removeTree()
		}
	}
	if err != nil && !gone(err) {
		return fmt.Errorf("remove cgroup: %w", err)
	}
	return nil
}

func (g *Group) removeTree() error {
	if err := g.empty(); err != nil {
		return err
	}
	parent, err := openParent(g)
	if err != nil {
		return err
	}
	defer func() { parent.Close() }()
	if err := g.rmdir(); err != nil {
		return err
	}
	for parent.marked() {
		above, err := openParent(parent)
		if err != nil {
			return nil
		}
		err = parent.rmdir() // fails when another container is in it
		parent.Close()
		parent = above
		if err != nil {
			return nil
		}
	}
	return nil
}

// empty removes the cgroups below, deepest first, with three descriptors whatever the depth: the container chose it.
func (g *Group) empty() error {
	at, err := openGroup(g.fd, ".", g.dir)
	if err != nil {
		return err
	}
	defer func() { at.Close() }()
	for depth := 0; ; {
		names, err := at.children()
		if err != nil {
			return err
		}
		next, step := (*Group)(nil), 1
		switch {
		case len(names) > 0:
			next, err = openGroup(at.fd, names[0], filepath.Join(at.dir, names[0]))
		case depth == 0:
			return nil
		default:
			next, err = at.up()
			step = -1
		}
		if errors.Is(err, unix.ENOENT) && step > 0 { // somebody else removed it: look again
			continue
		}
		if err != nil {
			return err
		}
		at.Close()
		at, depth = next, depth+step
	}
}

// up removes g, which has no children, and opens its parent.
func (g *Group) up() (*Group, error) {
	parent, err := openParent(g)
	if err != nil {
		return nil, err
	}
	if err := g.rmdir(); err != nil && !gone(err) {
		return nil, errors.Join(err, parent.Close())
	}
	return parent, nil
}

func openParent(g *Group) (*Group, error) { return openGroup(g.fd, "..", filepath.Dir(g.dir)) }

// rmdir removes this cgroup, not another that has its name by now.
func (g *Group) rmdir() error {
	parent, err := openParent(g)
	if err != nil {
		return err
	}
	defer parent.Close()
	var named, own unix.Stat_t
	name := filepath.Base(g.dir)
	if err = unix.Fstatat(parent.fd, name, &named, unix.AT_SYMLINK_NOFOLLOW); err == nil {
		err = unix.Fstat(g.fd, &own)
	}
	if err == nil && named.Ino != own.Ino {
		err = unix.ENOENT
	}
	if err == nil {
		err = unix.Unlinkat(parent.fd, name, unix.AT_REMOVEDIR)
	}
	if err != nil {
		return &fs.PathError{Op: "remove", Path: g.dir, Err: err}
	}
	return nil
}

// madeMark is an extended attribute (of users: cgroupfs has them since Linux 5.7) of a parent that was made for a container.
const madeMark = "user.rl.made"

// mark may fail on an older kernel: then the parent stays, empty, as runc leaves it.
func (g *Group) mark() {
	_ = g.withFd(func(fd int) error { return unix.Fsetxattr(fd, madeMark, []byte("1"), 0) })
}

func (g *Group) marked() bool {
	return g.withFd(func(fd int) error { _, err := unix.Fgetxattr(fd, madeMark, nil); return err }) == nil
}

// withFd calls f with a descriptor that is more than O_PATH.
func (g *Group) withFd(f func(fd int) error) error {
	fd, err := unix.Openat(g.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return f(fd)
}
