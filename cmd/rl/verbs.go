package main

import (
	"os"
	"strings"
	"unicode/utf8"

	"github.com/alecthomas/kong"

	"github.com/rl-containers/rl/container"
	"github.com/rl-containers/rl/hint"
)

// command is a verb's flags, read by kong, and what it does.
type command interface{ Run() error }

// verb is one word after rl, or after the name of a group.
type verb struct {
	name, help string
	command    func() command
}

// commands are all of them, in the order of the help.
func commands() []verb {
	return []verb{
		{"run", "Run a program in a new container", func() command { return new(RunCmd) }},
		{"create", "Make a container that start starts", func() command { return new(CreateCmd) }},
		{"start", "Start containers that were made or have ended", func() command { return new(StartCmd) }},
		{"stop", "Stop containers by their stop signal, then by force", func() command { return new(StopCmd) }},
		{"restart", "Stop and start containers", func() command { return new(RestartCmd) }},
		{"kill", "Send a signal to containers", func() command { return new(KillCmd) }},
		{"pause", "Let all processes of containers stand still", func() command { return new(PauseCmd) }},
		{"unpause", "Let them go on", func() command { return new(UnpauseCmd) }},
		{"exec", "Run a further program in a container", func() command { return new(ExecCmd) }},
		{"attach", "Tie the terminal to a container that runs", func() command { return new(AttachCmd) }},
		{"logs", "Show what containers wrote", func() command { return new(LogsCmd) }},
		{"wait", "Wait for the end of containers and print their exit codes", func() command { return new(WaitCmd) }},
		{"cp", "Copy files into a container, out of it, or between two", func() command { return new(CpCmd) }},
		{"diff", "Show what a container changed of its image", func() command { return new(DiffCmd) }},
		{"commit", "Make an image of a container", func() command { return new(CommitCmd) }},
		{"export", "Write the files of a container as a tar archive", func() command { return new(ExportCmd) }},
		{"update", "Change the limits and the restart policy of containers", func() command { return new(UpdateCmd) }},
		{"rename", "Give a container another name", func() command { return new(RenameCmd) }},
		{"ps", "List containers", func() command { return new(PsCmd) }},
		{"port", "List the published ports of a container", func() command { return new(PortCmd) }},
		{"top", "List the processes of a container", func() command { return new(TopCmd) }},
		{"stats", "Show what containers use: processor, memory, network, disk", func() command { return new(StatsCmd) }},
		{"inspect", "Show all about containers, images or volumes", func() command { return new(InspectCmd) }},
		{"healthcheck", "Manage health checks", healthcheckGroup},
		{"rm", "Remove containers", func() command { return new(RmCmd) }},
		{"pull", "Get images from a registry", func() command { return new(PullCmd) }},
		{"images", "List images", func() command { return new(ImagesCmd) }},
		{"history", "Show what an image was made by", func() command { return new(HistoryCmd) }},
		{"rmi", "Remove images", func() command { return new(RmiCmd) }},
		{"load", "Load images from an archive or a directory", func() command { return new(LoadCmd) }},
		{"import", "Make an image of a root file system's tar archive", func() command { return new(ImportCmd) }},
		{"events", "Show what happened to containers, images and volumes", func() command { return new(EventsCmd) }},
		{"container", "Manage containers", containerGroup},
		{"image", "Manage images", imageGroup},
		{"volume", "Manage volumes", volumeGroup},
		{"system", "Manage rl", systemGroup},
		{"generate", "Make unit files of containers", generateGroup},
		{"quadlet", "Make systemd services of .container files", func() command { return new(QuadletCmd) }},
		{"doctor", "Check this machine: what works, what rl does about the rest, what to type", func() command { return new(DoctorCmd) }},
		{"oci", "Be the OCI runtime of podman, buildah or containerd", func() command { return new(OciCmd) }},
		{"info", "Show the facts of this installation", func() command { return new(InfoCmd) }},
		{"version", "Show the version", func() command { return new(VersionCmd) }},
		{"completion", "Print the completion script of a shell", func() command { return new(CompletionCmd) }},
		{"man", "Write the manual pages", func() command { return new(ManCmd) }},
		{"help", "Show this, or the help of a command", func() command { return new(HelpCmd) }},
	}
}

