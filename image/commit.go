package image

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"go.podman.io/image/v5/docker/reference"
	"go.podman.io/image/v5/manifest"
	cstorage "go.podman.io/storage"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/spec"
	"github.com/rl-containers/rl/storage"
)

// Commit makes an image of a base image and one layer, whose archive is read once and kept nowhere else. The result is its id.
func (s *Store) Commit(c *storage.Commit, layer io.Reader) (id string, err error) {
	named, err := commitName(c.Name)
	if err != nil {
		return "", err
	}
	config, parent, err := s.base(c)
	if err != nil {
		return "", fmt.Errorf("commit: %w", err)
	}
	if err := config.change(c); err != nil {
		return "", err
	}
	top, err := s.putLayer(parent, layer)
	if err != nil {
		return "", fmt.Errorf("commit: %w", explain(err))
	}
	if id, err = s.putImage(config, top, c, named); err != nil {
		s.store.DeleteLayer(top.ID)
		return "", fmt.Errorf("commit: %w", explain(err))
	}
	return id, s.sync()
}

func commitName(name string) (reference.Named, error) {
	if name == "" {
		return nil, nil
	}
	n, err := reference.ParseNormalizedNamed(local(name))
	if err != nil {
		return nil, badName(name, err)
	}
	return reference.TagNameOnly(n), nil
}

// putLayer stores the archive as a layer on parent. One whose writer died in the middle is no layer, though a reader of tar
// doesn't notice when that was between two entries: the end mark is looked for.
func (s *Store) putLayer(parent string, r io.Reader) (*cstorage.Layer, error) {
	end := &ending{Reader: r}
	layer, _, err := s.store.PutLayer("", parent, nil, "", false, nil, end)
	if err != nil {
		return nil, err
	}
	if _, err = io.Copy(io.Discard, end); err == nil && !end.whole() {
		err = io.ErrUnexpectedEOF
	}
	if err == nil && layer.UncompressedDigest == "" {
		err = errors.New("the store has no digest of the layer")
	}
	if err != nil {
		s.store.DeleteLayer(layer.ID)
		return nil, err
	}
	return layer, nil
}

// ending keeps the last two blocks of a tar archive in mind, which are zeros at its end (POSIX.1, pax, "ustar Interchange Format").
type ending struct {
	io.Reader
	last []byte
}

const endMark = 1024

func (e *ending) Read(b []byte) (int, error) {
	n, err := e.Reader.Read(b)
	e.last = append(e.last, b[max(0, n-endMark):n]...)
	e.last = append([]byte(nil), e.last[max(0, len(e.last)-endMark):]...)
	return n, err
}

func (e *ending) whole() bool { return bytes.Equal(e.last, make([]byte, endMark)) }

// commitConfig is a config, with all properties of the base's that rl knows nothing of.
type commitConfig struct {
	v1.Image
	rest, restConfig map[string]json.RawMessage
	health           *spec.Health // nil leaves the one of the base
	layers           []v1.Descriptor
}

// base reads what the image starts from.
func (s *Store) base(c *storage.Commit) (*commitConfig, string, error) {
	config := &commitConfig{}
	config.OS, config.Architecture = "linux", goarch
	config.RootFS.Type = "layers"
	if c.Base == "" {
		return config, "", config.given(c)
	}
	img, err := s.store.Image(c.Base)
	if err != nil {
		return nil, "", hint.With(fmt.Errorf("image %.12s, which the container was made of: %w", c.Base, err), "rl commit --squash makes an image that needs no other")
	}
	raw, err := s.store.ImageBigData(img.ID, digest.NewDigestFromEncoded(digest.SHA256, img.ID).String())
	if err != nil {
		return nil, "", fmt.Errorf("read config of image %.12s: %w", img.ID, err)
	}
	if err := config.read(raw); err != nil {
		return nil, "", fmt.Errorf("read config of image %.12s: %w", img.ID, err)
	}
	return config, img.TopLayer, s.addLayers(config, img.TopLayer)
}

func (config *commitConfig) given(c *storage.Commit) error {
	if c.Config == nil {
		return nil
	}
	raw, err := json.Marshal(c.Config)
	if err == nil {
		err = config.read(raw)
	}
	// A whole layer takes the place of those that the config names.
	config.RootFS, config.History = v1.RootFS{Type: "layers"}, nil
	return err
}

func (config *commitConfig) read(raw []byte) error {
	if err := json.Unmarshal(raw, &config.Image); err != nil {
		return err
	}
	if err := json.Unmarshal(raw, &config.rest); err != nil {
		return err
	}
	if config.rest["config"] == nil {
		return nil
	}
	return json.Unmarshal(config.rest["config"], &config.restConfig)
}

// addLayers describes the layers of the base as the store has them: unpacked. The lowest comes first.
func (s *Store) addLayers(config *commitConfig, id string) error {
	for id != "" {
		layer, err := s.store.Layer(id)
		if err != nil {
			return err
		}
		if layer.UncompressedDigest == "" {
			return hint.Errorf("rl commit --squash", "layer %.12s of the image has no digest", id)
		}
		config.layers = slices.Insert(config.layers, 0, describe(layer))
		id = layer.Parent
	}
	config.RootFS.DiffIDs = nil
	for _, l := range config.layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, l.Digest)
	}
	return nil
}

