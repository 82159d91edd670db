package container

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rl-containers/rl/hint"
)

// timedOutCode is podman's exit code of a container that --timeout killed.
const timedOutCode = 255

// maxTimeout is what a time.Duration holds, in seconds.
const maxTimeout = 1<<63/1_000_000_000 - 1

func checkTimeout(seconds int) error {
	if seconds >= 0 && seconds <= maxTimeout {
		return nil
	}
	return hint.Errorf("a number of seconds; 0 is none", "--timeout %d: not a time", seconds)
}

// timeLimit kills a container that runs for too long. Its time counts from each start anew.
type timeLimit struct {
	seconds int
	timer   *time.Timer
	fired   atomic.Bool
}

// limitTime begins it; nil: there is none.
func limitTime(seconds int, kill func() error) *timeLimit {
	if seconds <= 0 {
		return nil
	}
	l := &timeLimit{seconds: seconds}
	l.timer = time.AfterFunc(time.Duration(seconds)*time.Second, func() {
		l.fired.Store(true)
		kill()
	})
	return l
}

// reached is asked when the container has ended: it says that the limit was the reason.
func (l *timeLimit) reached(status syscall.WaitStatus) error {
	if l == nil {
		return nil
	}
	l.timer.Stop()
	if !l.fired.Load() || !status.Signaled() || status.Signal() != syscall.SIGKILL {
		return nil
	}
	return timedOut(l.seconds)
}

// timedOut is the reason of an end, in the seconds of --timeout.
type timedOut int

func (t timedOut) Error() string {
	return "killed: it ran for longer than --timeout " + strconv.Itoa(int(t)) + " allows"
}

// overTime notes why the container was killed.
func (r *run) overTime(why error) int {
	r.life.Error = why.Error()
	r.say(fmt.Sprintf("note: container %s was %v", r.Name, why))
	return timedOutCode
}
