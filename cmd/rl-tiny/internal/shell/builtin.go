package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
	"mvdan.cc/sh/v3/interp"

	"github.com/rl-containers/rl/cmd/rl-tiny/internal/tool"
)

// call sees every simple command before it is run, and may put another in its place.
func (s *shell) call(ctx context.Context, args []string) ([]string, error) {
	hc := interp.HandlerCtx(ctx)
	if action, ok := s.due(); ok {
		// The action, then the command; its $? is the one of before.
		return []string{"eval", action + "\n" + cmdStatus + " " + strconv.Itoa(hc.LastExitStatus) + "\n" + quoteAll(args)}, nil
	}
	if s.runner.Funcs[args[0]] != nil { // a function goes before a builtin
		return args, nil
	}
	switch args[0] {
	case "echo":
		args[0] = cmdEcho
	case "printf":
		if len(args) > 1 && args[1] != "-v" {
			args[0] = cmdPrintf
		}
	case "wait":
		args[0] = cmdWait
	case "kill":
		args[0] = cmdKill
	case "umask":
		args[0] = cmdUmask
	case "ulimit":
		args[0] = cmdUlimit
	case "jobs", "fg", "bg":
		fmt.Fprintf(hc.Stderr, "sh: %s: no job control\n", args[0])
		return []string{"false"}, nil
	case "eval":
		return []string{"eval", rewriteText(strings.Join(args[1:], " "))}, nil
	case ".", "source":
		return s.source(hc, args), nil
	case "trap":
		return s.trap(hc, args[1:]), nil
	}
	return args, nil
}

// print is echo and printf in one write: what others print at the same moment doesn't come between.
func (s *shell) print(ctx context.Context, hc interp.HandlerContext, name string, format func([]string) (string, error), args []string) error {
	out, err := format(args)
	if err != nil {
		fmt.Fprintf(hc.Stderr, "sh: %s: %s\n", name, err)
	}
	_, broken := io.WriteString(hc.Stdout, out)
	switch {
	case errors.Is(broken, unix.EPIPE):
		// The signal that ends a process here can't end a subshell: it has no process of its own.
		return hc.Builtin(ctx, []string{"exit", strconv.Itoa(128 + int(unix.SIGPIPE))})
	case broken != nil:
		fmt.Fprintf(hc.Stderr, "sh: %s: write error: %s\n", name, tool.Reason(broken))
		return status(1)
	case err != nil:
		return status(1)
	}
	return nil
}

// source is "." with the text of the file rewritten; the interpreter reads the result from memory.
func (s *shell) source(hc interp.HandlerContext, args []string) []string {
	if len(args) < 2 {
		return args
	}
	path := args[1]
	if !strings.Contains(path, "/") {
		for _, dir := range filepath.SplitList(hc.Env.Get("PATH").String()) {
			if full := filepath.Join(dir, path); unix.Access(full, unix.R_OK) == nil {
				path = full
				break
			}
		}
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(hc.Dir, path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return args
	}
	fd, err := unix.MemfdCreate("source", unix.MFD_CLOEXEC)
	if err != nil {
		return args
	}
	f := os.NewFile(uintptr(fd), path)
	s.mu.Lock()
	s.sourced = append(s.sourced, f) // open until the interpreter has it, that is, for good
	s.mu.Unlock()
	f.WriteString(rewriteText(string(text)))
	return append([]string{args[0], fmt.Sprintf("/proc/self/fd/%d", fd)}, args[2:]...)
}

// trap keeps the actions of signals; those of EXIT and ERR are the interpreter's.
func (s *shell) trap(hc interp.HandlerContext, args []string) []string {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		s.mu.Lock()
		defer s.mu.Unlock()
		for sig, action := range s.traps {
			fmt.Fprintf(hc.Stdout, "trap -- %s %s\n", quote(action), tool.SignalName(sig))
		}
		return []string{"trap"}
	}
	action, names := args[0], args[1:]
	if len(names) == 0 {
		action, names = "-", args
	} else if n, err := strconv.Atoi(action); err == nil && n >= 0 { // "trap 2 15" resets both
		action, names = "-", args
	}
	rest := []string{"trap", "--", rewriteText(action)}
	if action == "-" {
		rest[2] = "-"
	}
	for _, name := range names {
		if name == "0" || strings.EqualFold(name, "EXIT") {
			rest = append(rest, "EXIT")
		} else if name == "ERR" {
			rest = append(rest, name)
		} else if sig, ok := tool.Signal(name); !ok {
			fmt.Fprintf(hc.Stderr, "sh: trap: %s: bad trap\n", name)
			return []string{"false"}
		} else {
			s.setTrap(sig, action)
		}
	}
	if len(rest) == 3 {
		return []string{"true"}
	}
	return rest
}

