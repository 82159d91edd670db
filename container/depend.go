package container

import (
	"slices"
	"strings"

	"github.com/rl-containers/rl/storage"
)

// dependents are the containers that have a namespace of one of these, or of one that has: they are of no use without it. Those without
// a configuration have none.
func dependents(store *storage.Store, of []*storage.State) ([]*storage.State, error) {
	all, err := store.List()
	if err != nil {
		return nil, err
	}
	holders := map[string]bool{}
	for _, s := range of {
		holders[s.ID] = true
	}
	var found []*storage.State
	for again := true; again; {
		again = false
		for i := range all {
			if s := &all[i]; !holders[s.ID] && slices.ContainsFunc(namespacesOf(s), func(id string) bool { return holders[id] }) {
				holders[s.ID], again = true, true
				refine(s)
				found = append(found, s)
			}
		}
	}
	return found, nil
}

// namespacesOf are the ids of the containers that it joins.
func namespacesOf(s *storage.State) (ids []string) {
	c, err := ReadConfig(s.Dir)
	if err != nil {
		return nil
	}
	o := &c.Request.Options
	for _, mode := range []string{c.Request.Network, o.PID, o.IPC, o.UTS} {
		if id, ok := strings.CutPrefix(mode, "container:"); ok {
			ids = append(ids, id)
		}
	}
	return ids
}
