package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/rl-containers/rl/hint"
)

// ociGlobals are the flags before the verb.
type ociGlobals struct {
	root, manager       string
	logFile             string
	json, debug, silent bool
	version, help       bool
}

// ociFlag is one of them: with a value if it has a placeholder.
type ociFlag struct {
	name, value, help string
	set               func(g *ociGlobals, value string) error
}

func (f ociFlag) text() string {
	if f.value == "" {
		return "--" + f.name
	}
	return "--" + f.name + " " + f.value
}

// ociGlobalFlags are runc's, then crun's.
func ociGlobalFlags() []ociFlag {
	return []ociFlag{
		{"root", "DIR", "Where the state of containers is ($XDG_RUNTIME_DIR/rl-oci, for root /run/rl-oci).", (*ociGlobals).setRoot},
		{"log", "FILE", "Append errors and warnings to FILE.", (*ociGlobals).setLog},
		{"log-format", "FORMAT", "Of the log: text or json (text).", (*ociGlobals).setFormat},
		{"debug", "", "Log which command is run, too.", onOff(func(g *ociGlobals, on bool) { g.debug = on })},
		{"systemd-cgroup", "", "The same as --cgroup-manager systemd.", onOff((*ociGlobals).setSystemd)},
		{"rootless", "VALUE", "true or auto: without a cgroup where the user may make none (auto); false: as root only.", (*ociGlobals).setRootless},
		{"cgroup-manager", "NAME", "cgroupfs, systemd or disabled.", (*ociGlobals).setManager},
		{"log-level", "LEVEL", "error, warning or debug (warning).", (*ociGlobals).setLevel},
		{"version", "", "Show the version; also -v.", onOff(func(g *ociGlobals, on bool) { g.version = on })},
		{"help", "", "Show this; also -h.", onOff(func(g *ociGlobals, on bool) { g.help = on })},
	}
}

// parse reads them up to the verb. As runc and crun, it takes --flag=value and --flag value.
func (g *ociGlobals) parse(args []string) (words []string, err error) {
	set := flag.NewFlagSet("rl-oci", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	for _, f := range ociGlobalFlags() {
		names := []string{f.name}
		switch f.name {
		case "version":
			names = append(names, "v", "V")
		case "help":
			names = append(names, "h")
		}
		for _, name := range names {
			if f.value == "" {
				set.BoolFunc(name, f.help, func(v string) error { return f.set(g, v) })
			} else {
				set.Func(name, f.help, func(v string) error { return f.set(g, v) })
			}
		}
	}
	if err := set.Parse(args); err != nil {
		return nil, hint.With(err, "rl-oci --help; the flags of a command follow it")
	}
	return set.Args(), nil
}

func onOff(set func(g *ociGlobals, on bool)) func(*ociGlobals, string) error {
	return func(g *ociGlobals, value string) error {
		on, err := strconv.ParseBool(value)
		if err == nil {
			set(g, on)
		}
		return err
	}
}

// setRoot refuses / as runc does: an empty variable of a script becomes that, and then a delete.
func (g *ociGlobals) setRoot(value string) error {
	dir, err := filepath.Abs(value)
	if err != nil {
		return err
	}
	if value == "" || dir == "/" {
		return errors.New("it can't be /")
	}
	g.root = dir
	return nil
}

// setLog takes crun's forms too, as far as they are files.
func (g *ociGlobals) setLog(value string) error {
	kind, rest, ok := strings.Cut(value, ":")
	if ok && (kind == "journald" || kind == "syslog") {
		return fmt.Errorf("%s is not supported, the log is a file", kind)
	}
	if ok && kind == "file" {
		value = rest
	}
	g.logFile = value
	return nil
}

func (g *ociGlobals) setFormat(value string) error {
	switch value {
	case "", "text", "json":
		g.json = value == "json"
		return nil
	}
	return errors.New("text and json are there")
}

func (g *ociGlobals) setLevel(value string) error {
	switch value {
	case "error", "warning", "debug":
		g.silent, g.debug = value == "error", value == "debug"
		return nil
	}
	return errors.New("error, warning and debug are there")
}

func (g *ociGlobals) setManager(value string) error {
	switch value {
	case "cgroupfs", "systemd", "disabled":
		g.manager = value
		return nil
	}
	return errors.New("cgroupfs, systemd and disabled are there")
}

func (g *ociGlobals) setSystemd(on bool) {
	if on {
		g.manager = "systemd"
	} else if g.manager == "systemd" {
		g.manager = ""
	}
}

// setRootless: a container of an ordinary user, or of root in a user namespace, goes without the cgroup that it can't have.
// That this be an error instead is a promise for the machine's root, who can have all.
func (g *ociGlobals) setRootless(value string) error {
	if value == "" || strings.EqualFold(value, "auto") {
		return nil
	}
	on, err := strconv.ParseBool(value)
	if err != nil {
		return errors.New("true, false and auto are there")
	}
	if !on && !machineRoot() {
		return errors.New("only the machine's root can have it false")
	}
	return nil
}

// machineRoot: root, and of the first user namespace, which maps every id to itself (user_namespaces(7)).
func machineRoot() bool {
	ids, err := os.ReadFile("/proc/self/uid_map")
	return os.Geteuid() == 0 && err == nil && strings.Join(strings.Fields(string(ids)), " ") == "0 0 4294967295"
}
