package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/rl-containers/rl/hint"
)

// group is a command without flags of its own: one of its verbs follows. Help, pages and completions come from commands, which
// holds groups like any other verb.
type group []verb

// Run is a group without a verb.
func (group) Run() error { return &hint.Exit{Code: 125} }

// containerGroup are the verbs about containers by docker's and podman's longer names.
func containerGroup() command {
	g := group(same("run", "create", "start", "stop", "restart", "kill", "pause", "unpause", "exec", "attach", "logs", "wait", "cp", "diff", "commit", "export", "update", "rename", "ls=ps", "ps", "port", "top", "stats", "rm"))
	return append(g, verb{"inspect", "Show all about containers", func() command { return new(ContainerInspectCmd) }},
		verb{"prune", "Remove all containers that don't run", func() command { return new(ContainerPruneCmd) }})
}

func healthcheckGroup() command {
	return group{{"run", "Check now whether a container is well", func() command { return new(HealthcheckRunCmd) }}}
}

func imageGroup() command {
	g := group(same("pull", "ls=images", "history", "rm=rmi", "load", "import"))
	return append(g, verb{"inspect", "Show all about images", func() command { return new(ImageInspectCmd) }},
		verb{"prune", "Remove images that no container uses", func() command { return new(ImagePruneCmd) }})
}

func systemGroup() command {
	g := group(same("events", "info"))
	return append(g, verb{"df", "Show what takes how much of the disk", func() command { return new(SystemDfCmd) }},
		verb{"prune", "Remove containers that don't run, and images that nobody uses", func() command { return new(SystemPruneCmd) }},
		verb{"start-on-boot", "Start containers with a restart policy when the machine starts", func() command { return new(StartOnBootCmd) }})
}

func generateGroup() command {
	return group{{"systemd", "Make a systemd service of a container", func() command { return new(GenerateSystemdCmd) }}}
}

// same are verbs that stand alone, too; "ls=ps" is one under another name.
func same(names ...string) []verb {
	all := commands()
	var list []verb
	for _, name := range names {
		here, there, renamed := strings.Cut(name, "=")
		if !renamed {
			there = here
		}
		if v := find(all, there); v != nil {
			list = append(list, verb{here, v.help, v.command})
		}
	}
	return list
}

// find looks a verb up by its name, or by the longer one that docker and podman have for some.
func find(all []verb, name string) *verb {
	for _, word := range []string{name, map[string]string{"list": "ls", "remove": "rm"}[name]} {
		for i := range all {
			if all[i].name == word && word != "" {
				return &all[i]
			}
		}
	}
	return nil
}

// leaves are the verbs that do something, those of groups by their whole name ("volume create").
func leaves(all []verb) []verb {
	var list []verb
	for _, v := range all {
		if g, ok := v.command().(group); ok {
			for _, in := range leaves(g) {
				list = append(list, verb{v.name + " " + in.name, in.help, in.command})
			}
			continue
		}
		list = append(list, v)
	}
	return list
}

// enter goes on with the verb that follows the name of a group.
func (g group) enter(v *verb, args []string) error {
	switch {
	case len(args) == 0:
		g.overview(os.Stderr, v)
		return g.Run()
	case args[0] == "--help" || args[0] == "-h":
		return g.overview(os.Stdout, v)
	}
	in := find(g, args[0])
	if in == nil {
		return unknown(v.name+" ", args[0], g)
	}
	whole := verb{v.name + " " + in.name, in.help, in.command}
	return whole.run(args[1:])
}

func (g group) overview(w io.Writer, v *verb) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s.\n\nCommands:\n", v.help)
	listVerbs(&b, g)
	fmt.Fprintf(&b, "\nrl %s COMMAND --help shows the flags of one.\n", v.name)
	_, err := io.WriteString(w, b.String())
	return err
}

func listVerbs(w io.Writer, all []verb) {
	for _, v := range all {
		fmt.Fprintf(w, "  %-12s %s\n", v.name, v.help)
	}
}
