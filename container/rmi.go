package container

import (
	"errors"
	"os"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/storage"
)

// checkRemoveImage refuses --rmi of what is no image of the store.
func (r *Request) checkRemoveImage() error {
	switch {
	case !r.RemoveImage:
		return nil
	case r.Rootfs != "":
		return hint.Errorf("leave one of the two out", "--rmi: with --rootfs there is no image")
	case r.Image == "tiny":
		return hint.Errorf("leave --rmi out", "--rmi: tiny is built in, and in no store")
	}
	return nil
}

// removeImage takes away the image of a container that has ended and is gone, as rl rmi does: not from under another container, and
// of several names only the one that was typed. That it stays doesn't change how the container ended: rl-image has told why.
func removeImage(name string) error {
	store, err := storage.Open()
	if err != nil {
		return err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	err = imageToolWith(store, "rmi", struct{ Images []string }{[]string{name}}, null, null)
	var told *hint.Exit
	if errors.As(err, &told) && told.Err == nil {
		return nil
	}
	return err
}