func (s *shell) setTrap(sig syscall.Signal, action string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.traps, sig)
	switch action {
	case "-":
		signal.Reset(sig)
		if s.base != nil {
			s.base(sig)
		}
	case "":
		s.traps[sig] = ""
		signal.Ignore(sig)
	default:
		s.traps[sig] = rewriteText(action)
		signal.Notify(s.signals, sig)
	}
}

// due is the action of a signal that came, once.
func (s *shell) due() (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pending) == 0 {
		return "", false
	}
	sig := s.pending[0]
	s.pending = s.pending[1:]
	return s.traps[sig], s.traps[sig] != ""
}

// wait waits for background jobs, until a trapped signal comes.
func (s *shell) wait(hc interp.HandlerContext, args []string) error {
	pids := s.children.pids()
	if len(args) > 0 {
		pids = nil
		for _, a := range args {
			pid, err := strconv.Atoi(a)
			if err != nil || s.children.job(pid) == nil {
				fmt.Fprintf(hc.Stderr, "sh: wait: %s: no such job\n", a)
				return status(127)
			}
			pids = append(pids, pid)
		}
	}
	last := 0
	for _, pid := range pids {
		j := s.children.job(pid)
		if j == nil {
			continue
		}
		select {
		case <-j.done:
			last = code(j.status)
			s.children.forget(pid)
		case sig := <-s.woken:
			return status(128 + int(sig))
		case <-s.interrupted():
			return status(128 + int(unix.SIGINT))
		}
	}
	if len(args) == 0 {
		last = 0
	}
	return status(last)
}

// kill is a builtin, so that what the shell sends itself is there before its next command.
func (s *shell) kill(hc interp.HandlerContext, args []string) error {
	sig := unix.SIGTERM
	if len(args) > 0 && (args[0] == "-l" || args[0] == "-L") {
		return listSignals(hc, args[1:])
	}
	if len(args) > 1 && (args[0] == "-s" || args[0] == "-n") {
		args = append([]string{"-" + args[1]}, args[2:]...)
	}
	if len(args) > 0 && strings.HasPrefix(args[0], "-") && args[0] != "--" {
		var ok bool
		if sig, ok = tool.Signal(args[0][1:]); !ok {
			fmt.Fprintf(hc.Stderr, "sh: kill: %s: no such signal\n", args[0][1:])
			return status(1)
		}
		args = args[1:]
	}
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		fmt.Fprintln(hc.Stderr, "usage: kill [-s SIGNAL | -SIGNAL] PID...")
		return status(2)
	}
	failed := 0
	for _, a := range args {
		pid, err := strconv.Atoi(a)
		if err == nil {
			err = s.send(pid, sig)
		}
		if err != nil {
			fmt.Fprintf(hc.Stderr, "sh: kill: %s: %s\n", a, tool.Reason(err))
			failed = 1
		}
	}
	return status(failed)
}

func (s *shell) send(pid int, sig syscall.Signal) error {
	if pid != os.Getpid() {
		return syscall.Kill(pid, sig)
	}
	s.mu.Lock()
	action, trapped := s.traps[sig]
	if trapped && action != "" {
		s.pending = append(s.pending, sig)
	}
	s.mu.Unlock()
	if trapped || sig == 0 {
		return nil
	}
	s.die(sig)
	return nil
}

func listSignals(hc interp.HandlerContext, args []string) error {
	for _, a := range args {
		n, err := strconv.Atoi(a)
		if err != nil {
			sig, _ := tool.Signal(a)
			fmt.Fprintln(hc.Stdout, int(sig))
			continue
		}
		fmt.Fprintln(hc.Stdout, tool.SignalName(syscall.Signal(n&127)))
	}
	if len(args) > 0 {
		return nil
	}
	var names []string
	for n := syscall.Signal(1); n < 32; n++ {
		names = append(names, tool.SignalName(n))
	}
	fmt.Fprintln(hc.Stdout, strings.Join(names, " "))
	return nil
}

