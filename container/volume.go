package container

import (
	"errors"
	"regexp"
	"strconv"
	"time"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/idmap"
	"github.com/rl-containers/rl/storage"
)

// Volume is what `rl volume inspect` shows: podman's and docker's fields.
type Volume struct {
	Name       string
	Driver     string
	Mountpoint string
	CreatedAt  time.Time
	Labels     map[string]string
	Scope      string
	Options    map[string]string
	Anonymous  bool
	// MountCount is how many containers have it mounted now.
	MountCount int
	// NeedsCopyUp: it had no first use yet.
	NeedsCopyUp bool
	// UsedBy are the ids of the containers that have it, also of those that don't run.
	UsedBy []string
}

// Label is the value of one, for templates.
func (v Volume) Label(key string) string { return v.Labels[key] }

// CreateVolume makes a volume. Without a name it gets a random one and is anonymous. The result is the name.
func CreateVolume(v storage.Volume, ignore bool) (name string, err error) {
	if _, err := parseVolumeOptions(v.Options); err != nil {
		return "", err
	}
	if v.Name == "" {
		v.Anonymous = true
		if v.Name, err = newID(); err != nil {
			return "", err
		}
	}
	store, err := storage.Open()
	if err != nil {
		return "", err
	}
	err = store.CreateVolume(v)
	if ignore && errors.Is(err, storage.ErrVolumeExists) {
		return v.Name, nil
	}
	if err != nil {
		return "", err
	}
	// What killed commands left.
	_, left, _ := store.RemoveVolumes(nil, nil)
	return v.Name, removeLeft(left)
}

// Volumes are those that the filters let through, by name. A filter is KEY=VALUE.
func Volumes(filters []string) ([]Volume, error) {
	match, err := volumeFilter(filters)
	if err != nil {
		return nil, err
	}
	store, err := storage.Open()
	if err != nil {
		return nil, err
	}
	all, err := store.Volumes()
	if err != nil {
		return nil, err
	}
	users, err := store.Users()
	if err != nil {
		return nil, err
	}
	var list []Volume
	for i := range all {
		if v := describeVolume(store, &all[i], users); match(&v) {
			list = append(list, v)
		}
	}
	return list, nil
}

// InspectVolume looks up one volume by its name, or the only one whose name begins so.
func InspectVolume(word string) (*Volume, error) {
	store, err := storage.Open()
	if err != nil {
		return nil, err
	}
	found, err := store.FindVolume(word)
	if err != nil {
		return nil, err
	}
	users, err := store.Users()
	if err != nil {
		return nil, err
	}
	v := describeVolume(store, found, users)
	return &v, nil
}

// VolumeExists tells whether there is a volume of that name.
func VolumeExists(name string) (bool, error) {
	store, err := storage.Open()
	if err != nil {
		return false, err
	}
	_, err = store.Volume(name)
	if errors.Is(err, storage.ErrNoVolume) {
		err = nil
		return false, nil
	}
	return err == nil, err
}

func describeVolume(store *storage.Store, v *storage.Volume, users map[string][]storage.State) Volume {
	d := Volume{Name: v.Name, Driver: "local", Mountpoint: store.Mountpoint(v.Name), CreatedAt: v.CreatedAt, Labels: v.Labels, Scope: "local",
		Options: v.Options, Anonymous: v.Anonymous, NeedsCopyUp: !store.VolumeUsed(v.Name), UsedBy: []string{}}
	for _, c := range users[v.Name] {
		d.UsedBy = append(d.UsedBy, c.ID)
		if c.Running {
			d.MountCount++
		}
	}
	// As podman: {}, not null.
	if d.Labels == nil {
		d.Labels = map[string]string{}
	}
	if d.Options == nil {
		d.Options = map[string]string{}
	}
	return d
}

// volumeFilter reads filters. Values of one key are alternatives, but for labels, which must all be there, as with docker.
func volumeFilter(filters []string) (func(*Volume) bool, error) {
	return readFilters(filters, volumeTest)
}

func volumeTest(key, value string) (func(*Volume) bool, error) {
	switch key {
	case "name":
		pattern, err := regexp.Compile(value)
		if err != nil {
			return nil, hint.Errorf("--filter name=data, or name=^data$", "filter name=%s: %w", value, err)
		}
		return func(v *Volume) bool { return pattern.MatchString(v.Name) }, nil
	case "label":
		return func(v *Volume) bool { return hasPair(v.Labels, value) }, nil
	case "label!":
		return func(v *Volume) bool { return !hasPair(v.Labels, value) }, nil
	case "opt":
		return func(v *Volume) bool { return hasPair(v.Options, value) }, nil
	case "driver":
		return func(v *Volume) bool { return v.Driver == value }, nil
	case "scope":
		return func(v *Volume) bool { return v.Scope == value }, nil
	case "until":
		limit, err := pastTime(value)
		return func(v *Volume) bool { return v.CreatedAt.Before(limit) }, err
	case "dangling", "anonymous":
		want, err := strconv.ParseBool(value)
		if err != nil {
			return nil, hint.Errorf(key+"=true or "+key+"=false", "filter %s=%s: neither true nor false", key, value)
		}
		return func(v *Volume) bool {
			is := v.Anonymous
			if key == "dangling" {
				is = len(v.UsedBy) == 0
			}
			return is == want
		}, nil
	}
	return nil, hint.Errorf("name=, label=KEY[=VALUE], label!=, dangling=BOOL, driver=, opt=KEY[=VALUE], scope=, anonymous=BOOL, until=TIME", "unknown filter %q", key)
}

// RemoveVolumes removes volumes by name or unique beginning of a name. One that a container uses is refused, but with force, which
// removes the containers first and takes one that isn't there for removed, as podman does: those that run are killed, or, with time,
// stopped in order within so many seconds. done is told each as it was named.
func RemoveVolumes(words []string, force bool, time *int, done func(word string)) error {
	store, err := storage.Open()
	if err != nil {
		return err
	}
	var failed []error
	for _, word := range words {
		v, err := store.FindVolume(word)
		if err == nil && force {
			err = removeUsers(store, v.Name, time)
		}
		if err == nil {
			err = removeVolume(store, v.Name)
		}
		var used *storage.InUse
		switch {
		case err == nil:
			done(word)
		case errors.Is(err, storage.ErrNoVolume) && force:
		case errors.Is(err, storage.ErrNoVolume):
			failed = append(failed, &hint.Exit{Code: 1, Err: err})
		case errors.As(err, &used):
			failed = append(failed, &hint.Exit{Code: 2, Err: hint.With(err, "rl rm "+used.By[0].Name+" first, or rl volume rm -f, which removes the containers, too")})
		default:
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

func removeVolume(store *storage.Store, name string) error {
	_, left, err := store.RemoveVolumes([]string{name}, nil)
	return errors.Join(err, removeLeft(left))
}

func removeUsers(store *storage.Store, name string, time *int) error {
	users, err := store.Users()
	if err != nil {
		return err
	}
	for i := range users[name] {
		if time != nil {
			if err := Stop(&users[name][i], time); err != nil {
				return err
			}
		}
		if err := Delete(&users[name][i], true); err != nil {
			return err
		}
	}
	return nil
}

// removeLeft deletes directories with files of mapped ids.
func removeLeft(dirs []string) error {
	if len(dirs) == 0 {
		return nil
	}
	ids, err := idmap.Mine("")
	if err != nil {
		return err
	}
	return removeMapped(ids, dirs)
}
