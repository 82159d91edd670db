package idmap

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
)

// job is a running helper. It has no environment, and one pipe as its three standard streams.
type job struct {
	name string
	pid  int
	out  int // read end; end of file = it has exited
	text []byte
	err  error
}

// start forks by syscall.ForkExec: os.StartProcess would fork once more to learn what the kernel can.
func start(argv []string) (*job, error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return nil, err
	}
	defer unix.Close(p[1])
	w := uintptr(p[1])
	hint.Logf(hint.LevelDebug, "execute %s", argv)
	pid, err := syscall.ForkExec(argv[0], argv, &syscall.ProcAttr{Dir: "/", Files: []uintptr{w, w, w}})
	if err != nil {
		unix.Close(p[0])
		return nil, err
	}
	return &job{name: argv[0], pid: pid, out: p[0]}, nil
}

var errSlow = errors.New("no answer")

// finish collects the output and the exit of all jobs. Those that are not done in time are killed: a setuid program keeps
// the caller's real uid, so that kill(2) may.
func finish(jobs []*job, limit time.Duration) error {
	deadline := time.Now().Add(limit)
	for open := len(jobs); open > 0; {
		ready, err := poll(jobs, time.Until(deadline))
		if err != nil {
			names := unfinished(jobs)
			abandon(jobs)
			return fmt.Errorf("%s: %w within %v", names, err, limit)
		}
		for _, j := range ready {
			if j.read() {
				open--
			}
		}
	}
	return nil
}

// poll waits until some of the jobs can be read.
func poll(jobs []*job, limit time.Duration) (ready []*job, err error) {
	fds := make([]unix.PollFd, len(jobs))
	for i, j := range jobs {
		fds[i] = unix.PollFd{Fd: int32(j.out), Events: unix.POLLIN}
	}
	if limit <= 0 {
		return nil, errSlow
	}
	if _, err := unix.Poll(fds, int(limit/time.Millisecond)+1); err != nil && err != unix.EINTR {
		return nil, err
	}
	for i, f := range fds {
		if f.Revents != 0 {
			ready = append(ready, jobs[i])
		}
	}
	return ready, nil
}

// maxText bounds what is kept of a helper's output.
const maxText = 1 << 20

// read takes what is there; true when the job is over and reaped.
func (j *job) read() bool {
	var buf [4096]byte
	n, err := unix.Read(j.out, buf[:])
	if err == unix.EINTR {
		return false
	}
	if n > 0 && len(j.text) < maxText {
		j.text = append(j.text, buf[:n]...)
	}
	if n > 0 {
		return false
	}
	j.reap()
	return true
}

func (j *job) reap() {
	unix.Close(j.out)
	j.out = -1 // poll(2) ignores it
	var ws unix.WaitStatus
	for {
		_, err := unix.Wait4(j.pid, &ws, 0, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			j.err = err
		} else if ws.Signaled() {
			j.err = fmt.Errorf("killed by signal %d", ws.Signal())
		} else if ws.ExitStatus() != 0 {
			j.err = fmt.Errorf("exit status %d", ws.ExitStatus())
		}
		return
	}
}

// failure is what the job said when it failed.
func (j *job) failure() error {
	msg := strings.TrimSpace(string(j.text))
	switch {
	case j.err == nil:
		return nil
	case msg == "":
		return fmt.Errorf("%s: %w", j.name, j.err)
	}
	return fmt.Errorf("%s: %s (%w)", j.name, strings.ReplaceAll(msg, "\n", "; "), j.err)
}

func abandon(jobs []*job) {
	for _, j := range jobs {
		if j.out >= 0 {
			unix.Kill(j.pid, unix.SIGKILL)
			j.reap()
		}
	}
}

func unfinished(jobs []*job) string {
	var names []string
	for _, j := range jobs {
		if j.out >= 0 {
			names = append(names, j.name)
		}
	}
	return strings.Join(names, " and ")
}

// output runs a program and returns what it printed.
func output(argv ...string) (string, error) {
	if argv[0] == "" {
		return "", syscall.ENOENT
	}
	j, err := start(argv)
	if err != nil {
		return "", err
	}
	if err := finish([]*job{j}, patience); err != nil {
		return "", err
	}
	return string(j.text), j.failure()
}
