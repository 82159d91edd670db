package main

import (
	"os"
	"strings"

	"github.com/rl-containers/rl/hint"
)

// anywhere are flags that a verb has without naming them, as with podman.
type anywhere struct {
	LogLevel logLevel `hidden:"" placeholder:"LEVEL" help:"How much rl tells of itself."`
}

// logLevel is --log-level behind a verb.
type logLevel string

// AfterApply sets it before the verb runs.
func (l logLevel) AfterApply() error { return setLevel(string(l)) }

// setLevel is for this process and those that it starts.
func setLevel(word string) error {
	if word == "" {
		return nil
	}
	if _, err := hint.ParseLevel(word); err != nil {
		return err
	}
	return os.Setenv(hint.LevelVariable, word)
}

// globalFlags reads the flags before the verb. Those of the OCI runtime are its own.
func globalFlags(args []string) (rest []string, err error) {
	if len(args) > 0 && args[0] == "oci" {
		return args, nil
	}
	if _, err := hint.ParseLevel(os.Getenv(hint.LevelVariable)); err != nil {
		return nil, hint.With(err, "unset "+hint.LevelVariable)
	}
	for len(args) > 0 && err == nil {
		name, value, has := strings.Cut(args[0], "=")
		switch {
		case name == "-D" || name == "--debug":
			switch value {
			case "", "true":
				err = setLevel("debug")
			case "false":
			default:
				err = hint.Errorf("rl -D run …", "%s: neither true nor false", args[0])
			}
		case name == "--log-level" && has:
			err = setLevelFlag(value)
		case name == "--log-level":
			if len(args) == 1 {
				return nil, hint.Errorf("rl --log-level debug run …", "--log-level needs a value")
			}
			args = args[1:]
			err = setLevelFlag(args[0])
		default:
			return args, nil
		}
		args = args[1:]
	}
	return args, err
}

func setLevelFlag(word string) error {
	if word == "" {
		return hint.Errorf("rl --log-level debug run …", "--log-level: no level")
	}
	return setLevel(word)
}

// levelHelp is for the manual.
const levelHelp = `How much rl tells of itself on standard error: error, fatal and panic only what ends the command, warn (the default) warnings and notes, too, info what it chose (ids, root file system, network), debug each step and each program that it executes, with the time, trace what the inside of the container is told to do. RL_LOG_LEVEL is the same.`
