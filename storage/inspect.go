package storage

import (
	"encoding/json"
	"time"
)

// InspectImages asks rl-image to tell all of images, by its verb "inspect". It answers with as many ImageAnswer.
type InspectImages struct{ Names []string }

// ImageAnswer is one image, or why there is none.
type ImageAnswer struct {
	Image *InspectedImage `json:",omitempty"`
	// LayerSizes are those of RootFS.Layers, in bytes.
	LayerSizes []int64 `json:",omitempty"`
	// Missing: the store has no such image. Error says so, or what else was wrong, and Hints what to type.
	Missing bool     `json:",omitempty"`
	Error   string   `json:",omitempty"`
	Hints   []string `json:",omitempty"`
}

// InspectedImage is what `rl image inspect` shows, by the names of podman's image inspect and docker's.
type InspectedImage struct {
	Id           string
	Digest       string // of the manifest
	RepoTags     []string
	RepoDigests  []string
	Parent       string // "": nobody writes it down
	Comment      string
	Created      time.Time
	Config       InspectedImageConfig
	Version      string // of the docker that made it
	Author       string
	Architecture string
	Variant      string `json:",omitempty"`
	Os           string
	Size         int64 // bytes, unpacked, with its layers
	VirtualSize  int64 // the same
	GraphDriver  ImageDriver
	RootFS       RootFS
	// Labels, User and HealthCheck are those of Config, where podman has them, too.
	Labels       map[string]string
	Annotations  map[string]string // of the manifest, never nil
	ManifestType string
	User         string
	History      []History // the oldest first
	NamesHistory []string
	HealthCheck  json.RawMessage `json:",omitempty"`
}

// ID is Id by its name in Go.
func (i *InspectedImage) ID() string { return i.Id }

// InspectedImageConfig is what runs in it.
type InspectedImageConfig struct {
	User         string              `json:",omitempty"`
	ExposedPorts map[string]struct{} `json:",omitempty"`
	Env          []string            `json:",omitempty"`
	Entrypoint   []string            `json:",omitempty"`
	Cmd          []string            `json:",omitempty"`
	Volumes      map[string]struct{} `json:",omitempty"`
	WorkingDir   string              `json:",omitempty"`
	Labels       map[string]string   `json:",omitempty"`
	StopSignal   string              `json:",omitempty"`
	Healthcheck  json.RawMessage     `json:",omitempty"`
	OnBuild      []string            `json:",omitempty"`
	Shell        []string            `json:",omitempty"`
}

// ImageDriver says where the layers lie.
type ImageDriver struct {
	Name string
	Data map[string]string
}

// RootFS are the layers by the digests of their unpacked archives, the lowest first.
type RootFS struct {
	Type   string
	Layers []string
}

// History is what was done for a layer, in image-spec config.md's JSON.
type History struct {
	Created    *time.Time `json:"created,omitempty"`
	CreatedBy  string     `json:"created_by,omitempty"`
	Author     string     `json:"author,omitempty"`
	Comment    string     `json:"comment,omitempty"`
	EmptyLayer bool       `json:"empty_layer,omitempty"`
}
