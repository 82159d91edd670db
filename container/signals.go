package container

import (
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/plan"
)

// catchSignals passes signals to the program, as docker does; the kernel drops those for which a PID 1 has no handler. One
// that comes before the program runs ends rl, and the container with it. The third SIGINT or SIGTERM kills: somebody means
// it. SIGTSTP and its family stay with rl, which the shell's job control stops and continues alone. The result is closed
// when all are caught.
func catchSignals(r *run) <-chan struct{} {
	caught := make(chan struct{})
	signals := make(chan os.Signal, 64)
	go func() {
		// By name and beside the start: each one costs the Go runtime a round between its threads, all 64 of them more than
		// the rest of a short run.
		signal.Notify(signals, proxied()...)
		close(caught)
		impatience := 0
		for s := range signals {
			if r.going.Load() {
				<-r.running
			}
			switch s := s.(syscall.Signal); {
			case !r.going.Load():
				r.dieOf(s)
			case s == syscall.SIGWINCH:
				r.front.Resize()
			case s == syscall.SIGINT || s == syscall.SIGTERM:
				impatience++
				r.pass(s, impatience >= 3)
			default:
				r.pass(s, false)
			}
		}
	}()
	return caught
}

func (r *run) pass(s syscall.Signal, kill bool) {
	switch {
	case kill:
		r.proc.Kill()
	case r.SigProxy:
		r.proc.Signal(s)
	}
}

// dieOf does what s does to a process that doesn't handle it.
func (r *run) dieOf(s syscall.Signal) {
	if s == syscall.SIGWINCH || s == syscall.SIGCONT {
		return
	}
	r.front.Restore()
	signal.Reset(s)
	unix.Kill(unix.Getpid(), s)
}

// proxied are those that mean something to a program from outside, with systemd's SIGRTMIN+3 (halt) and +4 (power off).
func proxied() []os.Signal {
	return []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2,
		syscall.SIGCONT, syscall.SIGWINCH, syscall.SIGALRM, syscall.SIGPWR, syscall.Signal(37), syscall.Signal(38)}
}

// watchReader does for a PID 1 what the kernel does for any other process that writes to a pipe without a reader: SIGPIPE
// ends it. The kernel spares a PID 1, which would write into the void for ever (`rl run … | head -1`). A program that
// handles or ignores SIGPIPE is left alone.
func watchReader(r *run) {
	if !r.front.Direct() || !plan.HasNew(r.spec.Spec, specs.PIDNamespace) {
		return
	}
	fds := []unix.PollFd{{Fd: 1}}
	for {
		_, err := unix.Poll(fds, -1)
		if err == unix.EINTR {
			continue
		}
		if err != nil || fds[0].Revents&unix.POLLERR == 0 || !diesOfSIGPIPE(r.proc.Pid) {
			return
		}
		r.brokenPipe.Store(true)
		r.proc.Kill()
		return
	}
}

// diesOfSIGPIPE tells whether the process has left SIGPIPE at its default (proc(5), SigIgn and SigCgt of /proc/PID/status).
func diesOfSIGPIPE(pid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return false
	}
	for line := range strings.SplitSeq(string(b), "\n") {
		name, value, _ := strings.Cut(line, ":\t")
		if name != "SigIgn" && name != "SigCgt" {
			continue
		}
		set, err := strconv.ParseUint(value, 16, 64)
		if err != nil || set&(1<<(unix.SIGPIPE-1)) != 0 {
			return false
		}
	}
	return true
}
