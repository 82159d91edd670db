package cgroup

import (
	"cmp"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Stats are the figures of a cgroup in the JSON of runc's `events --stats` (its "data"), which engines parse. What version 2 has
// no file for, or the cgroup no controller, is left out or zero.
type Stats struct {
	CPU     CPUStats                `json:"cpu"`
	Memory  MemoryStats             `json:"memory"`
	Pids    PidsStats               `json:"pids"`
	Blkio   BlkioStats              `json:"blkio"`
	Hugetlb map[string]HugetlbStats `json:"hugetlb"`
}

// CPUStats are in nanoseconds.
type CPUStats struct {
	Usage      CPUUsage   `json:"usage"`
	Throttling Throttling `json:"throttling"`
	PSI        *PSI       `json:"psi,omitempty"`
}

// CPUUsage is CPU time.
type CPUUsage struct {
	Total  uint64 `json:"total,omitempty"`
	Kernel uint64 `json:"kernel"`
	User   uint64 `json:"user"`
}

// Throttling is what cpu.max did.
type Throttling struct {
	Periods          uint64 `json:"periods,omitempty"`
	ThrottledPeriods uint64 `json:"throttledPeriods,omitempty"`
	ThrottledTime    uint64 `json:"throttledTime,omitempty"`
}

// MemoryStats are in bytes; Raw is memory.stat. Swap is memory and swap together, as version 1 counted.
type MemoryStats struct {
	Cache uint64            `json:"cache,omitempty"`
	Usage MemoryEntry       `json:"usage"`
	Swap  MemoryEntry       `json:"swap"`
	Raw   map[string]uint64 `json:"raw,omitempty"`
	PSI   *PSI              `json:"psi,omitempty"`
}

// MemoryEntry is a use and its limit; no limit is the greatest number.
type MemoryEntry struct {
	Limit   uint64 `json:"limit"`
	Usage   uint64 `json:"usage,omitempty"`
	Max     uint64 `json:"max,omitempty"`
	Failcnt uint64 `json:"failcnt"`
}

// PidsStats count tasks; no limit is 0.
type PidsStats struct {
	Current uint64 `json:"current,omitempty"`
	Limit   uint64 `json:"limit,omitempty"`
}

// BlkioStats are bytes and requests a device.
type BlkioStats struct {
	IoServiceBytesRecursive []BlkioEntry `json:"ioServiceBytesRecursive,omitempty"`
	IoServicedRecursive     []BlkioEntry `json:"ioServicedRecursive,omitempty"`
	PSI                     *PSI         `json:"psi,omitempty"`
}

// BlkioEntry is one figure of one device; Op is Read or Write.
type BlkioEntry struct {
	Major uint64 `json:"major,omitempty"`
	Minor uint64 `json:"minor,omitempty"`
	Op    string `json:"op,omitempty"`
	Value uint64 `json:"value,omitempty"`
}

// HugetlbStats are of one page size, in bytes.
type HugetlbStats struct {
	Usage   uint64 `json:"usage,omitempty"`
	Max     uint64 `json:"max,omitempty"`
	Failcnt uint64 `json:"failcnt"`
}

// PSI is the share of time in which some or all tasks waited.
type PSI struct {
	Some PSIData `json:"some,omitzero"`
	Full PSIData `json:"full,omitzero"`
}

// PSIData are percentages over 10, 60 and 300 seconds, and microseconds.
type PSIData struct {
	Avg10  float64 `json:"avg10"`
	Avg60  float64 `json:"avg60"`
	Avg300 float64 `json:"avg300"`
	Total  uint64  `json:"total"`
}

// Stats reads what files there are.
func (g *Group) Stats() (Stats, error) {
	s := Stats{Hugetlb: map[string]HugetlbStats{}}
	if g == nil {
		return s, nil
	}
	if _, err := g.read("cgroup.events"); err != nil { // removed: not a row of zeros
		return s, err
	}
	s.CPU = parseCPU(g.word("cpu.stat"))
	s.CPU.PSI = parsePSI(g.word("cpu.pressure"))
	s.Memory = g.memoryStats()
	s.Blkio = parseIO(g.word("io.stat"))
	s.Blkio.PSI = parsePSI(g.word("io.pressure"))
	s.Hugetlb = g.hugetlbStats()
	var err error
	s.Pids, err = g.pidsStats()
	return s, err
}

// Limits are the files of limits that are there, by name, with what they say.
func (g *Group) Limits() map[string]string {
	if g == nil {
		return nil
	}
	all := map[string]string{}
	for _, name := range []string{"memory.max", "memory.high", "memory.low", "memory.swap.max", "cpu.max", "cpu.weight", "cpuset.cpus", "cpuset.mems", "pids.max",
		"io.max", "io.weight", "io.bfq.weight"} {
		if text := g.word(name); text != "" {
			all[name] = text
		}
	}
	return all
}

// OOMKills is how many processes the kernel killed because the cgroup had no memory left, in it and below.
func (g *Group) OOMKills() uint64 {
	if g == nil {
		return 0
	}
	return number(field(g.word("memory.events"), "oom_kill"))
}

// Watch is readable each time that Populated or OOMKills may have changed (inotify of cgroup.events and memory.events); what is
// read says no more. A deadline can be set on it. The caller closes it.
func (g *Group) Watch() (*os.File, error) {
	if g == nil {
		return nil, errors.New("watch the container's cgroup: it has none")
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	f := os.NewFile(uintptr(fd), "inotify")
	_, err = unix.InotifyAddWatch(fd, filepath.Join(g.dir, "cgroup.events"), unix.IN_MODIFY)
	if err != nil {
		return nil, errors.Join(os.NewSyscallError("inotify_add_watch", err), f.Close())
	}
	_, _ = unix.InotifyAddWatch(fd, filepath.Join(g.dir, "memory.events"), unix.IN_MODIFY) // where there is the controller
	return f, nil
}

// number reads a count: 0 when there is none, and "max" is the greatest.
func number(s string) uint64 {
	if s == "max" {
		return math.MaxUint64
	}
	n, _ := strconv.ParseUint(s, 10, 64)
	return n
}

func parseCPU(text string) CPUStats {
	get := func(key string) uint64 { return number(field(text, key)) }
	return CPUStats{
		Usage:      CPUUsage{Total: get("usage_usec") * 1000, Kernel: get("system_usec") * 1000, User: get("user_usec") * 1000},
		Throttling: Throttling{get("nr_periods"), get("nr_throttled"), get("throttled_usec") * 1000},
	}
}

func (g *Group) memoryStats() MemoryStats {
	m := MemoryStats{Raw: parseKeys(g.word("memory.stat")), PSI: parsePSI(g.word("memory.pressure"))}
	m.Cache = m.Raw["file"]
	m.Usage = g.memoryEntry("memory")
	m.Usage.Failcnt = number(field(g.word("memory.events"), "max"))
	if g.word("memory.swap.current") == "" {
		return m
	}
	m.Swap = g.memoryEntry("memory.swap")
	m.Swap.Max = 0 // two peaks need not have been at one time
	m.Swap.Usage += m.Usage.Usage
	if m.Swap.Limit < math.MaxUint64-m.Usage.Limit {
		m.Swap.Limit += m.Usage.Limit
	} else {
		m.Swap.Limit = math.MaxUint64
	}
	return m
}

func (g *Group) memoryEntry(prefix string) MemoryEntry {
	return MemoryEntry{Usage: number(g.word(prefix + ".current")), Limit: number(g.word(prefix + ".max")), Max: number(g.word(prefix + ".peak"))}
}

func parseKeys(text string) map[string]uint64 {
	if text == "" {
		return nil
	}
	all := map[string]uint64{}
	for line := range strings.Lines(text) {
		k, v, _ := strings.Cut(strings.TrimSpace(line), " ")
		all[k] = number(v)
	}
	return all
}

// pidsStats counts processes where there is no controller to count tasks.
func (g *Group) pidsStats() (PidsStats, error) {
	if current := g.word("pids.current"); current != "" {
		limit := number(g.word("pids.max"))
		if limit == math.MaxUint64 {
			limit = 0
		}
		return PidsStats{number(current), limit}, nil
	}
	pids, err := g.Procs()
	return PidsStats{Current: uint64(len(pids))}, err
}

// parseIO reads lines like "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6".
func parseIO(text string) BlkioStats {
	var b BlkioStats
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		major, minor, _ := strings.Cut(words[0], ":")
		for _, w := range words[1:] {
			key, v, _ := strings.Cut(w, "=")
			b.add(key, BlkioEntry{Major: number(major), Minor: number(minor), Value: number(v)})
		}
	}
	return b
}

func (b *BlkioStats) add(key string, e BlkioEntry) {
	switch key {
	case "rbytes", "rios":
		e.Op = "Read"
	case "wbytes", "wios":
		e.Op = "Write"
	default:
		return
	}
	if strings.HasSuffix(key, "bytes") {
		b.IoServiceBytesRecursive = append(b.IoServiceBytesRecursive, e)
	} else {
		b.IoServicedRecursive = append(b.IoServicedRecursive, e)
	}
}

// hugetlbStats are of the page sizes that there are files of.
func (g *Group) hugetlbStats() map[string]HugetlbStats {
	all := map[string]HugetlbStats{}
	entries, _ := g.entries()
	for _, e := range entries {
		name, ours := strings.CutPrefix(e.Name(), "hugetlb.")
		size, events := strings.CutSuffix(name, ".events")
		if !ours || !events {
			continue
		}
		used := cmp.Or(g.word("hugetlb."+size+".rsvd.current"), g.word("hugetlb."+size+".current"))
		all[size] = HugetlbStats{Usage: number(used), Failcnt: number(field(g.word(e.Name()), "max"))}
	}
	return all
}

// parsePSI reads lines like "some avg10=0.00 avg60=0.00 avg300=0.00 total=0"; nil where the kernel counts none.
func parsePSI(text string) *PSI {
	if text == "" {
		return nil
	}
	p := &PSI{}
	for line := range strings.Lines(text) {
		switch kind, rest, _ := strings.Cut(line, " "); kind {
		case "some":
			p.Some = parsePSIData(rest)
		case "full":
			p.Full = parsePSIData(rest)
		}
	}
	return p
}

func parsePSIData(text string) PSIData {
	var d PSIData
	for _, w := range strings.Fields(text) {
		key, v, _ := strings.Cut(w, "=")
		f, _ := strconv.ParseFloat(v, 64)
		switch key {
		case "avg10":
			d.Avg10 = f
		case "avg60":
			d.Avg60 = f
		case "avg300":
			d.Avg300 = f
		case "total":
			d.Total = number(v)
		}
	}
	return d
}
