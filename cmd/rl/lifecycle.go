package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/rl-containers/rl/container"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/spec"
	"github.com/rl-containers/rl/storage"
)

// selected are the arguments of the verbs about several containers.
type selected struct {
	All        bool     `short:"a" help:"All of them."`
	Latest     bool     `short:"l" help:"The one that was made last."`
	Ignore     bool     `short:"i" help:"One that isn't there is no error."`
	CIDFile    []string `name:"cidfile" sep:"none" placeholder:"FILE" help:"Read the id from a file."`
	Containers []string `arg:"" optional:"" name:"container" help:"Name, id, or the unique beginning of an id."`
	depend     bool     // also those that depend on them
}

// filtered selects by --filter, for the verbs that podman gives it.
type filtered struct {
	Filter []string `short:"f" sep:"none" placeholder:"KEY=VALUE" help:"All for which it holds: restart-policy=, should-start-on-boot=true, label=, status=… as of rl ps."`
}

// each does it with all that are selected and prints them as they were named.
func (s *selected) each(verb string, do func(*storage.State) error, filters ...string) error {
	if s.Latest {
		if s.All || len(s.Containers)+len(s.CIDFile)+len(filters) > 0 {
			return hint.Errorf("rl "+verb+" --latest", "%s: --latest is one, and others are named", verb)
		}
		last, err := container.Latest()
		if err != nil {
			return fmt.Errorf("%s: %w", verb, err)
		}
		s.Containers = []string{last.ID}
	}
	switch named := len(s.Containers)+len(s.CIDFile) > 0; {
	case s.All && named:
		return hint.Errorf("rl "+verb+" --all", "%s: --all are all, and containers are named", verb)
	case len(filters) > 0 && named:
		return hint.Errorf("rl "+verb+" --filter KEY=VALUE", "%s: --filter selects among all, and containers are named", verb)
	case !s.All && !named && len(filters) == 0:
		return hint.Errorf("rl "+verb+" CONTAINER…, or rl "+verb+" --all", "%s: no container named", verb)
	}
	sel := container.Selection{Words: s.Containers, CIDFiles: s.CIDFile, All: s.All || len(filters) > 0, Filters: filters, Ignore: s.Ignore, Depend: s.depend}
	return container.Each(sel, do, func(word string) { fmt.Println(word) })
}

// RmCmd is `rl rm`.
type RmCmd struct {
	Force      bool     `short:"f" help:"Kill those that run; one that isn't there is no error."`
	All        bool     `short:"a" help:"All that have ended; with -f all."`
	Latest     bool     `short:"l" help:"The one that was made last."`
	Ignore     bool     `short:"i" help:"One that isn't there is no error."`
	Volumes    bool     `short:"v" help:"Also their anonymous volumes."`
	Time       *int     `short:"t" placeholder:"SECONDS" help:"With -f: stop it in order first, and kill it after so long."`
	Depend     bool     `help:"Also those that have joined a namespace of it (--network container:NAME and the like)."`
	Filter     []string `sep:"none" placeholder:"KEY=VALUE" help:"All for which it holds, as of rl ps: label=, status=, until=24h …"`
	CIDFile    []string `name:"cidfile" sep:"none" placeholder:"FILE" help:"Read the id from a file."`
	Containers []string `arg:"" optional:"" name:"container" help:"Name, id, or the unique beginning of an id."`
}

// Run removes containers.
func (c *RmCmd) Run() error {
	if c.Time != nil && !c.Force {
		return hint.Errorf("rl rm -f -t SECONDS …", "rm: -t is how long -f waits")
	}
	s := selected{All: c.All, Latest: c.Latest, Ignore: c.Ignore || c.Force, CIDFile: c.CIDFile, Containers: c.Containers, depend: c.Depend}
	return s.each("rm", func(s *storage.State) error {
		if c.All && !c.Force && (s.Running || s.Status == storage.Restarting) {
			return container.ErrSkip
		}
		if c.Time != nil && c.Force {
			if err := container.Stop(s, c.Time); err != nil {
				return err
			}
		}
		err := container.Delete(s, c.Force)
		if errors.Is(err, os.ErrNotExist) {
			err = nil // with --rm it went by itself
		}
		if err == nil && c.Volumes {
			err = container.DropVolumes(s)
		}
		return err
	}, c.Filter...)
}

