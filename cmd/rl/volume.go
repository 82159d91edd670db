package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/rl-containers/rl/container"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/spec"
	"github.com/rl-containers/rl/storage"
)

func volumeGroup() command {
	return group{
		{"create", "Make a volume", func() command { return new(VolumeCreateCmd) }},
		{"ls", "List volumes", func() command { return new(VolumeLsCmd) }},
		{"inspect", "Show all about volumes", func() command { return new(VolumeInspectCmd) }},
		{"rm", "Remove volumes", func() command { return new(VolumeRmCmd) }},
		{"prune", "Remove volumes that no container uses", func() command { return new(VolumePruneCmd) }},
		{"exists", "Tell by the exit code whether there is a volume", func() command { return new(VolumeExistsCmd) }},
	}
}

// VolumeCreateCmd is `rl volume create`.
type VolumeCreateCmd struct {
	Driver string   `short:"d" default:"local" placeholder:"DRIVER" help:"There is one: local."`
	Label  []string `short:"l" sep:"none" placeholder:"KEY[=VALUE]" help:"Label of the volume."`
	Opt    []string `short:"o" sep:"none" placeholder:"KEY=VALUE" help:"type=tmpfs with o=size=64m,…: in memory, each container has its own; type=none with o=bind, device=/dir: a directory of yours."`
	Ignore bool     `help:"One that is there already is no error."`
	Name   string   `arg:"" optional:"" name:"name" help:"Name; a random one without it."`
}

// Run makes the volume and prints its name.
func (c *VolumeCreateCmd) Run() error {
	if err := spec.CheckVolumeDriver(c.Driver); err != nil {
		return err
	}
	labels, err := pairs("--label", c.Label)
	if err != nil {
		return err
	}
	options, err := pairs("--opt", c.Opt)
	if err != nil {
		return err
	}
	name, err := container.CreateVolume(storage.Volume{Name: c.Name, Labels: labels, Options: options}, c.Ignore)
	if errors.Is(err, storage.ErrVolumeExists) {
		return hint.With(err, "rl volume create --ignore takes it as it is")
	}
	if err == nil {
		fmt.Println(name)
	}
	return err
}

func pairs(flag string, words []string) (map[string]string, error) {
	all := map[string]string{}
	for _, w := range words {
		k, v, _ := strings.Cut(w, "=")
		if k == "" {
			return nil, hint.Errorf(flag+" KEY=VALUE", "%s %q: no key", flag, w)
		}
		all[k] = v
	}
	return all, nil
}

// VolumeLsCmd is `rl volume ls`.
type VolumeLsCmd struct {
	Quiet     bool     `short:"q" help:"Names only."`
	Filter    []string `short:"f" sep:"none" placeholder:"KEY=VALUE" help:"name=REGEXP, label=KEY[=VALUE], label!=, dangling=BOOL, driver=, opt=KEY[=VALUE], scope=, anonymous=BOOL, until=TIME."`
	NoHeading bool     `name:"noheading" aliases:"no-heading" short:"n" help:"No line of titles."`
	Format    string   `placeholder:"json|TEMPLATE" help:"json, a Go template over .Name .Driver .Labels .Mountpoint …, or table TEMPLATE."`
}

// Run lists them by name.
func (c *VolumeLsCmd) Run() error {
	list, err := container.Volumes(c.Filter)
	if err != nil {
		return err
	}
	if c.Quiet {
		names := make([]string, len(list))
		for i, v := range list {
			names[i] = v.Name
		}
		return printLines(names)
	}
	l := listing[container.Volume]{format: c.Format, noHeading: c.NoHeading, titles: map[string]string{"Name": "VOLUME NAME"}}
	l.columns = []column[container.Volume]{{"DRIVER", func(v *container.Volume) string { return v.Driver }}, {"VOLUME NAME", func(v *container.Volume) string { return v.Name }}}
	return l.print(list)
}

