package image

import (
	"archive/tar"
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
}

// List returns all images that match every filter, the newest first. Filters are reference=PATTERN, label=KEY[=VALUE],
// label!=KEY[=VALUE], dangling=true|false and until=TIME.
func (s *Store) List(ctx context.Context, filters []string) ([]Summary, error) {
	match, err := parseFilters(filters)
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
			if match(line) {
				all = append(all, line)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b Summary) int { return b.Created.Compare(a.Created) })
	return all, nil
}

func askLabels(filters []string) bool {
	return slices.ContainsFunc(filters, func(f string) bool { return strings.HasPrefix(f, "label") })
}

func (s *Store) summary(ctx context.Context, img *cstorage.Image, labels bool) Summary {
	one := Summary{ID: img.ID, Digest: img.Digest.String(), Names: img.Names, Created: img.Created}
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

func (s *Summary) matchesReference(pattern string) bool {
	full := s.Repository + ":" + s.Tag
	for _, candidate := range []string{full, s.Repository, strings.TrimPrefix(full, "docker.io/library/"), strings.TrimPrefix(s.Repository, "docker.io/library/"),
		s.Repository[strings.LastIndexByte(s.Repository, '/')+1:], full[strings.LastIndexByte(s.Repository, '/')+1:]} {
		if glob(pattern, candidate) {
			return true
		}
	}
	return false
}
