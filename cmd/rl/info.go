package main

import (
	"os"

	"github.com/rl-containers/rl/container"
)

// InfoCmd is `rl info`.
type InfoCmd struct {
	Format string `short:"f" placeholder:"json|TEMPLATE" help:"json, or a Go template over its names: {{.host.kernel}}."`
}

// Run prints the facts of this installation.
func (c *InfoCmd) Run() error {
	info, err := host().Info(container.Version)
	if err != nil {
		return err
	}
	switch c.Format {
	case "", "text":
		return info.Text(os.Stdout)
	case "json":
		return printJSON(info)
	}
	return printTemplate(os.Stdout, c.Format, info)
}
