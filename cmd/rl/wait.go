package main

import (
	"errors"
	"strconv"
	"time"

	"github.com/rl-containers/rl/container"
	"github.com/rl-containers/rl/hint"
)

// WaitCmd is `rl wait`.
type WaitCmd struct {
	Condition     []string `placeholder:"STATE" help:"Wait for this state: running, exited, stopped, created, paused, restarting, removed, healthy, unhealthy; one of several. Without it for the end."`
	Interval      string   `short:"i" default:"250ms" placeholder:"TIME" help:"Look so often where nothing tells of the change (${default}); a number is of milliseconds."`
	Ignore        bool     `help:"One that isn't there is no error: -1 stands for its exit code."`
	Latest        bool     `short:"l" help:"The one that was made last."`
	ReturnOnFirst bool     `help:"Wait for the first of several, and print its exit code alone."`
	Containers    []string `arg:"" optional:"" name:"container" help:"Name, id, or the unique beginning of an id."`
}

// Run waits for each in turn, or for the first, and prints the exit codes.
func (c *WaitCmd) Run() error {
	every, err := c.interval()
	if err != nil {
		return err
	}
	if err := container.CheckConditions(c.Condition); err != nil {
		return err
	}
	if c.Latest || len(c.Containers) == 0 {
		word, err := oneContainer("wait", append(c.Containers, "")[0], c.Latest)
		if err != nil {
			return err
		}
		c.Containers = []string{word}
	}
	if c.ReturnOnFirst {
		return c.first(every)
	}
	for _, word := range c.Containers {
		code, err := c.wait(word, every)
		if err != nil {
			return err
		}
		if err := printLines([]string{strconv.Itoa(code)}); err != nil {
			return err
		}
	}
	return nil
}

func (c *WaitCmd) interval() (time.Duration, error) {
	every, err := time.ParseDuration(c.Interval)
	if n, oops := strconv.Atoi(c.Interval); oops == nil {
		every, err = time.Duration(n)*time.Millisecond, nil
	}
	if err != nil || every <= 0 {
		return 0, hint.Errorf("rl wait --interval 1s …", "wait: --interval %s: not a span of time", c.Interval)
	}
	return every, nil
}

func (c *WaitCmd) wait(word string, every time.Duration) (int, error) {
	s, err := container.Find(word)
	if errors.Is(err, container.ErrNotFound) && c.Ignore {
		return -1, nil
	}
	if err != nil {
		return 0, err
	}
	return container.Wait(s, c.Condition, every)
}

// first waits for all at once.
func (c *WaitCmd) first(every time.Duration) error {
	type end struct {
		code int
		err  error
	}
	ends := make(chan end, len(c.Containers))
	for _, word := range c.Containers {
		go func() {
			code, err := c.wait(word, every)
			ends <- end{code, err}
		}()
	}
	e := <-ends
	if e.err != nil {
		return e.err
	}
	return printLines([]string{strconv.Itoa(e.code)})
}
