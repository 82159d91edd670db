package image

import (
	"context"
	"errors"
	"fmt"

	cstorage "go.podman.io/storage"

	"github.com/rl-containers/rl/storage"
)

// Prune removes images that no container of rl's, podman's or buildah's uses.
func (s *Store) Prune(ctx context.Context, p storage.PruneImages) (*storage.Pruned, error) {
	match, err := s.parseFilters(p.Filters)
	if err != nil {
		return nil, err
	}
	done := &storage.Pruned{}
	for {
		before := len(done.Deleted)
		// An image that stood on another is gone after the first round.
		if err := s.pruneOnce(ctx, &p, match, done); err != nil || len(done.Deleted) == before {
			return done, err
		}
	}
}

func (s *Store) pruneOnce(ctx context.Context, p *storage.PruneImages, match test, done *storage.Pruned) error {
	images, err := s.store.Images()
	if err != nil {
		return err
	}
	sizes, err := s.layerSizes()
	if err != nil {
		return err
	}
	keep, err := s.inUse()
	if err != nil {
		return err
	}
	if !p.All {
		s.keepBases(images, keep)
	}
	for i := range images {
		img := &images[i]
		if img.ReadOnly || keep[img.ID] || !p.All && len(img.Names) > 0 || !matchesAny(s.summary(ctx, img, askLabels(p.Filters)), match) {
			continue
		}
		if err := s.pruneOne(img, sizes, done); err != nil {
			return err
		}
	}
	return nil
}

// matchesAny: an image has a line a name.
func matchesAny(one Summary, match test) bool {
	for _, line := range one.lines() {
		if match(&line) {
			return true
		}
	}
	return false
}

func (s *Store) pruneOne(img *cstorage.Image, sizes map[string]int64, done *storage.Pruned) error {
	size := s.extra(img)
	layers, err := s.store.DeleteImage(img.ID, true)
	if errors.Is(err, cstorage.ErrImageUsedByContainer) || errors.Is(err, cstorage.ErrImageUnknown) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove image %.12s: %w", img.ID, explain(err))
	}
	s.tell("remove", img.ID, img.Names...)
	for _, id := range layers {
		size += sizes[id]
	}
	for _, name := range img.Names {
		done.Deleted = append(done.Deleted, "untagged: "+name)
	}
	done.Deleted = append(done.Deleted, "deleted: sha256:"+img.ID)
	done.Reclaimed += size
	return nil
}

// inUse are the images of rl's containers; the library knows those of others.
func (s *Store) inUse() (map[string]bool, error) {
	states, err := s.rl.List()
	if err != nil {
		return nil, err
	}
	used := map[string]bool{}
	for _, c := range states {
		used[c.ImageID] = true
	}
	return used, nil
}

// keepBases adds the images without a name on which another stands: a build of podman's goes on from them.
func (s *Store) keepBases(images []cstorage.Image, keep map[string]bool) {
	tops := map[string][]string{}
	for _, img := range images {
		tops[img.TopLayer] = append(tops[img.TopLayer], img.ID)
	}
	for _, img := range images {
		layer, err := s.store.Layer(img.TopLayer)
		for err == nil && layer.Parent != "" {
			for _, id := range tops[layer.Parent] {
				keep[id] = true
			}
			layer, err = s.store.Layer(layer.Parent)
		}
	}
}

// Usage tells what images take: their layers, which several may share, and the rest of each.
func (s *Store) Usage() (*storage.ImagesUsage, error) {
	images, err := s.store.Images()
	if err != nil {
		return nil, err
	}
	all, err := s.layerSizes()
	if err != nil {
		return nil, err
	}
	u := &storage.ImagesUsage{Layers: map[string]int64{}}
	for i := range images {
		img := &images[i]
		one := storage.ImageUsage{ID: img.ID, Names: img.Names, Created: img.Created, Extra: s.extra(img)}
		for id := img.TopLayer; id != ""; {
			layer, err := s.store.Layer(id)
			if err != nil {
				return nil, fmt.Errorf("layer %.12s of image %.12s: %w", id, img.ID, err)
			}
			one.Layers, u.Layers[id] = append(one.Layers, id), all[id]
			id = layer.Parent
		}
		u.Images = append(u.Images, one)
	}
	return u, nil
}

// layerSizes are those of all layers, unpacked, in bytes.
func (s *Store) layerSizes() (map[string]int64, error) {
	layers, err := s.store.Layers()
	if err != nil {
		return nil, err
	}
	sizes := map[string]int64{}
	for _, l := range layers {
		size := l.UncompressedSize
		if l.UncompressedDigest == "" || size < 0 { // nobody wrote it down
			if size, err = s.store.DiffSize("", l.ID); err != nil {
				return nil, fmt.Errorf("size of layer %.12s: %w", l.ID, err)
			}
		}
		sizes[l.ID] = size
	}
	return sizes, nil
}

// extra is what an image takes beside its layers.
func (s *Store) extra(img *cstorage.Image) (sum int64) {
	for _, name := range img.BigDataNames {
		if size := img.BigDataSizes[name]; size > 0 {
			sum += size
		}
	}
	return sum
}
