package container

import (
	"slices"
	"strings"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/storage"
)

// List returns what `rl ps` shows: containers that run, and with all those that have ended and were kept.
func List(all bool) ([]storage.State, error) {
	store, err := storage.Open()
	if err != nil {
		return nil, err
	}
	states, err := store.List()
	if err != nil {
		return nil, err
	}
	for i := range states {
		refine(&states[i])
	}
	if !all {
		states = slices.DeleteFunc(states, func(s storage.State) bool { return !s.Running })
	}
	return states, nil
}

// Find returns the container with this name, id, or unique beginning of an id.
func Find(word string) (*storage.State, error) {
	store, err := storage.Open()
	if err != nil {
		return nil, err
	}
	s, err := lookup(store, word)
	if err == nil {
		refine(s)
	}
	return s, err
}

// lookup asks for a name or a whole id by one look, and for all else among all.
func lookup(store *storage.Store, word string) (*storage.State, error) {
	if checkName(word) == nil {
		if s, ok := store.Named(word); ok {
			return &s, nil
		}
		if len(word) == 64 {
			if s, ok := store.Look(word); ok {
				return &s, nil
			}
		}
	}
	states, err := store.List()
	if err != nil {
		return nil, err
	}
	return find(states, word)
}

func findConfig(word string) (*storage.State, *Config, error) {
	s, err := Find(word)
	if err != nil {
		return nil, nil, err
	}
	c, err := ReadConfig(s.Dir)
	return s, c, err
}

// Delete removes a container. One that runs is killed with force, and an error without.
func Delete(s *storage.State, force bool) error {
	if (s.Running || s.Status == storage.Restarting) && !force {
		return hint.Errorf("rl rm -f "+s.Name+" kills it first", "remove container %s: it is running", s.Name)
	}
	store, err := storage.Open()
	if err != nil {
		return err
	}
	thaw(s)
	left, err := store.Delete(s)
	if err == nil {
		dropGroup(&s.Life)
	}
	if err == nil && left != "" {
		err = removeLeft([]string{left})
	}
	if err == nil && !(s.Remove && s.Monitored) { // its rl told that
		happened(s, "remove")
	}
	if err == nil && s.Remove {
		err = DropVolumes(s)
	}
	return err
}

// discard removes the container, with the volumes that were made for it.
func (r *run) discard() {
	if r.dir == nil {
		return
	}
	var left []string
	record, err := storage.ReadRecord(r.dir.Dir)
	if dir := r.dir.Remove(); dir != "" {
		left = append(left, dir)
	}
	if err == nil && len(record.Anonymous) > 0 {
		if store, err := storage.Open(); err == nil { // a watching monitor has none yet
			left = append(left, store.RemoveAnonymous(record)...)
		}
	}
	if len(left) > 0 {
		removeMapped(r.ids, left)
	}
	r.dir.Close()
}

// find is by name first, then by id.
func find(states []storage.State, word string) (*storage.State, error) {
	var found *storage.State
	for i := range states {
		s := &states[i]
		if s.Name == word || s.ID == word {
			return s, nil
		}
		if word != "" && strings.HasPrefix(s.ID, word) {
			if found != nil {
				return nil, hint.Errorf("rl ps -a --no-trunc shows whole ids", "container %s: more than one id starts so", word)
			}
			found = s
		}
	}
	if found == nil {
		return nil, notFound(word, states)
	}
	return found, nil
}
