package storage

import "github.com/rl-containers/rl/spec"

// Commit asks rl-image for an image of a container. The layer comes on standard input, as a tar archive.
type Commit struct {
	// Base is the id of the image that the layer goes on; "" for none: the layer is whole.
	Base string
	// Config is that of an image that isn't in the store, as a beginning; nil takes that of Base.
	Config *spec.Image
	// Changed is what the flags of run changed of it. Env holds single variables; fields that are nil or "" change nothing.
	Changed spec.ImageConfig
	// ResetCmd drops the image's Cmd, which belonged to another entrypoint.
	ResetCmd bool
	// Ports are PORT/PROTO that were published.
	Ports []string
	// Command is what the container ran, for the history.
	Command                  string
	Name                     string // "" leaves the image nameless
	Changes                  []string
	Author, Message, IIDFile string
	// Format is "oci" or "docker".
	Format string
	Quiet  bool
}
