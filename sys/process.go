package sys

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Process is a child of this process, by pidfd: a signal can't hit another process that got its number.
type Process struct {
	Pid   int
	pidfd int
}

// StartProcess executes path with argv in a child. It is os.StartProcess without the fork by which package os first learns
// whether the kernel has pidfds; Linux 5.4 and later do.
func StartProcess(path string, argv []string, attr *syscall.ProcAttr) (*Process, error) {
	p := &Process{pidfd: -1}
	if attr.Sys == nil {
		attr.Sys = &syscall.SysProcAttr{}
	}
	attr.Sys.PidFD = &p.pidfd
	pid, _, err := syscall.StartProcess(path, argv, attr)
	if err != nil {
		return nil, &os.PathError{Op: "execute", Path: path, Err: err}
	}
	p.Pid = pid
	return p, nil
}

// Signal sends s. A process that has ended is no error.
func (p *Process) Signal(s syscall.Signal) error {
	err := unix.PidfdSendSignal(p.pidfd, s, nil, 0)
	if err == unix.ESRCH {
		return nil
	}
	return os.NewSyscallError("pidfd_send_signal", err)
}

// Kill sends SIGKILL.
func (p *Process) Kill() error { return p.Signal(unix.SIGKILL) }

// Wait waits for the end and reaps. It is called once.
func (p *Process) Wait() (syscall.WaitStatus, error) {
	var status syscall.WaitStatus
	for {
		_, err := syscall.Wait4(p.Pid, &status, 0, nil)
		if err == nil {
			return status, nil
		}
		if err != syscall.EINTR {
			return status, os.NewSyscallError("wait4", err)
		}
	}
}

// Describe is how a process ended, in words.
func Describe(status syscall.WaitStatus) string {
	if status.Signaled() {
		return "signal: " + status.Signal().String()
	}
	return fmt.Sprintf("exit status %d", status.ExitStatus())
}

// Descriptors are the numbers of files, for syscall.ProcAttr.
func Descriptors(files ...*os.File) []uintptr {
	fds := make([]uintptr, len(files))
	for i, f := range files {
		fds[i] = f.Fd()
	}
	return fds
}
