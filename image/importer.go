package image

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"go.podman.io/image/v5/docker/reference"
	"go.podman.io/image/v5/tarball"

	"github.com/rl-containers/rl/hint"
)

// ImportOptions say what becomes an image.
type ImportOptions struct {
	File    string // tar archive of a root file system; "-" is stdin
	Name    string // "" leaves it nameless
	Changes []string
	Message string
}

// Import makes an image of one layer and returns its id.
func (s *Store) Import(ctx context.Context, o ImportOptions) (string, error) {
	var named reference.Named
	if o.Name != "" {
		n, err := reference.ParseNormalizedNamed(local(o.Name))
		if err != nil {
			return "", badName(o.Name, err)
		}
		named = reference.TagNameOnly(n)
	}
	config, err := changed(o.Changes)
	if err != nil {
		return "", err
	}
	now := time.Now().UTC()
	config.Created, config.History = &now, []v1.History{{Created: &now, CreatedBy: "rl import", Comment: o.Message}}
	path, err := s.input(o.File)
	if err != nil {
		return "", err
	}
	if err := isTar(path); err != nil {
		return "", fmt.Errorf("import %s: %w", o.File, err)
	}
	src, err := tarball.NewReference([]string{path}, nil)
	if err == nil {
		err = src.(tarball.ConfigUpdater).ConfigUpdate(config, nil)
	}
	if err != nil {
		return "", fmt.Errorf("import %s: %w", o.File, err)
	}
	sys, err := s.system("")
	if err != nil {
		return "", err
	}
	dst, err := s.destination(ctx, sys, src, named)
	if err != nil {
		return "", fmt.Errorf("import %s: %w", o.File, err)
	}
	id, err := s.copy(ctx, sys, src, dst)
	if err != nil {
		return "", fmt.Errorf("import %s: %w", o.File, explain(err))
	}
	if named != nil {
		s.tell("import", id, named.String())
	} else {
		s.tell("import", id)
	}
	return id, s.sync()
}

// local puts a name without a registry under localhost, as podman does with what was made here.
func local(name string) string {
	first, _, slash := strings.Cut(name, "/")
	if slash && (strings.ContainsAny(first, ".:") || first == "localhost") {
		return name
	}
	return "localhost/" + name
}

// changed reads instructions as they stand in a Dockerfile.
func changed(changes []string) (v1.Image, error) {
	var img v1.Image
	img.OS, img.Architecture = "linux", goarch
	c := instructed{ImageConfig: &img.Config}
	err := c.apply(changes)
	if err == nil && c.health != nil {
		err = hint.Errorf("rl commit -c HEALTHCHECK… of a container of it", "import: a HEALTHCHECK has no place in the OCI's form of an image")
	}
	return img, err
}

// isTar looks at the first header: the library would take any file for a layer and fail in the middle.
func isTar(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := firstHeader(f); err != nil {
		return hint.Errorf("tar -C ROOT -cf FILE . makes one; archives of images are for rl load", "not a tar archive of a root file system: %w", err)
	}
	return nil
}
