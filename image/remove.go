package image

import (
	"errors"
	"fmt"

	"go.podman.io/image/v5/docker/reference"
	cstorage "go.podman.io/storage"

	"github.com/rl-containers/rl/hint"
)

// Remove takes a name away from an image, or the image with its last name. Each step is told to done, in podman's words.
// force takes all names, and the image from under a container that has ended. An unknown image is a *hint.Exit with code 1.
func (s *Store) Remove(name string, force bool, done func(line string)) error {
	img, err := s.find(name)
	var missing *missingError
	if errors.As(err, &missing) {
		if force {
			return nil
		}
		return hint.With(&hint.Exit{Code: 1, Err: err}, append(s.near(name), "rl images lists them")...)
	}
	if err != nil {
		return err
	}
	if len(img.Names) > 1 && !force {
		if tag := s.tagOf(img, name); tag != "" {
			done("Untagged: " + tag)
			err := s.store.RemoveNames(img.ID, []string{tag})
			if err == nil {
				s.tell("untag", img.ID, tag)
			}
			return err
		}
		return hint.Errorf("rl rmi -f "+name+" removes it with all of them", "remove image %s: it has %d names", name, len(img.Names))
	}
	if err := s.unused(img, force); err != nil {
		return err
	}
	if _, err := s.store.DeleteImage(img.ID, true); err != nil {
		if errors.Is(err, cstorage.ErrImageUsedByContainer) {
			return hint.With(fmt.Errorf("remove image %s: %w", name, err), "a container of podman's or buildah's uses it: podman ps -a --storage lists them, podman rm removes one")
		}
		return fmt.Errorf("remove image %s: %w", name, explain(err))
	}
	s.tell("remove", img.ID, img.Names...)
	for _, n := range img.Names {
		done("Untagged: " + n)
	}
	done("Deleted: " + img.ID)
	return nil
}

// unused refuses to pull layers away from under rl's own containers.
func (s *Store) unused(img *cstorage.Image, force bool) error {
	states, err := s.rl.List()
	if err != nil {
		return err
	}
	for _, c := range states {
		if c.ImageID != img.ID || force && !c.Running {
			continue
		}
		verb := "rl rm "
		if c.Running {
			verb = "rl rm -f "
		}
		return &hint.Exit{Code: 2, Err: hint.Errorf(verb+c.ID[:12], "remove image %.12s: container %.12s uses it", img.ID, c.ID)}
	}
	return nil
}

// tagOf is the image's name that name stands for; "" when it is an id.
func (s *Store) tagOf(img *cstorage.Image, name string) string {
	names, err := s.candidates(name)
	if err != nil {
		return ""
	}
	for _, n := range names {
		full := reference.TagNameOnly(n).String()
		for _, have := range img.Names {
			if have == full {
				return have
			}
		}
	}
	return ""
}

// IDs are all images.
func (s *Store) IDs() ([]string, error) {
	images, err := s.store.Images()
	var ids []string
	for _, i := range images {
		ids = append(ids, i.ID)
	}
	return ids, err
}