func umask(hc interp.HandlerContext, args []string) error {
	if len(args) == 0 {
		old := unix.Umask(0)
		unix.Umask(old)
		fmt.Fprintf(hc.Stdout, "%04o\n", old)
		return nil
	}
	n, err := strconv.ParseUint(args[0], 8, 9)
	if err != nil {
		fmt.Fprintf(hc.Stderr, "sh: umask: %s: give an octal number\n", args[0])
		return status(1)
	}
	unix.Umask(int(n))
	return nil
}

// limits are the resources of ulimit: letter, number, unit of its values in bytes, name.
func limits() []limit {
	return []limit{
		{'c', unix.RLIMIT_CORE, 512, "core file size (blocks)"}, {'d', unix.RLIMIT_DATA, 1024, "data seg size (kb)"},
		{'e', unix.RLIMIT_NICE, 1, "scheduling priority"}, {'f', unix.RLIMIT_FSIZE, 512, "file size (blocks)"},
		{'i', unix.RLIMIT_SIGPENDING, 1, "pending signals"}, {'l', unix.RLIMIT_MEMLOCK, 1024, "max locked memory (kb)"},
		{'m', unix.RLIMIT_RSS, 1024, "max memory size (kb)"}, {'n', unix.RLIMIT_NOFILE, 1, "open files"},
		{'q', unix.RLIMIT_MSGQUEUE, 1, "POSIX message queues (bytes)"}, {'r', unix.RLIMIT_RTPRIO, 1, "real-time priority"},
		{'s', unix.RLIMIT_STACK, 1024, "stack size (kb)"}, {'t', unix.RLIMIT_CPU, 1, "cpu time (seconds)"},
		{'u', unix.RLIMIT_NPROC, 1, "max user processes"}, {'v', unix.RLIMIT_AS, 1024, "address space (kb)"},
	}
}

type limit struct {
	letter   byte
	resource int
	unit     uint64
	name     string
}

func ulimit(hc interp.HandlerContext, args []string) error {
	letter, hard, soft := byte('f'), false, false
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		for _, c := range []byte(args[0][1:]) {
			switch c {
			case 'H':
				hard = true
			case 'S':
				soft = true
			default:
				letter = c
			}
		}
		args = args[1:]
	}
	if letter == 'a' {
		for _, l := range limits() {
			fmt.Fprintf(hc.Stdout, "-%c: %-30s %s\n", l.letter, l.name, l.get(hard))
		}
		return nil
	}
	i := slices.IndexFunc(limits(), func(l limit) bool { return l.letter == letter })
	if i < 0 {
		fmt.Fprintf(hc.Stderr, "sh: ulimit: unknown option -%c\n", letter)
		return status(2)
	}
	l := limits()[i]
	if len(args) == 0 {
		fmt.Fprintln(hc.Stdout, l.get(hard))
		return nil
	}
	if err := l.set(args[0], hard || !soft, soft || !hard); err != nil {
		fmt.Fprintf(hc.Stderr, "sh: ulimit: %s: %s\n", args[0], tool.Reason(err))
		return status(1)
	}
	return nil
}

func (l limit) get(hard bool) string {
	var r unix.Rlimit
	if err := unix.Getrlimit(l.resource, &r); err != nil {
		return err.Error()
	}
	v := r.Cur
	if hard {
		v = r.Max
	}
	if v == unix.RLIM_INFINITY {
		return "unlimited"
	}
	return strconv.FormatUint(v/l.unit, 10)
}

func (l limit) set(value string, hard, soft bool) error {
	v := uint64(unix.RLIM_INFINITY)
	if value != "unlimited" {
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			return err
		}
		v = n * l.unit
	}
	var r syscall.Rlimit
	if err := syscall.Getrlimit(l.resource, &r); err != nil {
		return err
	}
	if hard {
		r.Max = v
	}
	if soft {
		r.Cur = v
	}
	// Not unix.Setrlimit: package syscall must know, or it gives children the limit of open files that it found at start.
	return syscall.Setrlimit(l.resource, &r)
}
