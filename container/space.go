package container

import (
	"slices"

	"github.com/rl-containers/rl/storage"
)

// Space is what `rl system df` tells of: what is on disk, and what takes how much of it.
type Space struct {
	Images     []ImageSpace // the newest first
	Containers []ContainerSpace
	Volumes    []VolumeSpace
	// Shared is the size of all images together, a layer that several have counted once; Free is what would go if those that no
	// container uses were removed. In bytes.
	Shared, Free int64
}

// ImageSpace is an image. Sizes are in bytes.
type ImageSpace struct {
	storage.ImageUsage
	// Size is that of all its layers and its extra, Unique is what no other image has.
	Size, Unique int64
	// Containers have been made of it.
	Containers int
}

// ContainerSpace is a container; Size is that of its directory: what it wrote, its log, its configuration.
type ContainerSpace struct {
	storage.State
	Size int64
}

// VolumeSpace is a volume; Size is that of its files.
type VolumeSpace struct {
	Volume
	Size int64
}

// MeasureSpace looks at all that rl has on disk.
func MeasureSpace() (*Space, error) {
	states, err := List(true)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(states, func(a, b storage.State) int { return b.Created.Compare(a.Created) })
	var usage storage.ImagesUsage
	if err := askImageTool("usage", struct{}{}, &usage); err != nil {
		return nil, err
	}
	s := &Space{}
	s.addImages(&usage, states)
	if err := s.addContainers(states); err != nil {
		return nil, err
	}
	return s, s.addVolumes()
}

// addImages counts each layer once, however many images have it.
func (s *Space) addImages(u *storage.ImagesUsage, states []storage.State) {
	of := map[string]int{} // containers, by image
	for _, c := range states {
		of[c.ImageID]++
	}
	images, needed := map[string]int{}, map[string]bool{}
	for _, img := range u.Images {
		for _, id := range img.Layers {
			images[id]++
			needed[id] = needed[id] || of[img.ID] > 0
		}
	}
	for _, img := range u.Images {
		one := ImageSpace{ImageUsage: img, Size: img.Extra, Unique: img.Extra, Containers: of[img.ID]}
		for _, id := range img.Layers {
			one.Size += u.Layers[id]
			if images[id] == 1 {
				one.Unique += u.Layers[id]
			}
		}
		s.Shared += img.Extra
		if one.Containers == 0 {
			s.Free += img.Extra
		}
		s.Images = append(s.Images, one)
	}
	for id, size := range u.Layers {
		s.Shared += size
		if !needed[id] {
			s.Free += size
		}
	}
	slices.SortStableFunc(s.Images, func(a, b ImageSpace) int { return b.Created.Compare(a.Created) })
}

func (s *Space) addContainers(states []storage.State) error {
	sizes, err := DiskUsage(dirsOf(states))
	if err != nil {
		return err
	}
	for i := range states {
		s.Containers = append(s.Containers, ContainerSpace{states[i], sizes[i]})
	}
	return nil
}

func (s *Space) addVolumes() error {
	list, err := Volumes(nil)
	if err != nil {
		return err
	}
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].Name
	}
	sizes, err := VolumeUsage(names)
	if err != nil {
		return err
	}
	for i := range list {
		s.Volumes = append(s.Volumes, VolumeSpace{list[i], sizes[i]})
	}
	return nil
}
