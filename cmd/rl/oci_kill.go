package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/oci"
)

type ociKill struct {
	All    bool   `short:"a" help:"To all processes of the container."`
	Regex  bool   `short:"r" help:"CONTAINER is an extended regular expression: to all that it fits."`
	ID     string `arg:"" name:"container" help:"Container."`
	Signal string `arg:"" optional:"" default:"TERM" help:"Number or name (TERM)."`
}

// Run is `kill`. One that has ended is no failure for an expression.
func (v *ociKill) Run(c *ociCall) error {
	sig, err := parseSignal(v.Signal)
	if err != nil {
		return err
	}
	if !v.Regex {
		return c.runtime.Kill(v.ID, sig, v.All)
	}
	return c.each(v.ID, func(s oci.State) error {
		if s.Status == "stopped" {
			return nil
		}
		return c.runtime.Kill(s.ID, sig, v.All)
	})
}

type ociDelete struct {
	Force bool   `short:"f" help:"Kill it if it runs; one that isn't there is no error."`
	Regex bool   `short:"r" help:"CONTAINER is an extended regular expression: all that it fits."`
	ID    string `arg:"" name:"container" help:"Container."`
}

// Run is `delete`.
func (v *ociDelete) Run(c *ociCall) error {
	if !v.Regex {
		return c.runtime.Delete(v.ID, v.Force)
	}
	return c.each(v.ID, func(s oci.State) error { return c.runtime.Delete(s.ID, v.Force) })
}

// each does it for all containers that fit. One that fails doesn't keep it from the others.
func (c *ociCall) each(pattern string, do func(oci.State) error) error {
	expr, err := regexp.CompilePOSIX(pattern)
	if err != nil {
		return err
	}
	states, err := c.runtime.List()
	if err != nil {
		return err
	}
	var failed []string
	for _, s := range states {
		if !expr.MatchString(s.ID) {
			continue
		}
		if err := do(s); err != nil {
			failed = append(failed, s.ID+": "+err.Error())
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("%s", strings.Join(failed, "; "))
	}
	return nil
}

type ociPause struct {
	ID string `arg:"" name:"container" help:"Container."`
}

// Run is `pause`.
func (v *ociPause) Run(c *ociCall) error { return c.runtime.Pause(v.ID) }

type ociResume struct {
	ID string `arg:"" name:"container" help:"Container."`
}

// Run is `resume`.
func (v *ociResume) Run(c *ociCall) error { return c.runtime.Resume(v.ID) }

// The realtime signals as programs know them: glibc keeps the kernel's first two (signal(7)).
const (
	rtMin   = 34
	rtMax   = 64
	maxName = len("SIGRTMIN+30")
)

// parseSignal reads 15, TERM, SIGTERM, RTMIN+3 and RTMAX-3. 0 asks whether the process is there (kill(2)).
func parseSignal(word string) (syscall.Signal, error) {
	if n, err := strconv.Atoi(word); err == nil {
		if n < 0 || n > rtMax {
			return 0, fmt.Errorf("signal %d: 0 to %d are there", n, rtMax)
		}
		return syscall.Signal(n), nil
	}
	if len(word) <= maxName {
		name := strings.TrimPrefix(strings.ToUpper(word), "SIG")
		if n := realtime(name); n != 0 {
			return n, nil
		}
		switch name {
		case "CLD":
			name = "CHLD"
		case "IOT":
			name = "ABRT"
		case "POLL":
			name = "IO"
		}
		if sig := unix.SignalNum("SIG" + name); sig != 0 {
			return sig, nil
		}
	}
	return 0, hint.Errorf("kill -l lists them", "unknown signal %q", word)
}

// realtime is the number of RTMIN, RTMIN+n, RTMAX and RTMAX-n; 0 for all else.
func realtime(name string) syscall.Signal {
	for prefix, first := range map[string]int{"RTMIN": rtMin, "RTMAX": rtMax} {
		rest, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		n := 0
		if rest != "" {
			var err error
			if n, err = strconv.Atoi(rest); err != nil || rest[0] != '+' && rest[0] != '-' {
				return 0
			}
		}
		if n += first; n >= rtMin && n <= rtMax {
			return syscall.Signal(n)
		}
	}
	return 0
}
