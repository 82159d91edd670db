package container

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/spec"
	"github.com/rl-containers/rl/stdio"
	"github.com/rl-containers/rl/storage"
	"github.com/rl-containers/rl/sys"
)

// Create makes a container that Start starts. The result is its id.
func Create(req Request) (id string, err error) {
	req.Detached = true
	r := &run{Request: req, later: true}
	if err := r.create(); err != nil {
		return "", err
	}
	tell(r.dir.Dir, eventOf(r.asRecorded(), "create"))
	r.dir.Close()
	return r.id, nil
}

// RunDetached starts a container that stays when the caller goes. The result is its id.
func RunDetached(req Request) (id string, err error) {
	life, err := lifetimeOf(req.Lifetime, &req)
	if err != nil {
		return "", err
	}
	if len(req.Attach) > 0 {
		return "", hint.Errorf("leave one of the two out", "-a %s: with -d nothing is attached", req.Attach[0])
	}
	req.Detached = true
	r := &run{Request: req}
	if err := r.create(); err != nil {
		return "", err
	}
	defer r.dir.Close()
	tell(r.dir.Dir, eventOf(r.asRecorded(), "create"))
	if err := handOver(r.dir, life.leader, nil, "", true); err != nil {
		return "", err
	}
	if !req.Quiet {
		life.tell(r.store)
	}
	r.collected = make(chan struct{})
	r.collect()
	return r.id, nil
}

// StartRequest is `rl start`.
type StartRequest struct {
	Attach, Interactive bool
	SigProxy            bool
	DetachKeys          string
	// Lifetime is that of this start, "" the container's own.
	Lifetime string
}

