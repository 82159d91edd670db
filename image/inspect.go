package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.podman.io/image/v5/docker/reference"
	istorage "go.podman.io/image/v5/storage"
	"go.podman.io/image/v5/types"
	cstorage "go.podman.io/storage"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/storage"
)

// Inspect tells all of each image that is named.
func (s *Store) Inspect(ctx context.Context, names []string) (*[]storage.ImageAnswer, error) {
	answers := make([]storage.ImageAnswer, len(names))
	for i, name := range names {
		a := &answers[i]
		err := s.inspect(ctx, name, a)
		if err == nil {
			continue
		}
		var missing *missingError
		_, no := reference.ParseNormalizedNamed(name) // no image can be called so
		a.Missing = no != nil || errors.As(err, &missing)
		a.Image, a.Error, a.Hints = nil, err.Error(), hint.Of(err)
		if a.Missing {
			a.Hints = s.near(name)
		}
	}
	return &answers, nil
}

func (s *Store) inspect(ctx context.Context, name string, a *storage.ImageAnswer) error {
	img, err := s.find(name)
	if err != nil {
		return err
	}
	c, err := s.readConfig(ctx, img)
	if err == nil {
		err = s.describe(img, c, a)
	}
	if err != nil {
		return fmt.Errorf("inspect image %s: %w", name, err)
	}
	return nil
}

// imageConfig is an image's configuration: image-spec config.md, or docker's, which has the same names and more.
type imageConfig struct {
	Created       *time.Time                   `json:"created"`
	Author        string                       `json:"author"`
	Comment       string                       `json:"comment"`
	Architecture  string                       `json:"architecture"`
	Variant       string                       `json:"variant"`
	OS            string                       `json:"os"`
	DockerVersion string                       `json:"docker_version"`
	Config        storage.InspectedImageConfig `json:"config"`
	RootFS        struct {
		Type    string   `json:"type"`
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
	History []storage.History `json:"history"`

	manifestType string
	annotations  map[string]string
}

func (s *Store) readConfig(ctx context.Context, img *cstorage.Image) (*imageConfig, error) {
	ref, err := istorage.Transport.NewStoreReference(s.store, nil, img.ID)
	if err != nil {
		return nil, err
	}
	src, err := ref.NewImage(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	c := new(imageConfig)
	b, err := src.ConfigBlob(ctx)
	if err == nil {
		err = json.Unmarshal(b, c)
	}
	if err != nil {
		return nil, fmt.Errorf("read config: %w", err)
	}
	return c, c.readManifest(ctx, src)
}

// readManifest adds what the manifest says.
func (c *imageConfig) readManifest(ctx context.Context, src types.Image) error {
	b, kind, err := src.Manifest(ctx)
	if err != nil {
		return fmt.Errorf("read manifest: %w", err)
	}
	var m struct {
		Annotations map[string]string `json:"annotations"`
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return fmt.Errorf("read manifest: %w", err)
	}
	c.manifestType, c.annotations = kind, m.Annotations
	return nil
}

// describe puts the answer together.
func (s *Store) describe(img *cstorage.Image, c *imageConfig, a *storage.ImageAnswer) error {
	i := &storage.InspectedImage{
		Id: img.ID, Digest: img.Digest.String(), RepoTags: []string{}, RepoDigests: []string{}, Comment: c.Comment, Created: img.Created, Config: c.Config,
		Version: c.DockerVersion, Author: c.Author, Architecture: c.Architecture, Variant: c.Variant, Os: c.OS,
		RootFS: storage.RootFS{Type: c.RootFS.Type, Layers: append([]string{}, c.RootFS.DiffIDs...)}, Labels: c.Config.Labels, Annotations: c.annotations,
		ManifestType: c.manifestType, User: c.Config.User, History: append([]storage.History{}, c.History...),
		NamesHistory: append([]string{}, img.NamesHistory...), HealthCheck: c.Config.Healthcheck,
	}
	if c.Created != nil {
		i.Created = *c.Created
	}
	if i.Comment == "" && len(c.History) > 0 {
		i.Comment = c.History[len(c.History)-1].Comment
	}
	if i.Annotations == nil {
		i.Annotations = map[string]string{} // as podman: {}, not null
	}
	i.RepoTags, i.RepoDigests = repoNames(img)
	a.Image = i
	return s.describeLayers(img, i, a)
}

// repoNames are the names of an image with tags, and those with the digests of its manifests.
func repoNames(img *cstorage.Image) (tags, digests []string) {
	tags, digests = []string{}, []string{}
	for _, name := range img.Names {
		n, err := reference.ParseNormalizedNamed(name)
		if err != nil {
			continue
		}
		if _, digested := n.(reference.Canonical); !digested {
			tags = append(tags, name)
		}
		for _, d := range append(slices.Clone(img.Digests), img.Digest) {
			if word := n.Name() + "@" + d.String(); d != "" && !slices.Contains(digests, word) {
				digests = append(digests, word)
			}
		}
	}
	return tags, digests
}

// describeLayers tells where the layers lie and what they take.
func (s *Store) describeLayers(img *cstorage.Image, i *storage.InspectedImage, a *storage.ImageAnswer) error {
	sizes, err := s.layerSizes()
	if err != nil {
		return err
	}
	i.Size = s.extra(img)
	var dirs []string
	for id := img.TopLayer; id != ""; {
		layer, err := s.store.Layer(id)
		if err != nil {
			return fmt.Errorf("layer %.12s: %w", id, err)
		}
		dir, err := s.layerDir(id)
		if err != nil {
			return err
		}
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(s.rl.GraphRoot, "overlay", id, "diff")
		}
		dirs, a.LayerSizes = append(dirs, dir), append(a.LayerSizes, sizes[id])
		i.Size += sizes[id]
		id = layer.Parent
	}
	slices.Reverse(a.LayerSizes)
	i.VirtualSize = i.Size
	i.GraphDriver = storage.ImageDriver{Name: "overlay", Data: map[string]string{}}
	if len(dirs) > 0 {
		i.GraphDriver.Data["UpperDir"], i.GraphDriver.Data["WorkDir"] = dirs[0], filepath.Join(filepath.Dir(dirs[0]), "work")
	}
	if len(dirs) > 1 {
		i.GraphDriver.Data["LowerDir"] = strings.Join(dirs[1:], ":")
	}
	return nil
}
