package spec

import (
	"fmt"
	"path"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/rl-containers/rl/hint"
)

// VolumeType is the type of a mount of the spec whose source is the name of a volume. Whoever starts the container puts the
// volume's directory in its place.
const VolumeType = "volume"

// Volume is a volume that a container uses.
type Volume struct {
	// Name is "" for an anonymous one until it is given a name.
	Name        string
	Destination string
	Anonymous   bool `json:",omitempty"`
	// NoCopy leaves it empty where the image has files at Destination.
	NoCopy bool `json:",omitempty"`
	// Chown gives all that is in it to the container's user, at each start.
	Chown bool `json:",omitempty"`
	// Labels and Options are for a volume that isn't there yet.
	Labels  map[string]string `json:",omitempty"`
	Options map[string]string `json:",omitempty"`
}

// Inherited are the mounts of another container (--volumes-from).
type Inherited struct {
	Mounts  []specs.Mount
	Volumes []Volume
}

// CheckVolumeName accepts docker's names: [a-zA-Z0-9][a-zA-Z0-9_.-]*. They become names of directories.
func CheckVolumeName(name string) error {
	for i, r := range name {
		ok := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !ok && (i == 0 || !strings.ContainsRune("_.-", r)) {
			return hint.Errorf("letters, digits, _ . - and a letter or digit first", "volume name %q: %q is not allowed there", name, r)
		}
	}
	if name == "" || len(name) > 255 {
		return fmt.Errorf("volume name %q: it has %d characters, 1 to 255 are allowed", name, len(name))
	}
	return nil
}

// volumeMount reads -v [NAME:]DST[:OPTION,…].
func (m *maker) volumeMount(name, dst, options string) (specs.Mount, error) {
	v := Volume{Name: name, Anonymous: name == ""}
	mount := specs.Mount{Type: VolumeType, Source: name, Options: bindDefaults()}
	var err error
	if name != "" {
		if err = CheckVolumeName(name); err != nil {
			return mount, hint.With(err, "a directory is meant? -v ./"+name+":"+dst)
		}
	}
	if mount.Destination, err = target(dst); err != nil {
		return mount, err
	}
	v.Destination = mount.Destination
	if options != "" {
		for o := range strings.SplitSeq(options, ",") {
			if err := m.volumeOption(&mount, &v, o); err != nil {
				return mount, err
			}
		}
	}
	m.c.Volumes = append(m.c.Volumes, v)
	return mount, nil
}

// volumeOption is bindOption for a volume, which has some more.
func (m *maker) volumeOption(mount *specs.Mount, v *Volume, o string) error {
	switch o {
	case "nocopy":
		v.NoCopy = true
	case "copy":
		v.NoCopy = false
	case "U":
		v.Chown = true
	case "z", "Z":
		return nil // for a directory of rl's own, which needs no label
	default:
		return m.bindOption(mount, o)
	}
	return nil
}

// mountVolume reads --mount type=volume,….
func (m *maker) mountVolume(fields []string) (specs.Mount, error) {
	mount := specs.Mount{Type: VolumeType, Options: bindDefaults()}
	v := Volume{}
	for _, f := range fields {
		if err := m.volumeKey(&mount, &v, f); err != nil {
			return mount, err
		}
	}
	if mount.Destination == "" {
		return mount, hint.Errorf("type=volume,src=NAME,dst=PATH", "dst must be given")
	}
	v.Name, v.Destination, v.Anonymous = mount.Source, mount.Destination, mount.Source == ""
	m.c.Volumes = append(m.c.Volumes, v)
	return mount, nil
}

func (m *maker) volumeKey(mount *specs.Mount, v *Volume, field string) (err error) {
	key, value, given := strings.Cut(field, "=")
	switch key {
	case "src", "source":
		mount.Source = value
		return CheckVolumeName(value)
	case "dst", "destination", "target":
		mount.Destination, err = target(value)
	case "volume-nocopy", "nocopy":
		v.NoCopy, err = boolean(value, given)
	case "U", "chown":
		v.Chown, err = boolean(value, given)
	case "volume-driver":
		err = CheckVolumeDriver(value)
	case "volume-label":
		err = addPair(&v.Labels, value, "volume-label")
	case "volume-opt":
		err = addPair(&v.Options, value, "volume-opt")
	case "volume-subpath", "subpath":
		err = hint.Errorf("mount the whole volume, and use the directory below it", "%s is not supported", key)
	default:
		err = m.mountOption(mount, key, value, given)
	}
	return err
}

