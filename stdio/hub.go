package stdio

import (
	"encoding/binary"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Log keeps what a container writes; stream is 1 or 2 (the terminal is 1).
type Log interface {
	Write(stream int, b []byte)
}

// Ends are the near ends of the pipes, or the terminal, of a container that is tied to nobody's terminal: they are made for its
// start, and handed over to the Hub that serves them.
type Ends struct {
	child [3]*os.File
	close []*os.File
	// In, Out and Err are ours; In is nil without -i, Out the terminal's master with -t.
	In, Out, Err *os.File
}

// OpenEnds makes what a process gets. Its output pipes are open for reading on its own side, too: it is not killed by SIGPIPE when
// the monitor is.
func OpenEnds(interactive, tty bool) (*Ends, error) {
	e := &Ends{}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	e.close = append(e.close, null)
	e.child = [3]*os.File{null, null, null}
	if tty {
		return e, nil
	}
	if interactive {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		e.child[0], e.In, e.close = r, w, append(e.close, r)
	}
	for i, out := range []**os.File{&e.Out, &e.Err} {
		if *out, e.child[i+1], err = outputPipe(); err != nil {
			return nil, err
		}
		e.close = append(e.close, e.child[i+1])
	}
	return e, nil
}

func outputPipe() (ours, both *os.File, err error) {
	ours, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	defer w.Close()
	fd, err := unix.Open("/proc/self/fd/"+strconv.Itoa(int(w.Fd())), unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		ours.Close()
		return nil, nil, os.NewSyscallError("open", err)
	}
	return ours, os.NewFile(uintptr(fd), "output"), nil
}

// Files are the child's descriptors.
func (e *Ends) Files() [3]*os.File { return e.child }

// Started closes what the child now has.
func (e *Ends) Started() {
	for _, f := range e.close {
		f.Close()
	}
	e.close = nil
}

// Attach takes the terminal's master from the child.
func (e *Ends) Attach(master *os.File) (err error) {
	e.Out, err = Pollable(master)
	return err
}

// Hub carries the bytes between a container's Ends and its log and those that attach.
type Hub struct {
	tty  bool
	log  Log
	outs [2]*os.File
	out  sync.WaitGroup

	mu      sync.Mutex
	input   *os.File // the container's standard input, or the terminal's master
	clients map[*os.File]Wants
}

// Wants says which bytes an attached client asks for.
type Wants struct{ Stdin, Stdout, Stderr bool }

// NewHub serves in, out and err, any of which may be nil; with tty out is the terminal's master. log may be nil.
func NewHub(in, out, err *os.File, tty bool, log Log) *Hub {
	h := &Hub{tty: tty, log: log, outs: [2]*os.File{out, err}, input: in, clients: map[*os.File]Wants{}}
	if tty {
		h.input = out
	}
	return h
}

// Pollable is f in the care of the runtime's poller: a reader of it costs no thread.
func Pollable(f *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	f.Close()
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// setSize sets the size of a terminal. Fd would take the file from the poller.
func setSize(f *os.File, size *unix.Winsize) {
	if f == nil {
		return
	}
	if conn, err := f.SyscallConn(); err == nil {
		conn.Control(func(fd uintptr) { unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, size) })
	}
}

// Pump starts the copying.
func (h *Hub) Pump() {
	for i, f := range h.outs {
		if f != nil {
			h.out.Add(1)
			go h.copy(i+1, f)
		}
	}
}

func (h *Hub) copy(stream int, from *os.File) {
	defer h.out.Done()
	buf := make([]byte, 8<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if h.log != nil {
				h.log.Write(stream, buf[:n])
			}
			h.tell(stream, buf[:n])
		}
		if err != nil {
			break
		}
	}
	from.Close()
}

// patience is how long a client may take to read what was written; until then the container waits with it, as it would for a
// slow terminal.
const patience = 10 * time.Second

// tell sends bytes to all clients that want them.
func (h *Hub) tell(stream int, b []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c, wants := range h.clients {
		if stream == 1 && !wants.Stdout || stream == 2 && !wants.Stderr {
			continue
		}
		c.SetWriteDeadline(time.Now().Add(patience))
		if writeFrame(c, byte('0'+stream), b) != nil {
			h.drop(c)
		}
	}
}

func (h *Hub) drop(c *os.File) {
	delete(h.clients, c)
	c.Close()
}

// Join lets a client have all that is written from now on.
func (h *Hub) Join(c *os.File, wants Wants) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clients[c] = wants
}

// Serve carries the frames of a client that joined until it goes.
func (h *Hub) Serve(c *os.File) {
	h.mu.Lock()
	wants := h.clients[c]
	h.mu.Unlock()
	h.listen(c, wants)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drop(c)
}

func (h *Hub) listen(c *os.File, wants Wants) {
	buf := make([]byte, maxFrame)
	for {
		kind, b, err := readFrame(c, buf)
		switch {
		case err != nil, kind == frameDetach:
			return
		case kind == frameSize && len(b) == 4:
			h.resize(&unix.Winsize{Row: binary.LittleEndian.Uint16(b), Col: binary.LittleEndian.Uint16(b[2:])})
		case kind == frameInput && wants.Stdin:
			h.typed(b)
		case kind == frameEnd && wants.Stdin:
			h.endInput()
		}
	}
}

func (h *Hub) resize(size *unix.Winsize) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.tty {
		setSize(h.input, size)
	}
}

func (h *Hub) typed(b []byte) {
	h.mu.Lock()
	in := h.input
	h.mu.Unlock()
	if in != nil {
		in.Write(b)
	}
}

// endInput tells the program that no more is typed.
func (h *Hub) endInput() {
	if h.tty {
		h.typed([]byte{4}) // VEOF
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.input != nil {
		h.input.Close()
		h.input = nil
	}
}

// Drain waits until all that the program wrote has arrived, but not for what others hold open.
func (h *Hub) Drain() {
	done := make(chan struct{})
	go func() { h.out.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(time.Second):
		// A process that left the container (--pid=host) may hold the pipe.
		for _, f := range h.outs {
			if f != nil {
				f.SetReadDeadline(time.Now())
			}
		}
		<-done
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.input != nil {
		h.input.Close()
		h.input = nil
	}
	h.outs = [2]*os.File{}
}

// End tells the clients the exit code and lets them go.
func (h *Hub) End(code int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.clients {
		c.SetWriteDeadline(time.Now().Add(patience))
		writeFrame(c, frameExit, []byte(strconv.Itoa(code)))
		h.drop(c)
	}
}

// The frames of a connection: a letter, the length as two bytes, the content. '1' and '2' are output.
const (
	frameInput  = 'i'
	frameEnd    = 'e' // of the input
	frameSize   = 'w' // rows and columns
	frameDetach = 'd'
	frameExit   = 'x' // the exit code in decimal: the last one

	maxFrame = 8 << 10
)

func writeFrame(w io.Writer, kind byte, b []byte) error {
	head := [3]byte{kind, byte(len(b)), byte(len(b) >> 8)}
	_, err := w.Write(append(head[:], b...))
	return err
}

func readFrame(r io.Reader, buf []byte) (kind byte, b []byte, err error) {
	var head [3]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := int(binary.LittleEndian.Uint16(head[1:]))
	if n > len(buf) {
		return 0, nil, io.ErrShortBuffer
	}
	_, err = io.ReadFull(r, buf[:n])
	return head[0], buf[:n], err
}
