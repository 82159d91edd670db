package container

import (
	"fmt"
	"path/filepath"

	"github.com/rl-containers/rl/storage"
)

// Size is what a container has of files, in bytes, by podman's names.
type Size struct {
	// RootFs is its image with what it wrote, RW what it wrote.
	RootFs int64 `json:"rootFsSize"`
	RW     int64 `json:"rwSize"`
}

// Sizes measures containers, which takes as long as du(1) of what they wrote.
func Sizes(states []storage.State) ([]Size, error) {
	uppers := make([]string, len(states))
	for i := range states {
		uppers[i] = filepath.Join(states[i].Dir, "upper")
	}
	written, err := FileSizes(uppers)
	if err != nil {
		return nil, err
	}
	images, err := imageSizes(states)
	if err != nil {
		return nil, err
	}
	sizes := make([]Size, len(states))
	for i, s := range states {
		sizes[i] = Size{RW: written[i], RootFs: images[s.ID] + written[i]}
	}
	return sizes, nil
}

// Measure adds the sizes.
func (i *Inspected) Measure() error {
	s, err := Find(i.Id)
	if err != nil {
		return err
	}
	sizes, err := Sizes([]storage.State{*s})
	if err != nil {
		return fmt.Errorf("size of container %s: %w", s.Name, err)
	}
	i.SizeRw, i.SizeRootFs = &sizes[0].RW, &sizes[0].RootFs
	return nil
}

// imageSizes are those of the containers' images, by the containers' ids. What no store knows, tiny and directories, is measured.
func imageSizes(states []storage.State) (map[string]int64, error) {
	sizes := map[string]int64{}
	var ids, dirs []string
	stored := false
	for _, s := range states {
		c, err := ReadConfig(s.Dir)
		switch {
		case err != nil: // it is just being removed
		case c.Request.Rootfs != "":
			ids, dirs = append(ids, s.ID), append(dirs, c.Request.Rootfs)
		case s.Image == "tiny" && len(c.Image.Layers) == 1:
			ids, dirs = append(ids, s.ID), append(dirs, filepath.Join(c.Image.Base, c.Image.Layers[0]))
		default:
			stored = true
		}
	}
	measured, err := FileSizes(dirs)
	if err != nil {
		return nil, err
	}
	for i, id := range ids {
		sizes[id] = measured[i]
	}
	if !stored {
		return sizes, nil
	}
	byImage, err := storedSizes()
	for _, s := range states {
		sizes[s.ID] += byImage[s.ImageID] // 0 for what isn't in the store
	}
	return sizes, err
}

// storedSizes are those of the store's images.
func storedSizes() (map[string]int64, error) {
	var usage storage.ImagesUsage
	if err := askImageTool("usage", struct{}{}, &usage); err != nil {
		return nil, err
	}
	sizes := map[string]int64{}
	for _, img := range usage.Images {
		for _, layer := range img.Layers {
			sizes[img.ID] += usage.Layers[layer]
		}
	}
	return sizes, nil
}
