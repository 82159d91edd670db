package storage

import (
	"time"

	"github.com/rl-containers/rl/sys"
)

// PruneImages asks rl-image to remove images that no container uses, by its verb "prune".
type PruneImages struct {
	// All: named ones, too, and not only those without a name on which no other image stands.
	All bool
	// Filters are those of rl images.
	Filters []string
}

// Pruned is what was removed.
type Pruned struct {
	// Deleted are names, ids or, of images, docker's lines ("untagged: NAME", "deleted: sha256:ID").
	Deleted []string
	// Reclaimed is in bytes.
	Reclaimed int64
}

// ImagesUsage is what rl-image answers to its verb "usage".
type ImagesUsage struct {
	Images []ImageUsage
	// Layers are the sizes of all layers of the images, each once, in bytes.
	Layers map[string]int64
}

// ImageUsage is an image and what it takes.
type ImageUsage struct {
	ID      string
	Names   []string // fully qualified
	Created time.Time
	// Layers are the ids of its layers, the topmost first.
	Layers []string
	// Extra is what it takes beside them: its manifest and config, in bytes.
	Extra int64
}

// DeleteEnded removes a container if nobody is at work on it and nothing of it runs, also when its lock is held: it may have been
// started since it was looked at. left is as Delete's.
func (s *Store) DeleteEnded(state *State) (left string, done bool) {
	c, err := state.Open()
	if err != nil {
		return "", false
	}
	defer c.Close()
	if now, err := ReadLife(c.Dir); err == nil {
		if alive, _ := now.alive(sys.BootID()); alive {
			return "", false
		}
	}
	return c.Remove(), true
}
