// Command gen writes the files that package seccomp embeds: the system call table, the default profile (moby's, changed) and
// its programs. Neither it nor moby's package is linked into rl.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	root := "." // go generate runs in the package's directory
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	if err := write(root); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// write makes the table first: the programs are compiled from what the compiler has embedded, so that a changed table takes
// a second run.
func write(root string) error {
	for _, step := range []func() (map[string][]byte, error){tables, programs} {
		files, err := step()
		if err != nil {
			return err
		}
		for name, data := range files {
			if err := os.WriteFile(filepath.Join(root, name), data, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}