func describe(l *cstorage.Layer) v1.Descriptor {
	return v1.Descriptor{MediaType: v1.MediaTypeImageLayer, Digest: l.UncompressedDigest, Size: l.UncompressedSize}
}

// change makes the config that of the container, then that of -c.
func (config *commitConfig) change(c *storage.Commit) error {
	to, from := &config.Config, c.Changed
	for _, entry := range from.Env {
		setEnv(to, entry)
	}
	if c.ResetCmd {
		to.Entrypoint, to.Cmd = from.Entrypoint, nil
	}
	if from.Cmd != nil {
		to.Cmd = from.Cmd
	}
	for value, field := range map[string]*string{from.User: &to.User, from.WorkingDir: &to.WorkingDir, from.StopSignal: &to.StopSignal} {
		if value != "" {
			*field = value
		}
	}
	for k, v := range from.Labels {
		if to.Labels == nil {
			to.Labels = map[string]string{}
		}
		to.Labels[k] = v
	}
	for _, p := range c.Ports {
		expose(to, p)
	}
	changes := instructed{to, from.Healthcheck}
	err := changes.apply(c.Changes)
	config.health = changes.health
	return err
}

// putImage writes config, manifest and image, as package storage of containers/image does for an image that it copied.
func (s *Store) putImage(config *commitConfig, top *cstorage.Layer, c *storage.Commit, named reference.Named) (string, error) {
	now := time.Now().UTC()
	config.layers = append(config.layers, describe(top))
	config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, top.UncompressedDigest)
	config.History = append(config.History, v1.History{Created: &now, CreatedBy: c.Command, Author: c.Author, Comment: c.Message})
	if config.Created = &now; c.Author != "" {
		config.Author = c.Author
	}
	blob, err := config.marshal()
	if err != nil {
		return "", err
	}
	list, err := manifestOf(blob, config.layers, c.Format)
	if err != nil {
		return "", err
	}
	whole := digest.FromBytes(list)
	options := &cstorage.ImageOptions{CreationDate: now, Digest: whole, BigData: []cstorage.ImageBigDataOption{
		{Key: digest.FromBytes(blob).String(), Data: blob, Digest: digest.FromBytes(blob)},
		{Key: cstorage.ImageDigestManifestBigDataNamePrefix + "-" + whole.String(), Data: list, Digest: whole},
		{Key: cstorage.ImageDigestBigDataKey, Data: list, Digest: whole},
	}}
	img, err := s.store.CreateImage(digest.FromBytes(blob).Encoded(), nil, top.ID, "{}", options)
	if err != nil {
		return "", err
	}
	if named == nil {
		return img.ID, nil
	}
	// Another image that has the name loses it.
	if err := s.store.AddNames(img.ID, []string{named.String()}); err != nil {
		s.store.DeleteImage(img.ID, true)
		return "", err
	}
	return img.ID, nil
}

// marshal puts what rl changed among what it doesn't know. A health check is docker's, and stands in the OCI's form as well, as
// BuildKit writes it: podman doesn't see it there.
func (config *commitConfig) marshal() ([]byte, error) {
	inner, err := overlay(config.restConfig, config.Config)
	if err != nil {
		return nil, err
	}
	if config.health != nil {
		if inner["Healthcheck"], err = json.Marshal(config.health); err != nil {
			return nil, err
		}
	}
	whole, err := overlay(config.rest, config.Image)
	if err != nil {
		return nil, err
	}
	for _, old := range []string{"container", "container_config", "docker_version"} {
		delete(whole, old) // of how the base was made
	}
	if whole["config"], err = json.Marshal(inner); err != nil {
		return nil, err
	}
	return json.Marshal(whole)
}

// overlay is rest with the fields of v instead of its own.
func overlay(rest map[string]json.RawMessage, v any) (map[string]json.RawMessage, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var own map[string]json.RawMessage
	if err := json.Unmarshal(b, &own); err != nil {
		return nil, err
	}
	whole := map[string]json.RawMessage{}
	for k, raw := range rest {
		if !known(k) {
			whole[k] = raw
		}
	}
	for k, raw := range own {
		whole[k] = raw
	}
	return whole, nil
}

// known are the properties that v1.Image and v1.ImageConfig leave out when they are empty.
func known(key string) bool {
	return slices.Contains(strings.Fields("User ExposedPorts Env Entrypoint Cmd Volumes WorkingDir Labels StopSignal author created history"), key)
}

// manifestOf is the image's manifest, in the OCI's form or docker's.
func manifestOf(config []byte, layers []v1.Descriptor, format string) ([]byte, error) {
	d := v1.Descriptor{MediaType: v1.MediaTypeImageConfig, Digest: digest.FromBytes(config), Size: int64(len(config))}
	m := v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest, Config: d, Layers: layers}
	if format == "docker" {
		m.MediaType, m.Config.MediaType = manifest.DockerV2Schema2MediaType, manifest.DockerV2Schema2ConfigMediaType
		for i := range m.Layers {
			m.Layers[i].MediaType = manifest.DockerV2SchemaLayerMediaTypeUncompressed
		}
	}
	return json.Marshal(m)
}
