package container

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/storage"
)

// Selection says which containers a verb is about.
type Selection struct {
	Words    []string // names, ids, unique beginnings of ids
	CIDFiles []string // files that hold an id
	All      bool
	Filters  []string // of all those for which they hold, as of ps
	// Ignore: one that isn't there is no error.
	Ignore bool
	// Depend: also those that have a namespace of one of them.
	Depend bool
}

// ErrSkip is the result of a work that didn't apply to the container: it is no error, and the container isn't told of as done.
var ErrSkip = errors.New("nothing to do")

// Each does something with every container of the selection, several at a time. A name that isn't found keeps none of the others
// from it. done is told each that went well, as it was named, in their order.
func Each(sel Selection, do func(*storage.State) error, done func(word string)) error {
	store, err := storage.Open()
	if err != nil {
		return err
	}
	words, states, failed := sel.states(store)
	if sel.Depend {
		more, err := dependents(store, states)
		if err != nil {
			return err
		}
		for _, s := range more {
			words, states = append(words, s.ID), append(states, s)
		}
	}
	results := make([]error, len(states))
	var wait sync.WaitGroup
	slots := make(chan struct{}, 16)
	for i := range states {
		slots <- struct{}{}
		wait.Go(func() {
			results[i] = do(states[i])
			<-slots
		})
	}
	wait.Wait()
	for i, err := range results {
		switch {
		case err == nil:
			done(words[i])
			continue
		case errors.Is(err, ErrSkip):
			continue
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// states finds them, each once.
func (sel *Selection) states(store *storage.Store) (words []string, states []*storage.State, failed []error) {
	if sel.All {
		all, err := store.List()
		if err != nil {
			return nil, nil, []error{err}
		}
		for i := range all {
			refine(&all[i])
		}
		if all, err = Filter(all, sel.Filters); err != nil {
			return nil, nil, []error{err}
		}
		for i := range all {
			words, states = append(words, all[i].ID), append(states, &all[i])
		}
		return words, states, nil
	}
	asked := sel.Words
	for _, file := range sel.CIDFiles {
		id, err := os.ReadFile(file)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		asked = append(asked, strings.TrimSpace(string(id)))
	}
	seen := map[string]bool{}
	for _, word := range asked {
		s, err := lookup(store, word)
		switch {
		case err != nil && sel.Ignore && errors.Is(err, ErrNotFound):
		case err != nil:
			failed = append(failed, err)
		case !seen[s.ID]:
			seen[s.ID] = true
			refine(s)
			words, states = append(words, word), append(states, s)
		}
	}
	return words, states, failed
}

// ErrNotFound says that there is no container of that name or id.
var ErrNotFound = errors.New("no container with name or id")

func notFound(word string, states []storage.State) error {
	names := make([]string, len(states))
	for i := range states {
		names[i] = states[i].Name
	}
	return hint.With(&hint.Exit{Code: 1, Err: fmt.Errorf("%w %s", ErrNotFound, word)}, append(hint.Meant("", word, names), "rl ps -a lists them")...)
}
