package plan

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/enter"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/idmap"
	"github.com/rl-containers/rl/sys"
)

// attr is what an option of mount(8) does to a mount: MOUNT_ATTR_* to set and to clear (mount_setattr(2)).
type attr struct{ set, clear uint64 }

// attribute knows the words of runtime-spec config.md, "Linux mount options", that are about the mount and not about its file
// system. "rw", "suid" and so on are what a new mount has; of a bind mount they take back what its source has.
func attribute(word string) (attr, bool) {
	switch word {
	case "ro":
		return attr{set: unix.MOUNT_ATTR_RDONLY}, true
	case "rw":
		return attr{clear: unix.MOUNT_ATTR_RDONLY}, true
	case "nosuid":
		return attr{set: unix.MOUNT_ATTR_NOSUID}, true
	case "suid":
		return attr{clear: unix.MOUNT_ATTR_NOSUID}, true
	case "nodev":
		return attr{set: unix.MOUNT_ATTR_NODEV}, true
	case "dev":
		return attr{clear: unix.MOUNT_ATTR_NODEV}, true
	case "noexec":
		return attr{set: unix.MOUNT_ATTR_NOEXEC}, true
	case "exec":
		return attr{clear: unix.MOUNT_ATTR_NOEXEC}, true
	case "noatime":
		return attr{set: unix.MOUNT_ATTR_NOATIME}, true
	case "strictatime":
		return attr{set: unix.MOUNT_ATTR_STRICTATIME}, true
	case "relatime", "atime", "norelatime", "nostrictatime":
		return attr{}, true // what there is without a word
	case "nodiratime":
		return attr{set: unix.MOUNT_ATTR_NODIRATIME}, true
	case "diratime":
		return attr{clear: unix.MOUNT_ATTR_NODIRATIME}, true
	case "nosymfollow":
		return attr{set: unix.MOUNT_ATTR_NOSYMFOLLOW}, true
	case "symfollow":
		return attr{clear: unix.MOUNT_ATTR_NOSYMFOLLOW}, true
	case "defaults", "async", "silent", "loud", "bind", "rbind":
		return attr{}, true
	}
	return attr{}, false
}

// deep is attribute for the words that hold for all mounts below, too: "rro".
func deep(word string) (attr, bool) {
	rest, ok := strings.CutPrefix(word, "r")
	if !ok || rest == "bind" || rest == "elatime" || rest == "w" || rest == "o" {
		return attr{}, false
	}
	switch rest {
	case "relatime", "atime":
		return attr{clear: unix.MOUNT_ATTR__ATIME}, true
	}
	return attribute(rest)
}

// propagationOf maps mount_namespaces(7)'s words to MS_*; 0 for others.
func propagationOf(word string) uint64 {
	rest, recursive := word, uint64(0)
	if cut, ok := strings.CutPrefix(word, "r"); ok {
		rest, recursive = cut, unix.MS_REC
	}
	switch rest {
	case "private":
		return unix.MS_PRIVATE | recursive
	case "slave":
		return unix.MS_SLAVE | recursive
	case "shared":
		return unix.MS_SHARED | recursive
	case "unbindable":
		return unix.MS_UNBINDABLE | recursive
	}
	return 0
}

// Propagation is that of linux.rootfsPropagation; 0 for none.
func Propagation(word string) (uint64, error) {
	p := propagationOf(word)
	if p == 0 && word != "" {
		return 0, hint.Errorf("[r]private, [r]slave, [r]shared or [r]unbindable", "rootfsPropagation: unknown word %q", word)
	}
	return p, nil
}

// mounts compiles those of the spec, with the devices after /dev.
func mounts(s *specs.Spec, l *specs.Linux, ids idmap.Map, o Options) ([]enter.Mount, error) {
	devices, err := nodes(l.Devices, s.Mounts, o)
	if err != nil {
		return nil, err
	}
	var all []enter.Mount
	if !slices.ContainsFunc(s.Mounts, isDev) {
		all, devices = devices, nil
	}
	for _, m := range s.Mounts {
		e, err := mount(m, ids, o)
		if err != nil {
			return nil, fmt.Errorf("mount %s: %w", m.Destination, err)
		}
		all = append(all, e)
		if isDev(m) {
			all, devices = append(all, devices...), nil
		}
	}
	return all, nil
}

func isDev(m specs.Mount) bool { return filepath.Clean(m.Destination) == "/dev" }

func isBind(m specs.Mount) bool {
	return m.Type == "bind" || slices.Contains(m.Options, "bind") || slices.Contains(m.Options, "rbind")
}

