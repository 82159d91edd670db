// Package oci is the outside of an OCI runtime: the verbs of runc over bundles (runtime-spec runtime.md, "Operations"), each
// of which may come from another process with an almost empty environment. What they share is a state directory a container.
package oci

import (
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Runtime is what all verbs have in common: runc's global flags.
type Runtime struct {
	Root          string // --root: the directory of state directories; "" is $XDG_RUNTIME_DIR/rl-oci, for root /run/rl-oci
	CgroupManager string // --cgroup-manager: "" or cgroupfs, systemd, disabled
	// Inherited is how many descriptors from 3 on the caller passed, without a gap.
	Inherited int
	// Say prints one line that is worth knowing but no failure (a limit that was dropped, …) to the log.
	Say func(line string)
}

// CreateOptions are the flags of create and run.
type CreateOptions struct {
	ID            string
	Bundle        string // directory, "" is the current one
	Config        string // crun's --config: a file instead of BUNDLE/config.json
	ConsoleSocket string
	PidFile       string
	PreserveFds   int
	NoPivot       bool
	NoNewKeyring  bool
}

// ExecOptions are the flags of exec.
type ExecOptions struct {
	ID      string
	Process *specs.Process // --process FILE, or made of the flags below
	// Args and the other flags of exec, when there is no --process: they change a copy of the container's own process.
	Args           []string
	Cwd            string
	Env            []string
	TTY            bool
	User           string // uid[:gid]
	AdditionalGids []uint32
	Caps           []string
	Apparmor       string
	ProcessLabel   string
	NoNewPrivs     bool
	Cgroup         string // a cgroup below the container's

	Detach        bool
	ConsoleSocket string
	PidFile       string
	PreserveFds   int
	IgnorePaused  bool
}

// State is what `state` prints: runtime-spec's, with runc's additions.
type State struct {
	specs.State
	Rootfs  string    `json:"rootfs"`
	Created time.Time `json:"created"`
	Owner   string    `json:"owner"`
}
