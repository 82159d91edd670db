package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/rl-containers/rl/container"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/storage"
)

// ContainerPruneCmd is `rl container prune`.
type ContainerPruneCmd struct {
	Force  bool     `short:"f" help:"Don't ask."`
	Filter []string `sep:"none" placeholder:"KEY=VALUE" help:"Only those: until=24h or TIME, label=KEY[=VALUE], label!= and the others of ps."`
}

// Run asks, and removes.
func (c *ContainerPruneCmd) Run() error {
	if _, err := container.Filter(nil, c.Filter); err != nil {
		return err
	}
	if !c.Force && !confirm("This will remove all stopped containers.") {
		return nil
	}
	p, err := container.PruneContainers(c.Filter)
	return errors.Join(printPruned("Deleted Containers:", &p, true), err)
}

// ImagePruneCmd is `rl image prune`.
type ImagePruneCmd struct {
	All    bool     `short:"a" help:"All that no container uses, and not only those without a name."`
	Force  bool     `short:"f" help:"Don't ask."`
	Filter []string `sep:"none" placeholder:"KEY=VALUE" help:"Only those: until=24h or TIME, label=KEY[=VALUE], label!=."`
}

// Run asks, and removes.
func (c *ImagePruneCmd) Run() error {
	if err := container.CheckPrune(c.Filter); err != nil {
		return err
	}
	what := "dangling images"
	if c.All {
		what = "images without at least one container associated to them"
	}
	if !c.Force && !confirm("This will remove all "+what+".") {
		return nil
	}
	p, err := container.PruneImages(c.Filter, c.All)
	return errors.Join(printPruned("Deleted Images:", &p, true), err)
}

// SystemPruneCmd is `rl system prune`.
type SystemPruneCmd struct {
	All     bool     `short:"a" help:"All images that no container uses, and not only those without a name."`
	Volumes bool     `help:"Anonymous volumes, too."`
	Force   bool     `short:"f" help:"Don't ask."`
	Filter  []string `sep:"none" placeholder:"KEY=VALUE" help:"Only what is so: until=24h or TIME, label=KEY[=VALUE], label!=."`
}

// Help is the text below the flags.
func (*SystemPruneCmd) Help() string {
	return `Containers go first, then volumes, then images: what only they used goes, too. Named volumes stay: rl volume prune --all removes those.`
}

// Run asks, and removes. What can't be removed of one kind keeps nobody from the next.
func (c *SystemPruneCmd) Run() error {
	if err := container.CheckPrune(c.Filter); err != nil {
		return err
	}
	if !c.Force && !confirm(c.warning()) {
		return nil
	}
	var failed []error
	total := int64(0)
	note := func(title string, p storage.Pruned, err error) {
		total += p.Reclaimed
		failed = append(failed, printPruned(title, &p, false), err)
	}
	p, err := container.PruneContainers(c.Filter)
	note("Deleted Containers:", p, err)
	if c.Volumes {
		p, err := container.PruneVolumes(c.Filter, false)
		note("Deleted Volumes:", p, err)
	}
	p, err = container.PruneImages(c.Filter, c.All)
	note("Deleted Images:", p, err)
	fmt.Println("Total reclaimed space: " + humanSize(total, 4))
	return errors.Join(failed...)
}

// warning is docker's, for what rl has.
func (c *SystemPruneCmd) warning() string {
	lines := []string{"This will remove:", "  - all stopped containers"}
	if c.Volumes {
		lines = append(lines, "  - all anonymous volumes not used by at least one container")
	}
	if c.All {
		lines = append(lines, "  - all images without at least one container associated to them")
	} else {
		lines = append(lines, "  - all dangling images")
	}
	if len(c.Filter) > 0 {
		lines = append(lines, "", "  Items to be pruned will be filtered with:")
		for _, f := range c.Filter {
			lines = append(lines, "  - "+hint.Clean(f))
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

// printPruned shows what was removed, with total also how much that was.
func printPruned(title string, p *storage.Pruned, total bool) error {
	var b strings.Builder
	if len(p.Deleted) > 0 {
		b.WriteString(title + "\n")
		for _, word := range p.Deleted {
			b.WriteString(hint.Clean(word) + "\n")
		}
		b.WriteString("\n")
	}
	if total {
		b.WriteString("Total reclaimed space: " + humanSize(p.Reclaimed, 4) + "\n")
	}
	_, err := fmt.Print(b.String())
	return err
}
