// Package stdio carries bytes between the caller and a container: pipes, or a terminal of the container's own.
package stdio

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/rl-containers/rl/hint"
)

// Streams carry bytes between the caller and the container.
//
// A container gets pipes, the null device, or a terminal of its own, never the caller's terminal or files: what root inside
// can open again by /proc/self/fd would be the caller's file with the caller's rights, and a terminal takes typed commands
// (TIOCSTI, CVE-2017-5226). A pipe of the caller's is passed as it is, so that no byte is copied; one that another user made
// (su, a CI runner) can't be given to the container's user, who could then not open /dev/stdout.
type Streams struct {
	child  [3]*os.File // closed here once the child has them
	close  []*os.File
	copies []func()
	out    sync.WaitGroup // the copies that end when the container's side is closed

	wants  Wants
	master *os.File
	saved  *term.State
	// Detach are the keys that would detach, Typed is called when they were.
	Detach []byte
	Typed  func()
	// Log keeps what the program writes; nil keeps nothing, and pipes of the caller's are passed as they are.
	Log Log
}

// Files are the child's descriptors.
func (s *Streams) Files() [3]*os.File { return s.child }

// Direct tells that the program writes into the caller's own pipe.
func (s *Streams) Direct() bool { return s.child[1] == os.Stdout }

// logged is w with a copy for the log.
func (s *Streams) logged(stream int, w io.Writer) io.Writer {
	if s.Log == nil {
		return w
	}
	return io.MultiWriter(w, &logger{s.Log, stream})
}

type logger struct {
	log    Log
	stream int
}

func (l *logger) Write(b []byte) (int, error) {
	l.log.Write(l.stream, b)
	return len(b), nil
}

