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
// directory, and its record and life as packer has them. Those of kept containers stand first, and the newest before the others, as a list
// shows them. An entry may have no more than the directory: that container is looked at.

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
	// byDir are all that were left when somebody asked for one by its directory.
	byDir map[string]string
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
	if x.byDir == nil {
		x.byDir = map[string]string{}
		for ; x.next != ""; x.step() {
			x.byDir[x.nextDir] = x.next
		}
	}
	key := dir + "/" + name
	found := x.byDir[key]
	delete(x.byDir, key)
	return found
}

// begins: the next entry is of a container in dir.
func (x *index) begins(dir string) bool {
	return len(x.nextDir) > len(dir)+1 && x.nextDir[:len(dir)] == dir && x.nextDir[len(dir)] == '/'
}

// all are the next entries, of containers in dir, and their names there.
func (x *index) all(dir string) (names, known []string) {
	for x.begins(dir) {
		names, known = append(names, x.nextDir[len(dir)+1:]), append(known, x.next)
		x.step()
	}
	return names, known
}

// unread counts the entries that nobody asked for.
func (x *index) unread() int {
	n := len(x.byDir)
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
	newestFirst(l.fresh[:l.kept])
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

// newestFirst sorts entries. Those of which too little is known are the last.
func newestFirst(entries []string) {
	type dated struct {
		entry   string
		created time.Time
	}
	all := make([]dated, len(entries))
	for i, entry := range entries {
		var s State
		if e, _, _ := cutEntry(entry); unpackState(e.packed, &s) {
			all[i].created = s.Created
		}
		all[i].entry = entry
	}
	slices.SortStableFunc(all, func(a, b dated) int { return b.created.Compare(a.created) })
	for i := range all {
		entries[i] = all[i].entry
	}
}
