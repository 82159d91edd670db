package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal is a shell on a pseudo-terminal.
type terminal struct {
	t      *testing.T
	master *os.File
	cmd    *exec.Cmd
	seen   bytes.Buffer
}

func openTerminal(t *testing.T) *terminal {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Skip("no pseudo-terminals: ", err)
	}
	master := os.NewFile(uintptr(fd), "ptmx")
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80})
	}
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer slave.Close()
	bin := install(t)
	cmd := exec.Command(filepath.Join(bin, "sh"))
	cmd.Dir, cmd.Env = "/", []string{"PATH=" + bin, "PS1=ready> ", "TERM=xterm"}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	term := &terminal{t: t, master: master, cmd: cmd}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		master.Close()
	})
	return term
}

// expect reads until want appears, and forgets what came before it.
func (m *terminal) expect(want string) {
	m.t.Helper()
	m.master.SetReadDeadline(time.Now().Add(20 * time.Second))
	buf := make([]byte, 4096)
	for {
		if i := bytes.Index(m.seen.Bytes(), []byte(want)); i >= 0 {
			m.seen.Next(i + len(want))
			return
		}
		n, err := m.master.Read(buf)
		m.seen.Write(buf[:n])
		if err != nil {
			m.t.Fatalf("waiting for %q: %v; seen %q", want, err, m.seen.String())
		}
	}
}

func (m *terminal) send(keys string) {
	m.t.Helper()
	if _, err := m.master.WriteString(keys); err != nil {
		m.t.Fatal(err)
	}
}

func TestTerminal(t *testing.T) {
	m := openTerminal(t)
	m.expect("ready> ")
	m.send("stty size\r")
	m.expect("\n24 80\r\n")
	m.expect("ready> ")

	// Ctrl-C ends the program, and not the shell.
	m.send("echo u''p; sleep 1000\r")
	m.expect("\nup\r\n")
	m.send("\x03")
	m.expect("ready> ")
	m.send("echo code $?\r")
	m.expect("\ncode 130\r\n")
	m.expect("ready> ")

	// A loop of builtins, and a line that is being typed.
	m.send("echo u''p; while :; do :; done\r")
	m.expect("\nup\r\n")
	m.send("\x03")
	m.expect("ready> ")
	m.send("echo never typed to the end\x03")
	m.expect("^C\r\n")
	m.expect("ready> ")

	// More lines than one; editing; the shell's state stays.
	m.send("for i in 1 2\rdo echo n$i\rdone\r")
	m.expect("\nn1\r\nn2\r\n")
	m.expect("ready> ")
	m.send("x=5; echX\x7fo a$x\r")
	m.expect("\na5\r\n")
	m.expect("ready> ")

	m.send("exit 3\r")
	if m.cmd.Wait(); m.cmd.ProcessState.ExitCode() != 3 {
		t.Errorf("ended with %v", m.cmd.ProcessState)
	}
}

func TestTerminalEnd(t *testing.T) {
	m := openTerminal(t)
	m.expect("ready> ")
	m.send("cat\r")
	m.send("one\r")
	m.expect("\none\r\n")
	m.send("\x04")
	m.expect("ready> ")
	m.send("\x04")
	if m.cmd.Wait(); m.cmd.ProcessState.ExitCode() != 0 {
		t.Errorf("ended with %v", m.cmd.ProcessState)
	}
}
