package storage

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/events"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/spec"
	"github.com/rl-containers/rl/sys"
)

// Volume is what is kept of a volume, in volume.json of its directory DataDir/volumes/NAME. It never changes. Who uses it is in the
// records of the containers.
type Volume struct {
	Name      string
	CreatedAt time.Time
	Labels    map[string]string `json:",omitempty"`
	// Options are those of the driver local: type, device, o.
	Options map[string]string `json:",omitempty"`
	// Anonymous: made for one container, which takes it along when it is removed with its volumes.
	Anonymous bool `json:",omitempty"`
}

const (
	volumes = "volumes"
	// VolumeData is the directory with the volume's files, in the volume's.
	VolumeData = "_data"
	volumeFile = "volume.json"
	// volumeUsed is there after the first use (package enter).
	volumeUsed = "used"
	// Names that no volume can have: one that is being made, one that is being removed.
	volumeNew, volumeOld = ".new-", ".old-"
)

// ErrVolumeExists says that there is one of that name; ErrNoVolume that there is none.
var (
	ErrVolumeExists = errors.New("volume already exists")
	ErrNoVolume     = errors.New("no such volume")
)

// VolumeDir is the directory of a volume, which holds VolumeData.
func (s *Store) VolumeDir(name string) string { return filepath.Join(s.DataDir, volumes, name) }

// Mountpoint is where the files of a volume are on the host.
func (s *Store) Mountpoint(name string) string { return filepath.Join(s.VolumeDir(name), VolumeData) }

// VolumeUsed tells whether a container has had the volume.
func (s *Store) VolumeUsed(name string) bool {
	_, err := os.Lstat(filepath.Join(s.VolumeDir(name), volumeUsed))
	return err == nil
}

// AwaitVolume waits while a container fills the volume on its first use. say is told, after a second, which containers run that have
// it.
func (s *Store) AwaitVolume(name string, say func(by []State)) error {
	if s.VolumeUsed(name) {
		return nil
	}
	dir, err := openDir(s.VolumeDir(name))
	if err != nil {
		return fmt.Errorf("open volume %s: %w", name, err)
	}
	defer dir.Close()
	for tries := 1; ; tries++ {
		if err := flock(dir, unix.LOCK_SH|unix.LOCK_NB); !errors.Is(err, unix.EWOULDBLOCK) {
			return err
		}
		if tries == 200 {
			users, _ := s.Users()
			say(slices.DeleteFunc(users[name], func(c State) bool { return !c.Running }))
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// lockVolumes holds the place of the volumes: shared to add one, alone to remove.
func (s *Store) lockVolumes(how int) (*os.File, error) {
	dir := filepath.Join(s.DataDir, volumes)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, explainDisk("make directory of volumes", err)
	}
	guard, err := openDir(dir)
	if err != nil {
		return nil, explainDisk("open directory of volumes", err)
	}
	if err := flock(guard, how); err != nil {
		guard.Close()
		return nil, err
	}
	return guard, nil
}

// CreateVolume makes a volume: whole under another name, then by one rename(2). ErrVolumeExists: there is one.
func (s *Store) CreateVolume(v Volume) error {
	if err := spec.CheckVolumeName(v.Name); err != nil {
		return err
	}
	guard, err := s.lockVolumes(unix.LOCK_SH)
	if err != nil {
		return err
	}
	defer guard.Close()
	v.CreatedAt = time.Now()
	stage, err := os.MkdirTemp(guard.Name(), volumeNew)
	if err != nil {
		return explainDisk("make volume "+v.Name, err)
	}
	err = writeVolume(stage, &v)
	if err == nil {
		err = rename(stage, s.VolumeDir(v.Name))
	}
	if err == nil {
		events.Write(s.DataDir, events.Event{Type: events.Volume, Status: "create", Name: v.Name, Attributes: v.Labels})
		return nil
	}
	sys.RemoveAll(stage)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("volume with name %s: %w", v.Name, ErrVolumeExists)
	}
	return explainDisk("make volume "+v.Name, err)
}

func writeVolume(dir string, v *Volume) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	data := filepath.Join(dir, VolumeData)
	if err := os.Mkdir(data, 0o700); err != nil {
		return err
	}
	// As docker's: everybody in a container may look. On the host the directories above it are closed.
	if err := os.Chmod(data, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, volumeFile), b, 0o600)
}

