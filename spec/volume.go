package spec

import (
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/rl-containers/rl/hint"
)

// bindDefaults: a directory of the user's brings no devices and no setuid programs into the container.
func bindDefaults() []string { return []string{"nosuid", "nodev"} }

// volume reads -v SRC:DST[:OPTION,…], NAME:DST[:OPTION,…] for a volume, DST for an anonymous one. A relative SRC begins with a
// dot, as docker means it.
func (m *maker) volume(s string) (specs.Mount, error) {
	src, rest, ok := strings.Cut(s, ":")
	dst, options, _ := strings.Cut(rest, ":")
	mount := specs.Mount{Type: "bind", Options: bindDefaults()}
	switch {
	case !ok:
		return m.volumeMount("", s, "")
	case src == "" || dst == "":
		return mount, hint.Errorf("-v /on/the/host:/in/the/container[:ro], -v NAME:/in/the/container, -v /in/the/container", "the source and the target must be named")
	case !strings.ContainsAny(src[:1], "/.~"):
		return m.volumeMount(src, dst, options)
	}
	var err error
	if mount.Destination, err = target(dst); err != nil {
		return mount, err
	}
	if mount.Source, err = filepath.Abs(src); err != nil {
		return mount, err
	}
	recursion := "rbind"
	if options != "" {
		for o := range strings.SplitSeq(options, ",") {
			if o == "bind" || o == "rbind" {
				recursion = o
			} else if err := m.bindOption(&mount, o); err != nil {
				return mount, err
			}
		}
	}
	mount.Options = append(mount.Options, recursion)
	m.c.Binds = append(m.c.Binds, mount.Destination)
	return mount, nil
}

// bindOption adds one option of a bind mount, or takes back a default.
func (m *maker) bindOption(mount *specs.Mount, o string) error {
	switch o {
	case "rw", "nosuid", "nodev", "cached", "delegated", "consistent": // the last three are Docker Desktop's, about its own VM
	case "suid", "dev":
		mount.Options = slices.DeleteFunc(mount.Options, func(old string) bool { return old == "no"+o })
	case "ro", "noexec", "exec", "noatime", "nodiratime", "relatime", "strictatime", "private", "rprivate", "slave", "rslave", "shared", "rshared":
		mount.Options = append(mount.Options, o)
	case "z", "Z":
		m.warn("-v %s:%s:%s: files are not relabelled: rl sets no SELinux labels, and its containers run with the caller's", mount.Source, mount.Destination, o)
	case "U":
		return hint.Errorf("rl run --userns=keep-id makes your files yours inside, too; volumes have U", "option U (change the owner of all files) is not supported for your own directories")
	case "O":
		return hint.Errorf("use ro, or a copy of the directory", "option O (an overlay on the directory) is not supported yet")
	default:
		return hint.Errorf("ro, rw, z, Z, exec, noexec, suid, dev, bind, rbind, [r]private, [r]slave, [r]shared; of a volume nocopy, U, too", "unknown option %q", o)
	}
	return nil
}

// mount reads --mount: comma-separated key=value, quoted as in CSV.
func (m *maker) mount(s string) (specs.Mount, error) {
	r := csv.NewReader(strings.NewReader(s))
	r.LazyQuotes = true
	fields, err := r.Read()
	if err != nil {
		return specs.Mount{}, fmt.Errorf("not comma-separated KEY=VALUE: %w", err)
	}
	kind := ""
	rest := slices.DeleteFunc(fields, func(f string) bool {
		key, value, _ := strings.Cut(f, "=")
		if key == "type" {
			kind = value
		}
		return key == "type"
	})
	switch kind {
	case "bind":
		return m.mountBind(rest)
	case "tmpfs":
		return mountTmpfs(rest)
	case "", "volume":
		return m.mountVolume(rest)
	}
	return specs.Mount{}, hint.Errorf("type=bind, type=volume or type=tmpfs", "unknown type %q", kind)
}

