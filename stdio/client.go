package stdio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// Client is the caller's side of a Hub: its terminal and files.
type Client struct {
	conn *os.File
	Wants
	tty    bool
	detach []byte
	write  sync.Mutex
	saved  *term.State
	left   atomic.Bool // the detach keys were typed
}

// NewClient carries the caller's standard streams over conn, a connection that a Hub serves. tty: the container has a terminal.
func NewClient(conn *os.File, wants Wants, tty bool, detach []byte) *Client {
	return &Client{conn: conn, Wants: wants, tty: tty, detach: detach}
}

// ErrDetached says that the caller typed the detach keys, ErrLost that the monitor is gone.
var (
	ErrDetached = errors.New("detached")
	ErrLost     = errors.New("the container's monitor is gone")
)

// Start gives the container's terminal the size of the caller's, which goes into raw mode.
func (c *Client) Start() error {
	if !c.tty {
		return nil
	}
	c.resize()
	if c.Stdin && term.IsTerminal(0) {
		saved, err := term.MakeRaw(0)
		if err != nil {
			return fmt.Errorf("set terminal to raw mode: %w", err)
		}
		c.saved = saved
	}
	changes := make(chan os.Signal, 1)
	signal.Notify(changes, syscall.SIGWINCH)
	go func() {
		for range changes {
			c.resize()
		}
	}()
	return nil
}

// Run copies until the container's process ends: its exit code, or ErrDetached or ErrLost.
func (c *Client) Run() (code int, err error) {
	defer c.Restore()
	if c.Stdin {
		go c.typed()
	}
	code, err = c.outputs()
	if c.left.Load() {
		return 0, ErrDetached
	}
	return code, err
}

func (c *Client) outputs() (int, error) {
	buf := make([]byte, maxFrame)
	for {
		kind, b, err := readFrame(c.conn, buf)
		switch {
		case err != nil:
			return 0, ErrLost
		case kind == frameExit:
			return strconv.Atoi(string(b))
		case kind == '1':
			os.Stdout.Write(b)
		case kind == '2':
			os.Stderr.Write(b)
		}
	}
}

// typed sends what is typed, up to the detach keys. The hub's answer to them is the end of the connection.
func (c *Client) typed() {
	buf := make([]byte, 4096)
	keys := detacher{}
	if c.tty {
		keys.keys = c.detach
	}
	for {
		n, err := os.Stdin.Read(buf)
		out, detached := keys.filter(buf[:n])
		if len(out) > 0 && c.send(frameInput, out) != nil {
			return
		}
		if detached {
			c.left.Store(true)
			c.send(frameDetach, nil)
			return
		}
		if err != nil {
			if errors.Is(err, io.EOF) && c.saved == nil {
				c.send(frameEnd, nil)
			}
			return
		}
	}
}

func (c *Client) send(kind byte, b []byte) error {
	c.write.Lock()
	defer c.write.Unlock()
	return writeFrame(c.conn, kind, b)
}

func (c *Client) resize() {
	for fd := range 3 {
		if size, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ); err == nil {
			b := binary.LittleEndian.AppendUint16(nil, size.Row)
			c.send(frameSize, binary.LittleEndian.AppendUint16(b, size.Col))
			return
		}
	}
}

// Restore gives the caller its terminal back.
func (c *Client) Restore() {
	if c.saved != nil {
		term.Restore(0, c.saved)
		c.saved = nil
	}
}
