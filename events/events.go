// Package events keeps what happened to containers, images and volumes: a line of JSON an event, in a file that every rl appends to.
//
// There is no daemon that could tell of events, so the file is the way from who does something to who listens. Nobody waits for it and
// nothing fails for it: what can't be written (a full disk) is not told.
package events

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Event is one, with podman's words and the fields of its events --format json.
type Event struct {
	// ContainerExitCode is that of died and exec_died.
	ContainerExitCode *int   `json:",omitempty"`
	ID                string `json:",omitempty"`
	Image             string `json:",omitempty"`
	Name              string `json:",omitempty"`
	// Status is what happened: create, start, died, remove, pull …
	Status string
	Time   time.Time
	// Type is Container, Image, Volume or System.
	Type string
	// HealthStatus is that of health_status.
	HealthStatus string `json:",omitempty"`
	// Attributes are the labels of a container, and what else is to say.
	Attributes map[string]string `json:",omitempty"`
}

// The types.
const (
	Container = "container"
	Image     = "image"
	Volume    = "volume"
	System    = "system"
)

// FileName is the file in rl's data directory. Its predecessor has a suffix.
const (
	FileName = "events.jsonl"
	before   = FileName + ".1"
)

// maxSize is when the next file begins: some ten thousand events. An event over maxLine is told without its labels, which an image
// may have by the megabyte.
const (
	maxSize = 4 << 20
	maxLine = 16 << 10
)

// Write appends events to the file in rl's data directory, those of one call side by side. Zero times are now.
//
// One write(2) to a file opened with O_APPEND finds the end and writes there under the lock of the inode, so lines of several
// writers never mix (on NFS they may: a reader passes over what is no JSON). A writer that was killed in the middle, a full disk
// and a crash of the machine leave a line without its end, which the next writer ends.
func Write(dataDir string, list ...Event) {
	var b []byte
	for i := range list {
		b = append(b, lineOf(&list[i])...)
	}
	fd, size, err := openLast(filepath.Join(dataDir, FileName), filepath.Join(dataDir, before))
	if err != nil {
		return
	}
	defer unix.Close(fd)
	if last := []byte{'\n'}; size > 0 {
		if n, _ := unix.Pread(fd, last, size-1); n == 1 && last[0] != '\n' {
			b = append([]byte{'\n'}, b...)
		}
	}
	// Beyond ulimit -f write(2) ends the process by SIGXFSZ.
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_FSIZE, &limit) == nil && uint64(size)+uint64(len(b)) > limit.Cur {
		return
	}
	unix.Write(fd, b)
}

// lineOf is an event in the file, nothing for one that is too long.
func lineOf(e *Event) []byte {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	line, err := json.Marshal(e)
	if len(line) >= maxLine {
		short := *e
		short.Attributes = nil
		line, err = json.Marshal(&short)
	}
	if err != nil || len(line) >= maxLine {
		return nil
	}
	return append(line, '\n')
}

// openLast opens the file to append to, the next one if this is full, and tells its size.
func openLast(name, predecessor string) (fd int, size int64, err error) {
	fd, st, err := openFile(name)
	if err != nil || st.Size < maxSize {
		return fd, st.Size, err
	}
	// One at a time: a second rename would put the new file over the full one.
	if unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) == nil {
		var now unix.Stat_t
		if unix.Stat(name, &now) == nil && now.Ino == st.Ino && now.Dev == st.Dev {
			unix.Rename(name, predecessor)
		}
		if next, now, err := openFile(name); err == nil {
			unix.Close(fd)
			fd, st = next, now
		}
	}
	if st.Size > 2*maxSize { // it can't be renamed
		unix.Close(fd)
		return -1, 0, unix.EFBIG
	}
	return fd, st.Size, nil
}

// openFile opens what is a file, or makes it.
func openFile(name string) (fd int, st unix.Stat_t, err error) {
	fd, err = unix.Open(name, unix.O_RDWR|unix.O_APPEND|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return -1, st, err
	}
	if err = unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
		err = unix.EINVAL
	}
	if err != nil {
		unix.Close(fd)
		return -1, st, err
	}
	return fd, st, nil
}

// parse reads a line; false is a torn or foreign one.
func parse(line []byte) (e Event, ok bool) {
	if len(line) == 0 || line[0] != '{' || json.Unmarshal(line, &e) != nil {
		return e, false
	}
	return e, e.Status != "" && e.Type != ""
}

// open opens a file for reading, nil if it isn't there.
func open(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return f, err
}
