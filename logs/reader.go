package logs

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/sys"
)

// Options say what of a log is read, and how it is shown.
type Options struct {
	// Since and Until are bounds of the time, zero for none.
	Since, Until time.Time
	// Tail is how many lines of the end are read, those after Until left out; -1 is all.
	Tail int
	// Follow goes on until Ended says that nothing more will be written, asked when all was read.
	Follow bool
	Ended  func() bool
	// Timestamps puts the time before each line, and Prefix is put before that.
	Timestamps bool
	Prefix     string
	// Stdout and Stderr get what the container wrote to either.
	Stdout, Stderr io.Writer
}

// ErrNotKept says that a container has no log.
var ErrNotKept = errors.New("its output is not kept (log driver none)")

// Read shows the log of a container whose directory is dir. It takes no lock, and the log may grow and rotate meanwhile.
func Read(dir string, c Config, who Who, o Options) error {
	p := newPrinter(&o)
	switch c.Driver {
	case None:
		return hint.With(ErrNotKept, "rl run --log-driver k8s-file keeps it")
	case Journald:
		return readJournal(who, &o, p)
	}
	r := &reader{Options: &o, printer: p, dir: dir, name: FileName, keep: max(c.MaxFile, 1), parse: parseCRI}
	if c.Path != "" {
		r.dir, r.name = filepath.Split(c.Path)
	}
	if c.Driver == JSONFile {
		r.parse = parseJSON
	}
	defer r.close()
	if err := r.read(dir); err != nil && err != errUntil {
		return fmt.Errorf("read log %s: %w", filepath.Join(r.dir, r.name), err)
	}
	return p.flush()
}

// errUntil ends the reading.
var errUntil = errors.New("what comes is younger than asked for")

// A record that is longer than maxRecord is none of ours. (16 KiB, each byte as \u00XX, is 96 KiB.)
const (
	blockSize = 64 << 10
	maxRecord = 1 << 20
)

// reader reads the files of a log, the oldest first.
type reader struct {
	*Options
	*printer
	dir, name string
	keep      int // files that there may be
	parse     func(line []byte) (Entry, bool)
	files     []*os.File // that are still to be read
	at        int64      // in the first of them: after the last whole record
	buf       []byte
}

// read watches before it looks, so that no change falls between.
func (r *reader) read(home string) error {
	var watch *sys.Watch
	if r.Follow {
		watch = sys.NewWatch(home, filepath.Join(r.dir, "."))
		defer watch.Close()
	}
	if err := r.openAll(); err != nil {
		return err
	}
	if r.Tail >= 0 {
		if err := r.skip(); err != nil {
			return err
		}
	}
	for {
		over := !r.Follow || r.Ended()
		if err := r.drain(); err != nil || over {
			return err
		}
		if err := r.flush(); err != nil {
			return err
		}
		if !r.Until.IsZero() && time.Now().After(r.Until) {
			return nil
		}
		watch.Wait(time.Second) // an end may come without a change here: that of a monitor which was killed
	}
}

// openAll opens the files from the youngest on: one that is renamed meanwhile is met twice, none is missed. After more than one
// rotation it begins again: a file that is younger than the first would be taken for an older one.
func (r *reader) openAll() error {
	for range 10 {
		r.close()
		r.files = nil
		for i := range r.keep {
			f, err := r.open(i)
			switch {
			case errors.Is(err, fs.ErrNotExist): // it was never begun, or the next takes its place at this moment
			case err != nil:
				return err
			case len(r.files) > 0 && same(f, r.files[0]):
				f.Close()
			default:
				r.files = append([]*os.File{f}, r.files...)
			}
		}
		if n := len(r.files); n == 0 || r.place(r.files[n-1]) <= 1 {
			return nil
		}
	}
	return nil
}