// boolean reads a key that stands alone, or has =true or =false.
func boolean(value string, given bool) (bool, error) {
	switch {
	case !given, value == "true", value == "1":
		return true, nil
	case value == "false", value == "0":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither true nor false", value)
}

func (m *maker) mountBind(fields []string) (specs.Mount, error) {
	mount := specs.Mount{Type: "bind", Options: bindDefaults()}
	recursion := "rbind"
	for _, f := range fields {
		key, value, given := strings.Cut(f, "=")
		var err error
		switch key {
		case "src", "source":
			if value == "" {
				return mount, errors.New("the source is empty")
			}
			mount.Source, err = filepath.Abs(value)
		case "dst", "destination", "target":
			mount.Destination, err = target(value)
		case "bind-nonrecursive":
			var on bool
			if on, err = boolean(value, given); on {
				recursion = "bind"
			}
		default:
			err = m.mountOption(&mount, key, value, given)
		}
		if err != nil {
			return mount, err
		}
	}
	if mount.Source == "" || mount.Destination == "" {
		return mount, hint.Errorf("type=bind,src=DIR,dst=PATH", "src and dst must be given")
	}
	mount.Options = append(mount.Options, recursion)
	m.c.Binds = append(m.c.Binds, mount.Destination)
	return mount, nil
}

func (m *maker) mountOption(mount *specs.Mount, key, value string, given bool) error {
	switch key {
	case "ro", "readonly", "rw":
		on, err := boolean(value, given)
		if on != (key == "rw") {
			mount.Options = append(mount.Options, "ro")
		}
		return err
	case "bind-propagation":
		if !slices.Contains([]string{"private", "rprivate", "slave", "rslave", "shared", "rshared"}, value) {
			return hint.Errorf("[r]private, [r]slave or [r]shared", "unknown bind-propagation %q", value)
		}
		return m.bindOption(mount, value)
	case "relabel":
		return m.bindOption(mount, "z")
	case "consistency":
		return nil
	}
	if given {
		return hint.Errorf("src, dst, ro, bind-propagation, bind-nonrecursive, relabel", "unknown key %q", key)
	}
	return m.bindOption(mount, key)
}

func mountTmpfs(fields []string) (specs.Mount, error) {
	mount := specs.Mount{Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "nodev", "noexec", "tmpcopyup"}}
	for _, f := range fields {
		key, value, given := strings.Cut(f, "=")
		var err error
		switch key {
		case "dst", "destination", "target":
			mount.Destination, err = target(value)
		case "tmpfs-size":
			err = tmpfsOption(&mount, "size="+value)
		case "tmpfs-mode":
			err = tmpfsOption(&mount, "mode="+value)
		case "readonly", "ro":
			var on bool
			if on, err = boolean(value, given); on {
				err = tmpfsOption(&mount, "ro")
			}
		default:
			err = tmpfsOption(&mount, f)
		}
		if err != nil {
			return mount, err
		}
	}
	if mount.Destination == "" {
		return mount, hint.Errorf("type=tmpfs,dst=PATH", "dst must be given")
	}
	return mount, nil
}

// device reads --device SRC[:DST[:rwm]]. A user can't make device nodes: the host's is bound, with the rights that the caller
// has on it.
func (m *maker) device(s string) (specs.Mount, error) {
	mount := specs.Mount{Type: "bind", Options: []string{"nosuid", "noexec", "rbind"}}
	if !strings.HasPrefix(s, "/") && strings.Contains(s, "=") {
		return mount, hint.Errorf("name the device files: --device /dev/…", "devices by CDI names are not supported yet")
	}
	parts := strings.Split(s, ":")
	dst := parts[0]
	switch n := len(parts); {
	case n == 3 && !rights(parts[2]), n > 3:
		return mount, hint.Errorf("--device SRC[:DST[:rwm]]", "%q are not the rights of a device", strings.Join(parts[2:], ":"))
	case n == 2 && rights(parts[1]):
		parts = append(parts, parts[1])
	case n >= 2:
		dst = parts[1]
	}
	if len(parts) == 3 && !strings.Contains(parts[2], "w") {
		return mount, hint.Errorf("leave it out: what you can't write to on the host, the container can't either", "rights %q can't be enforced without root", parts[2])
	}
	st, err := os.Stat(parts[0])
	if err != nil {
		return mount, err
	}
	if !st.IsDir() && st.Mode()&os.ModeDevice == 0 {
		return mount, hint.Errorf("-v mounts other files", "%s is not a device", parts[0])
	}
	mount.Source = parts[0]
	mount.Destination, err = target(dst)
	return mount, err
}

func rights(s string) bool { return s != "" && strings.Trim(s, "rwm") == "" }
