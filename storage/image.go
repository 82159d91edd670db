package storage

import (
	"github.com/rl-containers/rl/spec"
)

// Image is the record of one image: all that `rl run` needs to know of it. rl-image writes it, from the containers/storage
// database that rl itself never opens.
type Image struct {
	ID     string   // sha256 hex of the config, without prefix
	Names  []string // fully qualified, e.g. docker.io/library/alpine:latest
	Digest string   // of the manifest
	// Base is the directory that Layers are relative to (the store's overlay folder).
	Base string
	// Layers are the diff directories, the topmost first, as lowerdir wants them; short ("l/ABC…") where the store has
	// short links, absolute where a layer is of an additional image store.
	Layers []string
	Config spec.Image
}
