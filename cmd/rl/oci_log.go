package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/rl-containers/rl/hint"
)

// ociLog is where an engine looks for what went wrong: the file of --log, in the forms of runc's log. People look at stderr,
// where errors are always; warnings are there only without --log.
type ociLog struct {
	stderr                 io.Writer
	file                   *os.File
	json, silent, chatters bool
}

// set opens the log.
func (l *ociLog) set(g *ociGlobals) (err error) {
	l.json, l.silent, l.chatters = g.json, g.silent, g.debug
	if g.logFile != "" {
		l.file, err = os.OpenFile(g.logFile, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	}
	return err
}

// fail tells an engine and the reader of stderr of the error that ends the call. An engine shows its user nothing but the
// message, so that hints are part of it.
func (l *ociLog) fail(err error) {
	message := err.Error()
	if hints := hint.Of(err); len(hints) > 0 {
		message += " (" + strings.Join(hints, "; ") + ")"
	}
	if l.file != nil {
		l.write(l.file, "error", message)
	} else if l.json {
		l.write(l.stderr, "error", message) // stderr is the log, one object a line
		return
	}
	hint.Print(l.stderr, "rl-oci", err)
}

// say is for what is worth knowing but no failure.
func (l *ociLog) say(message string) {
	switch {
	case l.silent:
	case l.file != nil:
		l.write(l.file, "warning", message)
	case l.json:
		l.write(l.stderr, "warning", message)
	default:
		fmt.Fprintf(l.stderr, "rl-oci: warning: %s\n", hint.Clean(message))
	}
}

// debug is for the file only: engines read what a command prints together with its stderr.
func (l *ociLog) debug(message string) {
	if l.chatters && l.file != nil {
		l.write(l.file, "debug", message)
	}
}

// write appends one line by one write(2), for others may append to the file, too. That it fails can't be told better than
// by the message, which is on stderr.
func (l *ociLog) write(w io.Writer, level, message string) {
	now := time.Now().Format(time.RFC3339)
	line := fmt.Appendf(nil, "time=%q level=%s msg=%q", now, level, message)
	if l.json {
		line, _ = json.Marshal(struct {
			Msg   string `json:"msg"`
			Level string `json:"level"`
			Time  string `json:"time"`
		}{message, level, now})
	}
	w.Write(append(line, '\n'))
}
