// Command rl-enter is the inside of a start, and with --init what stays of it: the two roles of rl in which it only waits to
// become another program. rl starts it when it finds it (package userns), else itself.
package main

import (
	"os"
	"path/filepath"

	"github.com/rl-containers/rl/enter"
)

func main() {
	if filepath.Base(os.Args[0]) == "rl-init" {
		os.Exit(enter.InitMain())
	}
	os.Exit(enter.Main())
}
