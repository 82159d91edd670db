package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
)

// State is a container as it is found: its record, and what the kernel says of it.
type State struct {
	Record
	Dir     string
	Running bool
}

// List finds all containers of the store. It waits for nothing: what is being made or removed at this moment is left out.
func (s *Store) List() ([]State, error) {
	var all []State
	for _, place := range []string{kept, transient} {
		dir := filepath.Join(s.DataDir, place)
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("list containers: %w", err)
		}
		for _, e := range entries {
			one, ok := look(filepath.Join(dir, e.Name()))
			if ok && (one.Running || place == kept) {
				all = append(all, one)
			}
		}
	}
	return all, nil
}

// look reads one container. Its lock says whether the rl that started it lives; trying it shared disturbs nobody but a
// collector, which tries again with the next command.
func look(dir string) (State, bool) {
	s := State{Dir: dir}
	d, err := openDir(dir)
	if err != nil {
		return s, false
	}
	defer d.Close()
	s.Running = errors.Is(flock(d, unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
	r, err := ReadRecord(dir)
	if err != nil {
		// Made but not started yet, or lost in that moment.
		s.ID = filepath.Base(dir)
		return s, !s.Running
	}
	s.Record = *r
	return s, true
}

// Delete removes a container, killing its process first if it has one. left is a directory that needs a user namespace to
// be deleted.
func (s *Store) Delete(state *State) (left string, err error) {
	c := &Container{Dir: state.Dir}
	if c.lock, err = openDir(state.Dir); err != nil {
		return "", err
	}
	defer c.Close()
	if flock(c.lock, unix.LOCK_EX|unix.LOCK_NB) != nil {
		c.bury(s)
		// Its rl sees the end, and lets go.
		if err := flock(c.lock, unix.LOCK_EX); err != nil {
			return "", err
		}
	}
	c.name = "" // its rl may have let go of the name meanwhile
	c.bury(s)
	if left = c.Remove(); left != "" {
		return left, nil
	}
	if _, err := os.Lstat(state.Dir); err == nil {
		return "", hint.Errorf("ls -ld "+state.Dir, "remove container %.12s: %s is still there", state.ID, state.Dir)
	}
	return "", nil
}