// Open makes those of a container: with tty nothing but the null device, until Attach. log may be nil; it gets what nobody wants, too.
func Open(wants Wants, tty bool, log Log) (*Streams, error) {
	s := &Streams{wants: wants, Log: log}
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	s.close = append(s.close, null)
	s.child = [3]*os.File{null, null, null}
	if tty {
		return s, nil
	}
	if wants.Stdin {
		if err := s.input(); err != nil {
			return nil, err
		}
	}
	for fd, f := range map[int]*os.File{1: os.Stdout, 2: os.Stderr} {
		wanted := fd == 1 && wants.Stdout || fd == 2 && wants.Stderr
		if !wanted && log == nil {
			continue
		}
		if err := s.output(fd, f, wanted); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Null are the streams of a process that nobody listens to.
func Null() (*Streams, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return &Streams{child: [3]*os.File{null, null, null}, close: []*os.File{null}}, nil
}

// Into are those of a process that reads nothing and writes into a pipe, which is closed here once the process has it.
func Into(pipe *os.File) (*Streams, error) {
	s, err := Null()
	if err != nil {
		return nil, err
	}
	s.child[1], s.child[2], s.close = pipe, pipe, append(s.close, pipe)
	return s, nil
}

// safe tells whether a descriptor of the caller's may be the container's.
func safe(f *os.File) bool {
	var st unix.Stat_t
	if unix.Fstat(int(f.Fd()), &st) != nil {
		return false
	}
	null := st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == unix.Mkdev(1, 3)
	return null || st.Mode&unix.S_IFMT == unix.S_IFIFO && int(st.Uid) == os.Geteuid()
}

func (s *Streams) input() error {
	if safe(os.Stdin) {
		s.child[0] = os.Stdin
		return nil
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	s.child[0], s.close = r, append(s.close, r)
	s.copies = append(s.copies, func() {
		io.Copy(w, os.Stdin)
		w.Close()
	})
	return nil
}

func (s *Streams) output(fd int, f *os.File, wanted bool) error {
	if s.Log == nil && safe(f) {
		s.child[fd] = f
		return nil
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	s.child[fd], s.close = w, append(s.close, w)
	s.out.Add(1)
	s.copies = append(s.copies, func() {
		defer s.out.Done()
		io.Copy(s.logged(fd, reader(f, wanted)), r)
		r.Close() // the program's next write is told that nobody reads
	})
	return nil
}

// reader is who gets what the program writes.
func reader(f *os.File, wanted bool) io.Writer {
	if !wanted {
		return io.Discard
	}
	return f
}

// Started closes what the Child now has.
func (s *Streams) Started() {
	for _, f := range s.close {
		f.Close()
	}
	s.close = nil
}

// Attach takes the terminal's master from the child, before the program runs: it starts in a window of the right size.
func (s *Streams) Attach(master *os.File) error {
	s.master = master
	s.Resize()
	s.out.Add(1)
	s.copies = append(s.copies, func() {
		defer s.out.Done()
		io.Copy(s.logged(1, reader(os.Stdout, s.wants.Stdout)), master) // ends with EIO when the last slave is closed
	})
	if !s.wants.Stdin {
		return nil
	}
	if term.IsTerminal(0) {
		saved, err := term.MakeRaw(0)
		if err != nil {
			return fmt.Errorf("set terminal to raw mode: %w", err)
		}
		s.saved = saved
	}
	s.copies = append(s.copies, s.typed)
	return nil
}

// typed copies what is typed to the terminal. The end of a piped input is told as a typist tells it.
func (s *Streams) typed() {
	buf := make([]byte, 4096)
	watch := detacher{keys: s.Detach}
	for {
		n, err := os.Stdin.Read(buf)
		out, detached := watch.filter(buf[:n])
		if detached && s.Typed != nil {
			s.Typed()
		}
		if _, werr := s.master.Write(out); werr != nil {
			return
		}
		if err != nil {
			if errors.Is(err, io.EOF) && s.saved == nil {
				s.master.Write([]byte{4}) // VEOF
			}
			return
		}
	}
}

// Resize gives the container's terminal the size of the caller's.
func (s *Streams) Resize() {
	if s.master == nil {
		return
	}
	for fd := range 3 {
		if size, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ); err == nil {
			unix.IoctlSetWinsize(int(s.master.Fd()), unix.TIOCSWINSZ, size)
			return
		}
	}
}

// Pump starts the copying.
func (s *Streams) Pump() {
	for _, c := range s.copies {
		go c()
	}
}

// Drain waits until all that the program wrote has arrived.
func (s *Streams) Drain() { s.out.Wait() }

// Raw tells that the caller's terminal is in raw mode.
func (s *Streams) Raw() bool { return s.saved != nil }

// Restore gives the caller its terminal back.
func (s *Streams) Restore() {
	if s.saved != nil {
		term.Restore(0, s.saved)
		s.saved = nil
	}
}

// detacher finds the detach keys in what is typed.
type detacher struct {
	keys []byte
	seen int
}

// filter returns in without the keys, and whether they were typed. A part of them at the end of in is held back.
func (d *detacher) filter(in []byte) (out []byte, detached bool) {
	if len(d.keys) == 0 {
		return in, false
	}
	for _, b := range in {
		if b == d.keys[d.seen] {
			if d.seen++; d.seen == len(d.keys) {
				d.seen, detached = 0, true
			}
			continue
		}
		out = append(out, d.keys[:d.seen]...)
		d.seen = 0
		if b == d.keys[0] {
			d.seen = 1
			continue
		}
		out = append(out, b)
	}
	return out, detached
}

// ParseDetachKeys reads docker's form: characters and ctrl-X (X of a-z @ [ \ ] ^ _), comma-separated; "" is none.
func ParseDetachKeys(s string) ([]byte, error) {
	if s == "" {
		return nil, nil
	}
	var keys []byte
	for len(s) > 0 {
		word := s
		if i := indexComma(s); i >= 0 {
			word, s = s[:i], s[i+1:]
		} else {
			s = ""
		}
		key, ok := detachKey(word)
		if !ok {
			return nil, hint.Errorf("the form is ctrl-p,ctrl-q or single characters", "--detach-keys: %q is not a key", word)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// indexComma finds the separator; a comma at the start of a word is the key itself.
func indexComma(s string) int {
	for i := 1; i < len(s); i++ {
		if s[i] == ',' {
			return i
		}
	}
	return -1
}

func detachKey(word string) (byte, bool) {
	if len(word) == 1 {
		return word[0], true
	}
	if len(word) != 6 || word[:5] != "ctrl-" {
		return 0, false
	}
	switch c := word[5]; {
	case c >= 'a' && c <= 'z':
		return c - 'a' + 1, true
	case c >= '@' && c <= '_':
		return c - '@', true
	}
	return 0, false
}
