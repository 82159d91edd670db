package container

import (
	"errors"
	"strings"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/idmap"
	"github.com/rl-containers/rl/storage"
)

// List returns what `rl ps` shows: containers that run, and with all those that have ended and were kept.
func List(all bool) ([]storage.State, error) {
	store, err := storage.Open()
	if err != nil {
		return nil, err
	}
	states, err := store.List()
	if err != nil || all {
		return states, err
	}
	var running []storage.State
	for _, s := range states {
		if s.Running {
			running = append(running, s)
		}
	}
	return running, nil
}

// Delete removes the containers with these names, ids or unique beginnings of ids. One that runs is killed with force, and
// an error without. All are tried; the removed ones are told to done.
func Delete(words []string, force bool, done func(word string)) error {
	store, err := storage.Open()
	if err != nil {
		return err
	}
	states, err := store.List()
	if err != nil {
		return err
	}
	var failed []error
	for _, word := range words {
		err := deleteOne(store, states, word, force)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		done(word)
	}
	return errors.Join(failed...)
}

func deleteOne(store *storage.Store, states []storage.State, word string, force bool) error {
	s, err := find(states, word)
	if err != nil {
		return err
	}
	if s.Running && !force {
		return hint.Errorf("rl rm -f "+word+" kills it first", "remove container %s: it is running", word)
	}
	left, err := store.Delete(s)
	if err != nil || left == "" {
		return err
	}
	ids, err := idmap.Mine("")
	if err != nil {
		return err
	}
	return removeMapped(ids, []string{left})
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
		return nil, hint.With(&hint.Exit{Code: 1, Err: errors.New("no container with name or id " + word)}, "rl ps -a lists them")
	}
	return found, nil
}
