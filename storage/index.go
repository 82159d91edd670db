package storage

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/sys"
)

// The index is a copy of all records and lives in one file, so that a list of a thousand containers opens one file and not two
// thousand. It is a cache and nothing else: each part of it counts only while the file that it was copied from is the same by its
// mark, a broken or missing one costs time only, and only a list writes it, when it had much to read.
//
// Behind indexMagic stand a checksum (CRC-32C, 4 bytes) of the rest, since a crash of the machine can leave zeros in the middle, and
// entries: numbers of 64 bits, little endian (the lengths of three texts, and marks), then the container's directory, its record and
// its life. They stand in the order in which the kernel lists the directories.

const indexMagic = "rl-index2\n" // another number for another layout

// mark tells one content of a file from the next: files of containers are replaced by rename(2), never written to. The zero mark
// is that of a file that isn't there.
type mark struct {
	ino   uint64
	ctime int64 // nanoseconds; unlike mtime nobody can set it
	size  int64
}

func markOf(st *unix.Stat_t) mark { return mark{st.Ino, st.Ctim.Nano(), st.Size} }

// place is the mark of a container's directory: whatever is replaced in it changes its time. While it stays the same, the files need
// not be looked at.
type place struct {
	ino   uint64
	ctime int64
}

// copied is a file of a container with its mark.
type copied struct {
	mark
	text string
}

// entry is a container in the index.
type entry struct {
	dir          string
	place        place
	record, life copied
	whole        string // the entry as it stands in the index, "" if it doesn't
	moved        bool   // it has another place by now
}

// index is what there is of one, read in order.
type index struct {
	rest string
	// next is the entry before rest, and nextDir its directory; "" behind the last.
	next, nextDir string
	// others are all that were left, by directory, when the order was found to be another.
	others map[string]string
}

func (s *Store) indexFile() string { return filepath.Join(s.DataDir, "index") }

func readIndex(path string) *index {
	text, err := sys.MapFile(path)
	if err != nil {
		return &index{}
	}
	rest, ok := strings.CutPrefix(text, indexMagic)
	if !ok || len(rest) <= sumSize {
		return &index{}
	}
	x := &index{rest: rest[sumSize:]}
	if number(rest, sumSize) != uint64(checksum(unsafe.Slice(unsafe.StringData(x.rest), len(x.rest)))) { // not copied: it is long
		return &index{}
	}
	x.step()
	return x
}

// step goes to the next entry.
func (x *index) step() {
	e, rest, ok := cutEntry(x.rest)
	if !ok {
		e, rest = entry{}, ""
	}
	x.next, x.nextDir, x.rest = e.whole, e.dir, rest
}

// find is the entry of the directory dir/name, "" if there is none.
func (x *index) find(dir, name string) string {
	if x.others == nil && !joined(x.nextDir, dir, name) {
		x.others = map[string]string{}
		for ; x.next != ""; x.step() {
			x.others[x.nextDir] = x.next
		}
	}
	if x.others == nil {
		found := x.next
		x.step()
		return found
	}
	key := dir + "/" + name
	found := x.others[key]
	delete(x.others, key)
	return found
}

// joined: path is dir/name.
func joined(path, dir, name string) bool {
	return len(path) == len(dir)+1+len(name) && path[:len(dir)] == dir && path[len(dir)] == '/' && path[len(dir)+1:] == name
}

// unread counts the entries that nobody asked for.
func (x *index) unread() int {
	n := len(x.others)
	for ; x.next != ""; x.step() {
		n++
	}
	return n
}

const (
	sumSize  = 4
	headSize = 9 * 8
)

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// number reads a little endian one of so many bytes.
func number(from string, size int) (n uint64) {
	for i := range size {
		n |= uint64(from[i]) << (8 * i)
	}
	return n
}

func cutEntry(from string) (e entry, rest string, ok bool) {
	if len(from) < headSize {
		return
	}
	var n [9]int64
	for i := range n {
		n[i] = int64(number(from[i*8:], 8))
	}
	rest = from[headSize:]
	var texts [3]string
	for i := range texts {
		if n[i] < 0 || n[i] > int64(len(rest)) {
			return
		}
		texts[i], rest = rest[:n[i]], rest[n[i]:]
	}
	e = entry{texts[0], place{uint64(n[7]), n[8]}, copied{mark{uint64(n[3]), n[4], n[1]}, texts[1]}, copied{mark{uint64(n[5]), n[6], n[2]}, texts[2]}, from[:len(from)-len(rest)], false}
	return e, rest, e.dir != ""
}

func appendEntry(b []byte, e *entry) []byte {
	for _, n := range []int64{int64(len(e.dir)), int64(len(e.record.text)), int64(len(e.life.text)), int64(e.record.ino), e.record.ctime, int64(e.life.ino), e.life.ctime,
		int64(e.place.ino), e.place.ctime} {
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
	}
	return append(append(append(b, e.dir...), e.record.text...), e.life.text...)
}

// lister is a list under way.
type lister struct {
	store  *Store
	boot   string
	index  *index
	states []State
	// fresh are the entries of the index that should be. What is younger than settled, in nanoseconds since 1970, isn't for an index.
	fresh   []string
	settled int64
	// missed counts the containers that the index lacked, touched those whose directory has changed but not what the index has of it.
	missed, touched atomic.Int32
}

func (s *Store) lister(settled time.Time) *lister {
	return &lister{store: s, boot: sys.BootID(), index: readIndex(s.indexFile()), settled: settled.UnixNano()}
}