// mount compiles one mount of the spec.
func mount(m specs.Mount, ids idmap.Map, o Options) (e enter.Mount, err error) {
	e = enter.Mount{Kind: enter.New, FS: m.Type, Target: m.Destination, Shallow: o.Exact}
	if o.Exact {
		if err := supported(m); err != nil {
			return e, err
		}
		// As runc: a relative destination is one below the root.
		e.Target = filepath.Join("/", m.Destination)
		if m.Source != "" && !isBind(m) {
			e.Options = []sys.Option{{Key: "source", Value: m.Source}}
		}
	}
	bind := isBind(m)
	if bind {
		e.Kind, e.FS, e.Source, e.Propagation = enter.Bind, "", m.Source, unix.MS_PRIVATE
		e.Recursive = slices.Contains(m.Options, "rbind") || !o.Exact && !slices.Contains(m.Options, "bind")
		if o.Exact {
			e.Propagation = unix.MS_PRIVATE | unix.MS_REC
			if !filepath.IsAbs(e.Source) {
				e.Source = filepath.Join(o.Bundle, e.Source)
			}
		}
	}
	e.NoLink = e.Target == "/proc" || e.Target == "/sys"
	for _, word := range m.Options {
		if err := option(&e, word, bind, o); err != nil {
			return e, err
		}
	}
	if bind {
		return adaptBind(e, o), nil
	}
	e.Attr, e.Clear, e.DeepAttr, e.DeepClear = e.Attr|e.DeepAttr, 0, 0, 0 // there is nothing to take back, nor anything below
	adapt(&e, ids)
	return e, nil
}

// supported refuses what an unprivileged runtime can't do, instead of doing something else.
func supported(m specs.Mount) error {
	idmapped := len(m.UIDMappings)+len(m.GIDMappings) > 0
	for _, o := range m.Options {
		idmapped = idmapped || o == "idmap" || o == "ridmap" || strings.HasPrefix(o, "idmap=") || strings.HasPrefix(o, "ridmap=")
	}
	if idmapped {
		return hint.Errorf("map the ids of the whole container: linux.uidMappings", "an idmapped mount needs privileges on the file system of its source (mount_setattr(2), MOUNT_ATTR_IDMAP)")
	}
	if m.Type == "" && !isBind(m) {
		return hint.Errorf("add a type, or the option bind", "it has no type")
	}
	if m.Destination == "" {
		return fmt.Errorf("it has no destination")
	}
	if filepath.Clean(m.Destination) == "/" && slices.Contains(m.Options, "tmpcopyup") {
		return fmt.Errorf("tmpcopyup of the whole root file system is not supported")
	}
	return nil
}

func option(e *enter.Mount, word string, bind bool, o Options) error {
	if a, ok := attribute(word); ok {
		e.Attr, e.Clear = (e.Attr|a.set)&^a.clear, (e.Clear|a.clear)&^a.set
		return nil
	}
	if p := propagationOf(word); p != 0 {
		e.Propagation = p
		return nil
	}
	if a, ok := deep(word); ok {
		e.DeepAttr, e.DeepClear = (e.DeepAttr|a.set)&^a.clear, (e.DeepClear|a.clear)&^a.set
		return nil
	}
	switch {
	case word == "tmpcopyup":
		e.CopyUp = true
	case word == "notmpcopyup":
	case bind && !o.Exact:
		return fmt.Errorf("option %q has no meaning for a bind mount", word)
	case bind: // data, which the kernel ignores for a bind mount, and so do other runtimes
	default:
		key, value, _ := strings.Cut(word, "=")
		e.Options = append(e.Options, sys.Option{Key: key, Value: value})
	}
	return nil
}

// adaptBind: taking back a restriction is tried only where it was asked for by name and can matter: "rw" is everywhere, and a
// source that the caller can't write to stays so.
func adaptBind(e enter.Mount, o Options) enter.Mount {
	e.Clear &^= unix.MOUNT_ATTR_RDONLY
	if !o.Exact {
		e.Clear = 0
		e.Propagation &^= unix.MS_REC
		if e.Target == "/dev/mqueue" {
			e.Optional = "the host has no POSIX message queues"
		}
	}
	return e
}

// adapt fits a new file system to what this user namespace may have.
func adapt(e *enter.Mount, ids idmap.Map) {
	switch e.FS {
	case "proc":
		e.Fallback = "/proc"
	case "sysfs":
		e.Fallback = "/sys"
	case "cgroup", "cgroup2":
		if e.FS == "cgroup" { // options of v1 have no meaning for v2
			e.Options = slices.DeleteFunc(e.Options, func(o sys.Option) bool { return o.Key != "source" })
		}
		e.FS = "cgroup2"
		e.Optional = "no cgroup v2 here"
		if e.Shallow {
			e.Fallback = "/sys/fs/cgroup" // read-only, as runc does without a cgroup namespace
		}
	case "tmpfs":
		e.KeepMode = e.Shallow && !slices.ContainsFunc(e.Options, func(o sys.Option) bool { return o.Key == "mode" })
	case "mqueue":
		e.Optional = "no POSIX message queues in this kernel"
	case "devpts":
		if _, ok := ids.HostGID(5); !ok {
			e.Options = slices.DeleteFunc(e.Options, func(o sys.Option) bool { return o.Key == "gid" })
		}
	}
}
