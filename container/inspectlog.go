package container

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/rl-containers/rl/logs"
	"github.com/rl-containers/rl/spec"
	"github.com/rl-containers/rl/storage"
)

// LogConfig is how its output is kept. Config has the options as docker names them, Path, Tag and Size are podman's.
type LogConfig struct {
	Type   string
	Config map[string]string
	Path   string
	Tag    string
	Size   string
}

// Ulimit is one of --ulimit, without RLIMIT_; -1 is no limit.
type Ulimit struct {
	Name string
	Soft int64
	Hard int64
}

// Device is one of --device.
type Device struct {
	PathOnHost        string
	PathInContainer   string
	CgroupPermissions string
}

func inspectLog(s *storage.State, c *logs.Config) LogConfig {
	l := LogConfig{Type: c.Driver, Config: map[string]string{}, Path: logPath(s, c), Tag: c.Tag, Size: "0B"}
	if l.Type == "" {
		l.Type = logs.K8sFile
	}
	if c.MaxSize > 0 {
		l.Size = strconv.FormatInt(c.MaxSize, 10) + "B"
		l.Config["max-size"] = strconv.FormatInt(c.MaxSize, 10)
	}
	if c.MaxFile > 0 {
		l.Config["max-file"] = strconv.Itoa(c.MaxFile)
	}
	if c.Path != "" {
		l.Config["path"] = c.Path
	}
	if c.Tag != "" {
		l.Config["tag"] = c.Tag
	}
	return l
}

// logPath is the file that is written, "" where none is.
func logPath(s *storage.State, c *logs.Config) string {
	switch {
	case c.Driver == logs.None || c.Driver == logs.Journald:
		return ""
	case c.Path != "":
		return c.Path
	}
	return filepath.Join(s.Dir, logs.FileName)
}

func inspectUlimits(limits []specs.POSIXRlimit) []Ulimit {
	all := []Ulimit{}
	for _, l := range limits {
		all = append(all, Ulimit{strings.ToLower(strings.TrimPrefix(l.Type, "RLIMIT_")), int64(l.Soft), int64(l.Hard)})
	}
	return all
}

func inspectDevices(typed []string) []Device {
	all := []Device{}
	for _, word := range typed {
		parts := strings.Split(word, ":")
		d := Device{parts[0], parts[0], "rwm"}
		for _, p := range parts[1:] {
			if strings.HasPrefix(p, "/") {
				d.PathInContainer = p
			} else {
				d.CgroupPermissions = p
			}
		}
		all = append(all, d)
	}
	return all
}

// shmSize is how large its own /dev/shm may become, in bytes; 0 for one without a limit, or somebody else's.
func shmSize(mounts []specs.Mount) int64 {
	at := slices.IndexFunc(mounts, func(m specs.Mount) bool { return m.Destination == "/dev/shm" && m.Type == "tmpfs" })
	if at < 0 {
		return 0
	}
	for _, o := range mounts[at].Options {
		if size, ok := strings.CutPrefix(o, "size="); ok {
			n, _ := spec.Size(size)
			return n
		}
	}
	return 0
}

// MountNames are what it mounts, as docker ps shows it: the names of volumes and the sources on the host.
func MountNames(s *storage.State) []string {
	c, err := ReadConfig(s.Dir)
	if err != nil {
		return nil
	}
	var all []string
	for _, m := range c.Spec.Spec.Mounts {
		at := slices.IndexFunc(c.Spec.Volumes, func(v spec.Volume) bool { return m.Type == spec.VolumeType && v.Destination == m.Destination })
		switch {
		case at >= 0:
			all = append(all, c.Spec.Volumes[at].Name)
		case slices.Contains(c.Spec.Binds, m.Destination) && m.Source != "" && m.Type != "tmpfs":
			all = append(all, m.Source)
		}
	}
	return all
}