// list adds the containers of one place.
func (l *lister) list(place string) error {
	dir := filepath.Join(l.store.DataDir, place)
	d, err := openDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close()
	names, err := sys.Names(d)
	if err != nil {
		return err
	}
	known := make([]string, len(names))
	for i, name := range names {
		known[i] = l.index.find(dir, name)
	}
	states := make([]State, len(names))
	sys.Populate(states)
	inParallel(len(names), func(i int) {
		if !l.glance(&states[i], &known[i], int(d.Fd()), dir, names[i]) {
			states[i].Dir = ""
		}
	})
	states = slices.DeleteFunc(states, func(s State) bool {
		return s.Dir == "" || place != kept && (!s.Running && !s.Monitored && !monitored(s.Dir) || l.has(s.ID))
	})
	l.fresh = append(l.fresh, known...)
	if len(l.states) == 0 {
		l.states = states
	} else {
		l.states = append(l.states, states...)
	}
	return nil
}

// has: it was kept when the other place was read, and is being removed.
func (l *lister) has(id string) bool {
	for i := range l.states { // a state is large: not copied to be looked at
		if l.states[i].ID == id {
			return true
		}
	}
	return false
}

// inParallel does n things that mostly wait for the kernel.
func inParallel(n int, do func(i int)) {
	workers := min(runtime.GOMAXPROCS(0), 4)
	if n < 128 {
		workers = 1
	}
	var wait sync.WaitGroup
	for w := 1; w < workers; w++ {
		wait.Go(func() {
			for i := n * w / workers; i < n*(w+1)/workers; i++ {
				do(i)
			}
		})
	}
	for i := range n / workers {
		do(i)
	}
	wait.Wait()
}

// glance is look with the index's help, and asks for the lock only if that says something. known is the container's entry in the
// index, and then the one that it should have there.
func (l *lister) glance(s *State, known *string, at int, dir, name string) (ok bool) {
	var st unix.Stat_t
	if err := unix.Fstatat(at, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		*known = ""
		return false
	}
	e, _, _ := cutEntry(*known)
	*known = ""
	if e.dir == "" {
		e.dir = dir + "/" + name
	}
	s.Dir, s.Status = e.dir, Created
	if now := (place{st.Ino, st.Ctim.Nano()}); now != e.place {
		e.place, e.moved = now, true
		if !l.read(&e, at, name) {
			*s, ok = look(s.Dir, l.boot) // being made, or lost in that moment
			return ok
		}
	}
	if parseRecord(e.record.text, &s.Record) != nil || s.ID == "" {
		*s, ok = look(s.Dir, l.boot)
		return ok
	}
	if e.life.ino != 0 && parseLife(e.life.text, &s.Life) != nil {
		s.Life = Life{}
	}
	s.judge(l.boot, func() bool {
		s.Monitored = monitored(s.Dir)
		return s.Monitored
	})
	*known = l.remember(&e, s)
	if s.doubtful() {
		*s, ok = look(s.Dir, l.boot)
		return ok
	}
	return true
}

// read brings an entry up to date.
func (l *lister) read(e *entry, at int, name string) bool {
	before := e.record.mark
	record, err := current(at, name+"/"+recordFile, &e.record)
	if err != nil || record.ino == 0 {
		return false
	}
	life, err := current(at, name+"/"+stateFile, &e.life)
	if err != nil {
		life = copied{}
	}
	if record.mark != before || life.mark != e.life.mark {
		e.whole = ""
	}
	e.record, e.life = record, life
	return true
}

// current is the content of a file as the index has it, or read now.
func current(at int, path string, known *copied) (copied, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(at, path, &st, unix.AT_SYMLINK_NOFOLLOW); err == unix.ENOENT {
		return copied{}, nil
	} else if err == nil && markOf(&st) == known.mark {
		return *known, nil
	}
	fd, err := unix.Openat(at, path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return copied{}, err
	}
	defer unix.Close(fd)
	if err := unix.Fstat(fd, &st); err != nil {
		return copied{}, err
	}
	b := make([]byte, st.Size)
	n, err := unix.Pread(fd, b, 0)
	if err != nil {
		return copied{}, err
	}
	return copied{markOf(&st), string(b[:n])}, nil
}

// remember is the entry of the index that should be. What was changed a moment ago has none: within a tick of the clock another content
// could get the same mark. The directory of a container that runs changes often: that is no reason to write all anew.
func (l *lister) remember(e *entry, s *State) string {
	switch {
	case e.place.ctime > l.settled:
		return ""
	case e.whole == "":
		l.missed.Add(1)
	case !s.Running && e.moved:
		l.touched.Add(1)
	}
	if e.whole == "" || e.moved {
		return string(appendEntry(nil, e))
	}
	return e.whole
}

// update writes the index when the next list gains by it. That it can't be written is nobody's concern: the disk may be full.
func (l *lister) update() {
	if l.missed.Load() < 16 && l.touched.Load() < 64 && l.index.unread() < 256 {
		return
	}
	path := l.store.indexFile()
	stage := path + ".new"
	f, err := os.OpenFile(stage, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		// Another list writes it now, or was killed there.
		if info, err := os.Lstat(stage); err == nil && time.Since(info.ModTime()).Abs() > time.Minute {
			os.Remove(stage)
		}
		return
	}
	if err != nil {
		return
	}
	_, err = f.Write(l.encode())
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(stage, path)
	}
	if err != nil {
		os.Remove(stage)
	}
}

func (l *lister) encode() []byte {
	b := append([]byte(indexMagic), make([]byte, sumSize)...)
	for _, e := range l.fresh {
		b = append(b, e...)
	}
	binary.LittleEndian.PutUint32(b[len(indexMagic):], checksum(b[len(indexMagic)+sumSize:]))
	return b
}

// monitored tells whether an rl holds the lock of the container in dir.
func monitored(dir string) bool {
	d, err := openDir(dir)
	if err != nil {
		return false
	}
	defer d.Close()
	return errors.Is(flock(d, unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
}
