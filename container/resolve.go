package container

import (
	"fmt"
	"os"
	"slices"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/storage"
)

// resolve has rl-image write the record of the image, after a pull where that is needed.
func resolve(store *storage.Store, req *Request) error {
	return imageTool(store, "resolve", storage.Resolve{Image: req.Image, Platform: req.Platform, Pull: req.Pull, Quiet: req.Quiet, Authfile: req.Authfile, TLSVerify: req.TLSVerify})
}

func (r *Request) checkPull() error {
	if r.Authfile != "" { // also where nothing is pulled
		if _, err := os.Stat(r.Authfile); err != nil {
			return fmt.Errorf("--authfile: %w", err)
		}
	}
	if !slices.Contains([]string{"", "always", "missing", "never", "newer"}, r.Pull) {
		return hint.Errorf("always, missing, newer or never", "--pull %s: not a time to pull", r.Pull)
	}
	return nil
}
