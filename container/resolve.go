package container

import (
	"slices"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/storage"
)

// resolve has rl-image write the record of the image, after a pull where that is needed.
func resolve(store *storage.Store, req *Request) error {
	return imageTool(store, "resolve", storage.Resolve{Image: req.Image, Platform: req.Platform, Pull: req.Pull, Quiet: req.Quiet})
}

func checkPull(when string) error {
	if !slices.Contains([]string{"", "always", "missing", "never", "newer"}, when) {
		return hint.Errorf("always, missing, newer or never", "--pull %s: not a time to pull", when)
	}
	return nil
}
