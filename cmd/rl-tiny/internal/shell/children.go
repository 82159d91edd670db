package shell

import (
	"os"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// children knows every process that the shell started. One place waits for all, so that as PID 1 the shell also takes away
// the orphans that are given to it.
type children struct {
	mu      sync.Mutex
	once    sync.Once
	running map[int]chan syscall.WaitStatus
	jobs    map[int]*job // of the background
	order   []int
}

// job is one background process; its status is valid when done is closed.
type job struct {
	done   chan struct{}
	status syscall.WaitStatus
}

// watch starts to wait; before the first child there is no need to.
func (c *children) watch() {
	c.once.Do(func() {
		c.running = map[int]chan syscall.WaitStatus{}
		ended := make(chan os.Signal, 1)
		signal.Notify(ended, unix.SIGCHLD)
		go func() {
			for range ended {
				c.reap()
			}
		}()
	})
}

func (c *children) reap() {
	for {
		var status syscall.WaitStatus
		c.mu.Lock() // a child is known before its end is looked at
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		done := c.running[pid]
		if pid > 0 {
			delete(c.running, pid)
		}
		c.mu.Unlock()
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		if done != nil {
			done <- status
		}
	}
}

func (c *children) start(path string, argv []string, attr *syscall.ProcAttr) (int, chan syscall.WaitStatus, error) {
	c.watch()
	c.mu.Lock()
	defer c.mu.Unlock()
	pid, err := syscall.ForkExec(path, argv, attr)
	if err != nil {
		return 0, nil, err
	}
	done := make(chan syscall.WaitStatus, 1)
	c.running[pid] = done
	return pid, done, nil
}

// add makes a started child a background job.
func (c *children) add(pid int, done chan syscall.WaitStatus) {
	j := &job{done: make(chan struct{})}
	c.mu.Lock()
	if c.jobs == nil {
		c.jobs = map[int]*job{}
	}
	c.jobs[pid] = j
	c.order = append(c.order, pid)
	c.mu.Unlock()
	go func() {
		j.status = <-done
		close(j.done)
	}()
}

func (c *children) job(pid int) *job {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.jobs[pid]
}

// pids are the background jobs that nobody waited for, the oldest first.
func (c *children) pids() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]int(nil), c.order...)
}

func (c *children) forget(pid int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.jobs, pid)
	for i, p := range c.order {
		if p == pid {
			c.order = append(c.order[:i], c.order[i+1:]...)
			break
		}
	}
}

// code is a wait status as $? shows it.
func code(s syscall.WaitStatus) int {
	if s.Signaled() {
		return 128 + int(s.Signal())
	}
	return s.ExitStatus()
}
