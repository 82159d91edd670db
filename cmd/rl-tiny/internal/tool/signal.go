package tool

import (
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Signal parses TERM, SIGTERM or 15.
func Signal(name string) (syscall.Signal, bool) {
	if n, err := strconv.Atoi(name); err == nil {
		return syscall.Signal(n), n >= 0 && n <= 64
	}
	n := unix.SignalNum("SIG" + strings.TrimPrefix(strings.ToUpper(name), "SIG"))
	return n, n != 0
}

// SignalName is the name without SIG, or the number.
func SignalName(s syscall.Signal) string {
	if name := unix.SignalName(s); name != "" {
		return strings.TrimPrefix(name, "SIG")
	}
	return strconv.Itoa(int(s))
}

// FirstProcess makes PID 1 of a namespace end at the signals that end any other process: the kernel does it to everybody
// but the first (pid_namespaces(7)), and the Go runtime has no better word for them than exit code 2.
func FirstProcess() {
	if os.Getpid() != 1 {
		return
	}
	signal.Ignore(unix.SIGPIPE)
	c := make(chan os.Signal, 1)
	signal.Notify(c, unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT)
	go func() { os.Exit(128 + int((<-c).(syscall.Signal))) }()
}
