package logs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
)

// Writer takes what a container writes. Write may be called from several goroutines; it never fails. Close writes what is left.
type Writer interface {
	Write(stream int, b []byte)
	Close()
}

// Open begins or continues the log of the container whose open directory is dir. It is nil for None.
func Open(dir *os.File, c Config, who Who) (Writer, error) {
	switch c.Driver {
	case None:
		return nil, nil
	case Journald:
		return openJournal(journalSocket, c, who)
	}
	parent, name, err := c.place(dir)
	if err != nil {
		return nil, err
	}
	f := &file{dir: parent, name: name, json: c.Driver == JSONFile, max: c.MaxSize, keep: max(c.MaxFile, 1), out: make([]byte, 0, batch+512)}
	if c.Tag != "" {
		attrs, _ := json.Marshal(map[string]string{"tag": c.Tag})
		f.attrs = string(attrs)
	}
	if f.fd, err = f.open(name, unix.O_CREAT); err == nil {
		err = f.begin()
	}
	if err != nil {
		f.Close()
		return nil, hint.With(fmt.Errorf("open log %s: %w", filepath.Join(dir.Name(), name), err), "--log-opt path=FILE puts it elsewhere, --log-driver none keeps none")
	}
	return f, nil
}

// place opens the directory of the log. The descriptor is the caller's.
func (c *Config) place(dir *os.File) (parent int, name string, err error) {
	const flags = unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC
	if c.Path == "" {
		parent, err = unix.Openat(int(dir.Fd()), ".", flags, 0)
		return parent, FileName, os.NewSyscallError("open directory of the log", err)
	}
	parent, err = unix.Open(filepath.Dir(c.Path), flags, 0)
	if err != nil {
		err = fmt.Errorf("open log %s: %w", c.Path, err)
	}
	return parent, filepath.Base(c.Path), err
}

// A batch of records is written when it has so many bytes. A line of json-file goes on in the next record after partSize.
const (
	batch    = 4 << 10  // small: a monitor's memory counts, and there may be hundreds
	partSize = 16 << 10 // docker's
)

// file is the log of k8s-file and json-file.
type file struct {
	mu      sync.Mutex
	dir, fd int
	name    string
	json    bool
	attrs   string
	max     int64
	keep    int

	size int64  // of the file
	when []byte // of the records to come
	out  []byte // records on their way
	text int64  // how much of them the container wrote
	held [2][]byte
	// lost is how much was not written since the last note of that, for the reason why.
	lost int64
	why  error
}

