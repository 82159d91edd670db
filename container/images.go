package container

import (
	"errors"
	"fmt"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/storage"
)

// ErrNoImage says that the store has no image of that name or id.
var ErrNoImage = errors.New("no such image")

// InspectImages tells all of the images that are named: for each an answer, and for those that there are none of, an error. failed is
// about the asking itself.
func InspectImages(names []string) (found []storage.ImageAnswer, errs []error, failed error) {
	if len(names) == 0 {
		return nil, nil, nil
	}
	if err := askImageTool("inspect", storage.InspectImages{Names: names}, &found); err != nil {
		return nil, nil, err
	}
	if len(found) != len(names) {
		return nil, nil, errors.New("inspect images: rl-image answers to something else")
	}
	errs = make([]error, len(names))
	for i, a := range found {
		switch {
		case a.Missing && names[i] == "tiny":
			errs[i] = hint.With(&hint.Exit{Code: 1, Err: fmt.Errorf("%w tiny in the store: it is built in", ErrNoImage)}, "rl run tiny runs it")
		case a.Missing:
			errs[i] = hint.With(&hint.Exit{Code: 1, Err: fmt.Errorf("%w %s", ErrNoImage, names[i])}, append(a.Hints, "rl images lists them")...)
		case a.Image == nil:
			errs[i] = hint.With(errors.New(a.Error), a.Hints...)
		}
	}
	return found, errs, nil
}

// ImageNames are the names of the images in the store, as far as a completion needs to know.
func ImageNames() []string {
	if store, err := storage.Open(); err == nil {
		return store.ImageNames()
	}
	return nil
}

// VolumeNames are the names of the volumes, for the same.
func VolumeNames() []string {
	if store, err := storage.Open(); err == nil {
		return store.VolumeNames()
	}
	return nil
}
