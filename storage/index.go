package storage

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The index is a copy of all records and lives in one file, so that a list of a thousand containers opens one file and not two
// thousand. It is a cache and nothing else: each part of it counts only while the file that it was copied from is the same by its
// mark, a broken or missing one costs time only, and only a list writes it, when it had much to read.
//
// Behind indexMagic stand a checksum (CRC-32C, 4 bytes) of the rest, since a crash of the machine can leave zeros in the middle, and
// entries: seven numbers of 64 bits, little endian (the lengths of three texts, and two marks but for what is in the lengths), then
// the name of the container's directory, the record and the life.

const indexMagic = "rl-index1\n"

// mark tells one content of a file from the next: files of containers are replaced by rename(2), never written to. The zero mark
// is that of a file that isn't there.
type mark struct {
	ino   uint64
	ctime int64 // nanoseconds; unlike mtime nobody can set it
	size  int64
}

func markOf(st *unix.Stat_t) mark { return mark{st.Ino, st.Ctim.Nano(), st.Size} }

// copied is a file of a container with its mark.
type copied struct {
	mark
	text string
}

// entry is a container in the index.
type entry struct{ record, life copied }

func (s *Store) indexFile() string { return filepath.Join(s.DataDir, "index") }

// readIndex reads what there is of it.
func readIndex(path string) map[string]entry {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	// Nobody writes to b any more, and a copy of it would cost as much as the reading.
	rest, ok := strings.CutPrefix(unsafe.String(unsafe.SliceData(b), len(b)), indexMagic)
	if !ok || len(rest) < sumSize || binary.LittleEndian.Uint32(b[len(indexMagic):]) != checksum(b[len(indexMagic)+sumSize:]) {
		return nil
	}
	rest = rest[sumSize:]
	all := make(map[string]entry, len(rest)/512)
	for rest != "" {
		var name string
		var e entry
		if name, e, rest, ok = cutEntry(rest); !ok {
			return all
		}
		all[name] = e
	}
	return all
}

const (
	sumSize  = 4
	headSize = 7 * 8
)

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

func cutEntry(from string) (name string, e entry, rest string, ok bool) {
	if len(from) < headSize {
		return
	}
	var n [7]int64
	for i := range n {
		n[i] = int64(binary.LittleEndian.Uint64([]byte(from[i*8 : i*8+8])))
	}
	rest = from[headSize:]
	var texts [3]string
	for i := range texts {
		if n[i] < 0 || n[i] > int64(len(rest)) {
			return
		}
		texts[i], rest = rest[:n[i]], rest[n[i]:]
	}
	e.record = copied{mark{uint64(n[3]), n[4], n[1]}, texts[1]}
	e.life = copied{mark{uint64(n[5]), n[6], n[2]}, texts[2]}
	return texts[0], e, rest, texts[0] != ""
}

func appendEntry(b []byte, e *named) []byte {
	for _, n := range []int64{int64(len(e.name)), int64(len(e.record.text)), int64(len(e.life.text)), int64(e.record.ino), e.record.ctime, int64(e.life.ino), e.life.ctime} {
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
	}
	return append(append(append(b, e.name...), e.record.text...), e.life.text...)
}

// lister is a list under way.
type lister struct {
	store  *Store
	boot   string
	index  map[string]entry
	states []State
	// fresh is the index as it should be; missed counts what it lacked. What is younger than settled, in nanoseconds since 1970,
	// isn't for an index.
	fresh   []named
	missed  int
	settled int64
}

type named struct {
	name string
	entry
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
	names, err := d.Readdirnames(-1)
	if err != nil {
		return err
	}
	l.states = slices.Grow(l.states, len(names))
	l.fresh = slices.Grow(l.fresh, len(names))
	for _, name := range names {
		one, ok := l.glance(int(d.Fd()), dir, name)
		if ok && (place == kept || one.Running || one.Monitored || monitored(one.Dir)) {
			l.states = append(l.states, one)
		}
	}
	return nil
}

// glance is look with the index's help, and asks for the lock only if that says something.
func (l *lister) glance(at int, dir, name string) (State, bool) {
	s := State{Dir: dir + "/" + name, Status: Created}
	known := l.index[name]
	record, newRecord, err := current(at, name+"/"+recordFile, &known.record)
	if err != nil || record.ino == 0 || parseRecord(record.text, &s.Record) != nil {
		return look(s.Dir, l.boot) // being made, or lost in that moment
	}
	life, newLife, err := current(at, name+"/"+stateFile, &known.life)
	if err != nil || life.ino != 0 && parseLife(life.text, &s.Life) != nil {
		s.Life = Life{}
	}
	l.remember(name, entry{record, life}, newRecord || newLife)
	s.judge(l.boot, func() bool {
		s.Monitored = monitored(s.Dir)
		return s.Monitored
	})
	if s.doubtful() {
		return look(s.Dir, l.boot)
	}
	return s, true
}

// current is the content of a file as the index has it, or read now.
func current(at int, path string, known *copied) (c copied, read bool, err error) {
	var st unix.Stat_t
	if err := unix.Fstatat(at, path, &st, unix.AT_SYMLINK_NOFOLLOW); err == unix.ENOENT {
		return copied{}, false, nil
	} else if err == nil && markOf(&st) == known.mark {
		return *known, false, nil
	}
	fd, err := unix.Openat(at, path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return copied{}, false, err
	}
	defer unix.Close(fd)
	if err := unix.Fstat(fd, &st); err != nil {
		return copied{}, false, err
	}
	b := make([]byte, st.Size)
	n, err := unix.Pread(fd, b, 0)
	if err != nil {
		return copied{}, false, err
	}
	return copied{markOf(&st), string(b[:n])}, true, nil
}

// remember puts an entry into the index that should be. What was written a moment ago is left out: within a tick of the clock
// another content could get the same mark, by the inode that the first has left.
func (l *lister) remember(name string, e entry, read bool) {
	if e.record.ctime > l.settled || e.life.ctime > l.settled {
		return
	}
	if read {
		l.missed++
	}
	l.fresh = append(l.fresh, named{name, e})
}

// update writes the index when the next list gains by it. That it can't be written is nobody's concern: the disk may be full.
func (l *lister) update() {
	gone := len(l.index) - (len(l.fresh) - l.missed)
	if l.missed < 16 && gone < 256 {
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
	for i := range l.fresh {
		b = appendEntry(b, &l.fresh[i])
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
