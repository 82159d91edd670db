package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rl-containers/rl/container"
	"github.com/rl-containers/rl/events"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/logs"
)

// EventsCmd is `rl events`.
type EventsCmd struct {
	Since   string   `placeholder:"TIME" help:"Also what happened since: a time, or a span before now as in 10m."`
	Until   string   `placeholder:"TIME" help:"End there; a span is one before now, -10m one from now on."`
	Filter  []string `short:"f" sep:"none" placeholder:"KEY=VALUE" help:"Only those: container=, event=, image=, label=KEY[=VALUE], type=, volume=; of several keys all must fit."`
	Format  string   `placeholder:"FORMAT" help:"json (a line each), or a Go template."`
	Stream  bool     `default:"true" negatable:"" help:"Wait for more (default)."`
	NoTrunc bool     `default:"true" help:"Whole ids (default)."`
}

// Help is the text below the flags.
func (*EventsCmd) Help() string {
	return `Without --since it begins with what happens from now on; with --no-stream (--stream=false) and no --since all that is known is shown. About 4 MB of events are kept, and their predecessors of that size.`
}

// Run shows events as they come.
func (c *EventsCmd) Run() error {
	now := time.Now()
	req := container.EventsRequest{Follow: c.Stream}
	var err error
	if req.Since, err = logs.ParseTime(c.Since, now); err != nil {
		return fmt.Errorf("events: --since: %w", err)
	}
	if req.Until, err = logs.ParseTime(c.Until, now); err != nil {
		return fmt.Errorf("events: --until: %w", err)
	}
	if c.Since == "" && c.Stream && (c.Until == "" || req.Until.After(now)) {
		req.Since = now
	}
	if req.Filter, err = events.ParseFilter(c.Filter); err != nil {
		return fmt.Errorf("events: %w", err)
	}
	show, err := c.shower()
	if err != nil {
		return err
	}
	return container.Events(req, show)
}

// shower prints one event.
func (c *EventsCmd) shower() (func(*events.Event) error, error) {
	switch strings.TrimSpace(c.Format) {
	case "":
		return func(e *events.Event) error { return writeLine(eventLine(e, c.NoTrunc)) }, nil
	case "json", "{{json .}}", "{{ json . }}": // whole, as it was: JSON drives no terminal
		return func(e *events.Event) error {
			b, err := compactJSON(newEventEntry(e))
			if err != nil {
				return err
			}
			return writeLine(b)
		}, nil
	}
	format, _ := strings.CutPrefix(c.Format, "table")
	l := listing[eventEntry]{format: strings.TrimSpace(format)}
	// What is wrong with it is said now, not when the first event comes.
	if err := l.template(io.Discard, nil); err != nil {
		return nil, fmt.Errorf("events: %w", err)
	}
	return func(e *events.Event) error {
		return l.template(os.Stdout, []eventEntry{*newEventEntry(cleanEvent(e))})
	}, nil
}

// eventEntry is an event in --format, by the names of podman's; docker's are its methods.
type eventEntry struct {
	ContainerExitCode *int              `json:",omitempty"`
	ID                string            `json:",omitempty"`
	Image             string            `json:",omitempty"`
	Name              string            `json:",omitempty"`
	Status            string            // create, start, died …
	Time              int64             `json:"time"` // seconds since 1970
	TimeNano          int64             `json:"timeNano"`
	Type              string            // container, image, volume
	HealthStatus      string            `json:"health_status,omitempty"`
	Attributes        map[string]string `json:",omitempty"`
}

func newEventEntry(e *events.Event) *eventEntry {
	return &eventEntry{e.ContainerExitCode, e.ID, e.Image, e.Name, e.Status, e.Time.Unix(), e.Time.UnixNano(), e.Type, e.HealthStatus, e.Attributes}
}

// Action is docker's name of Status, with the health in the same word.
func (e *eventEntry) Action() string {
	if e.HealthStatus != "" {
		return e.Status + ": " + e.HealthStatus
	}
	return e.Status
}

// Scope is where docker's events happen.
func (*eventEntry) Scope() string { return "local" }

// eventActor is what docker tells of whom it happened to.
type eventActor struct {
	ID         string
	Attributes map[string]string
}

// Actor is docker's.
func (e *eventEntry) Actor() eventActor {
	a := eventActor{e.ID, maps.Clone(e.Attributes)}
	if a.Attributes == nil {
		a.Attributes = map[string]string{}
	}
	for k, v := range map[string]string{"name": e.Name, "image": e.Image} {
		if v != "" {
			a.Attributes[k] = v
		}
	}
	if e.ContainerExitCode != nil {
		a.Attributes["exitCode"] = strconv.Itoa(*e.ContainerExitCode)
	}
	return a
}

// cleanEvent is one whose names and labels can't drive the terminal, for a template.
func cleanEvent(e *events.Event) *events.Event {
	c := *e
	c.Name, c.Image = hint.Clean(e.Name), hint.Clean(e.Image)
	c.Attributes = map[string]string{}
	for k, v := range e.Attributes {
		c.Attributes[hint.Clean(k)] = hint.Clean(v)
	}
	return &c
}

func writeLine(s string) error {
	_, err := fmt.Println(s)
	return err
}

// eventLine is an event in podman's form: TIME TYPE STATUS ID (image=…, name=…, …).
func eventLine(e *events.Event, whole bool) string {
	id := strings.TrimPrefix(e.ID, "sha256:")
	if !whole {
		id = id[:min(12, len(id))]
	}
	var details []string
	for _, d := range [][2]string{{"image", e.Image}, {"name", e.Name}, {"health_status", e.HealthStatus}} {
		if d[1] != "" {
			details = append(details, d[0]+"="+d[1])
		}
	}
	if e.ContainerExitCode != nil {
		details = append(details, "exitCode="+strconv.Itoa(*e.ContainerExitCode))
	}
	for _, k := range slices.Sorted(maps.Keys(e.Attributes)) {
		details = append(details, k+"="+e.Attributes[k])
	}
	line := fmt.Sprintf("%s %s %s %s", e.Time.Format("2006-01-02 15:04:05.000000000 -0700 MST"), e.Type, e.Status, cmp.Or(id, e.Name))
	if len(details) > 0 {
		line += " (" + strings.Join(details, ", ") + ")"
	}
	return hint.Clean(line)
}
