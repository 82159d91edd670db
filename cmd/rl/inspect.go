package main

import (
	"errors"
	"fmt"

	"github.com/rl-containers/rl/container"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/storage"
)

// InspectCmd is `rl inspect`.
type InspectCmd struct {
	Format string   `short:"f" default:"json" placeholder:"json|TEMPLATE" help:"A Go template, as {{.State.Status}}; ${default} without it."`
	Size   bool     `short:"s" help:"Also what containers wrote (SizeRw), and with the image (SizeRootFs), in bytes: takes as long as du."`
	Type   string   `placeholder:"TYPE" help:"container, image or volume; without it, or with all, in this order."`
	Latest bool     `short:"l" help:"The container that was made last."`
	Names  []string `arg:"" optional:"" name:"object" help:"Name, id, or the unique beginning of an id, of a container, an image or a volume."`
}

// Run shows all about those that are there, and fails for the others.
func (c *InspectCmd) Run() error {
	switch c.Type {
	case "", "all", "container", "image", "volume":
	default:
		return hint.Errorf("container, image, volume or all", "inspect: --type %s: unknown", c.Type)
	}
	if c.Size && (c.Type == "image" || c.Type == "volume") {
		return hint.Errorf("leave one of them out", "inspect: --size is about containers, --type %s is not", c.Type)
	}
	switch {
	case c.Latest && (len(c.Names) > 0 || c.Type != "" && c.Type != "container"):
		return hint.Errorf("rl inspect --latest", "inspect: --latest is a container, and something else is named")
	case c.Latest:
		last, err := container.Latest()
		if err != nil {
			return fmt.Errorf("inspect: %w", err)
		}
		c.Names = []string{last.ID}
	case len(c.Names) == 0:
		return hint.Errorf("rl inspect NAME…", "inspect: nothing is named")
	}
	i := inspection{kind: c.Type, size: c.Size, words: c.Names, found: make([]any, len(c.Names)), errs: make([]error, len(c.Names))}
	for _, look := range []func() error{i.containers, i.images, i.volumes} {
		if err := look(); err != nil {
			return err
		}
	}
	var all []any
	for _, one := range i.found {
		if one != nil {
			all = append(all, one)
		}
	}
	return errors.Join(append([]error{printAll(c.Format, all)}, i.errs...)...)
}

// inspection looks the words up, one kind after the other.
type inspection struct {
	kind  string // "" or all: of any
	size  bool
	words []string
	found []any   // by word
	errs  []error // why the word means nothing, by word
}

// missing are the numbers of the words to look up among things of a kind.
func (i *inspection) missing(kind string, before ...error) (numbers []int) {
	if i.kind != "" && i.kind != "all" && i.kind != kind {
		return nil
	}
	for n := range i.words {
		if i.found[n] == nil && (i.errs[n] == nil || isAny(i.errs[n], before)) {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

func isAny(err error, list []error) bool {
	for _, e := range list {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func (i *inspection) containers() error {
	for _, n := range i.missing("container") {
		one, err := container.Inspect(i.words[n])
		if err == nil && i.size {
			err = one.Measure()
		}
		if err == nil {
			i.found[n] = one
		}
		i.errs[n] = err
	}
	return nil
}

// images asks once for all.
func (i *inspection) images() error {
	numbers := i.missing("image", container.ErrNotFound)
	words := make([]string, len(numbers))
	for k, n := range numbers {
		words[k] = i.words[n]
	}
	found, errs, err := container.InspectImages(words)
	if err != nil {
		return err
	}
	for k, n := range numbers {
		if errs[k] == nil {
			i.found[n] = found[k].Image
		}
		i.errs[n] = errs[k]
	}
	return nil
}

func (i *inspection) volumes() error {
	for _, n := range i.missing("volume", container.ErrNoImage) {
		v, err := container.InspectVolume(i.words[n])
		if err == nil {
			i.found[n] = v
		} else if i.kind != "volume" && errors.Is(err, storage.ErrNoVolume) {
			err = hint.With(&hint.Exit{Code: 1, Err: fmt.Errorf("no container, image or volume %s", i.words[n])},
				append(i.meant(n), "rl ps -a, rl images and rl volume ls list them")...)
		}
		i.errs[n] = err
	}
	return nil
}

// meant is the hint that names what a word may have been meant for; that of the images came with their answer.
func (i *inspection) meant(n int) []string {
	var names []string
	for _, c := range append(containers(""), volumes()...) {
		names = append(names, c.word)
	}
	if meant := hint.Meant("", i.words[n], names); meant != nil {
		return meant
	}
	before := hint.Of(i.errs[n])
	return before[:max(0, len(before)-1)]
}

// ContainerInspectCmd is `rl container inspect`.
type ContainerInspectCmd struct {
	Format     string   `short:"f" default:"json" placeholder:"json|TEMPLATE" help:"A Go template, as {{.State.Status}}; ${default} without it."`
	Size       bool     `short:"s" help:"Also what they wrote (SizeRw), and with the image (SizeRootFs), in bytes: takes as long as du."`
	Containers []string `arg:"" name:"container" help:"Name, id, or the unique beginning of an id."`
}

// Run shows containers.
func (c *ContainerInspectCmd) Run() error {
	return (&InspectCmd{Format: c.Format, Size: c.Size, Type: "container", Names: c.Containers}).Run()
}

// ImageInspectCmd is `rl image inspect`.
type ImageInspectCmd struct {
	Format string   `short:"f" default:"json" placeholder:"json|TEMPLATE" help:"A Go template, as {{.Config.Cmd}}; ${default} without it."`
	Images []string `arg:"" name:"image" help:"Name, id, or the unique beginning of an id."`
}

// Run shows images.
func (c *ImageInspectCmd) Run() error {
	return (&InspectCmd{Format: c.Format, Type: "image", Names: c.Images}).Run()
}
