package storage

import (
	"encoding/binary"
	"errors"
	"hash/adler32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/sys"
)

// The index is a copy of all records and lives in one file, so that a list of a thousand containers opens one file and not two
// thousand. It is a cache and nothing else: each part of it counts only while the files that it was copied from are the same by their
// marks, a broken or missing one costs time only, and only a list writes it, when it had much to read.
//
// Behind indexMagic stand the id of the boot in which it was written, a checksum (Adler-32, 4 bytes) of what follows, which a later boot
// looks at, since a crash of the machine can leave zeros in the middle, the length of the entries, the seal (a place), and entries: numbers of 64 bits, little endian (the lengths of two texts, and marks), then the container's
// directory, and its record and life as packer has them. They stand in the order in which the kernel lists the directories. An entry
// may have no more than the directory: that container is looked at.

const indexMagic = "rl-index3\n" // another number for another layout

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

// entry is a container in the index.
type entry struct {
	dir          string
	place        place
	record, life mark
	packed       string // by packState
	whole        string // the entry as it stands in the index, "" if it doesn't
	moved        bool   // it has another place by now
}

// index is what there is of one, read in order.
type index struct {
	seal place // the zero place, if it has none
	rest string
	// next is the entry before rest, and nextDir its directory; "" behind the last.
	next, nextDir string
	// others are all that were left, by directory, when the order was found to be another.
	others map[string]string
}

func (s *Store) indexFile() string { return filepath.Join(s.DataDir, "index") }

