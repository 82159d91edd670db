package test

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// terminal is a pseudo terminal with a command on it, and everything that was printed so far.
type terminal struct {
	master, slave *os.File
	out           buffer
	seen          int // what expect has consumed
	done          chan struct{}
}

func openTerminal(rows, cols uint16) (*terminal, error) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, err
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		return nil, err
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	t := &terminal{master: master, slave: slave, done: make(chan struct{})}
	return t, t.resize(rows, cols)
}

func (t *terminal) resize(rows, cols uint16) error {
	return unix.IoctlSetWinsize(int(t.master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: cols})
}

// start runs cmd as the leader of a session on the terminal.
func (t *terminal) start(cmd *exec.Cmd) error {
	cmd.Stdin, cmd.Stdout, cmd.Stderr = t.slave, t.slave, t.slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	go func() {
		defer close(t.done)
		b := make([]byte, 4096)
		for {
			n, err := t.master.Read(b)
			t.out.Write(b[:n])
			if err != nil {
				return
			}
		}
	}()
	return cmd.Start()
}

func (t *terminal) expect(re *regexp.Regexp) error {
	return eventually(func() error {
		rest := t.out.String()[t.seen:]
		at := re.FindStringIndex(rest)
		if at == nil {
			return fmt.Errorf("no %q in %q", re, rest)
		}
		t.seen += at[1]
		return nil
	})
}

// pty [-exit CODE] FILE CMD…: runs a command on a terminal of 24 rows and 80 columns, as FILE says, line by line:
//
//	expect REGEXP     waits for it in what comes after the last match
//	send "TEXT"       a Go string: "\x03" is Ctrl-C, "\x10\x11" the detach keys
//	resize ROWS COLS
//
// What was printed becomes stdout. The terminal's modes must be those of before at the end.
func cmdPty(ts *testscript.TestScript, neg bool, args []string) {
	code := "0"
	if len(args) > 1 && args[0] == "-exit" {
		code, args = args[1], args[2:]
	}
	need(ts, neg, args, 2, "pty [-exit CODE] FILE CMD [ARG…]")
	t, err := openTerminal(24, 80)
	ts.Check(err)
	before, err := unix.IoctlGetTermios(int(t.slave.Fd()), unix.TCGETS)
	ts.Check(err)
	p := &process{cmd: scriptCommand(ts, args[1:]), done: make(chan struct{})}
	p.cmd.Env = append(p.cmd.Env, "TERM=xterm")
	ts.Check(t.start(p.cmd))
	go func() {
		p.cmd.Wait()
		close(p.done)
	}()
	err = t.follow(strings.TrimSpace(ts.ReadFile(args[0])))
	if err == nil {
		err = eventually(p.ended)
	}
	if err != nil {
		p.cmd.Process.Kill()
	}
	<-p.done
	after, termiosErr := unix.IoctlGetTermios(int(t.slave.Fd()), unix.TCGETS)
	t.slave.Close()
	if drained := eventually(t.drained); err == nil { // all of the output is here
		err = drained
	}
	t.master.Close()
	fmt.Fprint(ts.Stdout(), t.out.String())
	if err != nil {
		ts.Fatalf("%v; all of the output: %q", err, t.out.String())
	}
	ts.Check(termiosErr)
	if *before != *after {
		ts.Fatalf("the terminal was left in another mode: %+v, before %+v", *after, *before)
	}
	if got := ending(p.cmd.ProcessState); got != code {
		ts.Fatalf("ended with %s, want %s; output %q", got, code, t.out.String())
	}
}

// drained: nobody has the terminal open any more.
func (t *terminal) drained() error {
	select {
	case <-t.done:
		return nil
	default:
		return fmt.Errorf("a process still has the terminal open")
	}
}

// follow does the lines of a pty script.
func (t *terminal) follow(script string) error {
	for line := range strings.Lines(script) {
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if err := t.do(verb, rest); err != nil {
			return fmt.Errorf("%s: %w", strings.TrimSpace(line), err)
		}
	}
	return nil
}

func (t *terminal) do(verb, rest string) error {
	switch verb {
	case "expect":
		re, err := regexp.Compile(rest)
		if err != nil {
			return err
		}
		return t.expect(re)
	case "send":
		text, err := strconv.Unquote(rest)
		if err != nil {
			return err
		}
		_, err = t.master.WriteString(text)
		return err
	case "resize":
		var rows, cols uint16
		if _, err := fmt.Sscan(rest, &rows, &cols); err != nil {
			return err
		}
		return t.resize(rows, cols)
	}
	return fmt.Errorf("unknown word %q", verb)
}