// dispatch runs the verb, with its own flags read only: a tree of all verbs would cost each start a millisecond.
func dispatch(args []string) error {
	args, err := globalFlags(args)
	if err != nil {
		return err
	}
	if len(args) == 0 {
		overview(os.Stderr)
		return &hint.Exit{Code: 125}
	}
	switch args[0] {
	case "--version", "-v":
		return printText("rl version " + container.Version + "\n")
	case "--help", "-h":
		return overview(os.Stdout)
	case "oci":
		return runOCI(args[1:])
	case completeName:
		return complete(os.Stdout, args[1:])
	}
	all := commands()
	if v := find(all, args[0]); v != nil {
		return v.run(args[1:])
	}
	if strings.HasPrefix(args[0], "-") {
		return hint.Errorf("rl help", "unknown flag %s: flags follow the command, as in rl run --rm IMAGE", args[0])
	}
	return unknown("", args[0], all)
}

func (v *verb) run(args []string) error {
	c := v.command()
	if g, ok := c.(group); ok {
		return g.enter(v, args)
	}
	if readPlain(c, args) {
		return v.do(c)
	}
	c = v.command()
	parser, err := v.parser(c)
	if err != nil {
		return err
	}
	if _, err := parser.Parse(longForms(args, parser.Model.Flags)); err != nil {
		return v.explain(err)
	}
	return v.do(c)
}

func (v *verb) do(c command) error {
	hint.Logf(hint.LevelDebug, "rl %s, process %d of user %d: %s", container.Version, os.Getpid(), os.Geteuid(), v.name)
	return c.Run()
}

func (v *verb) parser(c command) (*kong.Kong, error) {
	options := []kong.Option{kong.Embed(new(anywhere)), kong.Name("rl " + v.name), kong.Description(v.help + "."), kong.ConfigureHelp(kong.HelpOptions{WrapUpperBound: 100})}
	if isContainer(c) {
		// -h is docker's short form of --hostname there.
		options = append(options, kong.NoDefaultHelp(), kong.Embed(&struct {
			Help helpFlag `help:"Show this."`
		}{}))
	}
	return kong.New(c, options...)
}

// isContainer: the flags are those of a new container.
func isContainer(c command) bool {
	switch c.(type) {
	case *RunCmd, *CreateCmd:
		return true
	}
	return false
}

// longForms writes -w=/tmp and -i=false as --workdir=/tmp and --interactive=false: docker and podman read them so, kong
// doesn't. From the first word on that is neither flag nor value all is left as it is.
func longForms(args []string, flags []*kong.Flag) []string {
	long, short := map[string]*kong.Flag{}, map[rune]*kong.Flag{}
	for _, f := range flags {
		for _, name := range append([]string{f.Name}, f.Aliases...) {
			long[name] = f
		}
		short[f.Short] = f
	}
	var out []string
	for i := 0; i < len(args); i++ {
		word, name := args[i], strings.TrimPrefix(args[i], "--")
		if len(word) < 2 || word[0] != '-' || name == "" {
			return append(out, args[i:]...)
		}
		value := long[name] != nil && !long[name].IsBool()
		if name == word {
			word, value = longForm(&out, word, short)
		}
		switch {
		case value && i+1 < len(args) && negative(args[i+1]):
			i++
			form := joined(&out, word, short)
			out = append(out, form+"="+args[i])
		case value && i+1 < len(args):
			i++
			out = append(out, word, args[i])
		default:
			out = append(out, word)
		}
	}
	return out
}

