package main

import (
	"errors"

	"github.com/rl-containers/rl/container"
)

// PortCmd is `rl port`.
type PortCmd struct {
	Container string `arg:"" help:"Name, id, or the unique beginning of an id."`
	Port      string `arg:"" optional:"" name:"port" help:"PORT[/PROTO] inside; all without it."`
}

// Run lists published ports; of one port only where it is on the host.
func (c *PortCmd) Run() error {
	lines, err := container.Ports(c.Container, c.Port)
	words := make([]string, len(lines))
	for i, l := range lines {
		if words[i] = l.Outside; c.Port == "" {
			words[i] = l.Inside + " -> " + l.Outside
		}
	}
	return errors.Join(printLines(words), err)
}
