package storage

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/sys"
)

// lister is a list under way.
type lister struct {
	store  *Store
	boot   string
	index  *index
	states []State
	// fresh are the entries of the index that should be, those of the kept containers first, and seal its seal. What is younger than
	// settled, in nanoseconds since 1970, isn't for an index.
	fresh   []string
	kept    int
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
	if l.fresh = append(l.fresh, known...); place == kept {
		l.kept = len(l.fresh)
	}
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

// monitored tells whether an rl holds the lock of the container in dir.
func monitored(dir string) bool {
	d, err := openDir(dir)
	if err != nil {
		return false
	}
	defer d.Close()
	return errors.Is(flock(d, unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
}