func (r *reader) open(i int) (*os.File, error) {
	return os.OpenFile(r.path(i), os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
}

func (r *reader) path(i int) string { return filepath.Join(r.dir, numbered(r.name, i)) }

func same(a, b *os.File) bool {
	x, err := a.Stat()
	if err != nil {
		return false
	}
	y, err := b.Stat()
	return err == nil && os.SameFile(x, y)
}

func (r *reader) close() {
	for _, f := range r.files {
		f.Close()
	}
}

// drain reads all that there is.
func (r *reader) drain() error {
	if len(r.files) == 0 {
		if err := r.openAll(); err != nil || len(r.files) == 0 {
			return err
		}
	}
	for {
		if err := r.rest(); err != nil {
			return err
		}
		if len(r.files) == 1 {
			more, err := r.next()
			if err != nil || !more {
				return err
			}
			// What was written before the other file took its place.
			if err := r.rest(); err != nil {
				return err
			}
		}
		r.files[0].Close()
		r.files, r.at = r.files[1:], 0
	}
}

// next opens the file that follows the one that is read, false when this is the youngest. Rotation renames files from one place to
// the next, the oldest first, and for a moment nothing is in one of the places (for ever, if the writer was killed then): the
// opened file is the right one if there was none between it and ours afterwards.
func (r *reader) next() (bool, error) {
	ours := r.files[0]
	for range 100 {
		f, err := r.younger(r.place(ours))
		if f == nil || err != nil {
			return false, err
		}
		// In this order: a rotation between the two makes the gap look wider, never narrower.
		at := r.place(f)
		if !same(f, ours) && !r.anyBetween(at, r.place(ours)) {
			r.files = append(r.files, f)
			return true, nil
		}
		f.Close()
	}
	return false, nil
}

// younger opens the oldest of those that are younger than a place, nil if none is.
func (r *reader) younger(place int) (*os.File, error) {
	for i := place - 1; i >= 0; i-- {
		f, err := r.open(i)
		if !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
	}
	return nil, nil
}

func (r *reader) anyBetween(a, b int) bool {
	for i := a + 1; i < b; i++ {
		if _, err := os.Stat(r.path(i)); err == nil {
			return true
		}
	}
	return false
}

// place is how many rotations old the file is. One that was removed is older than all that are there.
func (r *reader) place(f *os.File) int {
	ours, err := f.Stat()
	for i := 0; i < r.keep && err == nil; i++ {
		if st, err := os.Stat(r.path(i)); err == nil && os.SameFile(st, ours) {
			return i
		}
	}
	return r.keep
}

// rest reads the first of the files from where it is on, up to the last whole record.
func (r *reader) rest() error {
	if r.buf == nil {
		r.buf = make([]byte, blockSize)
	}
	for {
		n, err := r.files[0].ReadAt(r.buf, r.at)
		if err != nil && err != io.EOF {
			return err
		}
		used, err := r.records(r.buf[:n])
		if err != nil {
			return err
		}
		switch {
		case n == 0 && r.truncated():
			r.at = 0
			continue
		case used == 0 && n < len(r.buf):
			return nil
		case used == 0 && n < maxRecord:
			r.buf = make([]byte, 2*n)
		case used == 0:
			used = n
		}
		r.at += int64(used)
	}
}

// truncated: somebody emptied the file, and the writer goes on at its beginning.
func (r *reader) truncated() bool {
	st, err := r.files[0].Stat()
	return err == nil && st.Size() < r.at
}

func (r *reader) records(b []byte) (used int, err error) {
	for {
		i := bytes.IndexByte(b[used:], '\n')
		if i < 0 {
			return used, nil
		}
		line := b[used : used+i]
		used += i + 1
		if e, ok := r.parse(line); ok {
			if err := r.entry(&e); err != nil {
				return used, err
			}
		}
	}
}

// printer shows entries.
type printer struct {
	o      *Options
	outs   [3]*bufio.Writer
	last   int
	middle [3]bool // the line of the stream goes on
}

func newPrinter(o *Options) *printer {
	p := &printer{o: o, last: 1}
	for i, w := range []io.Writer{o.Stdout, o.Stderr} {
		p.outs[i+1] = bufio.NewWriterSize(w, 16<<10)
	}
	return p
}

// entry shows one, if it is asked for.
func (p *printer) entry(e *Entry) error {
	if !p.o.Until.IsZero() && e.Time.After(p.o.Until) {
		return errUntil
	}
	if e.Time.Before(p.o.Since) {
		return nil
	}
	w := p.outs[e.Stream]
	if e.Stream != p.last {
		p.outs[p.last].Flush() // both may be one terminal
		p.last = e.Stream
	}
	if !p.middle[e.Stream] {
		w.WriteString(p.o.Prefix)
		if p.o.Timestamps {
			w.WriteString(e.Time.Format(stamp))
			w.WriteByte(' ')
		}
	}
	_, err := w.Write(e.Text)
	if !e.Partial {
		err = w.WriteByte('\n')
	}
	p.middle[e.Stream] = e.Partial
	return err
}

func (p *printer) flush() error {
	return errors.Join(p.outs[1].Flush(), p.outs[2].Flush())
}