// stopping is how a container is brought down.
type stopping struct {
	Time   *int   `short:"t" aliases:"timeout" placeholder:"SECONDS" help:"Kill after so long, -1 never; without it the container's own --stop-timeout (10)."`
	Signal string `short:"s" placeholder:"SIGNAL" help:"Signal that stops the program, instead of the container's own."`
}

// check refuses what is no signal.
func (f *stopping) check(verb string) error {
	if sig, err := spec.Signal(f.Signal); f.Signal != "" && (err != nil || sig == 0) {
		return hint.Errorf("kill -l lists them", "%s: unknown signal %q", verb, f.Signal)
	}
	return nil
}

// tell has the stop that follows use the signal.
func (f *stopping) tell(s *storage.State) {
	if f.Signal != "" {
		s.StopSignal = f.Signal
	}
}

// StopCmd is `rl stop`.
type StopCmd struct {
	stopping
	UntilBoot bool `help:"The machine goes down: those that start at boot do so as if they had run on (rl system start-on-boot)."`
	filtered
	selected
}

// Run stops containers, all at once.
func (c *StopCmd) Run() error {
	if err := c.check("stop"); err != nil {
		return err
	}
	stop := container.Stop
	if c.UntilBoot {
		stop = container.StopUntilBoot
	}
	return c.each("stop", func(s *storage.State) error {
		c.tell(s)
		return stop(s, c.Time)
	}, c.Filter...)
}

// RestartCmd is `rl restart`.
type RestartCmd struct {
	stopping
	Running bool `help:"Only those that run."`
	filtered
	selected
}

// Run stops and starts containers.
func (c *RestartCmd) Run() error {
	if err := c.check("restart"); err != nil {
		return err
	}
	if c.Running && len(c.Containers)+len(c.Filter) == 0 {
		c.All = true
	}
	return c.each("restart", func(s *storage.State) error {
		if c.Running && !s.Running {
			return container.ErrSkip
		}
		c.tell(s)
		return container.Restart(s, c.Time)
	}, c.Filter...)
}

// KillCmd is `rl kill`.
type KillCmd struct {
	Signal string `short:"s" default:"KILL" placeholder:"SIGNAL" help:"Name or number (${default})."`
	selected
}

// Run sends a signal.
func (c *KillCmd) Run() error {
	sig, err := spec.Signal(c.Signal)
	if err != nil || sig == 0 {
		return hint.Errorf("kill -l lists them", "kill: unknown signal %q", c.Signal)
	}
	return c.each("kill", func(s *storage.State) error {
		if c.All && !s.Running {
			return container.ErrSkip
		}
		return container.Kill(s, sig)
	})
}

// PauseCmd is `rl pause`.
type PauseCmd struct {
	filtered
	selected
}

// Run pauses containers.
func (c *PauseCmd) Run() error {
	return c.each("pause", func(s *storage.State) error {
		if (c.All || len(c.Filter) > 0) && (!s.Running || s.Status == container.Paused) {
			return container.ErrSkip
		}
		return container.Pause(s)
	}, c.Filter...)
}

// UnpauseCmd is `rl unpause`.
type UnpauseCmd struct {
	filtered
	selected
}

// Run lets containers go on.
func (c *UnpauseCmd) Run() error {
	return c.each("unpause", func(s *storage.State) error {
		if (c.All || len(c.Filter) > 0) && s.Status != container.Paused {
			return container.ErrSkip
		}
		return container.Unpause(s)
	}, c.Filter...)
}

