package container

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/unit"
)

// checkNotify reads --sdnotify.
func (r *run) checkNotify() error {
	switch r.SdNotify {
	case "", "ignore":
		return nil
	case "conmon":
		if r.Detached {
			return hint.Errorf("leave -d out: the service's process is rl", "--sdnotify=conmon: a container that rl leaves alone has no service")
		}
		return nil
	case "container", "healthy":
		return hint.Errorf("conmon: the service has started when the program has", "--sdnotify=%s is not supported", r.SdNotify)
	}
	return hint.Errorf("ignore or conmon", "--sdnotify=%s: unknown", r.SdNotify)
}

// sayReady tells the service manager that the program runs, where it wants to know (sd_notify(3)).
func (r *run) sayReady() {
	name := os.Getenv("NOTIFY_SOCKET")
	if r.SdNotify != "conmon" || name == "" {
		return
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Sendto(fd, []byte("READY=1\n"), unix.MSG_NOSIGNAL, &unix.SockaddrUnix{Name: name})
		unix.Close(fd)
	}
	if err != nil {
		r.say("warning: tell " + name + " of the start: " + err.Error())
	}
}

// CreatedBy is what a container was made with: the words behind run or create, and the environment of its program.
type CreatedBy struct {
	Name, ID string
	Typed    []string
	Dir      string
	Env      []string
	// Restart is its policy, "" for none.
	Restart     string
	StopTimeout int
}

// FindCreated looks it up.
func FindCreated(word string) (*CreatedBy, error) {
	s, c, err := findConfig(word)
	if err != nil {
		return nil, err
	}
	by := &CreatedBy{Name: s.Name, ID: s.ID, Typed: c.Request.Typed, Dir: c.Request.Dir, Restart: s.Restart, StopTimeout: s.StopTimeout}
	if by.Restart == "no" {
		by.Restart = ""
	}
	if c.Spec.Spec != nil && c.Spec.Spec.Process != nil {
		by.Env = c.Spec.Spec.Process.Env
	}
	return by, nil
}

// UnitRequest is `rl generate systemd`.
type UnitRequest struct {
	Program string // rl
	// Run are the words of a new container behind run; nil for the container that is there.
	Run []string
	// Dir is where they mean what they say, "" for everywhere.
	Dir               string
	UseName           bool
	Prefix, Separator string
	RestartPolicy     string
	RestartSec        *int
	StopTimeout       *int
	StartTimeout      *int
	After, Wants      []string
	Requires, Env     []string
	Header            bool
}

// Unit is the service of a container.
func Unit(by *CreatedBy, req UnitRequest) (*unit.Service, error) {
	if !slices.Contains(strings.Fields("no on-success on-failure on-abnormal on-watchdog on-abort always"), cmp.Or(req.RestartPolicy, "no")) {
		return nil, hint.Errorf("no, on-success, on-failure, on-abnormal, on-watchdog, on-abort or always", "--restart-policy %s: systemd.service(5) has no such", req.RestartPolicy)
	}
	word := by.ID
	if req.UseName || req.Run != nil {
		word = by.Name
	}
	label := by.ID
	if req.UseName {
		label = by.Name
	}
	name := req.Prefix + req.Separator + label
	if req.Prefix == "" {
		name = label
	}
	f := &unit.File{}
	req.describe(f.Section("Unit"), name)
	s := f.Section("Service")
	for _, e := range req.Env {
		s.Add("Environment", unit.Quote(strings.ReplaceAll(e, "%", "%%")))
	}
	timeout := by.StopTimeout
	if req.StopTimeout != nil {
		timeout = *req.StopTimeout
	}
	req.commands(s, by, word, timeout)
	s.Add("TimeoutStopSec", strconv.Itoa(timeout+60)) // longer than rl stop takes
	if req.StartTimeout != nil {
		s.Add("TimeoutStartSec", strconv.Itoa(*req.StartTimeout))
	}
	f.Section("Install").Add("WantedBy", "default.target")
	text := f.String()
	if req.Header {
		text = "# " + name + ".service\n# made by rl " + Version + "\n\n" + text
	}
	return &unit.Service{Name: name + ".service", Text: text, Install: f.Section("Install")}, nil
}

