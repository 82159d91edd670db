package main

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/rl-containers/rl/oci"
	"github.com/rl-containers/rl/spec"
)

type ociKill struct {
	All    bool   `short:"a" help:"To all processes of the container."`
	Regex  bool   `short:"r" help:"CONTAINER is an extended regular expression: to all that it fits."`
	ID     string `arg:"" name:"container" help:"Container."`
	Signal string `arg:"" optional:"" default:"TERM" help:"Number or name (TERM)."`
}

// Run is `kill`. One that has ended is no failure for an expression.
func (v *ociKill) Run(c *ociCall) error {
	sig, err := spec.Signal(v.Signal)
	if err != nil {
		return err
	}
	if !v.Regex {
		return c.runtime.Kill(v.ID, sig, v.All)
	}
	return c.each(v.ID, func(s oci.State) error {
		if s.Status == "stopped" {
			return nil
		}
		return c.runtime.Kill(s.ID, sig, v.All)
	})
}

type ociDelete struct {
	Force bool   `short:"f" help:"Kill it if it runs; one that isn't there is no error."`
	Regex bool   `short:"r" help:"CONTAINER is an extended regular expression: all that it fits."`
	ID    string `arg:"" name:"container" help:"Container."`
}

// Run is `delete`.
func (v *ociDelete) Run(c *ociCall) error {
	if !v.Regex {
		return c.runtime.Delete(v.ID, v.Force)
	}
	return c.each(v.ID, func(s oci.State) error { return c.runtime.Delete(s.ID, v.Force) })
}

// each does it for all containers that fit. One that fails doesn't keep it from the others.
func (c *ociCall) each(pattern string, do func(oci.State) error) error {
	expr, err := regexp.CompilePOSIX(pattern)
	if err != nil {
		return err
	}
	states, err := c.runtime.List()
	if err != nil {
		return err
	}
	var failed []string
	for _, s := range states {
		if !expr.MatchString(s.ID) {
			continue
		}
		if err := do(s); err != nil {
			failed = append(failed, s.ID+": "+err.Error())
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("%s", strings.Join(failed, "; "))
	}
	return nil
}

type ociPause struct {
	ID string `arg:"" name:"container" help:"Container."`
}

// Run is `pause`.
func (v *ociPause) Run(c *ociCall) error { return c.runtime.Pause(v.ID) }

type ociResume struct {
	ID string `arg:"" name:"container" help:"Container."`
}

// Run is `resume`.
func (v *ociResume) Run(c *ociCall) error { return c.runtime.Resume(v.ID) }
