// Package oci is the outside of an OCI runtime: the verbs of runc over bundles (runtime-spec runtime.md, "Operations"), each
// of which may come from another process with an almost empty environment. What they share is a state directory a container.
package oci

import (
	"errors"
	"syscall"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Runtime is what all verbs have in common: runc's global flags.
type Runtime struct {
	Root          string // --root: the directory of state directories; "" is $XDG_RUNTIME_DIR/rl-oci, for root /run/rl-oci
	CgroupManager string // --cgroup-manager: "" or cgroupfs, systemd, disabled
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

// Create makes the container and returns when its process waits for Start.
func (r *Runtime) Create(o CreateOptions) error { return errTodo }

// Start lets the process of a created container execute the user's program.
func (r *Runtime) Start(id string) error { return errTodo }

// Run is Create and Start, and unless detach waits for the end and deletes (unless keep): the program's exit code.
func (r *Runtime) Run(o CreateOptions, detach, keep bool) (code int, err error) { return 0, errTodo }

// State tells how a container is.
func (r *Runtime) State(id string) (*State, error) { return nil, errTodo }

// List is the state of all containers, sorted by id. A broken one is left out with a Say.
func (r *Runtime) List() ([]State, error) { return nil, errTodo }

// Kill sends sig to the container's process, or to all of its processes.
func (r *Runtime) Kill(id string, sig syscall.Signal, all bool) error { return errTodo }

// Delete removes a stopped container; with force any, and one that doesn't exist is no error.
func (r *Runtime) Delete(id string, force bool) error { return errTodo }

// Exec runs a further process: its exit code, or 0 when detached.
func (r *Runtime) Exec(o ExecOptions) (code int, err error) { return 0, errTodo }

// Ps are the pids of a container's processes, as the caller's pid namespace counts them.
func (r *Runtime) Ps(id string) ([]int, error) { return nil, errTodo }

// Pause freezes all processes of a container.
func (r *Runtime) Pause(id string) error { return errTodo }

// Resume thaws them.
func (r *Runtime) Resume(id string) error { return errTodo }

// Update changes the resource limits of a running container.
func (r *Runtime) Update(id string, res *specs.LinuxResources) error { return errTodo }

// Stats are the figures of a container's cgroup, in the shape of runc's `events --stats` ("data" property).
func (r *Runtime) Stats(id string) (any, error) { return nil, errTodo }

var errTodo = errors.New("to be written")
