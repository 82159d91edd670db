package container

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rl-containers/rl/cgroup"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/storage"
	"github.com/rl-containers/rl/sys"
)

// Stats are what a container uses. All but memory and tasks counts from its start.
type Stats struct {
	storage.State
	// Up is zero for one that doesn't run, and so is all else.
	Up time.Duration
	// CPU is processor time, of which System was spent in the kernel.
	CPU, System time.Duration
	// Percent is of one processor, since the last measurement or, the first time, the start. Average is since the start.
	Percent, Average float64
	// Memory is without the page cache, Limit the container's or the machine's.
	Memory, Limit uint64
	Tasks         uint64
	// In bytes, by the container's network and by block devices.
	Received, Sent, Read, Written uint64
	// Of its cgroup, where it has one and the kernel counts them.
	CPUPressure, MemoryPressure, IOPressure *cgroup.PSI
}

// Meter measures containers again and again.
type Meter struct {
	store *storage.Store
	ids   []string // those that were named, nil: what List finds
	all   bool
	last  map[string]moment
}

// moment is what the next measurement compares with.
type moment struct {
	start, at time.Time
	cpu       time.Duration
}

// NewMeter is for the named containers; without names for those that run, with all those that don't, too.
func NewMeter(words []string, all bool) (*Meter, error) {
	store, err := storage.Open()
	if err != nil {
		return nil, err
	}
	m := &Meter{store: store, all: all, last: map[string]moment{}}
	var failed []error
	for _, word := range words {
		s, err := lookup(store, word)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		m.ids = append(m.ids, s.ID)
	}
	return m, errors.Join(failed...)
}

// Latest is the container that was made last.
func Latest() (*storage.State, error) {
	states, err := List(true)
	if err != nil {
		return nil, err
	}
	if len(states) == 0 {
		return nil, hint.Errorf("rl run makes one", "there is no container")
	}
	s := slices.MaxFunc(states, func(a, b storage.State) int { return a.Created.Compare(b.Created) })
	return &s, nil
}

// Measure measures each, in the order of the names or, without names, the newest first. One that is removed is left out.
func (m *Meter) Measure() ([]Stats, error) {
	states, err := m.states()
	if err != nil {
		return nil, err
	}
	total := machineMemory()
	spaces := &pidSpaces{}
	list := make([]Stats, len(states))
	for i := range states {
		s := &list[i]
		if s.State = states[i]; s.Running {
			s.measure(spaces)
			s.Limit = min(s.Limit-1, total-1) + 1 // 0 is none
			m.compare(s)
		}
	}
	return list, nil
}

func (m *Meter) states() ([]storage.State, error) {
	if m.ids == nil {
		states, err := List(m.all)
		slices.SortFunc(states, func(a, b storage.State) int { return b.Created.Compare(a.Created) })
		return states, err
	}
	var states []storage.State
	for _, id := range m.ids {
		if s, there := m.store.Look(id); there {
			refine(&s)
			states = append(states, s)
		}
	}
	return states, nil
}

// Wait waits so long, or until all containers that were named have ended. It tells whether there is more to measure.
func (m *Meter) Wait(pause time.Duration) bool {
	end := time.Now().Add(pause)
	if m.ids == nil {
		time.Sleep(pause)
		return true
	}
	more := false
	for _, id := range m.ids {
		s, there := m.store.Look(id)
		if p, err := s.Process(); there && err == nil {
			more = !p.Ended(int(max(0, time.Until(end).Milliseconds()))) || more
			p.Close()
		}
		more = more || there && s.Status == storage.Restarting
	}
	if more {
		time.Sleep(time.Until(end)) // one that is to be started again has no process to wait for
	}
	return more
}

// compare adds what is said of a time: percentages.
func (m *Meter) compare(s *Stats) {
	now := time.Now()
	s.Up = now.Sub(s.Started)
	s.Average = percent(s.CPU, s.Up)
	s.Percent = s.Average
	if old, ok := m.last[s.ID]; ok && old.start.Equal(s.Started) {
		s.Percent = percent(s.CPU-old.cpu, now.Sub(old.at))
	}
	m.last[s.ID] = moment{s.Started, now, s.CPU}
}

// percent is never below zero: a process that nobody waited for takes its time along when it ends.
func percent(part, whole time.Duration) float64 {
	if part <= 0 || whole <= 0 {
		return 0
	}
	return 100 * float64(part) / float64(whole)
}

