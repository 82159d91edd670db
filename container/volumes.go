package container

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/enter"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/spec"
	"github.com/rl-containers/rl/storage"
	"github.com/rl-containers/rl/sys"
)

// volumeKind is what the options of a volume make of it (docker volume create, driver local).
type volumeKind struct {
	// Device is a directory of the caller's that stands for the volume's own.
	Device string
	// Tmpfs are the options of a file system in memory; nil for none.
	Tmpfs []sys.Option
	// Attr are MOUNT_ATTR_* of "ro", "noexec" ….
	Attr uint64
}

// parseVolumeOptions reads type=tmpfs,o=size=64m and type=none,o=bind,device=/dir. What needs root is refused.
func parseVolumeOptions(options map[string]string) (kind volumeKind, err error) {
	for key := range options {
		if key != "type" && key != "device" && key != "o" {
			return kind, hint.Errorf("type=tmpfs,o=size=64m or type=none,o=bind,device=/dir", "volume option %q: the driver local has type, device and o", key)
		}
	}
	fs, device := options["type"], options["device"]
	var words []string
	if options["o"] != "" {
		words = strings.Split(options["o"], ",")
	}
	bind := slices.Contains(words, "bind") || slices.Contains(words, "rbind")
	switch {
	case len(options) == 0:
		return kind, nil
	case fs == "tmpfs":
		kind.Tmpfs = []sys.Option{}
	case (fs == "none" || fs == "bind" || fs == "") && (bind || fs == "bind"):
		if !strings.HasPrefix(device, "/") {
			return kind, hint.Errorf("device=/some/directory of yours", "volume option device=%s: an absolute path is needed", device)
		}
		kind.Device = device
	case fs == "" || fs == "none":
		return kind, hint.Errorf("type=tmpfs,o=size=64m or type=none,o=bind,device=/dir", "volume options say neither a type nor bind")
	default:
		return kind, hint.Errorf("mount it as root or by fuse (sshfs, …), then: -o type=none -o o=bind -o device=/where/it/is", "volume option type=%s: only root can mount this", fs)
	}
	return kind, kind.words(words)
}

// words reads o=….
func (k *volumeKind) words(words []string) error {
	flags := map[string]uint64{"ro": unix.MOUNT_ATTR_RDONLY, "noexec": unix.MOUNT_ATTR_NOEXEC, "nosuid": 0, "nodev": 0, "rw": 0, "bind": 0, "rbind": 0}
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		attr, ok := flags[w]
		switch {
		case ok:
			k.Attr |= attr
		case k.Tmpfs != nil && slices.Contains([]string{"size", "mode", "uid", "gid", "nr_inodes", "nr_blocks"}, key) && value != "":
			k.Tmpfs = append(k.Tmpfs, sys.Option{Key: key, Value: value})
		default:
			return hint.Errorf("ro, noexec; of a tmpfs: size=64m, mode=, uid=, gid=, nr_inodes=", "volume option o=%s: unknown or not for this type", w)
		}
	}
	return nil
}

// ensureVolumes makes those volumes of the container that aren't there. Its record already names them: from the first moment on
// nobody removes them.
func (r *run) ensureVolumes() error {
	for _, v := range r.spec.Volumes {
		there, err := r.store.Volume(v.Name)
		switch {
		case err == nil && len(v.Options) > 0 && !maps.Equal(v.Options, there.Options):
			return hint.Errorf("rl volume inspect "+v.Name+" shows its own; leave volume-opt out, or take another name", "volume %s is there already, with other options", v.Name)
		case err == nil:
			continue
		case !errors.Is(err, storage.ErrNoVolume):
			return err
		}
		if _, err := parseVolumeOptions(v.Options); err != nil {
			return err
		}
		err = r.store.CreateVolume(storage.Volume{Name: v.Name, Labels: v.Labels, Options: v.Options, Anonymous: v.Anonymous})
		if err != nil && !errors.Is(err, storage.ErrVolumeExists) { // another container may want it at this moment, too
			return err
		}
	}
	return nil
}

