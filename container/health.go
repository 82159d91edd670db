package container

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/spec"
	"github.com/rl-containers/rl/storage"
	"github.com/rl-containers/rl/sys"
)

// CheckName is the role of rl that makes one health check for whoever stays with the container, as argv[0]: so the memory of a
// check doesn't stay with a monitor.
const CheckName = "rl-check"

// How the role ends when the container has become, or is still, unhealthy. All else is no reason to act.
const unhealthyCode = 1

// The last checks are kept, and of each the beginning of its output: podman's numbers.
const (
	keptChecks = 5
	keptOutput = 500
)

// CheckUp is the role rl-check DIR, a container's directory. What is to follow is left to the caller, which may be about to end.
func CheckUp() int {
	runtime.LockOSThread() // the kernel kills the check when the thread that made it ends
	if len(os.Args) < 2 || sys.SealFds(3) != nil {
		return 125
	}
	s, there := storage.LookAt(os.Args[1])
	c, err := ReadConfig(os.Args[1])
	if !there || err != nil || c.Spec.Health == nil {
		return 125
	}
	refine(&s)
	// A check that hangs before its own time begins, in a cgroup that was frozen meanwhile, isn't waited for for ever.
	time.AfterFunc(c.Spec.Health.Timeout+time.Minute, func() { os.Exit(125) })
	if _, h, err := checkUp(&s, c); err == nil && h.Status == storage.Unhealthy {
		return unhealthyCode
	}
	return 0
}

// RunHealthcheck makes a health check now, does what its container wants to be done when it is unhealthy, and returns how the
// container is. well tells how this check went.
func RunHealthcheck(word string) (status string, well bool, err error) {
	runtime.LockOSThread()
	s, c, err := findConfig(word)
	if err != nil {
		return "", false, err
	}
	if c.Spec.Health == nil {
		return "", false, hint.Errorf(`rl run --health-cmd "COMMAND" … gives a new one a check`, "container %s has no health check", s.Name)
	}
	check, h, err := checkUp(s, c)
	if err != nil {
		return "", false, err
	}
	if h.Status == storage.Unhealthy {
		err = punish(s, c.Spec.HealthOnFailure)
	}
	return h.Status, check.ExitCode == 0, err
}

// punish does what --health-on-failure says.
func punish(s *storage.State, how string) error {
	switch how {
	case "kill":
		return Kill(s, syscall.SIGKILL)
	case "stop":
		return Stop(s, nil)
	case "restart":
		return Restart(s, nil)
	}
	return nil
}

// checkUp makes a check and writes down its result.
func checkUp(s *storage.State, c *Config) (*storage.Check, *storage.Health, error) {
	if err := mustGo(s, "check the health of"); err != nil {
		return nil, nil, err
	}
	check, err := probe(s, c)
	if err != nil {
		return nil, nil, err
	}
	if now, there := storage.LookAt(s.Dir); !there || !now.Running || now.Pid != s.Pid {
		return nil, nil, fmt.Errorf("check the health of container %s: it ended meanwhile", s.Name)
	}
	before := ""
	h, err := s.ChangeHealth(func(h *storage.Health) {
		before = h.Status
		count(h, check, c.Spec.Health, s.Started)
	})
	if err == nil && h.Status != before {
		e := eventOf(&s.Record, "health_status")
		e.HealthStatus = h.Status
		tell(s.Dir, e)
	}
	return check, h, err
}

// count is docker's: failures of the start period don't count, until a check went well.
func count(h *storage.Health, check *storage.Check, want *spec.Health, started time.Time) {
	h.Log = append(h.Log, *check)
	h.Log = h.Log[max(0, len(h.Log)-keptChecks):]
	switch {
	case check.ExitCode == 0:
		h.Status, h.FailingStreak = storage.Healthy, 0
	case h.Status == storage.Starting && check.Start.Sub(started) < want.StartPeriod:
	default:
		if h.FailingStreak++; h.FailingStreak >= want.Retries {
			h.Status = storage.Unhealthy
		}
	}
}

// probe runs the check's command in the container. That it can't be executed is a result, too.
func probe(s *storage.State, c *Config) (*storage.Check, error) {
	ours, theirs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer ours.Close()
	r := &run{running: make(chan struct{})}
	req := &ExecRequest{Options: spec.ExecOptions{Args: c.Spec.Health.Command()}, into: theirs}
	check := &storage.Check{Start: time.Now()}
	var failed *hint.Exit
	switch err := r.startExec(s, req); {
	case errors.As(err, &failed):
		check.ExitCode, check.Output = failed.Code, err.Error()
	case err != nil:
		return nil, err
	default:
		if err := r.finish(check, c.Spec.Health.Timeout, ours); err != nil {
			return nil, err
		}
	}
	check.End = time.Now()
	check.Output = cut(check.Output)
	return check, nil
}

// finish waits for the end of a check, or brings it about.
func (r *run) finish(check *storage.Check, timeout time.Duration, out *os.File) error {
	read := make(chan string)
	go func() {
		b, _ := io.ReadAll(io.LimitReader(out, keptOutput))
		io.Copy(io.Discard, out) // nobody waits for a pipe to be emptied
		read <- string(b)
	}()
	if !r.proc.Ended(int(timeout.Milliseconds())) {
		check.ExitCode = -1
		unix.Kill(-r.proc.Pid, unix.SIGKILL) // with what it started: it has a session of its own, and its number until it is waited for
		r.proc.Kill()
	}
	status, err := r.proc.Wait()
	if err != nil {
		return fmt.Errorf("wait for the check: %w", err)
	}
	out.SetReadDeadline(time.Now().Add(100 * time.Millisecond)) // what it left behind may hold the pipe
	check.Output = <-read
	if check.ExitCode == 0 {
		check.ExitCode = exitCode(status)
	} else {
		check.Output = fmt.Sprintf("Health check exceeded timeout (%s): %s", timeout, check.Output)
	}
	return nil
}

func cut(s string) string {
	if len(s) > keptOutput {
		s = s[:keptOutput]
	}
	return strings.ToValidUTF8(s, "")
}
