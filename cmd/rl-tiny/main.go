// Command rl-tiny is all programs of the built-in image in one: it is the one that it is called as (a link in /bin), or the
// one that its first argument names.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/rl-containers/rl/cmd/rl-tiny/internal/shell"
	"github.com/rl-containers/rl/cmd/rl-tiny/internal/tool"
)

// version is set by the linker.
var version = "devel"

func main() {
	os.Exit(run(os.Args))
}

func run(args []string) int {
	if len(args) == 0 {
		return 127
	}
	name := strings.TrimPrefix(filepath.Base(args[0]), "-") // "-sh" is a login shell
	if name == "rl-tiny" {
		if len(args) == 1 {
			args = append(args, "--help")
		}
		name, args = args[1], args[1:]
	}
	switch name {
	case "--list":
		fmt.Println(strings.Join(names(), "\n"))
		return 0
	case "--version":
		fmt.Println("rl-tiny", version)
		return 0
	case "--help":
		fmt.Println("rl-tiny PROGRAM [ARGUMENT...], or as a link with the name of a program. Programs:\n" + strings.Join(names(), " "))
		return 0
	case "sh":
		return shell.Main(args, known)
	}
	tool.FirstProcess()
	if p := find(name); p != nil {
		return tool.Run(p, args[1:])
	}
	fmt.Fprintf(os.Stderr, "rl-tiny: %s: no such program; rl-tiny --list names them\n", name)
	return 127
}