func (req *UnitRequest) describe(s *unit.Section, name string) {
	s.Add("Description", "rl "+name+".service")
	s.Add("Documentation", "man:rl-generate-systemd(1)")
	for _, u := range req.Wants {
		s.Add("Wants", u)
	}
	for _, u := range req.After {
		s.Add("After", u)
	}
	for _, u := range req.Requires {
		s.Add("Requires", u)
	}
}

// commands are what starts and stops it. A container with a policy of its own is started again by its monitor, and the service is no
// more than its start; else the service's process is an rl whose end is the container's, and systemd starts it again.
func (req *UnitRequest) commands(s *unit.Section, by *CreatedBy, word string, timeout int) {
	stop := func(flags ...string) string {
		words := append([]string{req.Program, "stop", "--ignore", "--time=" + strconv.Itoa(timeout)}, flags...)
		return unit.Command(unit.Literal, append(words, word)...)
	}
	if req.Run == nil && by.Restart != "" {
		s.Add("Type", "oneshot")
		s.Add("RemainAfterExit", "yes")
		s.Add("ExecStart", unit.Command(unit.Literal, req.Program, "start", word))
		s.Add("ExecStop", stop("--until-boot"))
		return
	}
	s.Add("Restart", cmp.Or(req.RestartPolicy, "on-failure"))
	if req.RestartSec != nil {
		s.Add("RestartSec", strconv.Itoa(*req.RestartSec))
	}
	s.Add("KillMode", "mixed")
	s.Add("SuccessExitStatus", "143") // SIGTERM, which a stop sends
	if req.Run == nil {
		s.Add("Type", "exec")
		s.Add("ExecStart", unit.Command(unit.Literal, req.Program, "start", "--attach", word))
		s.Add("ExecStop", stop())
		return
	}
	if req.Dir != "" {
		s.Add("WorkingDirectory", strings.ReplaceAll(req.Dir, "%", "%%"))
	}
	s.Add("Type", "notify")
	run := append([]string{req.Program, "run", "--rm", "--replace", "--sdnotify=conmon", "--name=" + word}, req.Run...)
	s.Add("ExecStart", unit.Command(unit.Literal, run...))
	s.Add("ExecStop", stop())
	s.Add("ExecStopPost", "-"+unit.Command(unit.Literal, req.Program, "rm", "--force", "--volumes", "--ignore", word))
}

// BootUnitName is the unit of `rl system start-on-boot`.
const BootUnitName = "rl-start-on-boot.service"

// BootUnit starts at boot what is to run, and stops it in order before the machine goes down.
func BootUnit(program string) *unit.Service {
	f := &unit.File{}
	u := f.Section("Unit")
	u.Add("Description", "Containers of rl that start at boot")
	u.Add("Documentation", "man:rl-system-start-on-boot(1)")
	s := f.Section("Service")
	s.Add("Type", "oneshot")
	s.Add("RemainAfterExit", "yes")
	// The dash: one that can't be started must not fail the unit, with which systemd would end the others.
	s.Add("ExecStart", "-"+unit.Command(unit.Literal, program, "start", "--filter=should-start-on-boot=true"))
	s.Add("ExecStop", "-"+unit.Command(unit.Literal, program, "stop", "--until-boot", "--filter=should-start-on-boot=true"))
	s.Add("TimeoutStartSec", "infinity")
	f.Section("Install").Add("WantedBy", "default.target")
	return &unit.Service{Name: BootUnitName, Text: fmt.Sprintf("# %s, made by rl system start-on-boot\n\n%s", BootUnitName, f), Install: f.Section("Install")}
}