// Start starts a container that was created or has ended. With Attach it ends with the program.
func Start(word string, req StartRequest) error {
	keys, err := stdio.ParseDetachKeys(req.DetachKeys)
	if err != nil {
		return err
	}
	s, c, err := findConfig(word)
	if err != nil {
		return err
	}
	if s.Running {
		if req.Attach || req.Interactive {
			return Attach(word, AttachRequest{NoStdin: !req.Interactive, SigProxy: req.SigProxy, DetachKeys: req.DetachKeys})
		}
		return nil // as docker and podman: what is wanted is so
	}
	dir, err := s.Open()
	if errors.Is(err, storage.ErrBusy) {
		switch now, _ := storage.LookAt(s.Dir); {
		case now.Running:
			return Start(s.ID, req) // somebody else started it meanwhile
		case now.Status == storage.Restarting:
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	defer dir.Close()
	if s.Remove && !dir.Named() { // with --rm its end was that of its claim to a name, which may be another's by now
		return fmt.Errorf("start container %s: it was removed at this moment", s.Name)
	}
	life, err := lifetimeOf(cmp.Or(req.Lifetime, c.Request.Lifetime), &c.Request)
	if err != nil {
		return fmt.Errorf("start container %s: %w", s.Name, err)
	}
	if !req.Attach && !req.Interactive {
		return life.start(dir)
	}
	wants := stdio.Wants{Stdin: req.Interactive && c.Request.Options.Interactive, Stdout: true, Stderr: true}
	client, err := startAttached(dir, &s.Record, life.leader, c.Request.Options.TTY, wants, keys)
	if err != nil {
		return err
	}
	return follow(client, s.ID, req.SigProxy)
}

// startAttached starts a container with a client that gets all that is wanted of it, from the first byte on.
func startAttached(dir *storage.Container, rec *storage.Record, leader string, tty bool, wants stdio.Wants, keys []byte) (*stdio.Client, error) {
	ours, theirs, err := sys.SocketPair()
	if err != nil {
		return nil, err
	}
	if ours, err = stdio.Pollable(ours); err != nil {
		return nil, err
	}
	if err := handOver(dir, leader, theirs, attachWord(wants), false); err != nil {
		return nil, err
	}
	dir.Close()
	tell(dir.Dir, eventOf(rec, "attach"))
	return stdio.NewClient(ours, wants, tty, keys), nil
}

// runMonitored is `rl run` in the foreground with a restart policy, or with keys that leave: a monitor stays with the container, for
// the lives that follow the first, which the caller sees, and for the time when nobody looks.
func runMonitored(req Request) error {
	life, err := lifetimeOf(req.Lifetime, &req)
	if err != nil {
		return err
	}
	req.Detached = true
	r := &run{Request: req}
	if err := r.create(); err != nil {
		return err
	}
	defer r.dir.Close()
	tell(r.dir.Dir, eventOf(r.asRecorded(), "create"))
	client, err := startAttached(r.dir, r.asRecorded(), life.leader, req.Options.TTY, r.wants(), r.detach)
	if err != nil {
		return err
	}
	r.tellAlone()
	return follow(client, r.id, req.SigProxy)
}

// Stop ends a container by its stop signal, and after timeout seconds (nil: those of the container, negative: for ever) by
// SIGKILL. One that doesn't run is no error.
func Stop(s *storage.State, timeout *int) error { return stop(s, timeout, s.AskStop) }

// StopUntilBoot is Stop for a machine that goes down: those that start at boot do so as if they had run on. One that doesn't run is
// left as it is.
func StopUntilBoot(s *storage.State, timeout *int) error {
	if !s.Running && s.Status != storage.Restarting {
		return nil
	}
	return stop(s, timeout, s.AskStopUntilBoot)
}

func stop(s *storage.State, timeout *int, ask func() error) error {
	wait := s.StopTimeout
	if timeout != nil {
		wait = *timeout
	}
	if err := bringDown(s, signalOf(s.StopSignal), wait, ask); err != nil {
		return fmt.Errorf("stop container %s: %w", s.Name, err)
	}
	happened(s, "stop")
	return nil
}

// bringDown ends a container for good. A monitor that was about to start it again when that was asked for does so once more.
func bringDown(s *storage.State, sig syscall.Signal, seconds int, ask func() error) error {
	for {
		if err := ask(); err != nil {
			return err
		}
		if s.Running {
			if err := end(s, sig, seconds); err != nil {
				return err
			}
		}
		if err := settle(s); !errors.Is(err, errAgain) {
			return err
		}
	}
}

// end sends a signal and waits for the end of the process; then it kills.
func end(s *storage.State, sig syscall.Signal, seconds int) error {
	p, err := s.Process()
	if err != nil {
		return nil // it has ended
	}
	defer p.Close()
	thaw(s)
	if err := p.Signal(sig); err != nil {
		return err
	}
	milliseconds := -1
	if seconds >= 0 {
		milliseconds = min(seconds, math.MaxInt32/1000) * 1000 // as much as poll(2) takes
	}
	if p.Ended(milliseconds) {
		return nil
	}
	if seconds > 0 && hint.Tells(hint.LevelWarn) {
		fmt.Fprintf(os.Stderr, "rl: note: container %s did not end by %s within %d seconds: it is killed\n", s.Name, unix.SignalName(sig), seconds)
	}
	if err := p.Kill(); err != nil {
		return err
	}
	if !p.Ended(10000) {
		return hint.Errorf("a process in uninterruptible sleep (D in rl top) ends when its disk or network answers", "it did not end by SIGKILL within 10 seconds")
	}
	return nil
}

// errAgain says that a container was started again by its restart policy.
var errAgain = errors.New("started again")

// settle waits until the end of a process is on record, and writes it where nobody else will. With errAgain s is the next process.
func settle(s *storage.State) error {
	for range 5000 {
		now, there := storage.LookAt(s.Dir)
		switch {
		case !there && !(s.Remove && exists(s.Dir)):
			return nil
		case !there: // it is being taken away
		case !now.Monitored:
			return bury(s)
		case now.Status == storage.Restarting: // not for long
		case s.Remove && now.Pid == s.Pid: // its monitor takes it away: the name is free then
		case now.Running && now.Pid != s.Pid && now.StopAsked():
			*s = now
			return errAgain
		case !now.Running || now.Pid != s.Pid:
			return nil
		}
		time.Sleep(2 * time.Millisecond)
	}
	if s.Remove {
		return nil // it has much to remove
	}
	return hint.Errorf("rl ps -a", "its process has ended, but its monitor has not")
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// bury writes the end of a container whose monitor is dead: until then it is derived each time.
func bury(s *storage.State) error {
	// Before the lock is taken, which would look like that of a monitor.
	now, ok := storage.LookAt(s.Dir)
	if !ok || now.Running || now.Pid == 0 {
		return nil
	}
	dir, err := s.Open()
	if err != nil {
		return nil // somebody else's by now
	}
	defer dir.Close()
	written, err := storage.ReadLife(s.Dir)
	if err != nil || !written.Finished.IsZero() || written.Pid != now.Pid || written.Start != now.Start {
		return nil
	}
	dropGroup(written)
	tell(s.Dir, endOf(&now.Record, "died", now.ExitCode))
	return dir.WriteLife(&now.Life)
}

// Kill sends a signal to the first process of a running container. One that is meant to end it does so for good, whatever the restart
// policy, as with docker.
func Kill(s *storage.State, sig syscall.Signal) error {
	if err := mustRun(s, "kill"); err != nil {
		return err
	}
	happenedWith(s, "kill", "signal", strconv.Itoa(int(sig))) // before its effect, which others tell
	var err error
	switch sig {
	case syscall.SIGKILL:
		err = bringDown(s, sig, 10, s.AskStop)
	case signalOf(s.StopSignal):
		if err = s.AskStop(); err == nil {
			err = signalState(s, sig)
		}
	default:
		err = signalState(s, sig)
	}
	if err != nil {
		return fmt.Errorf("kill container %s: %w", s.Name, err)
	}
	return nil
}

func signalState(s *storage.State, sig syscall.Signal) error {
	p, err := s.Process()
	if err != nil {
		return err
	}
	defer p.Close()
	return p.Signal(sig)
}

// Restart stops and starts a container.
func Restart(s *storage.State, timeout *int) error {
	if s.Running || s.Status == storage.Restarting {
		if err := Stop(s, timeout); err != nil {
			return err
		}
	}
	err := Start(s.ID, StartRequest{})
	if err == nil {
		happened(s, "restart")
	}
	return err
}

// Wait waits until a container is in one of the states (running, exited, stopped, created, removed …); "" is its end. The result
// is the exit code of its last process.
func Wait(s *storage.State, states []string, every time.Duration) (int, error) {
	for {
		now, ok := storage.LookAt(s.Dir)
		if !ok {
			return s.ExitCode, nil
		}
		if *s = now; reached(s, states) {
			return s.ExitCode, nil
		}
		if err := neverWell(s, states); err != nil {
			return 0, err
		}
		if p, err := now.Process(); err == nil && len(states) == 0 {
			p.Ended(-1)
			p.Close()
			continue
		}
		time.Sleep(every)
	}
}

// CheckConditions refuses a state that Wait would never see.
func CheckConditions(states []string) error {
	known := []string{storage.Created, "configured", storage.Running, storage.Exited, "stopped", Paused, storage.Restarting, "removed", storage.Healthy, storage.Unhealthy, "not-running", "next-exit"}
	for _, s := range states {
		if !slices.Contains(known, s) {
			return hint.Errorf(strings.Join(known, ", "), "wait: --condition %s: no container is ever in this state", s)
		}
	}
	return nil
}

func reached(s *storage.State, states []string) bool {
	if len(states) == 0 {
		return !s.Running && !(s.Monitored && s.Finished.IsZero() && s.Error == "")
	}
	refine(s)
	return slices.ContainsFunc(states, func(want string) bool {
		if want == "stopped" || want == "not-running" || want == "next-exit" {
			want = storage.Exited
		}
		if want == "configured" {
			want = storage.Created
		}
		if want == storage.Healthy || want == storage.Unhealthy {
			h := s.Health()
			return h != nil && h.Status == want
		}
		return s.Status == want
	})
}

// neverWell: only a health is waited for, and none of it is to come.
func neverWell(s *storage.State, states []string) error {
	for _, want := range states {
		if want != storage.Healthy && want != storage.Unhealthy {
			return nil
		}
	}
	h := s.Health()
	switch {
	case len(states) == 0:
		return nil
	case !s.Healthcheck:
		return fmt.Errorf("wait for container %s to be %s: it has no health check", s.Name, states[0])
	case s.Status == storage.Exited:
		return hint.Errorf("rl logs "+s.Name, "wait for container %s to be %s: it has ended", s.Name, states[0])
	case h != nil && h.Status == storage.Unwatched:
		return hint.Errorf("rl restart "+s.Name+" gives it a new one", "wait for container %s to be %s: nobody checks it, its monitor was killed", s.Name, states[0])
	}
	return nil
}

func mustRun(s *storage.State, verb string) error {
	if s.Running {
		return nil
	}
	return hint.Errorf("rl start "+s.Name, "%s container %s: it is not running (%s)", verb, s.Name, s.Status)
}

// signalOf is the stop signal by name or number; "" is SIGTERM.
func signalOf(word string) syscall.Signal {
	if sig, err := spec.Signal(word); err == nil {
		return sig
	}
	return syscall.SIGTERM
}

func notify(signals []os.Signal) chan os.Signal {
	c := make(chan os.Signal, 64)
	signal.Notify(c, signals...)
	return c
}

// Rename gives a container another name.
func Rename(word, name string) error {
	s, err := Find(word)
	if err != nil {
		return err
	}
	if err := checkName(name); err != nil || name == "" {
		return hint.Errorf("letters, digits, _ . - and a letter or digit first", "rename container %s: %q is not a name", s.Name, name)
	}
	store, err := storage.Open()
	if err != nil {
		return err
	}
	old := s.Name
	if err := store.Rename(s, name); err != nil {
		return gone(s, "rename", err)
	}
	s.Name = name
	happenedWith(s, "rename", "oldName", old)
	return nil
}
