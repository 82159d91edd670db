// Command bench times rl beside its peers: one run of each in turn, many times over, so that what slows the machine down for
// a moment slows all of them. It prints medians and ratios. hack/bench/bench prepares what it needs.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// job is one command line, of one group: ratios are within a group.
type job struct {
	group, name string
	tty         bool // time to the first byte on a terminal, instead of to the end
	argv        []string
	times       []time.Duration
	peak        int64 // KiB, resident, of the largest process that was waited for
	broken      string
}

func main() {
	rounds := flag.Int("n", 30, "runs of each job")
	flag.Parse()
	jobs, err := read(flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	for i := range *rounds + 2 {
		// In another order each round: nobody always runs in the wake of the same neighbour.
		for _, at := range rand.Perm(len(jobs)) {
			j := jobs[at]
			if j.broken != "" {
				continue
			}
			d, err := j.once()
			if err != nil {
				j.broken = err.Error()
			} else if i >= 2 { // the first two warm caches up
				j.times = append(j.times, d)
			}
		}
	}
	report(jobs)
}

// read takes jobs from files of lines "GROUP<tab>NAME<tab>tty|run<tab>WORD<tab>WORD…".
func read(files []string) ([]*job, error) {
	var jobs []*job
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(b)) {
			f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
			if len(f) < 4 {
				return nil, fmt.Errorf("%s: %q", file, line)
			}
			jobs = append(jobs, &job{group: f[0], name: f[1], tty: f[2] == "tty", argv: f[3:]})
		}
	}
	return jobs, nil
}

func (j *job) once() (time.Duration, error) {
	if j.tty {
		return j.firstByte()
	}
	var said bytes.Buffer
	c := exec.Command(j.argv[0], j.argv[1:]...)
	c.Stderr = &said
	began := time.Now()
	err := c.Run()
	took := time.Since(began)
	if err != nil {
		return 0, fmt.Errorf("%w: %s", err, strings.TrimSpace(said.String()))
	}
	if usage, ok := c.ProcessState.SysUsage().(*syscall.Rusage); ok {
		j.peak = max(j.peak, usage.Maxrss)
	}
	return took, nil
}

// firstByte runs the job on a new terminal.
func (j *job) firstByte() (time.Duration, error) {
	master, slave, err := terminal()
	if err != nil {
		return 0, err
	}
	defer master.Close()
	c := exec.Command(j.argv[0], j.argv[1:]...)
	c.Stdin, c.Stdout, c.Stderr = slave, slave, slave
	c.SysProcAttr = &unix.SysProcAttr{Setsid: true, Setctty: true}
	began := time.Now()
	if err := c.Start(); err != nil {
		return 0, err
	}
	slave.Close()
	n, err := master.Read(make([]byte, 64))
	took := time.Since(began)
	go func() { // the program must not wait for a reader
		for b := make([]byte, 4096); ; {
			if _, err := master.Read(b); err != nil {
				return
			}
		}
	}()
	if waited := c.Wait(); n == 0 || waited != nil {
		return 0, fmt.Errorf("no output: %v, %v", err, waited)
	}
	return took, nil
}

// terminal is a pair of pseudo-terminal ends (pty(7)).
func terminal() (master, slave *os.File, err error) {
	if master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		return nil, nil, err
	}
	fd := int(master.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		return nil, nil, err
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	return master, slave, err
}

func median(times []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[len(sorted)/2]
}

// report prints a table a group, with each median as a part of the reference's.
func report(jobs []*job) {
	group, base := "", time.Duration(0)
	for _, j := range jobs {
		if j.group != group {
			group = j.group
			var name string
			name, base = reference(jobs, group)
			fmt.Printf("\n%s\n  %-28s %9s %9s %9s %8s  of %s\n", group, "", "median ms", "least", "most", "peak MiB", name)
		}
		if j.broken != "" {
			fmt.Printf("  %-28s does not work here: %.200s\n", j.name, j.broken)
			continue
		}
		m := median(j.times)
		ratio := ""
		if base > 0 {
			ratio = fmt.Sprintf("%.3f", float64(m)/float64(base))
		}
		fmt.Printf("  %-28s %9.2f %9.2f %9.2f %8.1f  %s\n", j.name, ms(m), ms(slices.Min(j.times)), ms(slices.Max(j.times)), float64(j.peak)/1024, ratio)
	}
}

// reference is the fastest of those that are, up to a comma, named as the first job of the group: "podman, runc" and "podman, crun".
func reference(jobs []*job, group string) (name string, least time.Duration) {
	for _, j := range jobs {
		if j.group != group {
			continue
		}
		first, _, _ := strings.Cut(j.name, ",")
		if name == "" {
			name = first
		}
		if first != name || j.broken != "" {
			continue
		}
		if m := median(j.times); least == 0 || m < least {
			least = m
		}
	}
	return name, least
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
