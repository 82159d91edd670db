package image

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"go.podman.io/image/v5/docker/reference"
	"go.podman.io/image/v5/pkg/shortnames"
	cstorage "go.podman.io/storage"

	"github.com/rl-containers/rl/hint"
)

// missingError says that no image of the store is meant by a name.
type missingError struct{ name string }

func (e *missingError) Error() string { return "image " + e.name + " is not in the store" }

// IsMissing tells that an error is about an image that isn't there.
func IsMissing(err error) bool {
	var missing *missingError
	return errors.As(err, &missing)
}

// find looks an image up as podman does: by id or its beginning, else by the full names that a short one may stand for.
func (s *Store) find(name string) (*cstorage.Image, error) {
	id := strings.TrimPrefix(name, "sha256:")
	if regexp.MustCompile("^[0-9a-f]{64}$").MatchString(id) {
		img, err := s.store.Image(id)
		return img, found(name, err)
	}
	names, err := s.candidates(name)
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		img, err := s.byName(n)
		if err == nil || !errors.Is(err, cstorage.ErrImageUnknown) {
			return img, err
		}
	}
	if regexp.MustCompile("^[0-9a-f]{3,63}$").MatchString(id) {
		return s.byPrefix(id)
	}
	return nil, &missingError{name}
}

func found(name string, err error) error {
	if errors.Is(err, cstorage.ErrImageUnknown) {
		return &missingError{name}
	}
	return err
}

// candidates are the full names that name may stand for among images that are here.
func (s *Store) candidates(name string) ([]reference.Named, error) {
	normal, err := reference.ParseNormalizedNamed(untagged(name))
	if err != nil {
		return nil, hint.Errorf("[REGISTRY/]NAME[:TAG|@DIGEST], all but the tag in lower case", "%q is not the name of an image: %w", name, err)
	}
	sys, err := s.system("")
	if err != nil {
		return nil, err
	}
	names, err := shortnames.ResolveLocally(sys, untagged(name))
	if err != nil {
		return nil, fmt.Errorf("look up %s: %w", name, err)
	}
	// Where nothing says what short names stand for they are docker.io's, as for a pull.
	if len(names) == 1 && names[0].Name() != normal.Name() {
		names = append(names, reference.TagNameOnly(normal))
	}
	return names, nil
}

// untagged drops the tag of NAME:TAG@DIGEST, as docker and podman do: the digest says all, and the library takes one of them.
func untagged(name string) string {
	left, digest, both := strings.Cut(name, "@")
	i := strings.LastIndexByte(left, ':')
	if !both || i <= strings.LastIndexByte(left, '/') {
		return name
	}
	return left[:i] + "@" + digest
}

// byName finds one full name; a digest is looked for among those of the repository's images.
func (s *Store) byName(n reference.Named) (*cstorage.Image, error) {
	digested, ok := n.(reference.Canonical)
	if !ok {
		return s.store.Image(reference.TagNameOnly(n).String())
	}
	images, err := s.store.ImagesByDigest(digested.Digest())
	if err != nil {
		return nil, err
	}
	for _, img := range images {
		for _, name := range img.Names {
			if r, err := reference.ParseNormalizedNamed(name); err == nil && r.Name() == n.Name() {
				return img, nil
			}
		}
	}
	return nil, cstorage.ErrImageUnknown
}

func (s *Store) byPrefix(prefix string) (*cstorage.Image, error) {
	images, err := s.store.Images()
	if err != nil {
		return nil, err
	}
	var found *cstorage.Image
	for i := range images {
		if !strings.HasPrefix(images[i].ID, prefix) {
			continue
		}
		if found != nil {
			return nil, hint.Errorf("rl images --no-trunc shows whole ids", "%s is the beginning of more than one image's id", prefix)
		}
		found = &images[i]
	}
	if found == nil {
		return nil, &missingError{prefix}
	}
	return found, nil
}
