// Package shell is the POSIX shell of rl-tiny: the interpreter of mvdan.cc/sh with processes, signals and a terminal.
package shell

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"

	"github.com/rl-containers/rl/cmd/rl-tiny/internal/tool"
)

type shell struct {
	name      string // $0
	runner    *interp.Runner
	children  children
	tail      syntax.Pos // of a command that is all of the program: it takes the place of the shell
	isProgram func(string) bool

	mu      sync.Mutex
	traps   map[syscall.Signal]string
	pending []syscall.Signal
	signals chan os.Signal
	woken   chan syscall.Signal // the same, for wait
	base    func(syscall.Signal)
	sourced []*os.File
	cancel  context.CancelFunc // ends the interactive command that runs
	stop    <-chan struct{}
}

// request is the command line.
type request struct {
	set         []string // options of set: -e, +x, -o pipefail
	text        string   // of -c
	isText      bool
	job         bool // --background: -c, with a state to read
	interactive bool
	name        string // $0
	file        string // a script; "" with -c and for the standard input
	params      []string
}

// Main is sh(1). isProgram tells whether a name is one of the small programs of this binary.
func Main(args []string, isProgram func(string) bool) int {
	req, err := parse(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "sh:", err)
		return 2
	}
	s := &shell{name: req.name, isProgram: isProgram, traps: map[syscall.Signal]string{}, signals: make(chan os.Signal, 16), woken: make(chan syscall.Signal, 1)}
	if err := s.open(req); err != nil {
		fmt.Fprintln(os.Stderr, "sh:", err)
		return 2
	}
	s.listen(req.interactive)
	switch {
	case req.job:
		return s.job(req.text)
	case req.isText:
		return s.text(req.text)
	case req.file != "":
		return s.script(req.file)
	case req.interactive:
		return s.statements(s.editor(), true)
	}
	return s.statements(func(string) (string, error) { return readLine(os.Stdin) }, false)
}

func parse(args []string) (*request, error) {
	req := &request{name: args[0]}
	args = args[1:]
	stdin := false
	for len(args) > 0 && len(args[0]) > 1 && (args[0][0] == '-' || args[0][0] == '+') {
		arg := args[0]
		args = args[1:]
		switch arg {
		case "--":
		case "--background":
			req.job, req.isText = true, true
		case "-o", "+o":
			if len(args) == 0 {
				return nil, errors.New("-o needs a name")
			}
			req.set, args = append(req.set, arg, args[0]), args[1:]
			continue
		default:
			stdin = req.letters(arg) || stdin
			continue
		}
		break
	}
	switch {
	case req.isText && len(args) == 0:
		return nil, errors.New("-c needs a command")
	case req.isText:
		req.text, args = args[0], args[1:]
		if len(args) > 0 {
			req.name, args = args[0], args[1:]
		}
	case len(args) > 0 && !stdin:
		req.name, req.file, args = args[0], args[0], args[1:]
	default:
		req.interactive = req.interactive || term.IsTerminal(0) && term.IsTerminal(2)
	}
	req.params = args
	return req, nil
}

// letters takes a word of options; it tells whether -s was among them.
func (req *request) letters(arg string) (stdin bool) {
	for _, c := range arg[1:] {
		switch c {
		case 'c':
			req.isText = true
		case 's':
			stdin = true
		case 'i':
			req.interactive = true
		case 'l', 'm': // a login shell reads no profile here; there is no job control
		default:
			req.set = append(req.set, arg[:1]+string(c))
		}
	}
	return stdin
}

// hidden is the environment with the variables that stand for $0 and $$.
type hidden struct {
	expand.Environ
	name string
}

func (h hidden) Get(name string) expand.Variable {
	switch name {
	case varName:
		return expand.Variable{Set: true, Kind: expand.String, Str: h.name}
	case varPid:
		return expand.Variable{Set: true, Kind: expand.String, Str: strconv.Itoa(os.Getpid())}
	}
	return h.Environ.Get(name)
}

func (h hidden) Each(f func(string, expand.Variable) bool) {
	for _, name := range []string{varName, varPid} {
		if !f(name, h.Get(name)) {
			return
		}
	}
	h.Environ.Each(f)
}

func (s *shell) open(req *request) (err error) {
	dir := ""
	if _, err := os.Getwd(); err != nil {
		dir = "/" // the directory is gone
	}
	s.runner, err = interp.New(
		interp.Env(hidden{expand.ListEnviron(os.Environ()...), req.name}), interp.Dir(dir),
		interp.StdIO(os.Stdin, os.Stdout, os.Stderr),
		interp.Interactive(true), // aliases
		interp.CallHandler(s.call),
		interp.ExecHandlers(func(interp.ExecHandlerFunc) interp.ExecHandlerFunc { return s.exec }),
		interp.Params(append(append(req.set, "--"), req.params...)...))
	return err
}

// listen hears the signals that have a trap.
func (s *shell) listen(interactive bool) {
	first := os.Getpid() == 1
	if first {
		s.children.watch()
	}
	if first || interactive {
		s.base = func(sig syscall.Signal) { s.baseSignal(sig, interactive) }
		for _, sig := range []syscall.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGQUIT, unix.SIGHUP, unix.SIGPIPE} {
			s.base(sig)
		}
	}
	go func() {
		for sig := range s.signals {
			s.heard(sig.(syscall.Signal), interactive)
		}
	}()
}

