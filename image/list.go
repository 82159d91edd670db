package image

import (
	"archive/tar"
	"cmp"
	"context"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"

	"go.podman.io/image/v5/docker/reference"
	cstorage "go.podman.io/storage"
	"go.podman.io/storage/pkg/archive"

	"github.com/rl-containers/rl/hint"
)

const goarch = runtime.GOARCH

// firstHeader reads the beginning of a tar archive, compressed or not.
func firstHeader(r io.Reader) error {
	plain, err := archive.DecompressStream(r)
	if err != nil {
		return err
	}
	defer plain.Close()
	if _, err = tar.NewReader(plain).Next(); errors.Is(err, io.EOF) {
		return errors.New("it is empty")
	}
	return err
}

// Summary is a line of `rl images`: one name of one image.
type Summary struct {
	ID         string `json:"Id"`
	Repository string
	Tag        string
	Digest     string
	Names      []string
	Created    time.Time
	Size       int64             // bytes of all layers, unpacked
	Labels     map[string]string `json:",omitempty"` // only when a filter asks for them
	ReadOnly   bool              `json:"-"`          // of an additional store
}

// List returns all images that match the filters, sorted by a key: "created" or nothing is the newest first.
func (s *Store) List(ctx context.Context, filters []string, key string) ([]Summary, error) {
	order, err := orderBy(key)
	if err != nil {
		return nil, err
	}
	match, err := s.parseFilters(filters)
	if err != nil {
		return nil, err
	}
	images, err := s.store.Images()
	if err != nil {
		return nil, err
	}
	// Labels stand in the config, a file an image: only read where they are asked for.
	labels := askLabels(filters)
	var all []Summary
	for _, img := range images {
		one := s.summary(ctx, &img, labels)
		if size, err := s.store.ImageSize(img.ID); err == nil {
			one.Size = size
		}
		for _, line := range one.lines() {
			if match(&line) {
				all = append(all, line)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b Summary) int { return b.Created.Compare(a.Created) })
	slices.SortStableFunc(all, order)
	return all, nil
}

func orderBy(key string) (func(a, b Summary) int, error) {
	switch key {
	case "", "created":
		return func(a, b Summary) int { return b.Created.Compare(a.Created) }, nil
	case "id":
		return func(a, b Summary) int { return strings.Compare(a.ID, b.ID) }, nil
	case "repository":
		return func(a, b Summary) int { return strings.Compare(a.Repository, b.Repository) }, nil
	case "size":
		return func(a, b Summary) int { return cmp.Compare(a.Size, b.Size) }, nil
	case "tag":
		return func(a, b Summary) int { return strings.Compare(a.Tag, b.Tag) }, nil
	}
	return nil, hint.Errorf("created, id, repository, size or tag", "--sort %s: images are not sorted by that", key)
}

func askLabels(filters []string) bool {
	return slices.ContainsFunc(filters, func(f string) bool { return strings.HasPrefix(f, "label") })
}

func (s *Store) summary(ctx context.Context, img *cstorage.Image, labels bool) Summary {
	one := Summary{ID: img.ID, Digest: img.Digest.String(), Names: img.Names, Created: img.Created, ReadOnly: img.ReadOnly}
	if labels {
		one.Labels = s.labels(ctx, img)
	}
	return one
}

func (s *Store) labels(ctx context.Context, img *cstorage.Image) map[string]string {
	r, err := s.record(ctx, img)
	if err != nil {
		return nil
	}
	return r.Config.Config.Labels
}

// lines are one a tagged name, or one with <none>.
func (s Summary) lines() []Summary {
	var all []Summary
	for _, name := range s.Names {
		n, err := reference.ParseNormalizedNamed(name)
		if err != nil {
			continue
		}
		line := s
		line.Repository, line.Tag = n.Name(), "<none>"
		if t, ok := n.(reference.Tagged); ok {
			line.Tag = t.Tag()
		}
		all = append(all, line)
	}
	if len(all) == 0 {
		s.Repository, s.Tag = "<none>", "<none>"
		all = append(all, s)
	}
	return all
}

// matchesReference: the pattern is of the whole name, or of its end behind any slash, with or without the tag.
func (s *Summary) matchesReference(pattern string) bool {
	for name, more := s.Repository, true; more; _, name, more = strings.Cut(name, "/") {
		if glob(pattern, name) || glob(pattern, name+":"+s.Tag) {
			return true
		}
	}
	return false
}
