package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/container"
	"github.com/rl-containers/rl/hint"
)

// CpCmd is `rl cp`.
type CpCmd struct {
	Archive   bool   `short:"a" help:"Keep owners: an id remains what it is on this machine, so that the container's root is you."`
	Follow    bool   `short:"L" name:"follow-link" help:"Copy what a symlink leads to, if the source is one."`
	Overwrite bool   `help:"Let a directory take the place of a file, and a file that of a directory."`
	Quiet     bool   `short:"q" help:"No line on the terminal about what was copied."`
	Source    string `arg:"" help:"CONTAINER:PATH, PATH, or - for a tar archive on standard input. PATH/. means what is in a directory."`
	Dest      string `arg:"" help:"CONTAINER:PATH, PATH, or - for a tar archive on standard output."`
}

// Help tells how it decides.
func (*CpCmd) Help() string {
	return `A source directory goes into an existing directory, or becomes the destination; with PATH/. its contents go there. The
directory around the destination must exist. Symlinks are copied as such.
Files copied into a container belong to its root (-a: to whom they belong here), those of an archive on standard input to whom
it says. Files copied out of it belong to you; setuid and setgid bits are taken off, devices are left out. Directories that
exist stay as they are. Of a running container volumes and tmpfs are seen, of another its volumes.`
}

// Run copies.
func (c *CpCmd) Run() error {
	n, err := container.Copy(container.CopyRequest{From: c.Source, To: c.Dest, Archive: c.Archive, Follow: c.Follow, Overwrite: c.Overwrite})
	if err == nil && !c.Quiet && c.Source != "-" && c.Dest != "-" && onTerminal(os.Stderr) {
		fmt.Fprintf(os.Stderr, "Successfully copied %sto %s\n", sized(n), hint.Clean(c.Dest))
	}
	return err
}

func onTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// sized is a number of bytes as docker shows it: "2.05kB ".
func sized(n int64) string {
	if n == 0 {
		return ""
	}
	size, unit := float64(n), 0
	for ; size >= 1000 && unit < 4; unit++ {
		size /= 1000
	}
	return fmt.Sprintf("%.3g%s ", size, []string{"B", "kB", "MB", "GB", "TB"}[unit])
}

// ExportCmd is `rl export`.
type ExportCmd struct {
	Output    string `short:"o" placeholder:"FILE" help:"Write to a file instead of standard output."`
	Container string `arg:"" help:"Name, id, or the unique beginning of an id."`
}

// Run writes the archive. A file appears under its name when it is whole.
func (c *ExportCmd) Run() error {
	if c.Output == "" {
		if onTerminal(os.Stdout) {
			return hint.Errorf("rl export -o FILE "+c.Container+", or rl export "+c.Container+" > FILE", "export: refusing to write an archive to a terminal")
		}
		return container.Export(c.Container, os.Stdout)
	}
	if st, err := os.Stat(c.Output); err == nil && !st.Mode().IsRegular() {
		f, err := os.OpenFile(c.Output, os.O_WRONLY, 0) // a pipe or a device
		if err != nil {
			return err
		}
		defer f.Close()
		return container.Export(c.Container, f)
	}
	return c.stage()
}

func (c *ExportCmd) stage() error {
	f, err := os.CreateTemp(filepath.Dir(c.Output), "."+filepath.Base(c.Output)+".")
	if err != nil {
		return hint.With(fmt.Errorf("export: %w", err), "-o must name a file in a directory that you can write")
	}
	err = container.Export(c.Container, f)
	if err == nil {
		err = errors.Join(f.Chmod(0o644&^umask()), f.Close())
	}
	if err == nil {
		err = os.Rename(f.Name(), c.Output)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

func umask() os.FileMode {
	mask := unix.Umask(0)
	unix.Umask(mask)
	return os.FileMode(mask)
}