// baseSignal is what a signal without a trap does. PID 1 has no default actions (pid_namespaces(7)): it ends by itself.
func (s *shell) baseSignal(sig syscall.Signal, interactive bool) {
	if interactive && (sig == unix.SIGTERM || sig == unix.SIGQUIT) {
		// Caught and dropped, as an ignored one would be ignored by children too.
		signal.Notify(make(chan os.Signal, 1), sig)
		return
	}
	signal.Notify(s.signals, sig)
}

func (s *shell) heard(sig syscall.Signal, interactive bool) {
	s.mu.Lock()
	_, trapped := s.traps[sig]
	if trapped {
		s.pending = append(s.pending, sig)
	}
	cancel := s.cancel
	s.mu.Unlock()
	switch {
	case trapped:
		select {
		case s.woken <- sig:
		default:
		}
	case sig == unix.SIGPIPE: // the write that failed tells
	case sig == unix.SIGINT && interactive:
		if cancel != nil {
			cancel()
		}
	default:
		s.die(sig)
	}
}

// die ends the shell by a signal.
func (s *shell) die(sig syscall.Signal) {
	if os.Getpid() != 1 {
		signal.Reset(sig)
		syscall.Kill(os.Getpid(), sig)
		if sig == unix.SIGSTOP || sig == unix.SIGCONT || sig == unix.SIGCHLD || sig == unix.SIGWINCH || sig == unix.SIGURG {
			return
		}
		select {} // until it arrives
	}
	os.Exit(128 + int(sig))
}

func (s *shell) interrupted() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stop
}

// settle looks at the end of a program that ran in the foreground: one that Ctrl-C ended takes a script with it.
func (s *shell) settle(end syscall.WaitStatus) {
	if end.Signaled() && end.Signal() == unix.SIGINT && s.base == nil {
		s.mu.Lock()
		_, trapped := s.traps[unix.SIGINT]
		s.mu.Unlock()
		if !trapped {
			s.die(unix.SIGINT)
		}
	}
}

// text runs a program that is all there.
func (s *shell) text(text string) int {
	f, err := newParser().Parse(strings.NewReader(text), s.name)
	if err != nil {
		return syntaxError(err)
	}
	if len(f.Stmts) == 1 && !fed(f) {
		s.tail = tail(f.Stmts[0])
	}
	rewrite(f, !fed(f))
	return s.end(s.runner.Run(context.Background(), f))
}

// tail is where a program that is only one command of a fixed name begins. No process need wait for that one.
func tail(st *syntax.Stmt) syntax.Pos {
	call, ok := st.Cmd.(*syntax.CallExpr)
	if !ok || st.Negated || st.Background || len(call.Args) == 0 {
		return syntax.Pos{}
	}
	switch name := call.Args[0].Lit(); name {
	case "", "eval", ".", "source", "command", "builtin", "trap", "exec":
		return syntax.Pos{}
	}
	return call.Args[0].Pos()
}

// job is the other side of shell.background.
func (s *shell) job(text string) int {
	signal.Ignore(unix.SIGINT, unix.SIGQUIT) // POSIX 2.11
	state := os.NewFile(3, "state")
	script, err := io.ReadAll(state)
	state.Close()
	if err != nil {
		fmt.Fprintln(os.Stderr, "sh:", err)
		return 2
	}
	f, err := newParser().Parse(bytes.NewReader(script), s.name)
	if err != nil {
		return syntaxError(err)
	}
	for _, st := range f.Stmts {
		s.runner.Run(context.Background(), st)
	}
	return s.text(text)
}

func (s *shell) script(path string) int {
	text, err := os.ReadFile(path)
	if err != nil {
		fmt.Fprintf(os.Stderr, "sh: %s\n", tool.Reason(err))
		if errors.Is(err, unix.ENOENT) {
			return 127
		}
		return 126
	}
	f, err := newParser().Parse(bytes.NewReader(text), path)
	if err != nil {
		return syntaxError(err)
	}
	rewrite(f, !fed(f))
	return s.end(s.runner.Run(context.Background(), f))
}

// end is the end of the program: actions that are due are still run.
func (s *shell) end(err error) int {
	for !s.runner.Exited() {
		action, ok := s.due()
		if !ok {
			break
		}
		f, bad := newParser().Parse(strings.NewReader(action), "trap")
		if bad != nil {
			break
		}
		for _, st := range f.Stmts {
			if e := s.runner.Run(context.Background(), st); s.runner.Exited() {
				err = e
				break
			}
		}
	}
	return s.finish(err)
}

// finish is the exit code of what the interpreter returned last.
func (s *shell) finish(err error) int {
	var n interp.ExitStatus
	if err != nil && !errors.As(err, &n) {
		fmt.Fprintln(os.Stderr, "sh:", err)
	}
	return exitCode(err)
}

func syntaxError(err error) int {
	fmt.Fprintf(os.Stderr, "sh: syntax error: %s\n", err)
	return 2
}
