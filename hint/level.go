package hint

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// Level is how much rl tells of itself on standard error (--log-level).
type Level int

// The levels, each with all before it. podman's fatal and panic are LevelError: what ends the command is told at any level.
const (
	LevelError Level = iota // what ends the command
	LevelWarn               // warnings and notes: the default
	LevelInfo               // what was chosen: ids, root file system, network
	LevelDebug              // each step and each program that is executed, with the time
	LevelTrace              // what the inside of a container is told to do
)

// LevelVariable carries the level to the other processes of a command, by the word that was typed.
const LevelVariable = "RL_LOG_LEVEL"

// ParseLevel reads podman's words.
func ParseLevel(word string) (Level, error) {
	switch strings.ToLower(word) {
	case "error", "fatal", "panic":
		return LevelError, nil
	case "", "warn", "warning":
		return LevelWarn, nil
	case "info":
		return LevelInfo, nil
	case "debug":
		return LevelDebug, nil
	case "trace":
		return LevelTrace, nil
	}
	return 0, Errorf("trace, debug, info, warn, error, fatal or panic", "--log-level %s: no such level", word)
}

// level is asked for once: the variable doesn't change after the flags were read.
var level = sync.OnceValue(func() Level {
	l, err := ParseLevel(os.Getenv(LevelVariable))
	if err != nil {
		return LevelWarn // main refuses it
	}
	return l
})

// Tells tells whether what belongs to a level is to be told.
func Tells(l Level) bool { return level() >= l }

// Logf tells a line, if its level is to be told. Arguments that cost something to make are made behind Tells.
func Logf(l Level, format string, args ...any) {
	if !Tells(l) {
		return
	}
	name, at := "info", ""
	if l > LevelInfo {
		at = time.Now().Format(" 15:04:05.000000")
		if name = "debug"; l == LevelTrace {
			name = "trace"
		}
	}
	os.Stderr.WriteString("rl: " + name + at + ": " + Clean(fmt.Sprintf(format, args...)) + "\n")
}
