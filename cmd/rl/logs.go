package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/rl-containers/rl/container"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/logs"
	"github.com/rl-containers/rl/storage"
)

// LogsCmd is `rl logs`.
type LogsCmd struct {
	Follow     bool     `short:"f" help:"Show what is written until the container ends."`
	Since      string   `placeholder:"TIME" help:"Only what is younger: a time, or a span before now as in 10m."`
	Until      string   `placeholder:"TIME" help:"Only what is older."`
	Tail       string   `short:"n" default:"all" placeholder:"LINES" help:"Only the last lines."`
	Timestamps bool     `short:"t" help:"Put the time before each line."`
	Names      bool     `help:"Put the name of the container before each line; with several containers and without it the id is."`
	Color      bool     `help:"Show what is before the lines in a color for each container."`
	Latest     bool     `short:"l" help:"The container that was made last."`
	Containers []string `arg:"" optional:"" name:"container" help:"Name, id, or the unique beginning of an id."`
}

// Help is the text below the flags.
func (*LogsCmd) Help() string {
	return `What the program wrote to its standard error is on that of rl logs. --log-driver and --log-opt of rl run say how it is kept.`
}

// Run shows the logs of one container, or of several: one after the other, at once with -f.
func (c *LogsCmd) Run() error {
	req := container.LogsRequest{Follow: c.Follow, Timestamps: c.Timestamps, Stdout: os.Stdout, Stderr: os.Stderr}
	err := c.read(&req)
	if err != nil {
		return err
	}
	states, err := c.states()
	if err != nil {
		return err
	}
	failed := make([]error, len(states))
	var wait sync.WaitGroup
	for i, s := range states {
		one := req
		one.Prefix = c.prefix(i, s, len(states) > 1)
		if show := func() { failed[i] = container.Logs(s, one) }; c.Follow {
			wait.Go(show)
		} else {
			show()
		}
	}
	wait.Wait()
	return errors.Join(failed...)
}

// read understands the values of the flags.
func (c *LogsCmd) read(req *container.LogsRequest) (err error) {
	now := time.Now()
	if req.Since, err = logs.ParseTime(c.Since, now); err != nil {
		return fmt.Errorf("logs: --since: %w", err)
	}
	if req.Until, err = logs.ParseTime(c.Until, now); err != nil {
		return fmt.Errorf("logs: --until: %w", err)
	}
	if req.Tail, err = strconv.Atoi(c.Tail); c.Tail == "all" || err == nil && req.Tail < 0 {
		req.Tail, err = -1, nil
	}
	if err != nil {
		return hint.Errorf("a number of lines, or all", "logs: --tail %s: not a number", c.Tail)
	}
	return nil
}

// states finds the containers, each once.
func (c *LogsCmd) states() (states []*storage.State, err error) {
	switch {
	case c.Latest && len(c.Containers) > 0:
		return nil, hint.Errorf("leave one of them out", "logs: --latest and a container exclude each other")
	case c.Latest:
		return latest()
	case len(c.Containers) == 0:
		return nil, hint.Errorf("rl logs CONTAINER…, or rl logs --latest", "logs: no container named")
	}
	for _, word := range c.Containers {
		s, err := container.Find(word)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(states, func(other *storage.State) bool { return other.ID == s.ID }) {
			states = append(states, s)
		}
	}
	return states, nil
}

func latest() ([]*storage.State, error) {
	all, err := container.List(true)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, hint.Errorf("rl run -d IMAGE starts one", "logs: there is no container")
	}
	last := slices.MaxFunc(all, func(a, b storage.State) int { return a.Created.Compare(b.Created) })
	return []*storage.State{&last}, nil
}

// prefix is podman's.
func (c *LogsCmd) prefix(i int, s *storage.State, several bool) string {
	text := ""
	switch {
	case c.Names:
		text = s.Name
	case several || c.Color:
		text = s.ID[:12]
	default:
		return ""
	}
	if c.Color {
		// The six colors of a terminal that are neither black nor white.
		return fmt.Sprintf("\x1b[%dm%s\x1b[0m ", 31+i%6, text)
	}
	return text + " "
}
