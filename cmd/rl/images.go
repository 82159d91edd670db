package main

import (
	"github.com/rl-containers/rl/cmd/verbs"
	"github.com/rl-containers/rl/container"
	"github.com/rl-containers/rl/hint"
)

// PullCmd is `rl pull`.
type PullCmd struct {
	verbs.Pull `embed:""`
}

// Run has rl-image do it.
func (c *PullCmd) Run() (err error) {
	p := &c.Pull.Platform
	if p.Platform, err = container.Platform(p.Platform, p.OS, p.Arch, p.Variant); err != nil {
		return err
	}
	return container.ImageTool("pull", &c.Pull)
}

// ImagesCmd is `rl images`.
type ImagesCmd struct {
	verbs.Images `embed:""`
}

// Run has rl-image do it.
func (c *ImagesCmd) Run() error { return container.ImageTool("images", &c.Images) }

// RmiCmd is `rl rmi`.
type RmiCmd struct {
	verbs.Rmi `embed:""`
}

// Run has rl-image do it.
func (c *RmiCmd) Run() error {
	if !c.All && len(c.Images) == 0 {
		return hint.Errorf("rl rmi IMAGE…, or rl rmi -a", "rmi: no image named")
	}
	return container.ImageTool("rmi", &c.Rmi)
}

// LoadCmd is `rl load`.
type LoadCmd struct {
	verbs.Load `embed:""`
}

// Run has rl-image do it.
func (c *LoadCmd) Run() error { return container.ImageTool("load", &c.Load) }

// ImportCmd is `rl import`.
type ImportCmd struct {
	verbs.Import `embed:""`
}

// Run has rl-image do it.
func (c *ImportCmd) Run() error { return container.ImageTool("import", &c.Import) }
