package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/sys"
)

// State is a container as it is found: what was asked, what was written of its life, and what the kernel says of it.
type State struct {
	Record
	Life
	Dir string
	// Status is Created, Running, Restarting or Exited.
	Status  string
	Running bool
	// Monitored: a living rl holds the container's lock. In a List it is false where nothing depends on it.
	Monitored bool
	// Still: its first process stands still after SIGSTOP.
	Still bool
}

// List finds all containers of the store. It waits for nothing: what is being made or removed at this moment is left out.
func (s *Store) List() ([]State, error) {
	l := s.lister(time.Now().Add(-2 * time.Second))
	for _, place := range []string{kept, transient} {
		if err := l.list(place); err != nil {
			return nil, fmt.Errorf("list containers: %w", err)
		}
	}
	l.update()
	return l.states, nil
}

// Look reads the container whose whole id is known; false when it is gone.
func (s *Store) Look(id string) (State, bool) {
	boot := sys.BootID()
	for _, place := range []string{kept, transient} {
		if one, ok := look(filepath.Join(s.DataDir, place, id), boot); ok {
			return one, true
		}
	}
	return State{}, false
}

// LookAt reads the container in dir; false when it is gone.
func LookAt(dir string) (State, bool) { return look(dir, sys.BootID()) }

// Named reads the container that has the name, at the price of one link.
func (s *Store) Named(name string) (State, bool) {
	id, err := os.Readlink(filepath.Join(s.DataDir, names, name))
	if err != nil || id != filepath.Base(id) {
		return State{}, false
	}
	one, ok := s.Look(id)
	return one, ok && one.Name == name // else a rename was killed, or is under way
}

// look reads one container. Its lock says whether an rl watches it; trying it shared disturbs nobody but who wants it at this
// moment, and tries again.
func look(dir, boot string) (State, bool) {
	s := State{Dir: dir, Status: Created}
	d, err := openDir(dir)
	if err != nil {
		return s, false
	}
	defer d.Close()
	s.Monitored = errors.Is(flock(d, unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
	r, err := ReadRecord(dir)
	if err != nil {
		return unrecorded(d, s, boot)
	}
	s.Record = *r
	if l, err := ReadLife(dir); err == nil {
		s.Life = *l
	}
	s.judge(boot, func() bool { return s.Monitored })
	return s, true
}

// ErrBusy says that another rl has the container's lock.
var ErrBusy = errors.New("another rl is at work on it")

// Open locks the container for a change of its life. ErrBusy: somebody watches it.
func (s *State) Open() (*Container, error) {
	lock, err := openDir(s.Dir)
	if err != nil {
		return nil, fmt.Errorf("open container %.12s: %w", s.ID, err)
	}
	// A reader of the list holds the lock for some microseconds, and the rl whose container has ended until it has cleared up, however
	// long that takes on a busy machine. One that watches a container that runs holds on.
	for n := range 2500 {
		if err = flock(lock, unix.LOCK_EX|unix.LOCK_NB); !errors.Is(err, unix.EWOULDBLOCK) || n >= 50 && s.watched() {
			break
		}
		time.Sleep(2 * time.Millisecond)
	}
	if err != nil {
		lock.Close()
		return nil, fmt.Errorf("container %.12s: %w", s.ID, ErrBusy)
	}
	if _, err := os.Lstat(s.Dir); err != nil {
		lock.Close()
		return nil, fmt.Errorf("container %.12s: it was removed at this moment", s.ID)
	}
	return &Container{Dir: s.Dir, lock: lock}, nil
}

// watched: by what is on record it runs, or will again.
func (s *State) watched() bool {
	l, err := ReadLife(s.Dir)
	return err == nil && (l.Restarting || l.Pid != 0 && l.Finished.IsZero())
}

// Write replaces one of the container's files, as JSON. Who changes what somebody else may change, too, does so within a Change.
func (s *State) Write(name string, v any) error { return (&Container{Dir: s.Dir}).Write(name, v) }

// Change rewrites the record of a container; two at once come one after the other.
func (s *Store) Change(state *State, change func(*Record) error) error {
	guard, err := s.guardNames()
	if err != nil {
		return err
	}
	defer guard.Close()
	return state.change(change)
}

// change is Change under the guard.
func (s *State) change(change func(*Record) error) error {
	r, err := ReadRecord(s.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("container %.12s: it was removed at this moment", s.ID)
	}
	if err != nil {
		return fmt.Errorf("change container %.12s: %w", s.ID, err)
	}
	if err := change(r); err != nil {
		return err
	}
	return s.Write(recordFile, r)
}

// stopped is a file in a container's directory: its end was asked for, no restart policy undoes it.
const stopped = "stopped"

// untilBoot is what the file holds when the end is wanted for now only: the machine goes down.
const untilBoot = "until boot\n"

// AskStop writes that the end of the container is wanted.
func (s *State) AskStop() error { return (&Container{Dir: s.Dir}).AskStop() }

// AskStop writes that the end of the container is wanted.
func (c *Container) AskStop() error { return c.askStop("") }

// AskStopUntilBoot writes that its end is wanted, and its start when the machine is up again.
func (s *State) AskStopUntilBoot() error { return (&Container{Dir: s.Dir}).askStop(untilBoot) }

// StoppedForGood tells whether somebody who didn't think of the next boot asked for the end.
func (s *State) StoppedForGood() bool {
	b, err := os.ReadFile(filepath.Join(s.Dir, stopped))
	return err == nil && string(b) != untilBoot
}

func (c *Container) askStop(text string) error {
	err := os.WriteFile(filepath.Join(c.Dir, stopped), []byte(text), 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // removed meanwhile
	}
	return err
}

// StopAsked tells whether the end was asked for since the last start that somebody typed.
func (s *State) StopAsked() bool { return (&Container{Dir: s.Dir}).StopAsked() }

// StopAsked tells whether the end was asked for since the last start that somebody typed.
func (c *Container) StopAsked() bool {
	_, err := os.Lstat(filepath.Join(c.Dir, stopped))
	return err == nil
}

// ForgetStop is for a start.
func (c *Container) ForgetStop() { os.Remove(filepath.Join(c.Dir, stopped)) }

// Delete removes a container, killing its process first if it has one. left is a directory that needs a user namespace to
// be deleted.
func (s *Store) Delete(state *State) (left string, err error) {
	c := &Container{Dir: state.Dir}
	if c.lock, err = openDir(state.Dir); err != nil {
		return "", err
	}
	defer c.Close()
	// Its rl sees the end, and lets go. One that was about to start it again does so once more at most.
	for flock(c.lock, unix.LOCK_EX|unix.LOCK_NB) != nil {
		if err := state.AskStop(); err != nil {
			return "", explainDisk("remove container", err)
		}
		state.bury(c)
		time.Sleep(2 * time.Millisecond)
	}
	state.bury(c)
	if left = c.Remove(); left != "" {
		return left, nil
	}
	if _, err := os.Lstat(state.Dir); err == nil {
		return "", hint.Errorf("ls -ld "+state.Dir, "remove container %.12s: %s is still there", state.ID, state.Dir)
	}
	return "", nil
}