// CheckVolumeDriver: there is one.
func CheckVolumeDriver(name string) error {
	if name != "" && name != "local" {
		return hint.Errorf("leave it out, or: local", "volume driver %q: rl has no plugins, only the driver local", name)
	}
	return nil
}

func addPair(to *map[string]string, pair, key string) error {
	k, v, _ := strings.Cut(pair, "=")
	if k == "" {
		return hint.Errorf(key+"=KEY=VALUE", "%s: no key", key)
	}
	if *to == nil {
		*to = map[string]string{}
	}
	(*to)[k] = v
	return nil
}

// inherited adds the mounts of other containers, but where the user named another for the same place. Of two containers the later
// one counts, as with docker.
func (m *maker) inherited(users []specs.Mount) []specs.Mount {
	own := len(users)
	for _, from := range m.o.Inherited {
		for _, mount := range from.Mounts {
			same := func(o specs.Mount) bool { return o.Destination == mount.Destination }
			if slices.ContainsFunc(users[:own], same) {
				continue
			}
			users = append(slices.DeleteFunc(users, same), mount)
			m.c.Volumes = slices.DeleteFunc(m.c.Volumes, func(v Volume) bool { return v.Destination == mount.Destination })
			for _, v := range from.Volumes {
				if v.Destination == mount.Destination {
					m.c.Volumes = append(m.c.Volumes, v)
				}
			}
		}
	}
	return users
}

// imageVolumes adds an anonymous volume for each path that the image's VOLUME names and nobody else has something for. A path
// below rl's own file systems is not the image's to cover.
func (m *maker) imageVolumes(users []specs.Mount) ([]specs.Mount, error) {
	kind := m.o.ImageVolume
	switch kind {
	case "", "bind", "anonymous", "tmpfs", "ignore":
	default:
		return nil, hint.Errorf("anonymous, tmpfs or ignore", "--image-volume: unknown kind %q", kind)
	}
	var paths []string
	for p := range m.img.Config.Volumes {
		paths = append(paths, path.Clean("/"+p))
	}
	slices.Sort(paths)
	for _, p := range slices.Compact(paths) {
		taken := slices.ContainsFunc(users, func(u specs.Mount) bool { return u.Destination == p })
		if taken || kind == "ignore" {
			continue
		}
		if first, _, _ := strings.Cut(p[1:], "/"); p == "/" || first == "proc" || first == "sys" || first == "dev" {
			m.warn("the image wants a volume on %s: it gets none there", p)
			continue
		}
		mount := specs.Mount{Type: "tmpfs", Source: "tmpfs", Destination: p, Options: []string{"nosuid", "nodev", "tmpcopyup"}}
		if kind != "tmpfs" {
			var err error
			if mount, err = m.volumeMount("", p, ""); err != nil {
				return nil, fmt.Errorf("volume of the image: %w", err)
			}
		}
		users = append(users, mount)
	}
	return users, nil
}

// Shared are the mounts that --volumes-from takes: volumes and what was bound by -v or --mount.
func (c *Container) Shared(readOnly bool) Inherited {
	in := Inherited{Volumes: slices.Clone(c.Volumes)}
	for _, m := range c.Spec.Mounts {
		if m.Type != VolumeType && !slices.Contains(c.Binds, m.Destination) {
			continue
		}
		if m.Options = slices.Clone(m.Options); readOnly {
			m.Options = append(m.Options, "ro")
		}
		in.Mounts = append(in.Mounts, m)
	}
	for i := range in.Volumes {
		in.Volumes[i].NoCopy, in.Volumes[i].Chown = true, false // it is the other's
	}
	return in
}

// NameVolumes gives each anonymous volume that has no name one from next.
func (c *Container) NameVolumes(next func() (string, error)) error {
	for i := range c.Volumes {
		v := &c.Volumes[i]
		if v.Name != "" {
			continue
		}
		var err error
		if v.Name, err = next(); err != nil {
			return err
		}
		for j := range c.Spec.Mounts {
			if m := &c.Spec.Mounts[j]; m.Type == VolumeType && m.Destination == v.Destination {
				m.Source = v.Name
			}
		}
	}
	return nil
}

// VolumeNames are those of all volumes that the container uses, or of the anonymous ones only, each once.
func (c *Container) VolumeNames(anonymous bool) []string {
	var names []string
	for _, v := range c.Volumes {
		if !anonymous || v.Anonymous {
			names = append(names, v.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
