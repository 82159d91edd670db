package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rl-containers/rl/container"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/storage"
)

// PsCmd is `rl ps`.
type PsCmd struct {
	All       bool     `short:"a" help:"Also those that don't run."`
	Quiet     bool     `short:"q" help:"Ids only."`
	NoTrunc   bool     `help:"Whole ids and commands."`
	Size      bool     `short:"s" help:"What each wrote, and with its image: takes as long as du."`
	Last      *int     `short:"n" placeholder:"N" help:"The N that were made last, also those that don't run."`
	Latest    bool     `short:"l" help:"The one that was made last, also if it doesn't run."`
	Filter    []string `short:"f" sep:"none" placeholder:"KEY=VALUE" help:"id=, name=REGEXP, status=, label=KEY[=VALUE], label!=, exited=CODE, before=CONTAINER, since=CONTAINER, until=TIME, ancestor=IMAGE, volume=NAME|PATH, network=MODE, health=STATUS, pod=POD, restart-policy=, should-start-on-boot=; with a status also those that don't run."`
	Format    string   `placeholder:"json|TEMPLATE" help:"json, a Go template over .ID .Names .Image .Status .Ports …, or table TEMPLATE."`
	NoHeading bool     `name:"noheading" aliases:"no-heading" help:"No line of titles."`
	Sort      string   `placeholder:"KEY" help:"created (default: the newest first), command, id, image, names, runningfor, size or status."`
}

// Run lists containers.
func (c *PsCmd) Run() error {
	order, err := c.order()
	if err != nil {
		return err
	}
	if c.Quiet && c.Format != "" {
		return hint.Errorf("leave one of them out", "ps: -q and --format exclude each other")
	}
	states, err := c.find()
	if err != nil {
		return err
	}
	if order != nil {
		slices.SortStableFunc(states, order)
	}
	if c.Quiet {
		ids := make([]string, len(states))
		for i := range states {
			ids[i] = c.cut(states[i].ID, 12)
		}
		return printLines(ids)
	}
	rows, err := c.rows(states)
	if err != nil {
		return err
	}
	return c.listing().print(rows)
}

// rows measures where it was asked for, or a template shows it.
func (c *PsCmd) rows(states []storage.State) ([]psRow, error) {
	var sizes []container.Size
	if c.Size || c.Sort == "size" || strings.Contains(c.Format, ".Size") {
		var err error
		if sizes, err = container.Sizes(states); err != nil {
			return nil, fmt.Errorf("ps: sizes: %w", err)
		}
	}
	rows := make([]psRow, len(states))
	for i := range states {
		rows[i] = psRow{state: &states[i], whole: c.NoTrunc}
		if c.Format != "" && c.Format != "table" {
			rows[i].psEntry = newPsEntry(&states[i])
		}
		if sizes != nil {
			rows[i].size = &sizes[i]
		}
		if rows[i].psEntry != nil {
			rows[i].psEntry.Size = rows[i].size
		}
	}
	if c.Sort == "size" {
		slices.SortStableFunc(rows, func(a, b psRow) int { return cmp.Compare(a.size.RootFs, b.size.RootFs) })
	}
	return rows, nil
}

// find returns those that are meant, the newest first.
func (c *PsCmd) find() ([]storage.State, error) {
	states, err := container.List(true)
	if err != nil {
		return nil, err
	}
	newestFirst(states)
	all, last := c.All, -1
	if c.Last != nil {
		last = *c.Last
	}
	if c.Latest {
		last = 1
	}
	found, err := container.Filter(states, c.Filter)
	if err != nil {
		return nil, err
	}
	for _, f := range c.Filter {
		all = all || strings.HasPrefix(f, "status=")
	}
	if last < 0 && !all {
		found = slices.DeleteFunc(found, func(s storage.State) bool { return !s.Running })
	}
	if last >= 0 && last < len(found) {
		found = found[:last]
	}
	return found, nil
}

