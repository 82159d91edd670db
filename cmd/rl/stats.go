package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/rl-containers/rl/cgroup"
	"github.com/rl-containers/rl/container"
	"github.com/rl-containers/rl/hint"
)

// StatsCmd is `rl stats`.
type StatsCmd struct {
	All        bool     `short:"a" help:"Also those that don't run."`
	Latest     bool     `short:"l" help:"The one that was made last."`
	NoStream   bool     `help:"Once, and not again and again."`
	NoReset    bool     `help:"On a terminal, don't draw over the last round."`
	NoTrunc    bool     `help:"Whole ids."`
	Interval   int      `short:"i" default:"5" placeholder:"SECONDS" help:"Between two rounds (${default})."`
	Format     string   `placeholder:"json|TEMPLATE" help:"json, a Go template over .Name .CPUPerc .MemUsage .NetIO .CPUPressure …, or table TEMPLATE."`
	Containers []string `arg:"" optional:"" name:"container" help:"Name, id, or the unique beginning of an id; without one all that run."`
}

// Help is the text below the flags.
func (*StatsCmd) Help() string {
	return `CPU % is of one processor: since the last round, in the first one since the start. Memory is without the page cache.
It ends when the named containers have ended. Where a container has no cgroup, the figures are the sum of its processes'; the pressure fields (.CPUPressure .MemPressure .IOPressure, each with .Some.Avg10 and so on) are empty then.`
}

// Run prints a round, and again, until there is nothing more to measure.
func (c *StatsCmd) Run() error {
	if c.Interval < 1 {
		return hint.Errorf("-i 1", "stats: --interval %d: less than a second", c.Interval)
	}
	meter, err := c.meter()
	if err != nil {
		return err
	}
	l := c.listing()
	redraw := isTerminal(os.Stdout) && !c.NoStream && !c.NoReset
	for first := true; ; first = false {
		list, err := meter.Measure()
		if err != nil {
			return err
		}
		var b bytes.Buffer
		if err := l.write(&b, c.rows(list)); err != nil {
			return err
		}
		if err := show(b.String(), redraw, first); err != nil {
			return err
		}
		if c.NoStream || !meter.Wait(time.Duration(c.Interval)*time.Second) {
			return nil
		}
	}
}

func (c *StatsCmd) meter() (*container.Meter, error) {
	words := c.Containers
	if c.Latest {
		s, err := container.Latest()
		if err != nil {
			return nil, fmt.Errorf("stats: %w", err)
		}
		words = append(words, s.ID)
	}
	if c.All && len(words) > 0 {
		return nil, hint.Errorf("leave one of them out", "stats: --all and named containers exclude each other")
	}
	return container.NewMeter(words, c.All)
}

// show writes a round, over the last one: line by line, since a cleared screen flickers.
func show(text string, redraw, first bool) error {
	if redraw {
		home := "\x1b[H"
		if first {
			home = "\x1b[2J\x1b[H"
		}
		text = home + strings.ReplaceAll(text, "\n", "\x1b[K\n") + "\x1b[J"
	}
	_, err := io.WriteString(os.Stdout, text)
	return err
}

func (c *StatsCmd) rows(list []container.Stats) []statsRow {
	rows := make([]statsRow, len(list))
	for i := range list {
		rows[i] = statsRow{&list[i], c.NoTrunc}
	}
	return rows
}

func (c *StatsCmd) listing() *listing[statsRow] {
	return &listing[statsRow]{
		format: c.Format,
		titles: map[string]string{"CPUPerc": "CPU %", "MemUsage": "MEM USAGE / LIMIT", "MemUsageBytes": "MEM USAGE / LIMIT", "MemPerc": "MEM %", "NetIO": "NET IO", "BlockIO": "BLOCK IO", "CPUTime": "CPU TIME",
			"AvgCPU": "AVG CPU %", "CPUPressure": "CPU PRESSURE", "MemPressure": "MEM PRESSURE", "IOPressure": "IO PRESSURE", "ContainerID": "CONTAINER ID", "PIDs": "PIDS"},
		columns: []column[statsRow]{
			{"ID", (*statsRow).ID}, {"NAME", (*statsRow).Name}, {"CPU %", (*statsRow).CPUPerc}, {"MEM USAGE / LIMIT", (*statsRow).MemUsage},
			{"MEM %", (*statsRow).MemPerc}, {"NET IO", (*statsRow).NetIO}, {"BLOCK IO", (*statsRow).BlockIO}, {"PIDS", (*statsRow).PIDs},
			{"CPU TIME", (*statsRow).CPUTime}, {"AVG CPU %", (*statsRow).AvgCPU},
		},
	}
}

// statsRow shows one container, by docker's and podman's names.
type statsRow struct {
	stats *container.Stats
	whole bool
}

// of is what was measured; nothing in the row by which a template is tried.
func (r *statsRow) of() *container.Stats {
	if r.stats == nil {
		return new(container.Stats)
	}
	return r.stats
}

// ID is short without --no-trunc.
func (r *statsRow) ID() string {
	if id := r.of().ID; r.whole || len(id) < 12 {
		return id
	}
	return r.of().ID[:12]
}

// ContainerID and Container are other names of ID.
func (r *statsRow) ContainerID() string { return r.ID() }

// Container is docker's name of ID.
func (r *statsRow) Container() string { return r.ID() }

// Name is the container's.
func (r *statsRow) Name() string { return r.of().Name }

// missing stands for what a container that doesn't run has not.
const missing = "--"

