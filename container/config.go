package container

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/lazyjson"
	"github.com/rl-containers/rl/spec"
	"github.com/rl-containers/rl/storage"
)

const configFile = "config.json"

// Config is what a start needs of a container: a file in its directory, written when it is created.
type Config struct {
	Request Request
	// Image is without its Config, which the Spec was made of.
	Image storage.Image
	Spec  *spec.Container
}

// ReadConfig reads that of the container in dir.
func ReadConfig(dir string) (*Config, error) {
	b, err := os.ReadFile(filepath.Join(dir, configFile))
	if err != nil {
		return nil, fmt.Errorf("read configuration of container: %w", err)
	}
	c := new(Config)
	if err := lazyjson.Unmarshal(b, c); err != nil || c.Spec == nil {
		return nil, hint.Errorf("rl rm -f removes the container", "configuration of container %s is broken: %v", filepath.Base(dir), err)
	}
	return c, nil
}

// restartPolicy reads docker's --restart: whether a container that ended is started again, and how often after a failure (0:
// without end).
func restartPolicy(s string) (kind string, times int, err error) {
	kind, n, counted := strings.Cut(s, ":")
	switch {
	case s == "", s == "no", s == "always", s == "unless-stopped", s == "on-failure":
		return kind, 0, nil
	case kind == "on-failure" && counted:
		if times, err = strconv.Atoi(n); err == nil && times >= 0 {
			return kind, times, nil
		}
	}
	return "", 0, hint.Errorf("no, always, unless-stopped, on-failure or on-failure:N", "--restart %s: not a restart policy", s)
}
