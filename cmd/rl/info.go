package main

import (
	"os"

	"github.com/rl-containers/rl/container"
)

// InfoCmd is `rl info`.
type InfoCmd struct {
	Format string `enum:"text,json" default:"text" short:"f" placeholder:"FORMAT" help:"Print text or json."`
}

// Run prints the facts of this installation.
func (c *InfoCmd) Run() error {
	info, err := host().Info(container.Version)
	if err != nil {
		return err
	}
	if c.Format == "text" {
		return info.Text(os.Stdout)
	}
	return printJSON(info)
}