func readIndex(path, boot string) *index {
	text, err := sys.MapFile(path)
	if err != nil {
		return &index{}
	}
	rest, ok := strings.CutPrefix(text, indexMagic)
	if !ok || len(rest) < bootSize+sumSize+sealSize {
		return &index{}
	}
	before, rest := rest[:bootSize], rest[bootSize:]
	bytes := unsafe.Slice(unsafe.StringData(rest), len(rest)) // not copied: it is long
	if before != boot && binary.LittleEndian.Uint32(bytes) != checksum(bytes[sumSize:]) {
		return &index{}
	}
	rest = rest[sumSize:]
	x := &index{seal: place{number(rest[8:]), int64(number(rest[16:]))}, rest: rest[sealSize:]}
	if number(rest) != uint64(len(x.rest)) {
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

// begins: the next entry is of a container in dir.
func (x *index) begins(dir string) bool {
	return len(x.nextDir) > len(dir) && joined(x.nextDir, dir, x.nextDir[len(dir)+1:])
}

// all are the next entries, of containers in dir, and their names there.
func (x *index) all(dir string) (names, known []string) {
	for x.begins(dir) {
		names, known = append(names, x.nextDir[len(dir)+1:]), append(known, x.next)
		x.step()
	}
	return names, known
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
	bootSize = 36
	sumSize  = 4
	sealSize = 3 * 8 // with the length
	headSize = 10 * 8
)

func checksum(b []byte) uint32 { return adler32.Checksum(b) }

func cutEntry(from string) (e entry, rest string, ok bool) {
	if len(from) < headSize {
		return
	}
	var n [headSize / 8]uint64
	for i := range n {
		n[i] = number(from[i*8:])
	}
	rest = from[headSize:]
	if n[0] > uint64(len(rest)) || n[1] > uint64(len(rest))-n[0] {
		return
	}
	e.dir, e.packed, rest = rest[:n[0]], rest[n[0]:n[0]+n[1]], rest[n[0]+n[1]:]
	e.place = place{n[2], int64(n[3])}
	e.record, e.life = mark{n[4], int64(n[5]), int64(n[6])}, mark{n[7], int64(n[8]), int64(n[9])}
	e.whole = from[:len(from)-len(rest)]
	return e, rest, e.dir != ""
}

// number reads 64 bits, little endian.
func number(from string) uint64 {
	_ = from[7]
	return uint64(from[0]) | uint64(from[1])<<8 | uint64(from[2])<<16 | uint64(from[3])<<24 |
		uint64(from[4])<<32 | uint64(from[5])<<40 | uint64(from[6])<<48 | uint64(from[7])<<56
}

func appendEntry(b []byte, e *entry) []byte {
	for _, n := range [...]uint64{uint64(len(e.dir)), uint64(len(e.packed)), e.place.ino, uint64(e.place.ctime),
		e.record.ino, uint64(e.record.ctime), uint64(e.record.size), e.life.ino, uint64(e.life.ctime), uint64(e.life.size)} {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	return append(append(b, e.dir...), e.packed...)
}

// lister is a list under way.
type lister struct {
	store  *Store
	boot   string
	index  *index
	states []State
	// fresh are the entries of the index that should be, and seal its seal. What is younger than settled, in nanoseconds since 1970,
	// isn't for an index.
	fresh   []string
	seal    place
	settled int64
	// missed counts the containers that the index lacked, touched those whose directory has changed but not what the index has of it.
	missed, touched atomic.Int32
}

func (s *Store) lister(settled time.Time) *lister {
	boot := sys.BootID()
	return &lister{store: s, boot: boot, index: readIndex(s.indexFile(), boot), settled: settled.UnixNano()}
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
	before := placeOf(d)
	sealed := place == kept && before == l.index.seal && before.ino != 0 && l.index.begins(dir)
	var names, known []string
	if sealed {
		names, known = l.index.all(dir)
	} else if names, known, err = l.known(d); err != nil {
		return err
	}
	sealable := sealed || place == kept && before.ctime <= l.settled && !announced(d)
	states := make([]State, len(names))
	sys.Populate(states)
	sys.InParallel(len(names), func(i int) {
		if sealed && l.trust(&states[i], known[i]) {
			return
		}
		if !l.glance(&states[i], &known[i], int(d.Fd()), dir, names[i]) {
			states[i].Dir = ""
		}
	})
	if sealable && placeOf(d) == before {
		l.seal = before
	}
	states = l.those(states, place)
	l.fresh = append(l.fresh, known...)
	if len(l.states) == 0 {
		l.states = states
	} else {
		l.states = append(l.states, states...)
	}
	return nil
}

// known are the names in a directory, and what the index has of each.
func (l *lister) known(d *os.File) (names, known []string, err error) {
	if names, err = sys.Names(d); err != nil {
		return nil, nil, err
	}
	known = make([]string, len(names))
	for i, name := range names {
		known[i] = l.index.find(d.Name(), name)
	}
	return names, known, nil
}

// trust is a container by a sealed index alone; false: it must be looked at.
func (l *lister) trust(s *State, known string) bool {
	e, _, _ := cutEntry(known)
	if !unpackState(e.packed, s) || s.ID == "" {
		*s = State{}
		return false
	}
	s.Dir = e.dir
	l.judge(s)
	if !s.doubtful() {
		return true
	}
	*s = State{}
	return false
}

// judge asks for the lock only where that says something.
func (l *lister) judge(s *State) {
	s.judge(l.boot, func() bool {
		s.Monitored = monitored(s.Dir)
		return s.Monitored
	})
}

// those leaves out what is no container any more. A state is large: none is copied to be looked at.
func (l *lister) those(states []State, place string) []State {
	n := 0
	for i := range states {
		s := &states[i]
		if s.Dir == "" || place != kept && (!s.Running && !s.Monitored && !monitored(s.Dir) || l.has(s.ID)) {
			continue
		}
		if n != i {
			states[n] = *s
		}
		n++
	}
	return states[:n]
}

// has: it was kept when the other place was read, and is being removed.
func (l *lister) has(id string) bool {
	for i := range l.states {
		if l.states[i].ID == id {
			return true
		}
	}
	return false
}

// glance is look with the index's help. known is the container's entry in the index, and then the one that it should have there.
func (l *lister) glance(s *State, known *string, at int, dir, name string) (ok bool) {
	var st unix.Stat_t
	if err := unix.Fstatat(at, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		*known = ""
		return false
	}
	e, _, _ := cutEntry(*known)
	if e.dir == "" {
		e.dir = dir + "/" + name
	}
	*known = unclear(e.dir)
	if now := (place{st.Ino, st.Ctim.Nano()}); now != e.place {
		e.place, e.moved = now, true
	}
	if !l.recall(&e, s, at, name) && !l.read(&e, s, at, name) {
		*s, ok = look(e.dir, l.boot) // being made, or lost in that moment
		return ok
	}
	s.Dir, s.Status = e.dir, Created
	l.judge(s)
	*known = l.remember(&e, s)
	if s.doubtful() {
		*s, ok = look(s.Dir, l.boot)
		return ok
	}
	return true
}

// recall is what the index has of the container, if that is true still.
func (l *lister) recall(e *entry, s *State, at int, name string) bool {
	if e.packed == "" || e.moved && (markAt(at, name+"/"+recordFile) != e.record || markAt(at, name+"/"+stateFile) != e.life) {
		return false
	}
	return unpackState(e.packed, s) && s.ID != ""
}

// markAt is the zero mark for a file that isn't there.
func markAt(at int, path string) mark {
	var st unix.Stat_t
	if unix.Fstatat(at, path, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
		return mark{}
	}
	return markOf(&st)
}

// read reads the container's files, and renews its entry.
func (l *lister) read(e *entry, s *State, at int, name string) bool {
	*s = State{}
	text, record, err := contentAt(at, name+"/"+recordFile)
	if err != nil || parseRecord(text, &s.Record) != nil || s.ID == "" {
		return false
	}
	text, life, err := contentAt(at, name+"/"+stateFile)
	if err == nil && parseLife(text, &s.Life) != nil {
		s.Life = Life{}
	}
	e.record, e.life, e.whole = record, life, ""
	e.packed = string(packState(s)) // before judge, which changes it
	return true
}

func contentAt(at int, path string) (text string, m mark, err error) {
	fd, err := unix.Openat(at, path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return "", mark{}, err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return "", mark{}, err
	}
	b := make([]byte, st.Size)
	n, err := unix.Pread(fd, b, 0)
	if err != nil {
		return "", mark{}, err
	}
	return string(b[:n]), markOf(&st), nil
}

// unclear is the entry of a container that must be looked at.
func unclear(dir string) string { return string(appendEntry(nil, &entry{dir: dir})) }

// remember is the entry of the index that should be. What was changed a moment ago has none: within a tick of the clock another content
// could get the same mark. The directory of a container that runs changes often: that is no reason to write all anew.
func (l *lister) remember(e *entry, s *State) string {
	switch {
	case e.place.ctime > l.settled:
		return unclear(e.dir)
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
	sealed := l.seal == l.index.seal || l.seal.ino == 0 || len(l.fresh) < 16
	if sealed && l.missed.Load() < 16 && l.touched.Load() < 64 && l.index.unread() < 256 {
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
	const sum = len(indexMagic) + bootSize
	b := make([]byte, sum+sumSize)
	copy(b[copy(b, indexMagic):], l.boot)
	length := 0
	for _, e := range l.fresh {
		length += len(e)
	}
	for _, n := range [...]uint64{uint64(length), l.seal.ino, uint64(l.seal.ctime)} {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	b = slices.Grow(b, length)
	for _, e := range l.fresh {
		b = append(b, e...)
	}
	binary.LittleEndian.PutUint32(b[sum:], checksum(b[sum+sumSize:]))
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
