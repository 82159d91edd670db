package main

import (
	"errors"

	"github.com/rl-containers/rl/container"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/storage"
)

// InspectCmd is `rl inspect`.
type InspectCmd struct {
	Format string   `short:"f" default:"json" placeholder:"json|TEMPLATE" help:"A Go template, as {{.State.Status}}; ${default} without it."`
	Type   string   `placeholder:"TYPE" help:"container or volume; without it containers first."`
	Names  []string `arg:"" name:"container" help:"Name, id, or the unique beginning of an id."`
}

// Run shows all about those that are there, and fails for the others.
func (c *InspectCmd) Run() error {
	switch c.Type {
	case "", "all", "container", "volume":
	case "image":
		return hint.Errorf("rl images --digests --no-trunc NAME shows what rl tells of an image", "inspect: --type image is not supported yet")
	default:
		return hint.Errorf("container or volume", "inspect: --type %s: unknown", c.Type)
	}
	var all []any
	var failed []error
	for _, word := range c.Names {
		one, err := c.find(word)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		all = append(all, one)
	}
	return errors.Join(append([]error{printAll(c.Format, all)}, failed...)...)
}

// find returns a container, or the volume of that name if there is none.
func (c *InspectCmd) find(word string) (any, error) {
	if c.Type == "volume" {
		return container.InspectVolume(word)
	}
	one, err := container.Inspect(word)
	if c.Type == "container" || !errors.Is(err, container.ErrNotFound) {
		return one, err
	}
	v, none := container.InspectVolume(word)
	if errors.Is(none, storage.ErrNoVolume) {
		return nil, hint.With(err, "rl volume ls lists volumes, rl images images")
	}
	return v, none
}

// ContainerInspectCmd is `rl container inspect`.
type ContainerInspectCmd struct {
	Format     string   `short:"f" default:"json" placeholder:"json|TEMPLATE" help:"A Go template, as {{.State.Status}}; ${default} without it."`
	Containers []string `arg:"" name:"container" help:"Name, id, or the unique beginning of an id."`
}

// Run shows containers.
func (c *ContainerInspectCmd) Run() error {
	return (&InspectCmd{Format: c.Format, Type: "container", Names: c.Containers}).Run()
}
