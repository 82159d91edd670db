package main

import (
	"fmt"
	"strconv"

	"github.com/rl-containers/rl/container"
	"github.com/rl-containers/rl/hint"
)

// PortCmd is `rl port`.
type PortCmd struct {
	Container string `arg:"" help:"Name, id, or the unique beginning of an id."`
	Port      string `arg:"" optional:"" name:"port" help:"PORT[/PROTO] inside; all without it."`
}

// Run lists published ports; of one port only where it is on the host.
func (c *PortCmd) Run() error {
	lines, err := container.Ports(c.Container, c.Port)
	for _, l := range lines {
		if c.Port != "" {
			fmt.Println(l.Outside)
			continue
		}
		fmt.Println(l.Inside + " -> " + l.Outside)
	}
	return err
}

// TopCmd is `rl top`.
type TopCmd struct {
	Container string   `arg:"" help:"Name, id, or the unique beginning of an id."`
	Options   []string `arg:"" optional:"" passthrough:"" name:"options" help:"None yet."`
}

// Run lists the processes of a container.
func (c *TopCmd) Run() error {
	if len(c.Options) > 0 {
		return hint.Errorf("rl top "+c.Container+"; with columns of your choice: rl exec "+c.Container+" ps …", "top: %s: options of ps and other columns are not supported", c.Options[0])
	}
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
