package main

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/doctor"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/storage"
)

// DoctorCmd is `rl doctor`.
type DoctorCmd struct {
	Format string `enum:"text,json" default:"text" placeholder:"FORMAT" help:"Print text or json."`
	Try    string `hidden:"" placeholder:"TRIAL" help:"Used by rl doctor itself, inside of a new namespace."`
}

// Run examines and reports; the exit code is 1 when `rl run` can't work.
func (c *DoctorCmd) Run() error {
	if c.Try != "" {
		return &hint.Exit{Code: doctor.Child(c.Try)}
	}
	var results []doctor.Result
	var failed error
	terminal, plain := isTerminal(os.Stdout), os.Getenv("NO_COLOR") != ""
	host().Examine(doctor.Probes(), func(r doctor.Result) {
		results = append(results, r)
		if c.Format == "text" && failed == nil {
			failed = doctor.Text(os.Stdout, r, terminal, plain)
		}
	})
	if c.Format == "json" {
		failed = doctor.JSON(os.Stdout, results)
	}
	if failed == nil && !doctor.Works(results) {
		return &hint.Exit{Code: 1}
	}
	return failed
}

// host is this machine with the directories that rl would use.
func host() *doctor.Host {
	s, err := storage.Open()
	if err != nil {
		return doctor.Here("", "", err)
	}
	return doctor.Here(s.DataDir, s.GraphRoot, nil)
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
