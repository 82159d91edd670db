package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

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
	case len(filters) > 0 && named:
		return hint.Errorf("rl "+verb+" --filter KEY=VALUE", "%s: --filter selects among all, and containers are named", verb)
	case !s.All && !named && len(filters) == 0:
		return hint.Errorf("rl "+verb+" CONTAINER…, or rl "+verb+" --all", "%s: no container named", verb)
	}
	sel := container.Selection{Words: s.Containers, CIDFiles: s.CIDFile, All: s.All || len(filters) > 0, Filters: filters, Ignore: s.Ignore}
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
	CIDFile    []string `name:"cidfile" sep:"none" placeholder:"FILE" help:"Read the id from a file."`
	Containers []string `arg:"" optional:"" name:"container" help:"Name, id, or the unique beginning of an id."`
}

// Run removes containers.
func (c *RmCmd) Run() error {
	s := selected{All: c.All, Latest: c.Latest, Ignore: c.Ignore || c.Force, CIDFile: c.CIDFile, Containers: c.Containers}
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
	})
}

// StopCmd is `rl stop`.
type StopCmd struct {
	Time      *int `short:"t" aliases:"timeout" placeholder:"SECONDS" help:"Kill after so long, -1 never; without it the container's own --stop-timeout (10)."`
	UntilBoot bool `help:"The machine goes down: those that start at boot do so as if they had run on (rl system start-on-boot)."`
	filtered
	selected
}

// Run stops containers, all at once.
func (c *StopCmd) Run() error {
	stop := container.Stop
	if c.UntilBoot {
		stop = container.StopUntilBoot
	}
	return c.each("stop", func(s *storage.State) error { return stop(s, c.Time) }, c.Filter...)
}

// RestartCmd is `rl restart`.
type RestartCmd struct {
	Time    *int `short:"t" aliases:"timeout" placeholder:"SECONDS" help:"Kill after so long, -1 never; without it the container's own --stop-timeout (10)."`
	Running bool `help:"Only those that run."`
	filtered
	selected
}

// Run stops and starts containers.
func (c *RestartCmd) Run() error {
	if c.Running && len(c.Containers)+len(c.Filter) == 0 {
		c.All = true
	}
	return c.each("restart", func(s *storage.State) error {
		if c.Running && !s.Running {
			return container.ErrSkip
		}
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
type PauseCmd struct{ selected }

// Run pauses containers.
func (c *PauseCmd) Run() error {
	return c.each("pause", func(s *storage.State) error {
		if c.All && (!s.Running || s.Status == container.Paused) {
			return container.ErrSkip
		}
		return container.Pause(s)
	})
}

// UnpauseCmd is `rl unpause`.
type UnpauseCmd struct{ selected }

// Run lets containers go on.
func (c *UnpauseCmd) Run() error {
	return c.each("unpause", func(s *storage.State) error {
		if c.All && s.Status != container.Paused {
			return container.ErrSkip
		}
		return container.Unpause(s)
	})
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
	Container  string `arg:"" help:"Name, id, or the unique beginning of an id."`
}

// Run ties the terminal to a container.
func (c *AttachCmd) Run() error {
	return container.Attach(c.Container, container.AttachRequest{NoStdin: c.NoStdin, SigProxy: c.SigProxy, DetachKeys: c.DetachKeys})
}

// WaitCmd is `rl wait`.
type WaitCmd struct {
	Condition  []string      `placeholder:"STATE" help:"Wait for this state: running, exited, stopped, created, paused, restarting, removed, healthy, unhealthy."`
	Interval   time.Duration `short:"i" default:"250ms" placeholder:"TIME" help:"Look so often where nothing tells of the change (${default})."`
	Ignore     bool          `help:"One that isn't there is no error."`
	Latest     bool          `short:"l" help:"The one that was made last."`
	Containers []string      `arg:"" optional:"" name:"container" help:"Name, id, or the unique beginning of an id."`
}

// Run waits for each in turn and prints its exit code.
func (c *WaitCmd) Run() error {
	if err := container.CheckConditions(c.Condition); err != nil {
		return fmt.Errorf("wait: %w", err)
	}
	if c.Latest {
		last, err := container.Latest()
		if err != nil {
			return fmt.Errorf("wait: %w", err)
		}
		c.Containers = append([]string{last.ID}, c.Containers...)
	}
	if len(c.Containers) == 0 {
		return hint.Errorf("rl wait CONTAINER…, or rl wait --latest", "wait: no container named")
	}
	for _, word := range c.Containers {
		s, err := container.Find(word)
		if errors.Is(err, container.ErrNotFound) && c.Ignore {
			if err := printText("-1\n"); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		code, err := container.Wait(s, c.Condition, c.Interval)
		if err != nil {
			return err
		}
		if err := printText(strconv.Itoa(code) + "\n"); err != nil {
			return err
		}
	}
	return nil
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

// ExecCmd is `rl exec`.
type ExecCmd struct {
	Interactive bool     `short:"i" help:"Keep stdin open: what is typed or piped reaches the process."`
	TTY         bool     `short:"t" name:"tty" help:"Give the process a terminal."`
	Detach      bool     `short:"d" help:"Don't wait for its end."`
	Env         []string `short:"e" sep:"none" placeholder:"KEY[=VALUE]" help:"Set a variable; without a value the caller's."`
	EnvFile     []string `sep:"none" placeholder:"FILE" help:"Read variables from a file, one a line."`
	User        string   `short:"u" placeholder:"USER[:GROUP]" help:"Who the process runs as, by name or number."`
	Workdir     string   `short:"w" placeholder:"DIR" help:"Working directory inside the container."`
	Privileged  bool     `help:"All capabilities that the container's user namespace can give."`
	DetachKeys  string   `default:"ctrl-p,ctrl-q" placeholder:"KEYS" help:"Keys that would detach the terminal (${default}); empty: none."`
	Command     []string `arg:"" optional:"" passthrough:"" name:"container command…" help:"Container, and the program with its arguments."`
}

// Run runs a process in a container.
func (c *ExecCmd) Run() error {
	words := c.Command
	if len(words) > 0 && words[0] == "--" {
		words = words[1:]
	}
	switch {
	case len(words) > 0 && len(words[0]) > 0 && words[0][0] == '-':
		return find(commands(), "exec").unknownFlag(words[0])
	case len(words) < 2:
		return hint.Errorf("rl exec -it CONTAINER sh", "exec: a container and a command are needed")
	case c.TTY && c.Interactive && !isTerminal(os.Stdin):
		return hint.Errorf("leave -t out: rl exec -i …", "exec: -t gives the process a terminal, but stdin is none")
	case c.TTY && c.Detach:
		return hint.Errorf("leave -t out", "exec: a detached process (-d) has no terminal (-t)")
	}
	return container.Exec(container.ExecRequest{Container: words[0], Interactive: c.Interactive, Detached: c.Detach, DetachKeys: c.DetachKeys,
		Options: spec.ExecOptions{Args: words[1:], Env: c.Env, EnvFiles: c.EnvFile, Workdir: c.Workdir, User: c.User, TTY: c.TTY, Privileged: c.Privileged}})
}