// open takes no other's place: no link is followed, no device or pipe is waited for.
func (f *file) open(name string, flags int) (int, error) {
	fd, err := unix.Openat(f.dir, name, unix.O_RDWR|unix.O_APPEND|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC|flags, 0o600)
	if err != nil {
		return -1, err
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
		err = errors.New("not a regular file")
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// begin ends a record that a killed writer left without its end.
func (f *file) begin() error {
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err != nil {
		return err
	}
	f.size = st.Size
	last := make([]byte, 1)
	if _, err := unix.Pread(f.fd, last, f.size-1); f.size > 0 && err == nil && last[0] != '\n' {
		f.put([]byte("\n"))
	}
	return nil
}

// Write takes bytes as they come. In k8s-file a line without its end yet is a partial record at once; in json-file it waits for its
// end, as docker does.
func (f *file) Write(stream int, b []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now()
	for len(b) > 0 {
		line, rest, whole := bytes.Cut(b, []byte("\n"))
		b = rest
		e := Entry{Stream: stream, Partial: !whole, Text: line}
		if f.json {
			f.hold(&e)
		} else {
			f.add(&e)
		}
	}
	f.flush()
}

// now dates the records to come.
func (f *file) now() { f.when = appendStamp(f.when[:0], time.Now().UTC()) }

// hold puts the parts of a line together.
func (f *file) hold(e *Entry) {
	held := &f.held[e.Stream&1]
	if len(*held) > 0 || e.Partial {
		*held = append(*held, e.Text...)
		e.Text = *held
	}
	for len(e.Text) > partSize {
		n := runeStart(e.Text, partSize)
		part := *e
		part.Text, part.Partial = e.Text[:n], true
		f.add(&part)
		e.Text = e.Text[n:]
	}
	if e.Partial {
		*held = append((*held)[:0], e.Text...)
		return
	}
	f.add(e)
	*held = nil
}

// runeStart is the end of the last whole character in b[:n].
func runeStart(b []byte, n int) int {
	for i := n; i > n-utf8.UTFMax; i-- {
		if utf8.RuneStart(b[i]) {
			return i
		}
	}
	return n
}

// add appends a record, in the next file if this one is full.
func (f *file) add(e *Entry) {
	if len(f.out) > 0 && len(f.out)+len(e.Text) > batch {
		f.flush()
	}
	before := len(f.out)
	f.out = f.record(f.out, e)
	if f.max > 0 && f.size+int64(before) > 0 && f.size+int64(len(f.out)) > f.max {
		last := f.out[before:]
		f.out = f.out[:before]
		f.flush()
		f.rotate()
		f.out = append(f.out, last...) // it lies behind what was written: append copies forward
	}
	f.text += int64(len(e.Text)) + 1
}

func (f *file) record(to []byte, e *Entry) []byte {
	if f.json {
		return appendJSON(to, f.when, e, f.attrs)
	}
	return appendCRI(to, f.when, e)
}

// flush writes the batch, after a word on what was lost before it.
func (f *file) flush() {
	if len(f.out) == 0 {
		return
	}
	if f.lost > 0 {
		f.tell()
	}
	if err := f.put(f.out); err != nil {
		f.lost, f.why = f.lost+f.text, err
	}
	f.out, f.text = f.out[:0], 0
	if cap(f.out) > 2*partSize { // there was a long line
		f.out = make([]byte, 0, batch+512)
	}
}

func (f *file) tell() {
	note := fmt.Appendf(nil, "rl: about %d bytes of output were not kept here: %v", f.lost, f.why)
	if f.put(f.record(nil, &Entry{Stream: 2, Text: note})) == nil {
		f.lost = 0
	}
}

// put writes b whole or not at all: the disk may be full in the middle of it.
func (f *file) put(b []byte) error {
	n, err := unix.Write(f.fd, b)
	for err == unix.EINTR {
		n, err = unix.Write(f.fd, b)
	}
	if err == nil && n < len(b) {
		err = unix.ENOSPC
		var st unix.Stat_t
		if unix.Fstat(f.fd, &st) == nil {
			unix.Ftruncate(f.fd, st.Size-int64(n))
		}
	}
	if err == nil {
		f.size += int64(n)
	}
	return err
}

// rotate begins the next file. It is made before the last one gets another name: if there is no room for it, this one grows.
// A reader that follows has the old one open, and finds the next by its place in the order (reader.next).
func (f *file) rotate() {
	fresh := f.name + ".new"
	unix.Unlinkat(f.dir, fresh, 0)
	fd, err := f.open(fresh, unix.O_CREAT|unix.O_EXCL)
	if err != nil {
		return
	}
	for i := f.keep - 1; i > 0; i-- {
		unix.Renameat(f.dir, numbered(f.name, i-1), f.dir, numbered(f.name, i))
	}
	if err := unix.Renameat(f.dir, fresh, f.dir, f.name); err != nil {
		unix.Close(fd)
		return
	}
	unix.Close(f.fd)
	f.fd, f.size = fd, 0
}

// numbered is the name of the file that is i rotations old.
func numbered(name string, i int) string {
	if i == 0 {
		return name
	}
	return name + "." + strconv.Itoa(i)
}

// Close ends the log.
func (f *file) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now()
	for i, held := range f.held {
		if len(held) > 0 {
			f.add(&Entry{Stream: 2 - i, Partial: true, Text: held})
			f.held[i] = nil
		}
	}
	if f.fd >= 0 {
		f.flush()
		if f.lost > 0 {
			f.tell()
		}
		unix.Close(f.fd)
	}
	unix.Close(f.dir)
	f.fd, f.dir = -1, -1
}
