package spec

import (
	"fmt"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/rl-containers/rl/hint"
)

// ExecOptions are `rl exec` as typed.
type ExecOptions struct {
	Args       []string
	Env        []string // as of Options
	EnvFiles   []string
	Workdir    string
	User       string
	TTY        bool
	Privileged bool // all capabilities
}

// ForExec is the container as a further process in it sees it: what the flags don't say is as for the first.
func (c *Container) ForExec(o ExecOptions) (*Container, error) {
	s, p, further := *c.Spec, *c.Spec.Process, *c
	further.Spec, s.Process = &s, &p
	further.Init = false
	p.Args, p.Terminal = o.Args, o.TTY
	if len(p.Args) == 0 {
		return nil, hint.Errorf("rl exec CONTAINER sh", "exec: no command")
	}
	if err := further.execEnv(o); err != nil {
		return nil, err
	}
	if o.User != "" {
		further.User = o.User
	}
	if o.Workdir != "" {
		if o.Workdir[0] != '/' {
			return nil, hint.Errorf("-w /"+o.Workdir, "-w %s: not an absolute path", o.Workdir)
		}
		p.Cwd = o.Workdir
	}
	if o.Privileged {
		all := CapNames()
		p.Capabilities = &specs.LinuxCapabilities{Bounding: all, Effective: all, Permitted: all}
	}
	return &further, nil
}

func (c *Container) execEnv(o ExecOptions) error {
	e := &environment{at: map[string]int{}}
	if o.TTY {
		e.set("TERM=xterm")
	}
	for _, entry := range c.Spec.Process.Env {
		e.set(entry)
	}
	for _, file := range o.EnvFiles {
		if err := e.file(file); err != nil {
			return err
		}
	}
	for _, entry := range o.Env {
		if err := e.flag(entry); err != nil {
			return fmt.Errorf("-e %s: %w", entry, err)
		}
	}
	c.Spec.Process.Env = e.entries
	return nil
}
