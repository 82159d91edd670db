package container

import (
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/storage"
	"github.com/rl-containers/rl/sys"
)

// Process is one of a container's, as ps -ef on the host shows it (ps(1)).
type Process struct {
	// UID is a name, or a number where the host has none for it.
	UID  string
	PID  int
	PPID int
	// C is the percentage of one processor over the whole life.
	C     int
	STIME string
	TTY   string
	TIME  string
	CMD   string
}

// Top lists the processes of a container, by their numbers on the host.
func Top(word string) ([]Process, error) {
	_, pids, err := topPids(word)
	if err != nil {
		return nil, err
	}
	names := map[uint32]string{}
	boot := bootTime()
	var all []Process
	for _, pid := range pids {
		if p, ok := process(pid, boot, names); ok { // else it has ended meanwhile
			all = append(all, p)
		}
	}
	return all, nil
}

// TopPids are the processes of a container that runs, by their numbers on the host.
func TopPids(word string) ([]int, error) {
	_, pids, err := topPids(word)
	return pids, err
}

func topPids(word string) (*storage.State, []int, error) {
	s, err := Find(word)
	if err != nil {
		return nil, nil, err
	}
	if !s.Running {
		return nil, nil, hint.Errorf("rl start "+s.Name, "top of container %s: it is not running", s.Name)
	}
	pids, err := Processes(s)
	slices.Sort(pids)
	return s, pids, err
}

// ticks are in a second, for all that the kernel tells user space (USER_HZ, time(7)).
const ticks = 100

func process(pid int, boot time.Time, names map[uint32]string) (Process, bool) {
	dir := "/proc/" + strconv.Itoa(pid)
	st, err := os.Stat(dir)
	if err != nil {
		return Process{}, false
	}
	f, err := sys.StatFields(pid)
	if err != nil {
		return Process{}, false
	}
	number := func(field int) int { // as proc(5) counts them
		n, _ := strconv.Atoi(f[field-3])
		return n
	}
	uid := userOf(dir, st.Sys().(*syscall.Stat_t).Uid)
	if names[uid] == "" {
		names[uid] = userName(uid)
	}
	started := boot.Add(time.Duration(number(22)) * time.Second / ticks)
	used := time.Duration(number(14)+number(15)) * time.Second / ticks
	name, _ := os.ReadFile(dir + "/comm")
	p := Process{UID: names[uid], PID: pid, PPID: number(4), STIME: clock(started), TTY: terminal(number(7)), TIME: span(used), CMD: "[" + strings.TrimSpace(string(name)) + "]"}
	if age := time.Since(started); age > 0 {
		p.C = int(100 * used / age)
	}
	if b, err := os.ReadFile(dir + "/cmdline"); err == nil && len(b) > 0 {
		p.CMD = strings.ReplaceAll(strings.TrimRight(string(b), "\x00"), "\x00", " ")
	}
	return p, true
}

// userOf is the effective user of a process: the directory itself is root's when the process is not dumpable (proc(5)).
func userOf(dir string, uid uint32) uint32 {
	b, err := os.ReadFile(dir + "/status")
	if err != nil {
		return uid
	}
	for line := range strings.Lines(string(b)) {
		if ids, ok := strings.CutPrefix(line, "Uid:"); ok {
			if fields := strings.Fields(ids); len(fields) > 1 {
				if n, err := strconv.ParseUint(fields[1], 10, 32); err == nil {
					return uint32(n)
				}
			}
		}
	}
	return uid
}

func userName(uid uint32) string {
	number := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(number); err == nil {
		return u.Username
	}
	return number
}

func nameOfGroup(gid uint32) string {
	number := strconv.FormatUint(uint64(gid), 10)
	if g, err := user.LookupGroupId(number); err == nil {
		return g.Name
	}
	return number
}

// bootTime is btime of /proc/stat (proc(5)).
func bootTime() time.Time {
	b, _ := os.ReadFile("/proc/stat")
	_, rest, _ := strings.Cut(string(b), "\nbtime ")
	line, _, _ := strings.Cut(rest, "\n")
	n, _ := strconv.ParseInt(line, 10, 64)
	return time.Unix(n, 0)
}

// clock is a time of today, and for older ones the day.
func clock(t time.Time) string {
	if time.Since(t) < 24*time.Hour {
		return t.Format("15:04")
	}
	return t.Format("Jan02")
}

func span(d time.Duration) string {
	s := int(d / time.Second)
	two := func(n int) string { return string(rune('0'+n/10)) + string(rune('0'+n%10)) }
	if s >= 100*3600 {
		return strconv.Itoa(s/3600) + ":" + two(s/60%60) + ":" + two(s%60)
	}
	return two(s/3600) + ":" + two(s/60%60) + ":" + two(s%60)
}

// terminal names a device by its number (proc(5), stat field 7): pts/N in a container, as everywhere.
func terminal(dev int) string {
	major, minor := dev>>8&0xfff, dev&0xff|dev>>12&0xfff00
	switch {
	case dev == 0:
		return "?"
	case major >= 136 && major < 144:
		return "pts/" + strconv.Itoa((major-136)<<20|minor)
	case major == 4:
		return "tty" + strconv.Itoa(minor)
	}
	return "?"
}
