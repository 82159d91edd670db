package container

import (
	"fmt"
	"syscall"
	"time"

	"github.com/rl-containers/rl/cgroup"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/storage"
	"github.com/rl-containers/rl/sys"
)

// Paused is the status of a container whose processes stand still.
const Paused = "paused"

// mustGo: it runs, and isn't paused.
func mustGo(s *storage.State, verb string) error {
	if s.Status == Paused {
		return hint.Errorf("rl unpause "+s.Name, "%s container %s: it is paused", verb, s.Name)
	}
	return mustRun(s, verb)
}

// refine adds to a state what package storage can't know.
func refine(s *storage.State) {
	if s.Running && (s.Still && s.Cgroup == "" || s.Cgroup != "" && frozen(s)) {
		s.Status = Paused
	}
}

func frozen(s *storage.State) bool {
	if s.Cgroup != "" {
		g := cgroup.Reopen(s.Cgroup)
		defer g.Close()
		return g.Frozen()
	}
	return sys.Stopped(s.Pid)
}

// Pause stops all processes of a container: by the freezer of its cgroup, else by SIGSTOP, which the processes' parents notice.
func Pause(s *storage.State) error {
	if err := mustRun(s, "pause"); err != nil {
		return err
	}
	if frozen(s) {
		return hint.Errorf("rl unpause "+s.Name, "pause container %s: it is paused already", s.Name)
	}
	err := freeze(s)
	if err == nil {
		happened(s, "pause")
	}
	return err
}

func freeze(s *storage.State) error {
	if s.Cgroup != "" {
		return cgroup.Reopen(s.Cgroup).Freeze(true)
	}
	// A process that is not stopped yet may start another: until a round finds none.
	for range 100 {
		moved, err := signalAll(s, syscall.SIGSTOP, func(pid int) bool { return !sys.Stopped(pid) })
		if err != nil || moved == 0 {
			return err
		}
		time.Sleep(time.Millisecond)
	}
	return fmt.Errorf("pause container %s: it starts processes faster than they can be stopped", s.Name)
}

// Unpause lets them go on.
func Unpause(s *storage.State) error {
	if err := mustRun(s, "unpause"); err != nil {
		return err
	}
	if !frozen(s) {
		return fmt.Errorf("unpause container %s: it is not paused", s.Name)
	}
	thaw(s)
	happened(s, "unpause")
	return nil
}

// thaw lets a container go on, if it was paused.
func thaw(s *storage.State) {
	switch {
	case !frozen(s):
	case s.Cgroup != "":
		cgroup.Reopen(s.Cgroup).Freeze(false)
	default:
		signalAll(s, syscall.SIGCONT, sys.Stopped)
	}
}

// signalAll sends a signal to those processes of the container that are meant.
func signalAll(s *storage.State, sig syscall.Signal, meant func(pid int) bool) (sent int, err error) {
	pids, err := Processes(s)
	if err != nil {
		return 0, err
	}
	for _, pid := range pids {
		start, err := sys.StartTime(pid)
		if err != nil || !meant(pid) {
			continue
		}
		if p, err := sys.FindProcess(pid, start); err == nil {
			p.Signal(sig)
			p.Close()
			sent++
		}
	}
	return sent, nil
}

// Processes are the container's, by the numbers of the host: those in its pid namespace. With --pid=host it is the first alone.
func Processes(s *storage.State) ([]int, error) { return new(pidSpaces).of(s.Pid) }
