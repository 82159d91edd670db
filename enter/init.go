package enter

import (
	"errors"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
)

// InitMain is the role rl-init, PID 1 of a container with --init: it starts the program (arguments: the file, then argv),
// forwards signals to it, reaps whatever is orphaned, and ends as the program ends.
func InitMain() int {
	signals := make(chan os.Signal, 64)
	signal.Notify(signals)
	child, err := os.StartProcess(os.Args[1], os.Args[2:], &os.ProcAttr{
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
		Sys:   &syscall.SysProcAttr{Setpgid: true, Foreground: foreground(), Ctty: 0},
	})
	if err != nil {
		err = explainExec(os.Args[1], errors.Unwrap(err))
		hint.Print(os.Stderr, "rl-init", err)
		var exit *hint.Exit
		errors.As(err, &exit)
		return exit.Code
	}
	go forward(signals, child.Pid)
	return reap(child.Pid)
}

// foreground: with a terminal, the program's process group must be the one that may read it.
func foreground() bool {
	_, err := unix.IoctlGetInt(0, unix.TIOCGPGRP)
	return err == nil
}

func forward(signals <-chan os.Signal, pid int) {
	for s := range signals {
		switch s {
		case syscall.SIGCHLD, syscall.SIGURG: // ours: a child ended; the Go runtime's own
		default:
			syscall.Kill(pid, s.(syscall.Signal))
		}
	}
}

// reap waits for all children until pid ended, and returns its exit code.
func reap(pid int) int {
	for {
		var ws unix.WaitStatus
		got, err := unix.Wait4(-1, &ws, 0, nil)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return 125
		case got == pid && ws.Exited():
			return ws.ExitStatus()
		case got == pid && ws.Signaled():
			return 128 + int(ws.Signal())
		}
	}
}
