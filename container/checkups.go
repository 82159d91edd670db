package container

import (
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/rl-containers/rl/spec"
	"github.com/rl-containers/rl/sys"
)

// checkups let a container be checked from its start on until they are ended.
type checkups struct {
	dir string
	// every and early are the Interval and StartInterval of spec.Health; early goes on for so long.
	every, early, period time.Duration
	// unhealthy is called once, after a check that found it so, unless it is nil. No other follows.
	unhealthy func()
	// settle gives back what a check took of this process's memory.
	settle func()

	mu   sync.Mutex
	argv []string
	attr *syscall.ProcAttr
	null *os.File     // of attr
	proc *sys.Process // of the check that is under way
	over chan struct{}
	done chan struct{}
}

// begin starts them. The first comes at once, as with podman.
func (c *checkups) begin() {
	c.over, c.done = make(chan struct{}), make(chan struct{})
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		close(c.done)
		return
	}
	// What it needs of the environment is little, and copied for each.
	c.attr = &syscall.ProcAttr{Dir: "/", Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, Files: sys.Descriptors(null, null, null)}
	c.null, c.argv = null, []string{CheckName, c.dir}
	go c.run()
}

// end ends them, and what is under way of one. A container without a check has none to end.
func (c *checkups) end() {
	if c == nil {
		return
	}
	c.mu.Lock()
	close(c.over)
	if c.proc != nil {
		c.proc.Kill()
	}
	c.mu.Unlock()
	<-c.done
}

func (c *checkups) run() {
	defer close(c.done)
	for began := time.Now(); ; {
		if c.once() && c.unhealthy != nil {
			c.unhealthy()
			return
		}
		pause := c.every
		if c.early > 0 && time.Since(began) < c.period {
			pause = c.early
		}
		wait := time.NewTimer(pause)
		select {
		case <-wait.C:
		case <-c.over:
			wait.Stop()
			return
		}
	}
}

// once makes a check and tells whether the container is unhealthy.
func (c *checkups) once() bool {
	p := c.start()
	if p == nil {
		return false
	}
	status, err := p.WaitIdle()
	c.mu.Lock()
	c.proc = nil
	c.mu.Unlock()
	p.Close()
	if c.settle != nil {
		c.settle()
	}
	return err == nil && status.ExitStatus() == unhealthyCode
}

func (c *checkups) start() *sys.Process {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.over:
		return nil
	default:
	}
	c.proc, _ = sys.StartProcess("/proc/self/exe", c.argv, c.attr)
	return c.proc
}

// checkups are those of a program that runs in the foreground; nil: it has none.
func (r *run) checkups() *checkups {
	h := r.spec.Health
	if h == nil || h.Interval <= 0 {
		return nil
	}
	c := &checkups{dir: r.dir.Dir, every: h.Interval, early: h.StartInterval, period: h.StartPeriod}
	switch r.spec.HealthOnFailure {
	case "kill":
		c.unhealthy = func() { r.proc.Kill() }
	case "stop":
		c.unhealthy = func() { stopProcess(r.proc.Process, r.spec.StopSignal, r.StopTimeout) }
	}
	c.begin()
	return c
}

// checkups are those of a container with a monitor; nil: it has none.
func (w *watcher) startCheckups() {
	if w.CheckEvery <= 0 {
		return
	}
	w.checks = &checkups{dir: w.dir.Dir, every: w.CheckEvery, early: w.CheckEarly, period: w.StartPeriod, settle: w.slim.checked}
	if w.OnFailure != "" {
		w.checks.unhealthy = w.punish
	}
	w.checks.begin()
}

// punish is what --health-on-failure wants. To kill and to stop are for good, as with podman, whatever the restart policy.
func (w *watcher) punish() {
	if w.OnFailure == "restart" {
		w.renew.Store(true)
	} else {
		w.dir.AskStop()
	}
	if w.OnFailure == "kill" {
		w.proc.Kill()
		return
	}
	stopProcess(w.proc, w.StopSignal, w.StopTimeout)
}

// stopProcess sends the stop signal, and kills what has not ended after so many seconds.
func stopProcess(p *sys.Process, sig string, seconds int) {
	p.Signal(signalOf(sig))
	time.AfterFunc(time.Duration(seconds)*time.Second, func() { p.Kill() })
}

// tellHealth is what the watching program must know of a health check.
func (h *handle) tellHealth(c *spec.Container) {
	if c.Health != nil {
		h.CheckEvery, h.CheckEarly, h.StartPeriod, h.OnFailure = c.Health.Interval, c.Health.StartInterval, c.Health.StartPeriod, c.HealthOnFailure
	}
}
