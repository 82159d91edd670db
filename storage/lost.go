package storage

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/sys"
)

// MonitorName is argv[0] of the process that stays with a detached container. argv[1] is the container's id, and argv[2], while it
// watches, JSON with a watched.
const MonitorName = "rl-monitor"

// watched is what a monitor's arguments tell of its container.
type watched struct {
	Pid         int
	StopSignal  string
	StopTimeout int
	Who         struct{ Name, Image, ImageID string }
}

// errNoID is a record that names no container: a crash of the machine can leave an empty one.
var errNoID = errors.New("it names no container")

// unrecorded is a container whose record is not there, or is broken. While it is made or removed that is so for a moment; else somebody
// took its files away.
func unrecorded(d *os.File, s State, boot string) (State, bool) {
	s.ID = filepath.Base(s.Dir)
	if s.Monitored {
		return lost(d, s, boot)
	}
	if info, err := d.Stat(); err == nil {
		s.Created = info.ModTime()
	}
	if link := (&Container{Dir: s.Dir}).recordedName(); link != "" {
		s.Name = filepath.Base(link)
	}
	return s, true
}

// lost is one that runs without a record: what it is is known from its monitor's arguments. Whoever only says that it is one is not
// believed: a monitor has the directory open, and the container's first process is its child.
func lost(d *os.File, s State, boot string) (State, bool) {
	if filepath.Base(filepath.Dir(s.Dir)) != kept {
		return s, false // being made or removed
	}
	proc, err := os.Open("/proc")
	if err != nil {
		return s, false
	}
	defer proc.Close()
	names, _ := proc.Readdirnames(-1)
	for _, name := range names {
		monitor, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		w, ok := watches(name, s.ID)
		if !ok || sys.Parent(w.Pid) != monitor || !holds(name, d) {
			continue
		}
		_, start, err := sys.Stat(w.Pid)
		if err != nil {
			continue
		}
		s.Name, s.Image, s.ImageID, s.StopSignal, s.StopTimeout = w.Who.Name, w.Who.Image, w.Who.ImageID, w.StopSignal, w.StopTimeout
		s.Life = Life{Pid: w.Pid, Start: start, BootID: boot, Detached: true}
		if info, err := os.Stat("/proc/" + strconv.Itoa(w.Pid)); err == nil {
			s.Started, s.Created = info.ModTime(), info.ModTime()
		}
		s.judge(boot, func() bool { return true })
		return s, true
	}
	return s, false
}

// watches reads the arguments of a process.
func watches(pid, id string) (w watched, ok bool) {
	b, err := os.ReadFile("/proc/" + pid + "/cmdline")
	if err != nil {
		return w, false
	}
	args := strings.Split(string(b), "\x00")
	if len(args) < 3 || args[0] != MonitorName || args[1] != id {
		return w, false
	}
	return w, json.Unmarshal([]byte(args[2]), &w) == nil && w.Pid > 1
}

// holds tells whether a process of the user's has the directory open.
func holds(pid string, d *os.File) bool {
	var want, st unix.Stat_t
	if unix.Fstat(int(d.Fd()), &want) != nil {
		return false
	}
	fds, _ := os.ReadDir("/proc/" + pid + "/fd")
	for _, fd := range fds {
		if unix.Stat("/proc/"+pid+"/fd/"+fd.Name(), &st) == nil && st.Dev == want.Dev && st.Ino == want.Ino {
			return true
		}
	}
	return false
}

// bury is that of the container's directory, where there is no life in it by that of the state.
func (s *State) bury(c *Container) {
	if c.bury().Pid == 0 {
		s.Life.kill()
	}
}
