package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"github.com/rl-containers/rl/container"
)

// HelpCmd is `rl help`.
type HelpCmd struct {
	Verb []string `arg:"" optional:"" name:"command" help:"The command to explain."`
}

// Run shows the commands, or the flags of one.
func (c *HelpCmd) Run() error {
	if len(c.Verb) == 0 {
		return overview(os.Stdout)
	}
	return dispatch(append(c.Verb, "--help"))
}

func overview(w io.Writer) error {
	var b strings.Builder
	b.WriteString("rl runs containers without root.\n\n  rl run --rm -it tiny        a shell; this image is built in\n  rl run --rm -it debian      an image from a registry\n  rl doctor                   what this machine has, and what to type\n\nCommands:\n")
	listVerbs(&b, commands())
	b.WriteString("\nrl COMMAND --help shows the flags of one. Before the command, --log-level LEVEL (trace, debug, info, warn, error, fatal, panic;\nRL_LOG_LEVEL) or -D (debug) says how much rl tells of what it does.\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// VersionCmd is `rl version`.
type VersionCmd struct {
	Format string `short:"f" placeholder:"json|TEMPLATE" help:"json, or a Go template over .Version .GoVersion .OsArch, as .Client and .Server have them, too."`
}

// versions are what a template may name. Docker's and podman's manuals have a client and a server, which are one here.
type versions struct {
	Client, Server componentVersion
	componentVersion
}

type componentVersion struct{ Version, GoVersion, Os, Arch, OsArch string }

// Run prints the version.
func (c *VersionCmd) Run() error {
	format := "rl version:  %s\nGo version:  %s\nOS/Arch:     %s\n"
	switch c.Format {
	case "", "text":
	case "json":
		format = "{\"version\":%q,\"goVersion\":%q,\"osArch\":%q}\n"
	default:
		v := componentVersion{container.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOOS + "/" + runtime.GOARCH}
		return printTemplate(os.Stdout, c.Format, versions{v, v, v})
	}
	_, err := fmt.Printf(format, container.Version, runtime.Version(), runtime.GOOS+"/"+runtime.GOARCH)
	return err
}
