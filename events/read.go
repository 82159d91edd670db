package events

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/rl-containers/rl/sys"
)

// Options say which events are read.
type Options struct {
	// Since and Until are bounds of the time, zero for none.
	Since, Until time.Time
	// Follow goes on with those that come, until Until if that is set.
	Follow bool
	Filter Filter
}

// Read shows events in their order. It takes no lock.
func Read(dataDir string, o Options, show func(*Event) error) error {
	r := &reader{Options: &o, dir: dataDir, show: show, buf: make([]byte, 64<<10)}
	defer r.last.close()
	defer r.now.close()
	if err := r.read(); err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	return nil
}

type reader struct {
	*Options
	dir  string
	show func(*Event) error
	// now is the file that is read, last its predecessor: who had that open may still write there.
	now, last tail
	buf       []byte
}

// tail is what is left of a file.
type tail struct {
	f  *os.File
	at int64 // after the last whole line
}

func (t *tail) close() {
	if t.f != nil {
		t.f.Close()
	}
}

// startOver: somebody emptied the file, of which nothing is left.
func (t *tail) startOver() {
	if st, err := t.f.Stat(); err == nil && st.Size() < t.at {
		t.at = 0
	}
}

// read watches before it looks, so that no event falls between.
func (r *reader) read() (err error) {
	var watch *sys.Watch
	if r.Follow {
		watch = sys.NewWatch(r.dir)
		defer watch.Close()
	}
	if r.now.f, err = open(filepath.Join(r.dir, before)); err != nil {
		return err
	}
	for {
		if err := r.drain(); err != nil {
			return err
		}
		wait := time.Second
		if !r.Until.IsZero() {
			wait = min(wait, time.Until(r.Until))
		}
		if !r.Follow || wait <= 0 {
			return nil
		}
		watch.Wait(wait)
	}
}

// drain shows all that there is.
func (r *reader) drain() error {
	for {
		for _, t := range []*tail{&r.last, &r.now} {
			if err := r.rest(t); err != nil {
				return err
			}
		}
		next, err := r.next()
		if err != nil || next == nil {
			return err
		}
		r.last.close()
		r.last, r.now = r.now, tail{f: next}
	}
}

// next opens the file that follows, nil when that is the one being read.
func (r *reader) next() (*os.File, error) {
	next, err := open(filepath.Join(r.dir, FileName))
	if err != nil || next == nil || r.now.f == nil {
		return next, err
	}
	now, err := next.Stat()
	if err != nil {
		return nil, err
	}
	ours, err := r.now.f.Stat()
	if err != nil {
		return nil, err
	}
	if os.SameFile(now, ours) {
		next.Close()
		return nil, nil
	}
	return next, nil
}

// rest reads the whole lines that are left.
func (r *reader) rest(t *tail) error {
	for t.f != nil {
		n, err := t.f.ReadAt(r.buf, t.at)
		if err != nil && err != io.EOF {
			return err
		}
		if n == 0 {
			t.startOver()
		}
		end := bytes.LastIndexByte(r.buf[:n], '\n') + 1
		switch {
		case end == 0 && n < len(r.buf):
			return nil
		case end == 0:
			end = n // no event is so long
		}
		t.at += int64(end)
		if err := r.lines(r.buf[:end]); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) lines(b []byte) error {
	for line := range bytes.Lines(b) {
		e, ok := parse(line)
		if !ok || e.Time.Before(r.Since) || !r.Until.IsZero() && e.Time.After(r.Until) || !r.Filter.matches(&e) {
			continue
		}
		if err := r.show(&e); err != nil {
			return err
		}
	}
	return nil
}
