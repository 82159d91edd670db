package test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// patience is how long a condition that must come true may take on a loaded machine; no test asserts a time by it.
const patience = 30 * time.Second

// eventually waits until check holds, and returns its last error otherwise.
func eventually(check func() error) error {
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		err := check()
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}

// proc is a process as /proc shows it.
type proc struct {
	pid, parent int
	command     string
}

func (p proc) String() string {
	return fmt.Sprintf("process %d (parent %d): %s", p.pid, p.parent, p.command)
}

// processes are all that are visible and satisfy keep, zombies left out: those are their parent's, not ours.
func processes(keep func(dir string) bool) []proc {
	entries, _ := os.ReadDir("/proc")
	var all []proc
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		dir := filepath.Join("/proc", e.Name())
		if state, parent := stat(dir); state != 'Z' && state != 0 && keep(dir) {
			all = append(all, proc{pid, parent, commandLine(dir)})
		}
	}
	return all
}

// stat is the state and the parent in /proc/PID/stat; the name before them may hold anything but is the last to end in ")".
func stat(dir string) (state byte, parent int) {
	b, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return 0, 0
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(f) < 2 {
		return 0, 0
	}
	parent, _ = strconv.Atoi(f[1])
	return f[0][0], parent
}

func commandLine(dir string) string {
	b, _ := os.ReadFile(dir + "/cmdline")
	return strings.ReplaceAll(strings.TrimRight(string(b), "\x00"), "\x00", " ")
}

// touching are the processes that have anything to do with a directory: by their environment, command line, working directory,
// root, program or mounts.
func touching(dir string) []proc {
	return processes(func(p string) bool {
		for _, file := range []string{"/environ", "/cmdline", "/mountinfo"} {
			b, _ := os.ReadFile(p + file)
			if strings.Contains(string(b), dir) {
				return true
			}
		}
		for _, link := range []string{"/cwd", "/root", "/exe"} {
			target, _ := os.Readlink(p + link)
			if strings.HasPrefix(target, dir) {
				return true
			}
		}
		return false
	})
}

// foreign are the processes in a user namespace that is not ours: a container's, or a helper's.
func foreign() []proc {
	mine, _ := os.Readlink("/proc/self/ns/user")
	return processes(func(p string) bool {
		ns, err := os.Readlink(p + "/ns/user")
		return err == nil && ns != mine
	})
}

// nothingLeft: no process, mount or temporary file below work, nor a container of rl's in data.
func nothingLeft(work, data string) error {
	if left := touching(work); len(left) > 0 {
		return fmt.Errorf("still running: %v", left[0])
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	if strings.Contains(string(mounts), work) {
		return errors.New("a mount is left in the caller's namespace")
	}
	if err := emptyDir(filepath.Join(work, ".tmp")); err != nil {
		return err
	}
	return noContainers(data)
}

// noContainers: nothing of a container is left in rl's data directory, neither kept nor of --rm, nor a name.
func noContainers(data string) error {
	for _, place := range []string{"containers", "transient", "names"} {
		if err := emptyDir(filepath.Join(data, place)); err != nil {
			return err
		}
	}
	return nil
}

// emptyDir: dir is missing or has no entries.
func emptyDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("left in %s: %v", dir, entries)
	}
	return nil
}
