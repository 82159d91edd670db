package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/rl-containers/rl/container"
	"github.com/rl-containers/rl/hint"
)

// SystemDfCmd is `rl system df`.
type SystemDfCmd struct {
	Verbose bool   `short:"v" help:"Each image, container and volume."`
	Format  string `placeholder:"json|TEMPLATE" help:"json, a Go template over .Type .Total .Active .Size .Reclaimable, or table TEMPLATE."`
}

// Help is the text below the flags.
func (*SystemDfCmd) Help() string {
	return `A layer that several images share counts once. A container's size is what it takes on disk beside its image: the files that it wrote, its log, its configuration.`
}

// Run measures, which takes as long as du(1).
func (c *SystemDfCmd) Run() error {
	if c.Verbose && c.Format != "" {
		return hint.Errorf("leave one of them out", "system df: -v and --format exclude each other")
	}
	space, err := container.MeasureSpace()
	if err != nil {
		return err
	}
	if c.Verbose {
		return printSpace(space)
	}
	l := listing[dfRow]{format: c.Format, titles: map[string]string{"TotalCount": "TOTAL"}, columns: []column[dfRow]{
		{"TYPE", func(r *dfRow) string { return r.Type }}, {"TOTAL", func(r *dfRow) string { return strconv.Itoa(r.Total) }},
		{"ACTIVE", func(r *dfRow) string { return strconv.Itoa(r.Active) }}, {"SIZE", func(r *dfRow) string { return r.Size }},
		{"RECLAIMABLE", func(r *dfRow) string { return r.Reclaimable }},
	}}
	return l.print(dfRows(space))
}

// dfRow is a line of the table, by docker's and podman's names.
type dfRow struct {
	Type                    string
	Total, Active           int
	RawSize, RawReclaimable int64 // bytes
	TotalCount              int
	Size, Reclaimable       string
}

// add counts one thing. in: somebody uses it.
func (r *dfRow) add(size int64, in bool) {
	r.Total++
	r.RawSize += size
	if in {
		r.Active++
	} else {
		r.RawReclaimable += size
	}
}

func dfRows(s *container.Space) []dfRow {
	rows := []dfRow{{Type: "Images"}, {Type: "Containers"}, {Type: "Local Volumes"}}
	for _, i := range s.Images {
		rows[0].add(0, i.Containers > 0)
	}
	rows[0].RawSize, rows[0].RawReclaimable = s.Shared, s.Free
	for _, c := range s.Containers {
		rows[1].add(c.Size, c.Running)
	}
	for _, v := range s.Volumes {
		rows[2].add(v.Size, len(v.UsedBy) > 0)
	}
	for i := range rows {
		r := &rows[i]
		r.TotalCount, r.Size, r.Reclaimable = r.Total, humanSize(r.RawSize, 4), humanSize(r.RawReclaimable, 4)
		if r.RawSize > 0 {
			r.Reclaimable += fmt.Sprintf(" (%d%%)", r.RawReclaimable*100/r.RawSize)
		}
	}
	return rows
}

// printSpace is docker's long form: a table a kind.
func printSpace(s *container.Space) error {
	fmt.Print("Images space usage:\n\n")
	images := listing[imageLine]{columns: []column[imageLine]{
		{"REPOSITORY", func(l *imageLine) string { return l.repository }}, {"TAG", func(l *imageLine) string { return l.tag }},
		{"IMAGE ID", func(l *imageLine) string { return l.ID[:12] }}, {"CREATED", func(l *imageLine) string { return ago(l.Created) + " ago" }},
		{"SIZE", func(l *imageLine) string { return humanSize(l.Size, 3) }},
		{"SHARED SIZE", func(l *imageLine) string { return humanSize(l.Size-l.Unique, 3) }},
		{"UNIQUE SIZE", func(l *imageLine) string { return humanSize(l.Unique, 3) }},
		{"CONTAINERS", func(l *imageLine) string { return strconv.Itoa(l.Containers) }},
	}}
	if err := images.print(imageLines(s.Images)); err != nil {
		return err
	}
	fmt.Print("\nContainers space usage:\n\n")
	row := func(c *container.ContainerSpace) *psRow { return &psRow{state: &c.State} }
	containers := listing[container.ContainerSpace]{columns: []column[container.ContainerSpace]{
		{"CONTAINER ID", func(c *container.ContainerSpace) string { return row(c).ID() }}, {"IMAGE", func(c *container.ContainerSpace) string { return c.Image }},
		{"COMMAND", func(c *container.ContainerSpace) string { return row(c).Command() }},
		{"LOCAL VOLUMES", func(c *container.ContainerSpace) string { return strconv.Itoa(row(c).LocalVolumes()) }},
		{"SIZE", func(c *container.ContainerSpace) string { return humanSize(c.Size, 3) }},
		{"CREATED", func(c *container.ContainerSpace) string { return row(c).RunningFor() }},
		{"STATUS", func(c *container.ContainerSpace) string { return row(c).Status() }}, {"NAMES", func(c *container.ContainerSpace) string { return c.Name }},
	}}
	if err := containers.print(s.Containers); err != nil {
		return err
	}
	fmt.Print("\nLocal Volumes space usage:\n\n")
	volumes := listing[container.VolumeSpace]{columns: []column[container.VolumeSpace]{
		{"VOLUME NAME", func(v *container.VolumeSpace) string { return v.Name }},
		{"LINKS", func(v *container.VolumeSpace) string { return strconv.Itoa(len(v.UsedBy)) }},
		{"SIZE", func(v *container.VolumeSpace) string { return humanSize(v.Size, 3) }},
	}}
	return volumes.print(s.Volumes)
}

// imageLine is an image by one of its names.
type imageLine struct {
	*container.ImageSpace
	repository, tag string
}

func imageLines(images []container.ImageSpace) (lines []imageLine) {
	for i := range images {
		img := &images[i]
		if len(img.Names) == 0 {
			lines = append(lines, imageLine{img, "<none>", "<none>"})
		}
		for _, name := range img.Names {
			repository, tag := splitTag(name)
			lines = append(lines, imageLine{img, repository, tag})
		}
	}
	return lines
}

// splitTag takes a full name of an image apart.
func splitTag(name string) (repository, tag string) {
	repository, _, digested := strings.Cut(name, "@")
	if i := strings.LastIndexByte(repository, ':'); i > strings.LastIndexByte(repository, '/') && !digested {
		return repository[:i], repository[i+1:]
	}
	return repository, "<none>"
}

// humanSize is a number of bytes with so many digits, in docker's form: powers of 1000.
func humanSize(n int64, digits int) string {
	units := []string{"B", "kB", "MB", "GB", "TB", "PB", "EB"}
	size, most := float64(n), 999.5
	if digits > 3 {
		most = 999.95
	}
	for size >= most && len(units) > 1 {
		size, units = size/1000, units[1:]
	}
	return strconv.FormatFloat(size, 'g', digits, 64) + units[0]
}
