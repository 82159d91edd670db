package image

import (
	"context"
	"encoding/json"
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
	return img, apply(&img.Config, changes)
}

// apply changes a config as the instructions say.
func apply(c *v1.ImageConfig, changes []string) error {
	for _, line := range changes {
		word, rest, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			word, rest, ok = strings.Cut(line, "=") // podman takes CMD=… too
		}
		if !ok {
			return hint.Errorf("CMD, ENTRYPOINT, ENV, USER, WORKDIR, LABEL, STOPSIGNAL, EXPOSE, VOLUME", "-c %s: no value", line)
		}
		if err := change(c, strings.ToUpper(word), strings.TrimSpace(rest)); err != nil {
			return fmt.Errorf("-c %s: %w", line, err)
		}
	}
	return nil
}

func change(c *v1.ImageConfig, word, value string) error {
	switch word {
	case "CMD":
		c.Cmd = command(value)
	case "ENTRYPOINT":
		c.Entrypoint = command(value)
	case "ENV":
		if !strings.Contains(value, "=") {
			value = strings.Replace(value, " ", "=", 1)
		}
		setEnv(c, value)
	case "USER":
		c.User = value
	case "WORKDIR":
		c.WorkingDir = value
	case "STOPSIGNAL":
		c.StopSignal = value
	case "LABEL":
		if c.Labels == nil {
			c.Labels = map[string]string{}
		}
		k, v, _ := strings.Cut(value, "=")
		c.Labels[k] = strings.Trim(v, `"`)
	case "EXPOSE":
		expose(c, value)
	case "VOLUME":
		if c.Volumes == nil {
			c.Volumes = map[string]struct{}{}
		}
		c.Volumes[value] = struct{}{}
	default:
		return hint.Errorf("CMD, ENTRYPOINT, ENV, USER, WORKDIR, LABEL, STOPSIGNAL, EXPOSE, VOLUME", "unknown instruction %s", word)
	}
	return nil
}

// command is the exec form, or the shell form.
func command(value string) []string {
	var words []string
	if json.Unmarshal([]byte(value), &words) == nil {
		return words
	}
	return []string{"/bin/sh", "-c", value}
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
