package main

import (
	"github.com/rl-containers/rl/container"
	"github.com/rl-containers/rl/hint"
)

// DiffCmd is `rl diff`.
type DiffCmd struct {
	Format    string `enum:"table,json" default:"table" placeholder:"FORMAT" help:"Print lines or json."`
	Container string `arg:"" help:"Name, id, or the unique beginning of an id."`
}

// Help tells what the letters mean.
func (*DiffCmd) Help() string {
	return `A added, C changed, D deleted. A directory counts as changed when something in it is. The mount points that rl made are left out.`
}

// changes are podman's --format json.
type changes struct {
	Changed []string `json:"changed,omitempty"`
	Added   []string `json:"added,omitempty"`
	Deleted []string `json:"deleted,omitempty"`
}

// Run prints a line a change.
func (c *DiffCmd) Run() error {
	all, err := container.Diff(c.Container)
	if err != nil {
		return err
	}
	if c.Format == "json" {
		var out changes
		lists := map[string]*[]string{"C": &out.Changed, "A": &out.Added, "D": &out.Deleted}
		for _, change := range all {
			*lists[change.Kind] = append(*lists[change.Kind], change.Path)
		}
		return printJSON(out)
	}
	lines := make([]string, len(all))
	for i, change := range all {
		lines[i] = change.Kind + " " + hint.Clean(change.Path)
	}
	return printLines(lines)
}

// CommitCmd is `rl commit`.
type CommitCmd struct {
	Author    string   `short:"a" placeholder:"TEXT" help:"Who made the image."`
	Change    []string `short:"c" sep:"none" placeholder:"INSTRUCTION" help:"CMD, ENTRYPOINT, ENV, USER, WORKDIR, LABEL, STOPSIGNAL, EXPOSE or VOLUME, as in a Dockerfile."`
	Message   string   `short:"m" placeholder:"TEXT" help:"Comment of the image's history."`
	Format    string   `short:"f" enum:"oci,docker" default:"oci" placeholder:"FORMAT" help:"Form of the image: oci or docker."`
	IIDFile   string   `name:"iidfile" placeholder:"FILE" help:"Write the id to a file, too."`
	Pause     *bool    `short:"p" negatable:"" help:"Let the processes stand still meanwhile; without a word where they have a cgroup, and don't notice."`
	Squash    bool     `short:"s" help:"One layer of all files, instead of one on those of the image."`
	Quiet     bool     `short:"q" help:"No notes, only the id."`
	Container string   `arg:"" help:"Name, id, or the unique beginning of an id."`
	Image     string   `arg:"" optional:"" help:"Name[:tag] of the image."`
}

// Help tells what is in the image.
func (*CommitCmd) Help() string {
	return `The image has the changed files, without volumes and other mounts, and the config of the container's image with what the flags of
run changed, then the instructions. Its id is printed.`
}

// Run has rl-image write the image.
func (c *CommitCmd) Run() error {
	return container.Commit(container.CommitRequest{Container: c.Container, Name: c.Image, Author: c.Author, Message: c.Message, IIDFile: c.IIDFile,
		Changes: c.Change, Format: c.Format, Pause: c.Pause, Squash: c.Squash, Quiet: c.Quiet})
}
