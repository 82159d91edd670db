// Package logs keeps what a container writes, line by line with its time, and reads it back.
//
// The drivers write formats that others read, too: k8s-file is the format of the Kubernetes container runtime interface (podman's
// default), json-file is docker's, journald is systemd's native protocol. One process writes a log; any number read it, without a
// lock. A log never stops a container: what a full disk refuses is lost, counted, and told in the log when there is room again.
package logs

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
)

// The drivers.
const (
	K8sFile  = "k8s-file"
	JSONFile = "json-file"
	Journald = "journald"
	None     = "none"
)

// FileName is the log in a container's directory. Rotated ones are FileName.1 (the youngest), .2 …
const FileName = "ctr.log"

// Config is how a container's output is kept: --log-driver and --log-opt.
type Config struct {
	// Driver is K8sFile, JSONFile, Journald or None; "" is K8sFile.
	Driver string `json:",omitempty"`
	// MaxSize is how many bytes a file may have before the next begins; 0 is no limit. MaxFile files are kept, 0 is one.
	MaxSize int64 `json:",omitempty"`
	MaxFile int   `json:",omitempty"`
	// Path is absolute: a file instead of the one in the container's directory.
	Path string `json:",omitempty"`
	// Tag marks the records of json-file and journald. Expand replaces {{.Name}} and the like in it.
	Tag string `json:",omitempty"`
}

// Parse reads --log-driver and the --log-opt of a command line, each KEY=VALUE.
func Parse(driver string, options []string) (Config, error) {
	c := Config{Driver: driver}
	if err := c.checkDriver(); err != nil {
		return c, err
	}
	for _, option := range options {
		key, value, ok := strings.Cut(option, "=")
		if !ok || value == "" {
			return c, hint.Errorf("the form is KEY=VALUE, as in --log-opt max-size=10m", "--log-opt %s: it has no value", option)
		}
		if err := c.set(key, value); err != nil {
			return c, err
		}
	}
	if c.MaxFile > 1 && c.MaxSize == 0 {
		return c, hint.Errorf("add --log-opt max-size=10m", "--log-opt max-file=%d: without max-size there is one file", c.MaxFile)
	}
	return c, nil
}

func (c *Config) checkDriver() error {
	switch c.Driver {
	case K8sFile:
		c.Driver = ""
	case "", JSONFile, None:
	case Journald:
		if unix.Access(journalSocket, unix.W_OK) != nil {
			return hint.Errorf("--log-driver k8s-file (the default) needs nothing", "--log-driver journald: no systemd-journald listens at %s", journalSocket)
		}
	case "passthrough", "passthrough-tty":
		return hint.Errorf("without -d the output is on your terminal, and is kept beside that; rl attach shows it later",
			"--log-driver %s: a container of rl never gets the caller's own files", c.Driver)
	default:
		return hint.Errorf("k8s-file (the default), json-file, journald or none", "--log-driver %s: unknown", c.Driver)
	}
	return nil
}

// knownOptions says which options a driver has.
func (c *Config) knownOptions() []string {
	switch c.Driver {
	case "":
		return []string{"max-size", "max-file", "path"}
	case JSONFile:
		return []string{"max-size", "max-file", "path", "tag"}
	case Journald:
		return []string{"tag"}
	}
	return nil
}

func (c *Config) set(key, value string) (err error) {
	if known := c.knownOptions(); !slices.Contains(known, key) {
		list := strings.Join(known, ", ")
		if list == "" {
			list = "it has none"
		}
		return hint.Errorf("options of this driver: "+list, "--log-opt %s=%s: unknown to log driver %s", key, value, c.name())
	}
	switch key {
	case "max-size":
		if c.MaxSize, err = parseSize(value); err != nil {
			return err
		}
	case "max-file":
		if c.MaxFile, err = strconv.Atoi(value); err != nil || c.MaxFile < 1 || c.MaxFile > 1000 {
			return hint.Errorf("1 to 1000, with max-size", "--log-opt max-file=%s: not a number of files", value)
		}
	case "path":
		if c.Path, err = filepath.Abs(value); err != nil {
			return err
		}
	case "tag":
		c.Tag = value
	}
	return nil
}

func (c *Config) name() string {
	if c.Driver == "" {
		return K8sFile
	}
	return c.Driver
}

// parseSize reads docker's sizes: bytes, or with k, m, g (also kb, KiB …) units of 1024. -1 is no limit.
func parseSize(s string) (int64, error) {
	wrong := hint.Errorf("as in --log-opt max-size=10m", "--log-opt max-size=%s: not a size", s)
	if s == "-1" {
		return 0, nil
	}
	number := strings.ToLower(s)
	number = strings.TrimSuffix(strings.TrimSuffix(number, "b"), "i")
	shift := 0
	for i, unit := range []string{"k", "m", "g", "t"} {
		if n, ok := strings.CutSuffix(number, unit); ok {
			number, shift = n, 10*(i+1)
		}
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || f <= 0 || f*float64(int64(1)<<shift) >= 1<<62 {
		return 0, wrong
	}
	n := int64(f * float64(int64(1)<<shift))
	if n < 1 {
		return 0, wrong
	}
	return n, nil
}

// Who is the container whose log it is.
type Who struct{ ID, Name, Image, ImageID string }

// Expand replaces what a tag of docker's may name: .ID (its 12 first digits), .FullID, .Name, .ImageName, .ImageID, .ImageFullID.
func (c *Config) Expand(who Who) error {
	if !strings.Contains(c.Tag, "{{") {
		return nil
	}
	tag := strings.NewReplacer("{{ .", "{{.", " }}", "}}").Replace(c.Tag)
	for name, value := range map[string]string{"ID": short(who.ID), "FullID": who.ID, "Name": who.Name, "ImageName": who.Image,
		"ImageID": short(who.ImageID), "ImageFullID": who.ImageID} {
		tag = strings.ReplaceAll(tag, "{{."+name+"}}", value)
	}
	if strings.Contains(tag, "{{") {
		return hint.Errorf("{{.ID}}, {{.FullID}}, {{.Name}}, {{.ImageName}}, {{.ImageID}} and {{.ImageFullID}} are known",
			"--log-opt tag=%s: it names something else", c.Tag)
	}
	c.Tag = tag
	return nil
}

func short(id string) string {
	id = strings.TrimPrefix(id, "sha256:")
	return id[:min(12, len(id))]
}
