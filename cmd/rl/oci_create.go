package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/rl-containers/rl/container"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/oci"
)

// ociStarting are the flags that create and run share.
type ociStarting struct {
	Bundle        string `short:"b" placeholder:"DIR" help:"Directory with config.json and the root file system (the current one)."`
	Config        string `short:"f" placeholder:"FILE" help:"File instead of config.json of the bundle."`
	ConsoleSocket string `placeholder:"SOCKET" help:"Send the terminal's master to this socket."`
	PidfdSocket   string `placeholder:"SOCKET" help:"Not supported."`
	PidFile       string `placeholder:"FILE" help:"Write the process id to FILE."`
	PreserveFds   uint   `placeholder:"N" help:"Pass N descriptors after stdio (and those of $$LISTEN_FDS) to the program."`
	NoPivot       bool   `help:"Move the root file system instead of pivot_root(2): for a root on a ramdisk."`
	NoNewKeyring  bool   `help:"Keep the caller's session keyring."`
	NoSubreaper   bool   `help:"Adopt no orphans: rl-oci never does."`

	ID string `arg:"" name:"container" help:"Name for the container."`
}

func (f *ociStarting) options() (oci.CreateOptions, error) {
	return oci.CreateOptions{ID: f.ID, Bundle: f.Bundle, Config: f.Config, ConsoleSocket: f.ConsoleSocket, PidFile: f.PidFile,
		PreserveFds: int(f.PreserveFds), NoPivot: f.NoPivot, NoNewKeyring: f.NoNewKeyring}, noPidfd(f.PidfdSocket)
}

func noPidfd(socket string) error {
	return refused("--pidfd-socket", socket, "--pid-file tells the process id")
}

type ociCreate struct {
	ociStarting `embed:""`
}

// Run is `create`.
func (v *ociCreate) Run(c *ociCall) error {
	o, err := v.options()
	if err != nil {
		return err
	}
	return c.runtime.Create(o)
}

type ociRun struct {
	Detach      bool `short:"d" help:"Don't wait for the end."`
	Keep        bool `help:"Don't delete the container when it has ended."`
	ociStarting `embed:""`
}

// Run is `run`: it ends with the program's exit code.
func (v *ociRun) Run(c *ociCall) error {
	o, err := v.options()
	if err != nil {
		return err
	}
	return exitWith(c.runtime.Run(o, v.Detach, v.Keep))
}

// exitWith is how a program ended, as an error for main.
func exitWith(code int, err error) error {
	if err == nil && code != 0 {
		return &hint.Exit{Code: code}
	}
	return err
}

type ociStart struct {
	ID string `arg:"" name:"container" help:"Container."`
}

// Run is `start`.
func (v *ociStart) Run(c *ociCall) error { return c.runtime.Start(v.ID) }

type ociSpec struct {
	Bundle   string `short:"b" placeholder:"DIR" help:"Directory to write config.json to (the current one)."`
	File     string `short:"f" placeholder:"FILE" help:"File to write instead, also if it is there."`
	Rootless bool   `help:"For an ordinary user: with a user namespace in which root is you."`
}

// Run is `spec`.
func (v *ociSpec) Run(*ociCall) error {
	text, err := json.MarshalIndent(oci.Spec(v.Rootless), "", "\t")
	if err != nil {
		return err
	}
	path, mode := filepath.Join(v.Bundle, "config.json"), os.O_EXCL
	if v.File != "" {
		path, mode = v.File, os.O_TRUNC
		if !filepath.IsAbs(path) {
			path = filepath.Join(v.Bundle, path)
		}
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|mode, 0o666)
	if errors.Is(err, fs.ErrExist) {
		return hint.Errorf("rm "+path, "spec: %s exists", path)
	}
	if err != nil {
		return fmt.Errorf("spec: %w", err)
	}
	_, err = f.Write(append(text, '\n'))
	return errors.Join(err, f.Close())
}

type ociFeatures struct{}

// Run is `features`.
func (*ociFeatures) Run(c *ociCall) error {
	return c.printIndented(oci.Features(container.Version), "    ")
}
