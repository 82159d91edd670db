package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/rl-containers/rl/container"
	"github.com/rl-containers/rl/hint"
)

// TopCmd is `rl top`.
type TopCmd struct {
	Latest    bool     `short:"l" help:"Of the container that was made last: the columns stand alone."`
	Container string   `arg:"" optional:"" help:"Name, id, or the unique beginning of an id."`
	Options   []string `arg:"" optional:"" passthrough:"" name:"column" help:"Columns, as pid user args, or options of ps, as aux."`
}

// Help is the text below the flags.
func (*TopCmd) Help() string {
	return "Columns, as the processes see themselves, those with h as the host does:\n  " + strings.Join(container.TopColumnNames(), " ") + `
All else are options of ps(1), which runs on the host: its lines of the container's processes are shown, with the host's numbers.
Without either: as docker's, ps -ef.`
}

// Run lists the processes of a container.
func (c *TopCmd) Run() (err error) {
	if c.Latest && c.Container != "" { // the first column
		c.Options, c.Container = append([]string{c.Container}, c.Options...), ""
	}
	if c.Container, err = oneContainer("top", c.Container, c.Latest); err != nil {
		return err
	}
	switch {
	case len(c.Options) == 0:
		return c.list()
	case container.AreTopColumns(c.Options):
		lines, err := container.TopColumns(c.Container, c.Options)
		if err != nil {
			return err
		}
		return align(os.Stdout, lines)
	}
	return c.ps()
}

func (c *TopCmd) list() error {
	all, err := container.Top(c.Container)
	if err != nil {
		return err
	}
	type process = container.Process
	l := listing[process]{columns: []column[process]{
		{"UID", func(p *process) string { return p.UID }},
		{"PID", func(p *process) string { return strconv.Itoa(p.PID) }},
		{"PPID", func(p *process) string { return strconv.Itoa(p.PPID) }},
		{"C", func(p *process) string { return strconv.Itoa(p.C) }},
		{"STIME", func(p *process) string { return p.STIME }},
		{"TTY", func(p *process) string { return p.TTY }},
		{"TIME", func(p *process) string { return p.TIME }},
		{"CMD", func(p *process) string { return p.CMD }},
	}}
	return l.print(all)
}

// ps shows the lines of the host's ps.
func (c *TopCmd) ps() error {
	pids, err := container.TopPids(c.Container)
	if err != nil {
		return err
	}
	text, err := hostPs(c.Options)
	if err != nil {
		return hint.With(fmt.Errorf("top: %w", err), "rl top "+c.Container+" pid user args needs no ps (procps); rl top --help lists the columns")
	}
	lines, err := linesOf(text, pids)
	if err != nil {
		return fmt.Errorf("top: %w", err)
	}
	for i, line := range lines {
		lines[i] = hint.Clean(line)
	}
	return printLines(lines)
}
