package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/rl-containers/rl/oci"
)

// maxJSON is how much a file of --process or --resources may have, in bytes. An environment is the longest part, of which
// the kernel takes 6 MiB at most.
const maxJSON = 16 << 20

type ociExec struct {
	Process        string   `short:"p" placeholder:"FILE" help:"The process as JSON, as in config.json; CONTAINER alone follows."`
	Detach         bool     `short:"d" help:"Don't wait for the end."`
	TTY            bool     `short:"t" name:"tty" help:"Give the program a terminal."`
	ConsoleSocket  string   `placeholder:"SOCKET" help:"Send the terminal's master to this socket."`
	PidfdSocket    string   `placeholder:"SOCKET" help:"Not supported."`
	PidFile        string   `placeholder:"FILE" help:"Write the process id to FILE."`
	Cwd            string   `placeholder:"DIR" help:"Working directory."`
	Env            []string `short:"e" sep:"none" placeholder:"NAME=VALUE" help:"Add a variable."`
	User           string   `short:"u" placeholder:"UID[:GID]" help:"Who the program runs as, by number."`
	AdditionalGids []uint32 `short:"g" sep:"none" placeholder:"GID" help:"Further group."`
	Cap            []string `short:"c" sep:"none" placeholder:"CAP" help:"Add a capability."`
	NoNewPrivs     *bool    `help:"Set no_new_privs."`
	Apparmor       string   `placeholder:"PROFILE" help:"AppArmor profile."`
	ProcessLabel   string   `placeholder:"LABEL" help:"SELinux label."`
	PreserveFds    uint     `placeholder:"N" help:"Pass N descriptors after stdio (and those of $$LISTEN_FDS) to the program."`
	Cgroup         []string `sep:"none" placeholder:"PATH" help:"Put the program into a cgroup below the container's."`
	IgnorePaused   bool     `help:"Also in a paused container."`

	Words []string `arg:"" optional:"" passthrough:"partial" name:"container [command…]" help:"Container, and the program with its arguments."`
}

// Run is `exec`: it ends with the program's exit code.
func (v *ociExec) Run(c *ociCall) error {
	o, err := v.options()
	if err != nil {
		return fmt.Errorf("exec: %w", err)
	}
	return exitWith(c.runtime.Exec(o))
}

func (v *ociExec) options() (oci.ExecOptions, error) {
	words := afterFlags(v.Words)
	if len(words) == 0 {
		return oci.ExecOptions{}, errors.New("CONTAINER is missing")
	}
	o := oci.ExecOptions{ID: words[0], Args: words[1:], Cwd: v.Cwd, Env: v.Env, TTY: v.TTY, User: v.User, AdditionalGids: v.AdditionalGids,
		Caps: v.Cap, Apparmor: v.Apparmor, ProcessLabel: v.ProcessLabel, Detach: v.Detach, ConsoleSocket: v.ConsoleSocket, PidFile: v.PidFile,
		PreserveFds: int(v.PreserveFds), IgnorePaused: v.IgnorePaused}
	if v.NoNewPrivs != nil {
		if o.NoNewPrivs = *v.NoNewPrivs; !o.NoNewPrivs {
			return o, errors.New("--no-new-privs=false: not supported: the flag adds to config.json, it takes nothing away")
		}
	}
	if err := noPidfd(v.PidfdSocket); err != nil {
		return o, err
	}
	if err := v.cgroup(&o); err != nil {
		return o, err
	}
	return o, v.process(&o)
}

// cgroup: there is one hierarchy only; the controllers before a colon belong to cgroup v1.
func (v *ociExec) cgroup(o *oci.ExecOptions) error {
	for _, path := range v.Cgroup {
		if controllers, _, ok := strings.Cut(path, ":"); ok {
			return fmt.Errorf("--cgroup %s: not supported: %s: is for cgroup v1", path, controllers)
		}
		if o.Cgroup != "" {
			return errors.New("--cgroup: a process has one cgroup")
		}
		o.Cgroup = path
	}
	return nil
}

func (v *ociExec) process(o *oci.ExecOptions) error {
	if v.Process == "" {
		if len(o.Args) == 0 {
			return errors.New("exec args cannot be empty") // runc's words
		}
		return nil
	}
	if flag := v.doubled(o); flag != "" {
		return fmt.Errorf("%s: the file of --process says it", flag)
	}
	f, err := os.Open(v.Process)
	if err != nil {
		return fmt.Errorf("--process: %w", err)
	}
	defer f.Close()
	o.Process = new(specs.Process)
	if err := readJSON(f, o.Process); err != nil {
		return fmt.Errorf("--process %s: %w", v.Process, err)
	}
	// Engines give both.
	o.Process.Terminal = o.Process.Terminal || v.TTY
	return nil
}

// doubled is a flag that says what --process says.
func (v *ociExec) doubled(o *oci.ExecOptions) string {
	switch {
	case len(o.Args) > 0:
		return "command " + o.Args[0]
	case v.Cwd != "":
		return "--cwd"
	case len(v.Env) > 0:
		return "--env"
	case v.User != "":
		return "--user"
	case len(v.AdditionalGids) > 0:
		return "--additional-gids"
	case len(v.Cap) > 0:
		return "--cap"
	case v.NoNewPrivs != nil:
		return "--no-new-privs"
	case v.Apparmor != "":
		return "--apparmor"
	case v.ProcessLabel != "":
		return "--process-label"
	}
	return ""
}

// readJSON reads one value. Fields that aren't known are left out, as the runtime spec wants it ("Extensibility").
func readJSON(r io.Reader, v any) error {
	text, err := io.ReadAll(io.LimitReader(r, maxJSON+1))
	if err != nil {
		return err
	}
	if len(text) > maxJSON {
		return fmt.Errorf("it has more than %d bytes", maxJSON)
	}
	return json.Unmarshal(text, v)
}