// rename doesn't replace, unless the file system can't do without (NFS): an empty volume is never a directory without entries, which
// alone rename(2) would replace.
func rename(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if err == unix.EINVAL || err == unix.ENOSYS {
		if err = unix.Rename(from, to); err == unix.ENOTEMPTY {
			err = unix.EEXIST
		}
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

// Volume reads the volume called name. ErrNoVolume: there is none.
func (s *Store) Volume(name string) (*Volume, error) {
	err := spec.CheckVolumeName(name)
	v := new(Volume)
	if err == nil {
		err = readJSON(s.VolumeDir(name), volumeFile, v)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrNoVolume
	}
	if err != nil {
		return nil, fmt.Errorf("volume %s: %w", name, err)
	}
	v.Name = name
	return v, nil
}

// Volumes finds all. It waits for nothing.
func (s *Store) Volumes() ([]Volume, error) {
	list, err := os.ReadDir(filepath.Join(s.DataDir, volumes))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list volumes: %w", err)
	}
	var all []Volume
	for _, e := range list {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if v, err := s.Volume(e.Name()); err == nil {
			all = append(all, *v)
		}
	}
	return all, nil
}

// FindVolume returns the volume with this name, or the only one whose name begins so.
func (s *Store) FindVolume(word string) (*Volume, error) {
	v, err := s.Volume(word)
	if err == nil || spec.CheckVolumeName(word) != nil {
		return v, err
	}
	all, err := s.Volumes()
	if err != nil {
		return nil, err
	}
	var found *Volume
	for i := range all {
		if !strings.HasPrefix(all[i].Name, word) {
			continue
		}
		if found != nil {
			return nil, hint.Errorf("rl volume ls -q shows whole names", "volume %s: more than one name begins so", word)
		}
		found = &all[i]
	}
	if found == nil {
		return nil, hint.With(fmt.Errorf("volume %s: %w", word, ErrNoVolume), append(hint.Meant("", word, volumeNames(all)), "rl volume ls lists them")...)
	}
	return found, nil
}

// Users are the containers that use a volume, by its name, read from the containers' own records: no counter that could lie.
func (s *Store) Users() (map[string][]State, error) {
	states, err := s.List()
	if err != nil {
		return nil, err
	}
	users := map[string][]State{}
	for _, c := range states {
		for _, name := range c.Volumes {
			users[name] = append(users[name], c)
		}
	}
	return users, nil
}

// InUse is the error of a removal.
type InUse struct {
	Name string
	By   []State
}

func (e *InUse) Error() string {
	var ids []string
	for _, c := range e.By {
		ids = append(ids, fmt.Sprintf("%.12s (%s)", c.ID, c.Name))
	}
	return fmt.Sprintf("volume %s is in use by container %s", e.Name, strings.Join(ids, ", "))
}

// RemoveVolumes takes away those of the volumes called names that keep doesn't hold back, and what killed commands left. One that a
// container uses gives *InUse, one that isn't there ErrNoVolume: both joined, after all were tried. left are directories that need
// the user's mapped ids to be deleted; removed are the names.
func (s *Store) RemoveVolumes(names []string, keep func(*Volume) bool) (removed, left []string, err error) {
	guard, err := s.lockVolumes(unix.LOCK_EX)
	if err != nil {
		return nil, nil, err
	}
	defer guard.Close()
	var users map[string][]State
	if len(names) > 0 {
		if users, err = s.Users(); err != nil {
			return nil, nil, err
		}
	}
	var failed []error
	for _, name := range names {
		v, err := s.Volume(name)
		switch {
		case err != nil:
			failed = append(failed, err)
			continue
		case keep != nil && keep(v):
			continue
		case len(users[name]) > 0:
			failed = append(failed, &InUse{name, users[name]})
			continue
		}
		if err := s.bin(guard, name); err != nil {
			failed = append(failed, explainDisk("remove volume "+name, err))
			continue
		}
		events.Write(s.DataDir, events.Event{Type: events.Volume, Status: "remove", Name: v.Name, Attributes: v.Labels})
		removed = append(removed, name)
	}
	return removed, sweepVolumes(guard), errors.Join(failed...)
}

// bin gives a volume a name that is none: from here on it is gone, whatever happens to this command.
func (s *Store) bin(guard *os.File, name string) error {
	dir, err := os.MkdirTemp(guard.Name(), volumeOld)
	if err != nil {
		return err
	}
	return unix.Rename(s.VolumeDir(name), dir) // over the empty one
}

// sweepVolumes deletes what no command works on any more: the caller is alone.
func sweepVolumes(guard *os.File) (left []string) {
	list, err := os.ReadDir(guard.Name())
	if err != nil {
		return nil
	}
	for _, e := range list {
		if !strings.HasPrefix(e.Name(), volumeNew) && !strings.HasPrefix(e.Name(), volumeOld) {
			continue
		}
		dir := filepath.Join(guard.Name(), e.Name())
		if sys.RemoveAll(dir) != nil {
			left = append(left, dir)
		}
	}
	return left
}

// RemoveAnonymous deletes the volumes that were made for a container which was removed, but those that another uses. left are
// directories that need the user's mapped ids to be deleted.
func (s *Store) RemoveAnonymous(r *Record) (left []string) {
	if len(r.Anonymous) == 0 {
		return nil
	}
	_, left, _ = s.RemoveVolumes(r.Anonymous, func(v *Volume) bool { return !v.Anonymous })
	return left
}