// VolumeInspectCmd is `rl volume inspect`.
type VolumeInspectCmd struct {
	All     bool     `short:"a" help:"All volumes."`
	Format  string   `short:"f" default:"json" placeholder:"json|TEMPLATE" help:"A Go template, as {{.Mountpoint}}; ${default} without it."`
	Volumes []string `arg:"" optional:"" name:"volume" help:"Name, or the unique beginning of one."`
}

// Run prints those that are there, and fails for the others.
func (c *VolumeInspectCmd) Run() error {
	if !c.All && len(c.Volumes) == 0 {
		return hint.Errorf("rl volume inspect VOLUME…, or rl volume inspect --all", "volume inspect: no volume named")
	}
	found := []container.Volume{}
	if c.All {
		list, err := container.Volumes(nil)
		if err != nil {
			return err
		}
		found = append(found, list...)
	}
	var failed []error
	for _, word := range c.Volumes {
		v, err := container.InspectVolume(word)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		found = append(found, *v)
	}
	return errors.Join(append([]error{printAll(c.Format, found)}, failed...)...)
}

// VolumeRmCmd is `rl volume rm`.
type VolumeRmCmd struct {
	All     bool     `short:"a" help:"All volumes."`
	Force   bool     `short:"f" help:"Remove the containers that use it first, running ones too; one that isn't there is no error."`
	Time    *int     `short:"t" placeholder:"SECONDS" help:"With -f: stop containers that run in order first, and kill them after so long."`
	Volumes []string `arg:"" optional:"" name:"volume" help:"Name, or the unique beginning of one."`
}

// Run removes volumes and prints them as they were named.
func (c *VolumeRmCmd) Run() error {
	words := c.Volumes
	switch {
	case c.Time != nil && !c.Force:
		return hint.Errorf("rl volume rm -f -t SECONDS …", "volume rm: -t is how long -f waits")
	case c.All && len(words) > 0:
		return hint.Errorf("leave one of them out", "volume rm: --all and names exclude each other")
	case c.All:
		list, err := container.Volumes(nil)
		if err != nil {
			return err
		}
		for _, v := range list {
			words = append(words, v.Name)
		}
	case len(words) == 0:
		return hint.Errorf("rl volume rm VOLUME…, or rl volume rm --all", "volume rm: no volume named")
	}
	return container.RemoveVolumes(words, c.Force, c.Time, func(word string) { fmt.Println(word) })
}

// VolumePruneCmd is `rl volume prune`.
type VolumePruneCmd struct {
	All    bool     `short:"a" help:"Named volumes, too, and not only anonymous ones."`
	Force  bool     `short:"f" help:"Don't ask."`
	Filter []string `sep:"none" placeholder:"KEY=VALUE" help:"Only those: label=KEY[=VALUE], label!=, until=TIME and those of ls; all=true is --all."`
}

// Run asks, and removes.
func (c *VolumePruneCmd) Run() error {
	filters, all, err := container.VolumePrune(c.Filter, c.All)
	if err != nil {
		return err
	}
	what := "anonymous volumes"
	if all {
		what = "volumes"
	}
	if !c.Force && !confirm("This will remove all "+what+" not used by at least one container.") {
		return nil
	}
	p, err := container.PruneVolumes(filters, all)
	return errors.Join(printPruned("Deleted Volumes:", &p, true), err)
}

// confirm asks as docker and podman do; anything but a word that begins with y is no.
func confirm(warning string) bool {
	fmt.Printf("WARNING! %s\nAre you sure you want to continue? [y/N] ", warning)
	answer, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil && err != io.EOF {
		return false
	}
	return strings.HasPrefix(strings.ToLower(strings.TrimSpace(answer)), "y")
}

// VolumeExistsCmd is `rl volume exists`.
type VolumeExistsCmd struct {
	Volume string `arg:"" help:"Whole name."`
}

// Run ends with 0 or 1.
func (c *VolumeExistsCmd) Run() error {
	there, err := container.VolumeExists(c.Volume)
	if err == nil && !there {
		err = &hint.Exit{Code: 1}
	}
	return err
}