// newestFirst sorts by small keys: a state is large, and sorting moves what it sorts many times.
func newestFirst(states []storage.State) {
	type key struct {
		created int64
		at      int
	}
	keys := make([]key, len(states))
	for i := range states {
		keys[i] = key{states[i].Created.UnixNano(), i}
	}
	slices.SortFunc(keys, func(a, b key) int { return cmp.Compare(b.created, a.created) })
	for i := range keys {
		at := keys[i].at
		for at < i { // it was moved when its place was filled
			at = keys[at].at
		}
		states[i], states[at] = states[at], states[i]
	}
}

// order is by --sort; nil leaves the newest first.
func (c *PsCmd) order() (func(a, b storage.State) int, error) {
	var key func(*storage.State) string
	switch c.Sort {
	case "", "created", "runningfor", "size": // sizes are not known yet
		return nil, nil
	case "command":
		key = func(s *storage.State) string { return strings.Join(s.Command, " ") }
	case "id":
		key = func(s *storage.State) string { return s.ID }
	case "image":
		key = func(s *storage.State) string { return s.Image }
	case "names":
		key = func(s *storage.State) string { return s.Name }
	case "status":
		key = func(s *storage.State) string { return s.Status }
	default:
		return nil, hint.Errorf("created, command, id, image, names, runningfor, size or status", "ps: --sort %s: unknown key", c.Sort)
	}
	return func(a, b storage.State) int { return cmp.Compare(key(&a), key(&b)) }, nil
}

func (c *PsCmd) listing() *listing[psRow] {
	l := &listing[psRow]{
		format: c.Format, noHeading: c.NoHeading, titles: map[string]string{"ID": "CONTAINER ID", "RunningFor": "CREATED"},
		columns: []column[psRow]{
			{"CONTAINER ID", (*psRow).ID}, {"IMAGE", (*psRow).Image}, {"COMMAND", (*psRow).Command}, {"CREATED", (*psRow).RunningFor},
			{"STATUS", (*psRow).Status}, {"PORTS", (*psRow).Ports}, {"NAMES", (*psRow).Names},
		},
	}
	if c.Size {
		l.columns = append(l.columns, column[psRow]{"SIZE", (*psRow).Size})
	}
	return l
}

func (c *PsCmd) cut(s string, n int) string {
	if c.NoTrunc || len(s) <= n {
		return s
	}
	return s[:n]
}

// psEntry is a container in --format json, by podman's names.
type psEntry struct {
	ID         string `json:"Id"`
	Names      []string
	Image      string
	ImageID    string
	Command    []string
	Created    int64 // seconds since 1970, as the other times
	CreatedAt  string
	State      string
	Status     string
	Exited     bool
	ExitCode   int
	ExitedAt   int64
	StartedAt  int64
	Pid        int
	Restarts   int
	AutoRemove bool
	Labels     map[string]string
	Networks   []string
	Ports      []container.Published
	Size       *container.Size `json:",omitempty"`
}

func newPsEntry(s *storage.State) *psEntry {
	e := &psEntry{
		ID: s.ID, Names: []string{}, Image: s.Image, ImageID: s.ImageID, Command: append([]string{}, s.Command...), Created: s.Created.Unix(),
		CreatedAt: s.Created.Format("2006-01-02 15:04:05 -0700 MST"), State: s.Status, Status: statusText(s), Exited: s.Status == storage.Exited,
		ExitCode: s.ExitCode, ExitedAt: unixTime(s.Finished), StartedAt: unixTime(s.Started), Restarts: s.Restarts, AutoRemove: s.Remove,
		Labels: s.Labels, Networks: []string{container.NetworkMode(s)}, Ports: []container.Published{},
	}
	if s.Name != "" {
		e.Names = append(e.Names, s.Name)
	}
	if e.Labels == nil {
		e.Labels = map[string]string{}
	}
	if s.Running {
		e.Pid, e.Ports = s.Pid, container.PublishedPorts(s)
	}
	return e
}

