package oci

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/stdio"
	"github.com/rl-containers/rl/sys"
)

// console is where the master of a process's terminal goes: to whoever listens on the console socket, or to the caller's own
// standard streams.
type console struct {
	socket  *os.File
	streams *stdio.Streams
}

func newConsole(socket string, attached bool) (*console, error) {
	if socket == "" && !attached {
		return nil, hint.Errorf("--console-socket PATH, or process.terminal false", "cannot allocate tty if the runtime will detach without setting console socket")
	}
	c := &console{}
	var err error
	if socket != "" {
		c.socket, err = sys.Dial(socket)
		return c, hint.With(err, "--console-socket names a unix socket that somebody listens on")
	}
	c.streams, err = stdio.Open(stdio.Wants{Stdin: true, Stdout: true, Stderr: true}, true, nil)
	return c, err
}

// take gets the master.
func (c *console) take(master *os.File) error {
	if c.socket == nil {
		plainNewlines(master)
		return c.streams.Attach(master)
	}
	defer master.Close()
	defer c.socket.Close()
	return sys.Send(int(c.socket.Fd()), 0, int(master.Fd()))
}

// plainNewlines keeps the terminal from writing a carriage return before each newline where the output is no terminal, but a file
// or a pipe (termios(3), ONLCR).
func plainNewlines(master *os.File) {
	if term.IsTerminal(1) {
		return
	}
	if t, err := unix.IoctlGetTermios(int(master.Fd()), unix.TCGETS); err == nil {
		t.Oflag &^= unix.ONLCR
		unix.IoctlSetTermios(int(master.Fd()), unix.TCSETS, t)
	}
}

// pump carries bytes until the process ends.
func (c *console) pump() {
	if c == nil || c.streams == nil {
		return
	}
	c.streams.Started()
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, unix.SIGWINCH)
	go func() {
		for range resized {
			c.streams.Resize()
		}
	}()
	c.streams.Pump()
}

// finish waits for the last bytes and gives the caller its terminal back.
func (c *console) finish() {
	if c != nil && c.streams != nil {
		c.streams.Drain()
		c.streams.Restore()
	}
}
