package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	istorage "go.podman.io/image/v5/storage"
	cstorage "go.podman.io/storage"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/spec"
	"github.com/rl-containers/rl/storage"
)

// Resolve makes the record by which `rl run` finds an image, pulling it first as r says.
func (s *Store) Resolve(ctx context.Context, r storage.Resolve) error {
	pull := PullOptions{Name: r.Image, Platform: r.Platform, Authfile: r.Authfile, TLSVerify: r.TLSVerify}
	if r.Pull == "always" || r.Pull == "newer" {
		if _, err := s.Pull(ctx, pull); err != nil && (r.Pull == "always" || !s.has(r)) {
			return err
		}
	}
	found, err := s.find(r.Image)
	if err == nil && r.Platform != "" {
		err = s.checkPlatform(ctx, found, r.Platform)
	}
	var missing *missingError
	if errors.As(err, &missing) {
		if r.Pull == "never" {
			return hint.With(fmt.Errorf("image %s is not here", r.Image), append(s.near(r.Image), "rl pull "+r.Image+", or run it without --pull=never")...)
		}
		if _, err = s.Pull(ctx, pull); err != nil {
			return hint.With(err, s.near(r.Image)...)
		}
		found, err = s.find(r.Image)
	}
	if err != nil {
		return err
	}
	_, err = s.rl.WriteRecord(r.Image, r.Platform, func() (*storage.Image, error) { return s.record(ctx, found) })
	return err
}

func (s *Store) has(r storage.Resolve) bool {
	_, err := s.find(r.Image)
	return err == nil
}

// checkPlatform takes an image of another platform for missing.
func (s *Store) checkPlatform(ctx context.Context, img *cstorage.Image, platform string) error {
	sys, err := s.system(platform)
	if err != nil {
		return err
	}
	r, err := s.record(ctx, img)
	if err != nil {
		return err
	}
	if r.Config.OS != sys.OSChoice || r.Config.Architecture != sys.ArchitectureChoice || sys.VariantChoice != "" && r.Config.Variant != sys.VariantChoice {
		return &missingError{platform}
	}
	return nil
}

// record reads what a start needs of an image.
func (s *Store) record(ctx context.Context, img *cstorage.Image) (*storage.Image, error) {
	r := &storage.Image{ID: img.ID, Names: img.Names, Digest: img.Digest.String(), Base: filepath.Join(s.rl.GraphRoot, "overlay")}
	ref, err := istorage.Transport.NewStoreReference(s.store, nil, img.ID)
	if err != nil {
		return nil, err
	}
	src, err := ref.NewImage(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("read image %.12s: %w", img.ID, err)
	}
	defer src.Close()
	config, err := src.OCIConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("read config of image %.12s: %w", img.ID, err)
	}
	b, err := json.Marshal(config)
	if err == nil {
		err = json.Unmarshal(b, &r.Config)
	}
	if err != nil {
		return nil, fmt.Errorf("read config of image %.12s: %w", img.ID, err)
	}
	if blob, err := src.ConfigBlob(ctx); err == nil {
		r.Config.Config.Healthcheck = healthcheck(blob)
	}
	r.Layers, err = s.layers(img.TopLayer)
	return r, err
}

// healthcheck is docker's HEALTHCHECK. The OCI's form of a config has no field for it, but docker and BuildKit write it there, too.
func healthcheck(blob []byte) *spec.Health {
	var c struct {
		Config struct{ Healthcheck *spec.Health } `json:"config"`
	}
	if json.Unmarshal(blob, &c) != nil {
		return nil // its mistake is no reason not to run it
	}
	return c.Config.Healthcheck
}

// layers are the directories of a chain, the topmost first.
func (s *Store) layers(id string) ([]string, error) {
	var dirs []string
	for id != "" {
		layer, err := s.store.Layer(id)
		if err != nil {
			return nil, fmt.Errorf("read layer %.12s: %w", id, err)
		}
		dir, err := s.layerDir(id)
		if err != nil {
			return nil, err
		}
		dirs = append(dirs, dir)
		id = layer.Parent
	}
	if len(dirs) == 0 {
		return nil, errors.New("the image has no layers")
	}
	return dirs, nil
}

// layerDir is the short link of a layer of this store, or the path of one in an additional image store.
func (s *Store) layerDir(id string) (string, error) {
	home := filepath.Join(s.rl.GraphRoot, "overlay", id)
	if link, err := os.ReadFile(filepath.Join(home, "link")); err == nil && len(link) > 0 && len(link) < 64 {
		short := filepath.Join("l", filepath.Base(string(link)))
		if _, err := os.Stat(filepath.Join(s.rl.GraphRoot, "overlay", short)); err == nil {
			return short, nil
		}
	}
	if _, err := os.Stat(filepath.Join(home, "diff")); err == nil {
		return filepath.Join(id, "diff"), nil
	}
	driver, err := s.store.GraphDriver()
	if err != nil {
		return "", err
	}
	for _, other := range driver.AdditionalImageStores() {
		dir := filepath.Join(other, "overlay", id, "diff")
		if _, err := os.Stat(dir); err == nil {
			return dir, nil
		}
	}
	return "", hint.Errorf("rl rmi the image and pull it again", "layer %.12s has no directory in %s", id, s.rl.GraphRoot)
}