func (r *statsRow) percent(n float64) string {
	if r.of().Up == 0 {
		return missing
	}
	return strconv.FormatFloat(n, 'f', 2, 64) + "%"
}

// CPUPerc is since the last round.
func (r *statsRow) CPUPerc() string { return r.percent(r.of().Percent) }

// AvgCPU is since the start.
func (r *statsRow) AvgCPU() string { return r.percent(r.of().Average) }

// CPU is CPUPerc as a number.
func (r *statsRow) CPU() float64 { return r.of().Percent }

// CPUNano and CPUSystemNano are nanoseconds.
func (r *statsRow) CPUNano() int64 { return int64(r.of().CPU) }

// CPUSystemNano is the part that was spent in the kernel.
func (r *statsRow) CPUSystemNano() int64 { return int64(r.of().System) }

// CPUTime is CPUNano in words.
func (r *statsRow) CPUTime() string {
	if r.of().Up == 0 {
		return missing
	}
	return r.of().CPU.String()
}

// UpTime is the time since the start.
func (r *statsRow) UpTime() time.Duration { return r.of().Up }

// MemUsage is memory and its limit.
func (r *statsRow) MemUsage() string { return r.two(r.of().Memory, r.of().Limit, 4, decimal) }

// MemUsageBytes is MemUsage in powers of 1024.
func (r *statsRow) MemUsageBytes() string { return r.two(r.of().Memory, r.of().Limit, 4, binary) }

// MemLimit is in bytes.
func (r *statsRow) MemLimit() uint64 { return r.of().Limit }

// MemPerc is of the limit.
func (r *statsRow) MemPerc() string {
	return r.percent(100 * float64(r.of().Memory) / float64(max(r.of().Limit, 1)))
}

// NetIO is received and sent.
func (r *statsRow) NetIO() string { return r.two(r.of().Received, r.of().Sent, 3, decimal) }

// NetInput is in bytes.
func (r *statsRow) NetInput() uint64 { return r.of().Received }

// NetOutput is in bytes.
func (r *statsRow) NetOutput() uint64 { return r.of().Sent }

// BlockIO is read and written.
func (r *statsRow) BlockIO() string { return r.two(r.of().Read, r.of().Written, 3, decimal) }

// BlockInput is in bytes.
func (r *statsRow) BlockInput() uint64 { return r.of().Read }

// BlockOutput is in bytes.
func (r *statsRow) BlockOutput() uint64 { return r.of().Written }

// PIDs counts processes and threads.
func (r *statsRow) PIDs() string {
	if r.of().Up == 0 {
		return missing
	}
	return strconv.FormatUint(r.of().Tasks, 10)
}

// PIDS is podman's other name of PIDs.
func (r *statsRow) PIDS() string { return r.PIDs() }

// CPUPressure is the share of time in which tasks waited for a processor.
func (r *statsRow) CPUPressure() pressure { return pressureOf(r.of().CPUPressure) }

// MemPressure is that of memory.
func (r *statsRow) MemPressure() pressure { return pressureOf(r.of().MemoryPressure) }

// IOPressure is that of block devices.
func (r *statsRow) IOPressure() pressure { return pressureOf(r.of().IOPressure) }

func (r *statsRow) two(a, b uint64, digits int, form func(uint64, int) string) string {
	if r.of().Up == 0 {
		return missing + " / " + missing
	}
	return form(a, digits) + " / " + form(b, digits)
}

func decimal(n uint64, digits int) string { return humanSize(int64(n), digits) }

// binary is a number of bytes in powers of 1024.
func binary(n uint64, digits int) string {
	size, units := float64(n), []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	for size >= 1024 && len(units) > 1 {
		size, units = size/1024, units[1:]
	}
	return strconv.FormatFloat(size, 'g', digits, 64) + units[0]
}

// pressure is a cgroup's, "--" where there is none.
type pressure struct {
	cgroup.PSI
	known bool
}

func pressureOf(p *cgroup.PSI) pressure {
	if p == nil {
		return pressure{}
	}
	return pressure{*p, true}
}

// String is that of the last ten seconds: some tasks waited, all of them did.
func (p pressure) String() string {
	if !p.known {
		return missing
	}
	return fmt.Sprintf("%.2f%% / %.2f%%", p.Some.Avg10, p.Full.Avg10)
}

// MarshalJSON is podman's form, with the pressures where there are some.
func (r *statsRow) MarshalJSON() ([]byte, error) {
	s := r.of()
	return json.Marshal(struct {
		ID          string      `json:"id"`
		Name        string      `json:"name"`
		CPUTime     string      `json:"cpu_time"`
		CPUPercent  string      `json:"cpu_percent"`
		AvgCPU      string      `json:"avg_cpu"`
		MemUsage    string      `json:"mem_usage"`
		MemPercent  string      `json:"mem_percent"`
		NetIO       string      `json:"net_io"`
		BlockIO     string      `json:"block_io"`
		Pids        string      `json:"pids"`
		CPUPressure *cgroup.PSI `json:"cpu_pressure,omitempty"`
		MemPressure *cgroup.PSI `json:"mem_pressure,omitempty"`
		IOPressure  *cgroup.PSI `json:"io_pressure,omitempty"`
	}{r.ID(), r.Name(), r.CPUTime(), r.CPUPerc(), r.AvgCPU(), r.MemUsage(), r.MemPerc(), r.NetIO(), r.BlockIO(), r.PIDs(), s.CPUPressure, s.MemoryPressure, s.IOPressure})
}
