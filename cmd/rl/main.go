// Command rl runs containers without root.
package main

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/rl-containers/rl/container"
	"github.com/rl-containers/rl/enter"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/sys"
)

// version is set by the linker (Makefile).
var version = "0.1.0-dev"

// inherited is how many descriptors from 3 on the caller passed, set by main before all else.
var inherited int

// main is the only place that prints errors and chooses exit codes. rl starts itself again under other names (userns,
// enter): those roles come first.
func main() {
	switch filepath.Base(os.Args[0]) {
	case "rl-enter":
		os.Exit(enter.Main())
	case "rl-init":
		os.Exit(enter.InitMain())
	case container.CheckName:
		container.Version = version
		os.Exit(container.CheckUp())
	case container.MonitorName:
		container.Version = version
		os.Exit(container.Monitor())
	}
	inherited = sys.Inherited()
	// What the caller leaked stays with the caller: nothing that is started from here inherits it (CVE-2024-21626).
	err := sys.SealFds(3)
	if err == nil {
		container.Version = version
		args := os.Args[1:]
		switch {
		case isEngine(os.Args[0]):
			args = append([]string{"oci"}, args...)
		case filepath.Base(os.Args[0]) == generatorName:
			args = append([]string{"quadlet", "--generator"}, args...)
		}
		err = dispatch(args)
	}
	os.Exit(report(err))
}

// report prints what went wrong and returns the exit code: docker's 125 unless the error knows better.
func report(err error) int {
	if err == nil {
		return 0
	}
	code := 125
	var exit *hint.Exit
	if errors.As(err, &exit) {
		if code = exit.Code; exit.Err == nil {
			return code
		}
	}
	hint.Print(os.Stderr, "rl", err)
	return code
}
