package storage

import (
	"os"
	"path/filepath"
)

// Rename gives the container another name. Whenever it is killed, the record says which of the two it has; the link of the other is
// nobody's.
func (s *Store) Rename(state *State, name string) error {
	guard, err := s.guardNames()
	if err != nil {
		return err
	}
	defer guard.Close()
	c, old := &Container{}, ""
	err = state.change(func(r *Record) error {
		old = s.nameOf(r)
		r.Name = name
		return s.takeOver(c, r.ID, name)
	})
	if err != nil { // it was removed meanwhile, or the disk is full
		old = c.name
	}
	if old != "" {
		os.Remove(old) // under the guard: it may be another's a moment later
	}
	return err
}

// owns tells whether the link by this name, to the container id, is its claim.
func (s *Store) owns(id, name string) bool {
	for _, place := range []string{transient, kept} {
		if r, err := ReadRecord(filepath.Join(s.DataDir, place, id)); err == nil && r.Name != name {
			return false
		}
	}
	return s.exists(id) // one that is being made has no record yet
}

// SweepNames removes the links that are nobody's claim.
func (s *Store) SweepNames() {
	guard, err := s.guardNames()
	if err != nil {
		return
	}
	defer guard.Close()
	all, _ := guard.Readdirnames(-1)
	for _, name := range all {
		link := filepath.Join(s.DataDir, names, name)
		if owner, err := os.Readlink(link); err == nil && !s.owns(owner, name) {
			os.Remove(link)
		}
	}
}