// mountVolumes puts the volumes' directories where the plan names them.
func (r *run) mountVolumes() error {
	if len(r.spec.Volumes) == 0 {
		return nil
	}
	if err := r.ensureVolumes(); err != nil {
		return err
	}
	life, err := storage.ReadLife(r.dir.Dir)
	first := err != nil || life.Pid == 0
	for i := range r.plan.Mounts {
		m := &r.plan.Mounts[i]
		if m.Kind != enter.New || m.FS != spec.VolumeType {
			continue
		}
		at := slices.IndexFunc(r.spec.Volumes, func(v spec.Volume) bool { return v.Destination == m.Target })
		if at < 0 {
			return fmt.Errorf("mount %s: the volume is not in the configuration", m.Target)
		}
		if err := r.mountVolume(m, &r.spec.Volumes[at], first); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) mountVolume(m *enter.Mount, use *spec.Volume, first bool) error {
	v, err := r.store.Volume(use.Name)
	if err != nil {
		return err
	}
	kind, err := parseVolumeOptions(v.Options)
	if err != nil {
		return fmt.Errorf("volume %s: %w", v.Name, err)
	}
	if use.Chown && len(v.Options) > 0 {
		return hint.Errorf("leave U out; of a tmpfs: o=uid=N", "mount %s: option U is not for a volume with options (%s)", m.Target, v.Name)
	}
	m.Attr |= kind.Attr
	m.Options = nil
	if m.Propagation == 0 {
		m.Propagation = unix.MS_PRIVATE
	}
	switch {
	case kind.Tmpfs != nil:
		m.FS, m.Options, m.CopyUp = "tmpfs", kind.Tmpfs, !use.NoCopy
	case kind.Device != "":
		m.Kind, m.FS, m.Source, m.Recursive = enter.Bind, "", kind.Device, true
	default:
		err = r.store.AwaitVolume(v.Name, func(by []storage.State) { r.sayWait(v.Name, by) })
		m.Kind, m.FS, m.Source = enter.Bind, "", r.store.VolumeDir(v.Name)
		m.Volume = &enter.Volume{Data: storage.VolumeData, Copy: !use.NoCopy, First: first, Chown: use.Chown}
	}
	return err
}

func (r *run) sayWait(volume string, by []storage.State) {
	who := "a container"
	if len(by) > 0 {
		who = "container " + by[0].Name
	}
	r.say("note: waiting for volume " + volume + ": " + who + " fills it with the files of its image")
}

// checkVolumes refuses what can't be had.
func (r *run) checkVolumes() error {
	if mode, _, _ := strings.Cut(r.Options.Userns, ":"); mode == "nomap" && len(r.spec.Volumes) > 0 {
		return hint.Errorf("leave --userns=nomap out", "volume at %s: volumes belong to you, and with --userns=nomap you have no id in the container", r.spec.Volumes[0].Destination)
	}
	return r.spec.NameVolumes(newID)
}

// inherit reads the mounts of the containers of --volumes-from.
func (r *run) inherit() error {
	r.Options.Inherited = nil
	for _, word := range r.VolumesFrom {
		name, mode, _ := strings.Cut(word, ":")
		readOnly := false
		for o := range strings.SplitSeq(mode, ",") {
			switch o {
			case "", "rw", "z":
			case "ro":
				readOnly = true
			default:
				return hint.Errorf("--volumes-from CONTAINER[:ro]", "--volumes-from %s: unknown option %q", word, o)
			}
		}
		s, c, err := findConfig(name)
		if s != nil && err != nil {
			err = hint.With(err, "it is just being started: try again")
		}
		if err != nil {
			return fmt.Errorf("--volumes-from %s: %w", word, err)
		}
		r.Options.Inherited = append(r.Options.Inherited, c.Spec.Shared(readOnly))
	}
	return nil
}

// DropVolumes deletes the anonymous volumes of a container that was removed, but those that others use, too.
func DropVolumes(s *storage.State) error {
	if len(s.Anonymous) == 0 {
		return nil
	}
	store, err := storage.Open()
	if err != nil {
		return err
	}
	return removeLeft(store.RemoveAnonymous(&s.Record))
}
