package storage

import (
	"encoding/json"
	"os"
	"path/filepath"
)

// ImageNames are the names of the images in the store, to complete or to suggest one. They are read without the store's lock from
// the list that stands there, which its writers replace as a whole; a start has its record and never comes here.
func (s *Store) ImageNames() []string {
	b, err := os.ReadFile(filepath.Join(s.GraphRoot, "overlay-images", "images.json"))
	if err != nil {
		return nil
	}
	var list []struct {
		Names []string `json:"names"`
	}
	if json.Unmarshal(b, &list) != nil {
		return nil
	}
	var names []string
	for _, image := range list {
		names = append(names, image.Names...)
	}
	return names
}

// VolumeNames are the names of the volumes.
func (s *Store) VolumeNames() []string {
	list, err := s.Volumes()
	if err != nil {
		return nil
	}
	return volumeNames(list)
}

func volumeNames(list []Volume) []string {
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].Name
	}
	return names
}