// measure takes from the container's cgroup what that counts, and the rest from its processes.
func (s *Stats) measure(spaces *pidSpaces) {
	s.Received, s.Sent = networkBytes(s.Pid)
	g := cgroup.Reopen(s.Cgroup)
	if g == nil {
		pids, _ := spaces.of(s.Pid)
		s.addProcesses(pids, true)
		return
	}
	defer g.Close()
	c, err := g.Stats()
	if err != nil {
		return // it ends at this moment
	}
	s.CPU, s.System = time.Duration(c.CPU.Usage.Total), time.Duration(c.CPU.Usage.Kernel)
	s.CPUPressure, s.MemoryPressure, s.IOPressure = c.CPU.PSI, c.Memory.PSI, c.Blkio.PSI
	if s.Memory = c.Memory.Usage.Usage; s.Memory == 0 { // it has no controllers
		pids, _ := g.Procs()
		s.addProcesses(pids, false)
		return
	}
	s.Memory -= min(s.Memory, c.Memory.Raw["inactive_file"])
	s.Limit, s.Tasks = c.Memory.Usage.Limit, c.Pids.Current
	for _, e := range c.Blkio.IoServiceBytesRecursive {
		if e.Op == "Read" {
			s.Read += e.Value
		} else {
			s.Written += e.Value
		}
	}
}

// addProcesses sums up what the kernel tells of each. With cpu also their times, and those of the children that they waited for.
func (s *Stats) addProcesses(pids []int, cpu bool) {
	for _, pid := range pids {
		f, err := sys.StatFields(pid)
		if err != nil {
			continue // it has ended meanwhile
		}
		ticksOf := func(field int) time.Duration {
			n, _ := strconv.ParseInt(f[field-3], 10, 64)
			return time.Duration(n) * time.Second / ticks
		}
		if cpu {
			s.System += ticksOf(15) + ticksOf(17)
			s.CPU += ticksOf(14) + ticksOf(15) + ticksOf(16) + ticksOf(17)
		}
		tasks, _ := strconv.ParseUint(f[20-3], 10, 64)
		s.Tasks += tasks
		s.Memory += memoryOf(pid)
		io := procValues(pid, "io")
		s.Read, s.Written = s.Read+io["read_bytes"], s.Written+io["write_bytes"]
	}
}

// memoryOf is a process's part of what it has in memory: pages that several share count once in their sum.
func memoryOf(pid int) uint64 {
	if m := procValues(pid, "smaps_rollup"); m["Pss"] > 0 {
		return m["Pss"] * 1024
	}
	return procValues(pid, "status")["VmRSS"] * 1024
}

// procValues are the numbers of a file of lines NAME: NUMBER in /proc/PID.
func procValues(pid int, file string) map[string]uint64 {
	b, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/" + file)
	return values(b)
}

func values(b []byte) map[string]uint64 {
	all := map[string]uint64{}
	for line := range bytes.Lines(b) {
		name, rest, _ := bytes.Cut(line, []byte(":"))
		if words := bytes.Fields(rest); len(words) > 0 {
			if n, err := strconv.ParseUint(string(words[0]), 10, 64); err == nil {
				all[string(name)] = n
			}
		}
	}
	return all
}

func machineMemory() uint64 {
	b, _ := os.ReadFile("/proc/meminfo")
	return values(b)["MemTotal"] * 1024
}

// networkBytes are those of all interfaces but lo; none of a container in the network of its host.
func networkBytes(pid int) (received, sent uint64) {
	dir := "/proc/" + strconv.Itoa(pid)
	its, err := os.Readlink(dir + "/ns/net")
	if ours, _ := os.Readlink("/proc/self/ns/net"); err != nil || its == ours {
		return 0, 0
	}
	b, _ := os.ReadFile(dir + "/net/dev")
	for line := range strings.Lines(string(b)) {
		name, rest, ok := strings.Cut(strings.TrimSpace(line), ":")
		words := strings.Fields(rest)
		if !ok || name == "lo" || len(words) < 9 {
			continue
		}
		in, _ := strconv.ParseUint(words[0], 10, 64)
		out, _ := strconv.ParseUint(words[8], 10, 64)
		received, sent = received+in, sent+out
	}
	return received, sent
}

// pidSpaces are all processes by their pid namespace, looked at once for all containers.
type pidSpaces struct{ pids map[string][]int }

func (p *pidSpaces) of(pid int) ([]int, error) {
	its := pidSpace(strconv.Itoa(pid))
	if its == "" || its == pidSpace("self") {
		return []int{pid}, nil
	}
	if p.pids == nil {
		dir, err := os.Open("/proc")
		if err != nil {
			return nil, err
		}
		defer dir.Close()
		names, err := dir.Readdirnames(-1)
		if err != nil {
			return nil, err
		}
		p.pids = map[string][]int{}
		for _, name := range names {
			if pid, err := strconv.Atoi(name); err == nil {
				space := pidSpace(name)
				p.pids[space] = append(p.pids[space], pid)
			}
		}
	}
	return p.pids[its], nil
}

func pidSpace(pid string) string {
	link, _ := os.Readlink("/proc/" + pid + "/ns/pid")
	return link
}
