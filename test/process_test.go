package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// process is a command in the background, by name: start, output, signal, finish.
type process struct {
	cmd      *exec.Cmd
	out, err buffer
	done     chan struct{}
	waitErr  error
}

// buffer is a bytes.Buffer that is read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// start NAME CMD…: runs a command in the background, with an open but silent stdin.
func cmdStart(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "start NAME CMD [ARG…]")
	s := stateOf(ts)
	if s.started[args[0]] != nil {
		ts.Fatalf("%s runs already", args[0])
	}
	p := &process{cmd: scriptCommand(ts, args[1:]), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.err
	ts.Check(p.cmd.Start())
	go func() {
		p.waitErr = p.cmd.Wait()
		close(p.done)
	}()
	s.started[args[0]] = p
}

// scriptCommand has the script's environment and working directory.
func scriptCommand(ts *testscript.TestScript, args []string) *exec.Cmd {
	program := args[0]
	if !strings.Contains(program, "/") {
		for _, dir := range strings.Split(ts.Getenv("PATH"), ":") {
			if info, err := os.Stat(dir + "/" + program); err == nil && info.Mode()&0o111 != 0 {
				program = dir + "/" + program
				break
			}
		}
	}
	cmd := exec.Command(program, args[1:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = environ(ts)
	cmd.WaitDelay = patience // what a killed command left may hold its pipes
	return cmd
}

// environ is what a script may have set of what rl looks at; testscript keeps the whole to itself.
func environ(ts *testscript.TestScript) []string {
	var env []string
	for _, name := range strings.Fields(`HOME USER LOGNAME SHELL LANG PATH TMPDIR TERM XDG_RUNTIME_DIR XDG_DATA_HOME
		XDG_CONFIG_HOME CONTAINERS_REGISTRIES_CONF RL_ROOTFS_DRIVER FOO`) {
		if v := ts.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}

func running(ts *testscript.TestScript, name string) *process {
	p := stateOf(ts).started[name]
	if p == nil {
		ts.Fatalf("nothing was started as %s", name)
	}
	return p
}

// output NAME REGEXP: waits until the command's stdout or stderr matches.
func cmdOutput(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "output NAME REGEXP")
	p, re := running(ts, args[0]), regexp.MustCompile("(?m)"+args[1])
	err := eventually(func() error {
		all := p.out.String() + p.err.String()
		if re.MatchString(all) {
			return nil
		}
		return fmt.Errorf("no %q in the output of %s so far: %q", args[1], args[0], all)
	})
	ts.Check(err)
}

// signal NAME SIGNAL, e.g. signal web TERM.
func cmdSignal(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "signal NAME SIGNAL")
	sig := unix.SignalNum("SIG" + args[1])
	if sig == 0 {
		ts.Fatalf("no signal %s", args[1])
	}
	ts.Check(running(ts, args[0]).cmd.Process.Signal(sig))
}

// killmonitor [-TERM] NAME: ends the rl that stays with a detached container, and waits for that.
func cmdKillMonitor(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1, "killmonitor [-TERM] NAME")
	sig := unix.SIGKILL
	if args[0] == "-TERM" {
		sig, args = unix.SIGTERM, args[1:]
	}
	id, err := os.Readlink(filepath.Join(ts.Getenv("DATA"), "names", args[0]))
	ts.Check(err)
	monitors := func() []proc {
		return processes(func(dir string) bool { return strings.HasPrefix(commandLine(dir), "rl-monitor "+id) })
	}
	var all []proc
	ts.Check(eventually(func() error { // while it executes its other program, its command line is empty
		if all = monitors(); len(all) != 1 {
			return fmt.Errorf("monitors of %s: %v", args[0], all)
		}
		return nil
	}))
	ts.Check(unix.Kill(all[0].pid, sig))
	ts.Check(eventually(func() error {
		if left := monitors(); len(left) > 0 {
			return fmt.Errorf("still there: %v", left[0])
		}
		return nil
	}))
}

// reboot: the power fails, and the machine comes up again. All processes of the script's containers are gone in one moment, which
// nobody saw; the kernel's boot id is another than theirs; the runtime directory, if the script has one, is new.
func cmdReboot(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 0, "reboot")
	states, err := filepath.Glob(filepath.Join(ts.Getenv("DATA"), "*", "*", "state.json"))
	ts.Check(err)
	for _, path := range states {
		cutPower(ts, path)
	}
	if dir := ts.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		ts.Check(os.RemoveAll(dir))
		ts.Check(os.Mkdir(dir, 0o700))
	}
}

// cutPower ends a container and its monitor, and makes its life one of another boot.
func cutPower(ts *testscript.TestScript, path string) {
	id, life := filepath.Base(filepath.Dir(path)), struct{ Pid int }{}
	b, err := os.ReadFile(path)
	ts.Check(err)
	ts.Check(json.Unmarshal(b, &life))
	all := func() []proc {
		return processes(func(dir string) bool {
			return dir == "/proc/"+strconv.Itoa(life.Pid) || strings.HasPrefix(commandLine(dir), "rl-monitor "+id)
		})
	}
	if !strings.Contains(string(b), `"Finished"`) {
		slow := all() // the monitor must not see the end of the other
		for _, sig := range []syscall.Signal{unix.SIGSTOP, unix.SIGKILL} {
			for _, p := range slow {
				ts.Check(unix.Kill(p.pid, sig))
			}
		}
	}
	ts.Check(eventually(func() error {
		if left := all(); len(left) > 0 && !strings.Contains(string(b), `"Finished"`) {
			return fmt.Errorf("still there: %v", left[0])
		}
		return nil
	}))
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	ts.Check(err)
	b = bytes.ReplaceAll(b, bytes.TrimSpace(boot), []byte("00000000-0000-4000-8000-000000000000"))
	ts.Check(os.WriteFile(path, b, 0o600))
}

// finish NAME [CODE]: waits for the end; the exit code must be CODE (0), or "KILL" for a death by that signal. Its stdout and
// stderr are those that the script looks at next.
func cmdFinish(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1, "finish NAME [CODE|SIGNAL]")
	p := running(ts, args[0])
	if err := eventually(p.ended); err != nil {
		ts.Fatalf("%s: %v; output so far: %q %q", args[0], err, p.out.String(), p.err.String())
	}
	delete(stateOf(ts).started, args[0])
	fmt.Fprint(ts.Stdout(), p.out.String())
	fmt.Fprint(ts.Stderr(), p.err.String())
	want := "0"
	if len(args) > 1 {
		want = args[1]
	}
	if got := ending(p.cmd.ProcessState); got != want {
		ts.Fatalf("%s ended with %s, want %s; stderr %q", args[0], got, want, p.err.String())
	}
}

func (p *process) ended() error {
	select {
	case <-p.done:
		return nil
	default:
		return errors.New("runs on")
	}
}

// ending is an exit code, or the name of the signal without SIG.
func ending(s *os.ProcessState) string {
	status := s.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return strings.TrimPrefix(unix.SignalName(status.Signal()), "SIG")
	}
	return strconv.Itoa(status.ExitStatus())
}

func ids(info os.FileInfo) (uid, gid uint32) {
	st := info.Sys().(*syscall.Stat_t)
	return st.Uid, st.Gid
}