// StartCmd is `rl start`.
type StartCmd struct {
	Attach      bool   `short:"a" help:"Show what the program writes, and end with its exit code."`
	Interactive bool   `short:"i" help:"Pass on what is typed."`
	DetachKeys  string `default:"ctrl-p,ctrl-q" placeholder:"KEYS" help:"Keys that detach the terminal (${default}); empty: none."`
	SigProxy    bool   `default:"true" negatable:"" help:"With -a: pass signals to the program (default)."`
	Lifetime    string `placeholder:"session|user" help:"Whether it ends with your login session this time; without it as it was made."`
	All         bool   `help:"All that don't run."`
	Latest      bool   `short:"l" help:"The one that was made last."`
	filtered
	Containers []string `arg:"" optional:"" name:"container" help:"Name, id, or the unique beginning of an id."`
}

// Run starts containers.
func (c *StartCmd) Run() error {
	if c.Attach || c.Interactive {
		if c.Latest && len(c.Containers) == 0 {
			last, err := container.Latest()
			if err != nil {
				return fmt.Errorf("start: %w", err)
			}
			c.Containers = []string{last.ID}
		}
		if len(c.Containers) != 1 || c.All || len(c.Filter) > 0 {
			return hint.Errorf("rl start -a CONTAINER", "start: -a and -i tie the terminal to one container")
		}
		return container.Start(c.Containers[0], container.StartRequest{Attach: c.Attach, Interactive: c.Interactive, SigProxy: c.SigProxy, DetachKeys: c.DetachKeys, Lifetime: c.Lifetime})
	}
	s := selected{All: c.All, Latest: c.Latest, Containers: c.Containers}
	return s.each("start", func(s *storage.State) error {
		return container.Start(s.ID, container.StartRequest{Lifetime: c.Lifetime})
	}, c.Filter...)
}

// AttachCmd is `rl attach`.
type AttachCmd struct {
	NoStdin    bool   `name:"no-stdin" help:"Don't pass on what is typed."`
	SigProxy   bool   `default:"true" negatable:"" help:"Pass signals to the program (default)."`
	DetachKeys string `default:"ctrl-p,ctrl-q" placeholder:"KEYS" help:"Keys that detach the terminal (${default}); empty: none."`
	Latest     bool   `short:"l" help:"The one that was made last."`
	Container  string `arg:"" optional:"" help:"Name, id, or the unique beginning of an id."`
}

// Run ties the terminal to a container.
func (c *AttachCmd) Run() error {
	word, err := oneContainer("attach", c.Container, c.Latest)
	if err != nil {
		return err
	}
	return container.Attach(word, container.AttachRequest{NoStdin: c.NoStdin, SigProxy: c.SigProxy, DetachKeys: c.DetachKeys})
}

// HealthcheckRunCmd is `rl healthcheck run`.
type HealthcheckRunCmd struct {
	IgnoreResult bool   `help:"Exit code 0 however it goes."`
	Container    string `arg:"" help:"Name, id, or the unique beginning of an id."`
}

// Run makes a check. As with podman 0 says that it went well, 1 that it didn't.
func (c *HealthcheckRunCmd) Run() error {
	status, well, err := container.RunHealthcheck(c.Container)
	if status != "" && status != storage.Healthy {
		fmt.Println(status)
	}
	if err != nil || well || c.IgnoreResult {
		return err
	}
	return &hint.Exit{Code: 1}
}

// RenameCmd is `rl rename`.
type RenameCmd struct {
	Container string `arg:"" help:"Name, id, or the unique beginning of an id."`
	Name      string `arg:"" help:"The new name."`
}

// Run renames a container.
func (c *RenameCmd) Run() error { return container.Rename(c.Container, c.Name) }

// UpdateCmd is `rl update`.
type UpdateCmd struct {
	selected
	LimitFlags
	PidsLimit string `placeholder:"N" group:"Limits" help:"Most processes and threads; -1: no limit."`
	Restart   string `placeholder:"POLICY" help:"Start it again when it ends: no, on-failure[:N], always, unless-stopped."`
}

// Run changes what was typed, and prints each name.
func (c *UpdateCmd) Run() error {
	req := container.UpdateRequest{Limits: c.LimitFlags.options(), Restart: c.Restart}
	req.Limits.Pids = c.PidsLimit
	return c.each("update", func(s *storage.State) error { return container.Update(s, req) })
}
