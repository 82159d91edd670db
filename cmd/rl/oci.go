package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/rl-containers/rl/container"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/oci"
)

// The face that engines drive: `rl-oci [FLAGS] COMMAND [FLAGS] CONTAINER`, the command line of runc 1.5 with crun's additions.
// What differs from the rest of rl: flags stand before the verb too, errors also go to the engine's log, and exit codes are
// runc's.

// isEngine: under these names rl is an OCI runtime and nothing else.
func isEngine(arg0 string) bool {
	switch filepath.Base(arg0) {
	case "rl-oci", "runc", "crun":
		return true
	}
	return false
}

// ociRuntime is what the verbs need of package oci; its comments say what each does.
type ociRuntime interface {
	Create(o oci.CreateOptions) error
	Start(id string) error
	Run(o oci.CreateOptions, detach, keep bool) (code int, err error)
	State(id string) (*oci.State, error)
	List() ([]oci.State, error)
	Kill(id string, sig syscall.Signal, all bool) error
	Delete(id string, force bool) error
	Exec(o oci.ExecOptions) (code int, err error)
	Ps(id string) ([]int, error)
	Pause(id string) error
	Resume(id string) error
	Update(id string, res *specs.LinuxResources) error
	Stats(id string) (any, error)
}

// ociCall is one call of an engine: what a verb has to work with.
type ociCall struct {
	runtime ociRuntime
	log     ociLog
	in      io.Reader
	out     io.Writer
	failure int // the exit code of an error
	open    func(*oci.Runtime) ociRuntime
}

// ociCommand is a verb's flags, read by kong, and what it does.
type ociCommand interface{ Run(c *ociCall) error }

type ociVerb struct {
	name, help string
	command    func() ociCommand
}

// ociVerbs are all of them, in the order of the help.
func ociVerbs() []ociVerb {
	return []ociVerb{
		{"create", "Make a container, whose program waits for start", func() ociCommand { return new(ociCreate) }},
		{"start", "Let the program of a created container run", func() ociCommand { return new(ociStart) }},
		{"run", "Create and start a container, and wait for its end", func() ociCommand { return new(ociRun) }},
		{"exec", "Run a further program in a container", func() ociCommand { return new(ociExec) }},
		{"state", "Show the state of a container", func() ociCommand { return new(ociState) }},
		{"list", "List containers", func() ociCommand { return new(ociList) }},
		{"ps", "List the processes of a container", func() ociCommand { return new(ociPs) }},
		{"events", "Show what a container uses", func() ociCommand { return new(ociEvents) }},
		{"kill", "Send a signal to a container", func() ociCommand { return new(ociKill) }},
		{"delete", "Remove a container", func() ociCommand { return new(ociDelete) }},
		{"pause", "Freeze the processes of a container", func() ociCommand { return new(ociPause) }},
		{"resume", "Thaw the processes of a container", func() ociCommand { return new(ociResume) }},
		{"update", "Change the limits of a container", func() ociCommand { return new(ociUpdate) }},
		{"spec", "Write a config.json to start from", func() ociCommand { return new(ociSpec) }},
		{"features", "Show what this runtime can do", func() ociCommand { return new(ociFeatures) }},
		{"checkpoint", "Not supported", func() ociCommand { return &ociNever{verb: "checkpoint"} }},
		{"restore", "Not supported", func() ociCommand { return &ociNever{verb: "restore"} }},
	}
}

// OciCmd is `rl oci`.
type OciCmd struct {
	Words []string `arg:"" optional:"" passthrough:"" name:"command" help:"Command with its flags."`
}

// Run is there for the help's sake: dispatch doesn't let kong read flags that stand before the verb.
func (c *OciCmd) Run() error { return runOCI(c.Words) }

// runOCI is one call. Its error is an exit code only: here it was printed and logged already.
func runOCI(args []string) error {
	c := &ociCall{log: ociLog{stderr: os.Stderr}, in: os.Stdin, out: os.Stdout, failure: 1,
		open: func(r *oci.Runtime) ociRuntime { return r }}
	return c.finish(c.do(args))
}

