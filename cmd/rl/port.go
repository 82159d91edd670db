package main

import (
	"fmt"

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
	for _, l := range lines {
		if c.Port != "" {
			fmt.Println(l.Outside)
			continue
		}
		fmt.Println(l.Inside + " -> " + l.Outside)
	}
	return err
}
