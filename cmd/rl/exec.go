package main

import (
	"os"
	"strings"

	"github.com/rl-containers/rl/container"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/spec"
)

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
	PreserveFds uint     `placeholder:"N" help:"Pass N descriptors after stdio to the process."`
	Latest      bool     `short:"l" help:"In the container that was made last: the command stands alone."`
	CIDFile     string   `name:"cidfile" placeholder:"FILE" help:"Read the container's id from a file: the command stands alone."`
	Command     []string `arg:"" optional:"" passthrough:"" name:"container command…" help:"Container, and the program with its arguments."`
}

// Run runs a process in a container.
func (c *ExecCmd) Run() error {
	words, err := c.words()
	switch {
	case err != nil:
		return err
	case int(c.PreserveFds) > inherited:
		return hint.Errorf("rl exec --preserve-fds 1 … 3<FILE", "exec: --preserve-fds %d: %d are open from 3 on", c.PreserveFds, inherited)
	case len(words) < 2:
		return hint.Errorf("rl exec -it CONTAINER sh", "exec: a container and a command are needed")
	case c.TTY && c.Interactive && !isTerminal(os.Stdin):
		return hint.Errorf("leave -t out: rl exec -i …", "exec: -t gives the process a terminal, but stdin is none")
	case c.TTY && c.Detach:
		return hint.Errorf("leave -t out", "exec: a detached process (-d) has no terminal (-t)")
	}
	return container.Exec(container.ExecRequest{Container: words[0], Interactive: c.Interactive, Detached: c.Detach, DetachKeys: c.DetachKeys, PreserveFds: int(c.PreserveFds),
		Options: spec.ExecOptions{Args: words[1:], Env: c.Env, EnvFiles: c.EnvFile, Workdir: c.Workdir, User: c.User, TTY: c.TTY, Privileged: c.Privileged}})
}

// words are the container and the command.
func (c *ExecCmd) words() ([]string, error) {
	words := c.Command
	if len(words) > 0 && words[0] == "--" {
		words = words[1:]
	} else if len(words) > 0 && strings.HasPrefix(words[0], "-") {
		return nil, find(commands(), "exec").unknownFlag(words[0])
	}
	switch {
	case c.Latest && c.CIDFile != "":
		return nil, hint.Errorf("leave one of them out", "exec: --latest and --cidfile name a container each")
	case c.Latest:
		word, err := oneContainer("exec", "", true)
		return append([]string{word}, words...), err
	case c.CIDFile != "":
		id, err := os.ReadFile(c.CIDFile)
		return append([]string{strings.TrimSpace(string(id))}, words...), err
	}
	return words, nil
}