// finish tells of an error, and leaves its exit code.
func (c *ociCall) finish(err error) error {
	var exit *hint.Exit
	if err == nil || errors.As(err, &exit) && exit.Err == nil {
		return err
	}
	c.log.fail(err)
	return &hint.Exit{Code: c.failure}
}

func (c *ociCall) do(args []string) error {
	g := &ociGlobals{}
	words, err := g.parse(args)
	// Also of a wrong flag the log hears, if --log was before it.
	if logErr := c.log.set(g); err == nil {
		err = logErr
	}
	switch {
	case err != nil:
		return err
	case g.help:
		ociOverview(c.out)
		return nil
	case g.version:
		return ociVersion(c.out)
	case len(words) == 0:
		return hint.Errorf("rl-oci --help lists them", "no command")
	}
	for _, v := range ociVerbs() {
		if v.name == words[0] {
			c.log.debug(container.Version + ": " + v.name)
			c.runtime = c.open(&oci.Runtime{Root: g.root, CgroupManager: g.manager, Inherited: inherited, Say: c.log.say})
			return v.run(c, words[1:])
		}
	}
	return hint.Errorf("rl-oci --help lists the commands", "unknown command %q", words[0])
}

func (v *ociVerb) run(c *ociCall, args []string) error {
	command := v.command()
	if !readPlain(command, args) {
		command = v.command()
		if err := v.parse(c, command, args); err != nil {
			return err
		}
	}
	if v.name == "exec" {
		c.failure = 255
	}
	return command.Run(c)
}

func (v *ociVerb) parse(c *ociCall, command ociCommand, args []string) error {
	parser, err := v.parser(command)
	if err != nil {
		return err
	}
	parser.Stdout = c.out
	if _, err := parser.Parse(args); err != nil {
		return hint.With(fmt.Errorf("%s: %w", v.name, err), "rl-oci "+v.name+" --help")
	}
	return nil
}

// parser: values may start with a hyphen, as in --memory-swap -1.
func (v *ociVerb) parser(c ociCommand) (*kong.Kong, error) {
	return kong.New(c, kong.Name("rl-oci "+v.name), kong.Description(v.help+"."), kong.WithHyphenPrefixedParameters(true),
		kong.ConfigureHelp(kong.HelpOptions{WrapUpperBound: 100}))
}

func ociOverview(w io.Writer) {
	fmt.Fprint(w, "Usage: rl-oci [FLAGS] COMMAND [FLAGS] CONTAINER\n\nThe OCI runtime that podman, buildah and containerd drive, for an ordinary user. rl oci is the same.\n\nFlags:\n")
	for _, f := range ociGlobalFlags() {
		fmt.Fprintf(w, "  %-26s %s\n", f.text(), f.help)
	}
	fmt.Fprint(w, "\nCommands:\n")
	for _, v := range ociVerbs() {
		fmt.Fprintf(w, "  %-12s %s\n", v.name, v.help)
	}
	fmt.Fprint(w, "\nrl-oci COMMAND --help shows the flags of one.\n")
}

// ociVersion prints what dockerd and podman info read: lines of runc's form, and crun's line of what is compiled in.
func ociVersion(w io.Writer) error {
	_, err := fmt.Fprintf(w, "rl-oci version %s\nspec: %s\ngo: %s\n+CAP +SECCOMP +APPARMOR +SELINUX\n", container.Version, specs.Version, runtime.Version())
	return err
}

// words after the flags of a verb that passes the rest on: kong leaves a first -- there.
func afterFlags(words []string) []string {
	if len(words) > 0 && words[0] == "--" {
		return words[1:]
	}
	return words
}

// ociNever is a verb of runc's that rl has not.
type ociNever struct {
	verb  string
	Words []string `arg:"" optional:"" passthrough:"" name:"container" help:"Container."`
}

// Run says so.
func (c *ociNever) Run(*ociCall) error {
	return hint.Errorf("runc and crun do it by CRIU, as root", "%s: not supported", c.verb)
}

// refused is the error for a flag of runc's that can't be honoured.
func refused(flag, value, why string) error {
	if value == "" {
		return nil
	}
	return fmt.Errorf("%s: not supported: %s", flag, strings.TrimSpace(why))
}