// unixTime is 0 for what never was.
func unixTime(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// psRow shows a container in a table or a template, where docker and podman make words of most.
type psRow struct {
	*psEntry // nil for the table, which needs none
	state    *storage.State
	size     *container.Size // nil: not measured
	whole    bool
}

// of is the container; an empty one in the row by which a template is tried.
func (r *psRow) of() *storage.State {
	if r.state == nil {
		return new(storage.State)
	}
	return r.state
}

// ID is short without --no-trunc.
func (r *psRow) ID() string {
	if r.whole || len(r.of().ID) < 12 {
		return r.of().ID
	}
	return r.of().ID[:12]
}

// Names is the name.
func (r *psRow) Names() string { return r.of().Name }

// Image is its name, as typed or found.
func (r *psRow) Image() string { return hint.Clean(r.of().Image) }

// Command is cut without --no-trunc.
func (r *psRow) Command() string {
	s := strings.Join(r.of().Command, " ")
	if !r.whole && len(s) > 30 {
		s = s[:30]
	}
	return hint.Clean(strings.ToValidUTF8(s, ""))
}

// CreatedHuman and RunningFor are how long ago it was made.
func (r *psRow) CreatedHuman() string { return ago(r.of().Created) + " ago" }

// RunningFor is docker's name of CreatedHuman.
func (r *psRow) RunningFor() string { return r.CreatedHuman() }

// Status is the state in words.
func (r *psRow) Status() string { return statusText(r.of()) }

// Ports are the published ones.
func (r *psRow) Ports() string {
	if !r.of().Running {
		return ""
	}
	return strings.Join(r.of().Life.Ports, ", ")
}

// Size is what it wrote, and that with its image.
func (r *psRow) Size() string {
	if r.size == nil {
		return ""
	}
	return humanSize(r.size.RW, 3) + " (virtual " + humanSize(r.size.RootFs, 3) + ")"
}

// Labels are KEY=VALUE, by commas.
func (r *psRow) Labels() string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(r.of().Labels)) {
		all = append(all, hint.Clean(key+"="+r.of().Labels[key]))
	}
	return strings.Join(all, ",")
}

// Label is the value of one.
func (r *psRow) Label(key string) string { return hint.Clean(r.of().Labels[key]) }

// Networks is the network's mode.
func (r *psRow) Networks() string { return container.NetworkMode(r.of()) }

// Mounts are the names of its volumes and the directories of the host that it shows, by commas.
func (r *psRow) Mounts() string {
	if r.state == nil {
		return ""
	}
	return hint.Clean(strings.Join(container.MountNames(r.state), ","))
}

// LocalVolumes is how many volumes it has.
func (r *psRow) LocalVolumes() int { return len(r.of().Volumes) }

// ago is a time span in docker's words.
func ago(t time.Time) string {
	d := time.Since(t)
	for _, u := range []struct {
		name string
		span time.Duration
	}{{" days", 24 * time.Hour}, {" hours", time.Hour}, {" minutes", time.Minute}} {
		if d >= 2*u.span {
			return strconv.FormatInt(int64(d/u.span), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(d/time.Second), 10) + " seconds"
}

// statusText is the STATUS column, in docker's words.
func statusText(s *storage.State) string {
	switch s.Status {
	case storage.Created:
		return "Created"
	case storage.Exited:
		return "Exited (" + strconv.Itoa(s.ExitCode) + ") " + ago(s.Finished) + " ago"
	case storage.Restarting:
		return "Restarting (" + strconv.Itoa(s.ExitCode) + ") " + ago(s.Finished) + " ago"
	case container.Paused:
		return "Up " + ago(s.Started) + " (Paused)"
	}
	up := "Up " + ago(s.Started)
	if h := s.Health(); h != nil {
		up += " (" + h.Status + ")"
	}
	return up
}