// negative is a value that kong would take for a flag: --pids-limit -1.
func negative(word string) bool {
	return len(word) > 1 && word[0] == '-' && word[1] >= '0' && word[1] <= '9'
}

// joined is the form of a flag that takes =VALUE; the letters before it in -abc are put out.
func joined(out *[]string, word string, short map[rune]*kong.Flag) string {
	if strings.HasPrefix(word, "--") {
		return word
	}
	last, size := utf8.DecodeLastRuneInString(word)
	if before := word[:len(word)-size]; before != "-" {
		*out = append(*out, before)
	}
	return "--" + short[last].Name
}

// longForm takes -abc apart where a letter of it has =VALUE, and tells whether the value is the next word.
func longForm(out *[]string, word string, short map[rune]*kong.Flag) (last string, value bool) {
	for i, letter := range word[1:] {
		f, rest := short[letter], word[1+i+utf8.RuneLen(letter):]
		switch {
		case f == nil:
			return word, false
		case strings.HasPrefix(rest, "="):
			if i > 0 {
				*out = append(*out, word[:1+i])
			}
			return "--" + f.Name + rest, false
		case !f.IsBool():
			return word, rest == ""
		}
	}
	return word, false
}

// helpFlag is --help without -h.
type helpFlag bool

// BeforeReset prints the help before anything else can be wrong.
func (helpFlag) BeforeReset(ctx *kong.Context) error {
	if err := ctx.PrintUsage(false); err != nil {
		return err
	}
	ctx.Kong.Exit(0)
	return nil
}

// notYetAnother has those that few people type.
func notYetAnother(flag string) string {
	switch flag {
	case "--runtime":
		return "leave it out: rl is its own; podman --runtime rl-oci is the other way round"
	case "--uidmap", "--gidmap", "--subuidname", "--subgidname", "--hostuser":
		return "--userns keep-id[:uid=N,gid=N] makes you another user inside than root"
	case "--passwd", "--passwd-entry", "--group-entry":
		return "-u UID:GID needs no entry in /etc/passwd; --userns keep-id makes one"
	case "--secret":
		return "-v FILE:/run/secrets/NAME:ro"
	case "--pod", "--pod-id-file":
		return "--network container:NAME shares the network of another container"
	case "--requires":
		return "a .container file for each container, and rl quadlet: systemd starts them in order"
	case "--device-cgroup-rule":
		return "leave it out: which devices it may open is root's to say; --device shows those that you may"
	case "--storage-opt":
		return "--tmpfs PATH:size=SIZE bounds what is written there"
	case "--disable-content-trust", "--isolation":
		return "leave it out: it changes nothing here"
	case "--seccomp-policy":
		return "--security-opt seccomp=FILE"
	case "--init-path":
		return "--init: rl has its own"
	case "--creds":
		return "podman login REGISTRY, or --authfile FILE"
	case "--cert-dir":
		return "~/.config/containers/certs.d/HOST/ca.crt"
	}
	return ""
}

// notYet says of a flag of docker's or podman's what to do meanwhile.
func notYet(flag string) string {
	switch flag {
	case "--kernel-memory", "--cpu-rt-period", "--cpu-rt-runtime":
		return "cgroup version 2 has no such limit"
	case "--health-startup-cmd", "--health-startup-interval", "--health-startup-retries", "--health-startup-success", "--health-startup-timeout":
		return "--health-start-period TIME gives it time to start, --health-start-interval checks it more often meanwhile"
	case "--volume-driver":
		return "leave it out: volumes are rl's own (driver local)"
	case "--network-alias", "--ip", "--ip6", "--link", "--link-local-ip", "--mac-address":
		return "--name, --add-host and -p are there"
	case "--gpus":
		return "--device /dev/… for each device file, and -v for the driver's libraries"
	case "-a", "--attach":
		return "rl start -a, or rl run -a"
	}
	return notYetAnother(flag)
}
