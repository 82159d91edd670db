package main

import (
	"errors"

	"github.com/rl-containers/rl/container"
	"github.com/rl-containers/rl/hint"
)

// PortCmd is `rl port`.
type PortCmd struct {
	All       bool   `short:"a" help:"Of all that run, with their ids."`
	Latest    bool   `short:"l" help:"The one that was made last."`
	Container string `arg:"" optional:"" help:"Name, id, or the unique beginning of an id."`
	Port      string `arg:"" optional:"" name:"port" help:"PORT[/PROTO] inside; all without it."`
}

// Run lists published ports; of one port only where it is on the host.
func (c *PortCmd) Run() error {
	switch {
	case c.All && (c.Latest || c.Container != ""):
		return hint.Errorf("rl port --all", "port: --all are all, and one is named")
	case c.All:
		return c.all()
	case c.Latest && c.Port == "":
		c.Port, c.Container = c.Container, "" // the only word is a port
	}
	word, err := oneContainer("port", c.Container, c.Latest)
	if err != nil {
		return err
	}
	lines, err := container.Ports(word, c.Port)
	words := make([]string, len(lines))
	for i, l := range lines {
		if words[i] = l.Outside; c.Port == "" {
			words[i] = l.Inside + " -> " + l.Outside
		}
	}
	return errors.Join(printLines(words), err)
}

func (c *PortCmd) all() error {
	states, err := container.List(false)
	if err != nil {
		return err
	}
	var words []string
	for _, s := range states {
		lines, err := container.Ports(s.ID, "")
		if err != nil {
			continue // it ended meanwhile
		}
		for _, l := range lines {
			words = append(words, s.ID[:12]+"\t"+l.Inside+" -> "+l.Outside)
		}
	}
	return printLines(words)
}
