package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/oci"
)

// stateJSON is a state in runc's shape: pid is there when it is 0, too.
type stateJSON struct {
	Version     string            `json:"ociVersion"`
	ID          string            `json:"id"`
	Pid         int               `json:"pid"`
	Status      string            `json:"status"`
	Bundle      string            `json:"bundle"`
	Rootfs      string            `json:"rootfs"`
	Created     time.Time         `json:"created"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Owner       string            `json:"owner"`
}

func shape(s oci.State) stateJSON {
	return stateJSON{s.Version, s.ID, s.Pid, string(s.Status), s.Bundle, s.Rootfs, s.Created, s.Annotations, s.Owner}
}

func (c *ociCall) printIndented(v any, indent string) error {
	e := json.NewEncoder(c.out)
	e.SetIndent("", indent)
	return e.Encode(v)
}

type ociState struct {
	ID string `arg:"" name:"container" help:"Container."`
}

// Run is `state`.
func (v *ociState) Run(c *ociCall) error {
	s, err := c.runtime.State(v.ID)
	if err != nil {
		return err
	}
	return c.printIndented(shape(*s), "  ")
}

type ociList struct {
	Format string `short:"f" enum:"table,json" default:"table" placeholder:"FORMAT" help:"Print a table or json."`
	Quiet  bool   `short:"q" help:"Ids only."`
}

// Run is `list`.
func (v *ociList) Run(c *ociCall) error {
	states, err := c.runtime.List()
	if err != nil {
		return err
	}
	switch {
	case v.Quiet:
		for _, s := range states {
			fmt.Fprintln(c.out, s.ID)
		}
		return nil
	case v.Format == "json":
		var all []stateJSON // null when there is none, as runc's
		for _, s := range states {
			all = append(all, shape(s))
		}
		return json.NewEncoder(c.out).Encode(all)
	}
	w := tabwriter.NewWriter(c.out, 12, 1, 3, ' ', 0)
	fmt.Fprint(w, "ID\tPID\tSTATUS\tBUNDLE\tCREATED\tOWNER\n")
	for _, s := range states {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\n", s.ID, s.Pid, s.Status, hint.Clean(s.Bundle), s.Created.Format(time.RFC3339Nano), s.Owner)
	}
	return w.Flush()
}

type ociPs struct {
	Format string   `short:"f" enum:"table,json" default:"table" placeholder:"FORMAT" help:"Print the lines of ps(1), or the process ids as json."`
	Words  []string `arg:"" optional:"" passthrough:"partial" name:"container [options…]" help:"Container, and options of ps (-ef)."`
}

// Run is `ps`.
func (v *ociPs) Run(c *ociCall) error {
	words := afterFlags(v.Words)
	if len(words) == 0 {
		return errors.New("ps: CONTAINER is missing")
	}
	pids, err := c.runtime.Ps(words[0])
	if err != nil {
		return err
	}
	if v.Format == "json" {
		return json.NewEncoder(c.out).Encode(append([]int{}, pids...)) // [] when there is none
	}
	options := words[1:]
	if len(options) == 0 {
		options = []string{"-ef"}
	}
	text, err := hostPs(options)
	if err != nil {
		return hint.With(err, "--format json needs no ps (procps)")
	}
	lines, err := linesOf(text, pids)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.out, strings.Join(lines, "\n"))
	return err
}

// hostPs runs ps(1), which an engine's environment may not lead to.
func hostPs(options []string) (string, error) {
	path, err := exec.LookPath("ps")
	if err != nil && os.Getenv("PATH") == "" {
		path, err = exec.LookPath("/usr/bin/ps")
	}
	if err != nil {
		return "", fmt.Errorf("ps: %w", err)
	}
	text, err := exec.Command(path, options...).CombinedOutput()
	if err != nil {
		why, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n") // its manual follows
		return "", fmt.Errorf("ps %s: %w: %s", strings.Join(options, " "), err, why)
	}
	return string(text), nil
}

// linesOf keeps the title and the lines of the given processes.
func linesOf(text string, pids []int) ([]string, error) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	column := slices.Index(strings.Fields(lines[0]), "PID")
	if column < 0 {
		return nil, hint.Errorf("choose options of ps that show it: -ef, -o pid,…", "ps: no column PID")
	}
	keep := lines[:1]
	for _, line := range lines[1:] {
		fields := strings.Fields(line)
		if column >= len(fields) {
			continue
		}
		if pid, err := strconv.Atoi(fields[column]); err == nil && slices.Contains(pids, pid) {
			keep = append(keep, line)
		}
	}
	return keep, nil
}

type ociEvents struct {
	Stats    bool          `help:"Once, instead of each interval until the container ends."`
	Interval time.Duration `default:"5s" placeholder:"SPAN" help:"Time between two lines (${default})."`
	ID       string        `arg:"" name:"container" help:"Container."`
}

// Run is `events`: one line of JSON each time.
func (v *ociEvents) Run(c *ociCall) error {
	if v.Interval <= 0 {
		return errors.New("events: --interval must be more than 0")
	}
	s, err := c.runtime.State(v.ID)
	if err != nil {
		return err
	}
	if s.Status == "stopped" {
		return fmt.Errorf("container with id %s is not running", v.ID) // runc's words
	}
	if v.Stats {
		return v.line(c)
	}
	for {
		time.Sleep(v.Interval)
		if s, err := c.runtime.State(v.ID); err != nil || s.Status == "stopped" {
			return nil
		}
		if err := v.line(c); err != nil {
			return err
		}
	}
}

func (v *ociEvents) line(c *ociCall) error {
	data, err := c.runtime.Stats(v.ID)
	if err != nil {
		return err
	}
	return json.NewEncoder(c.out).Encode(struct {
		Type string `json:"type"`
		ID   string `json:"id"`
		Data any    `json:"data,omitempty"`
	}{"stats", v.ID, data})
}
