package container

import (
	"os"
	"os/signal"
	"syscall"
)

// forwardSignals passes rl's signals to the program, as docker does; the kernel drops those for which a PID 1 has no
// handler. The third SIGINT or SIGTERM kills: somebody means it. SIGTSTP and its family stay with rl, which the shell's
// job control stops and continues alone.
func forwardSignals(r *run) {
	signals := make(chan os.Signal, 64)
	signal.Notify(signals)
	signal.Reset(syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGPIPE)
	go func() {
		impatience := 0
		for s := range signals {
			switch s {
			case syscall.SIGCHLD, syscall.SIGURG, syscall.SIGPIPE: // rl's own: the child's end, the Go runtime, a closed output
				continue
			case syscall.SIGWINCH:
				r.stdio.resize()
				continue
			case syscall.SIGINT, syscall.SIGTERM:
				if impatience++; impatience == 3 {
					s = syscall.SIGKILL
				}
			}
			if r.SigProxy || s == syscall.SIGKILL {
				r.proc.Signal(s)
			}
		}
	}()
}
