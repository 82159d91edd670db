package enter

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/sys"
)

// Volume is the source of a Bind: a directory of rl's with the volume's files in a directory Data. Beside it are, while the volume
// is filled for the first time,
//
//	stage  what has been copied from the image so far; worthless when its copier is dead
//	full   the same, complete: its entries move to Data, by whoever has the lock, however often that is interrupted
//	used   an empty file: the volume has had its first use
//
// A flock(2) on the directory is held from the first look to the last change: a second container waits, and finds it filled. It is
// never exchanged: a container that has it mounted must not be left with another.
type Volume struct {
	Data string
	// Copy fills an empty volume with what the image has at the target.
	Copy bool
	// First: the container starts for the first time. A volume that was emptied on purpose stays empty for the others.
	First bool
	// Chown gives all of it to the program's user.
	Chown bool
}

const (
	volumeStage = "stage"
	volumeFull  = "full"
	volumeUsed  = "used"
)

// volume makes a volume ready and returns the handle of its files. It closes dir, and with it lets go of the lock.
func (b *builder) volume(m *Mount, dir int) (data int, err error) {
	defer unix.Close(dir)
	if err := lockVolume(dir); err != nil {
		return -1, err
	}
	data, err = unix.Openat(dir, m.Volume.Data, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open volume: %w", err)
	}
	if err := b.prepare(m, dir, data); err != nil {
		unix.Close(data)
		return -1, explainVolume(err)
	}
	return data, nil
}

func lockVolume(dir int) error {
	for {
		if err := unix.Flock(dir, unix.LOCK_EX); err != unix.EINTR {
			return os.NewSyscallError("flock", err)
		}
	}
}

// explainVolume finds the one thing that a caller can't guess: the ids of one mapping can't change what belongs to those of another.
func explainVolume(err error) error {
	err = fmt.Errorf("prepare volume: %w", err)
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return hint.With(err, "the disk or your quota is full: rl volume prune removes volumes that nobody uses")
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return hint.With(err, "files of the volume belong to ids that this container doesn't have: start it with the same --userns as the one that made them")
	}
	return err
}

// prepare does what the volume needs before it is mounted.
func (b *builder) prepare(m *Mount, dir, data int) error {
	if err := settle(dir, data); err != nil {
		return err
	}
	fresh := unix.Faccessat(dir, volumeUsed, unix.F_OK, unix.AT_SYMLINK_NOFOLLOW) != nil
	if fresh || m.Volume.First && m.Volume.Copy {
		if err := b.firstUse(m, dir, data, fresh); err != nil {
			return err
		}
	}
	if m.Volume.Chown {
		if err := b.giveAway(data); err != nil {
			return err
		}
	}
	if !fresh {
		return nil
	}
	fd, err := unix.Openat(dir, volumeUsed, unix.O_WRONLY|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// firstUse fills an empty volume, or gives it the owner and mode of the directory that it covers, as podman does. Where the image
// has none, a fresh volume belongs to the program's user.
func (b *builder) firstUse(m *Mount, dir, data int, fresh bool) error {
	if vacant, err := isEmpty(data); err != nil || !vacant {
		return err
	}
	from, err := b.imageDir(m.Target)
	if err != nil {
		return err
	}
	if from < 0 {
		if fresh {
			return b.ownFresh(data)
		}
		return nil
	}
	defer unix.Close(from)
	if m.Volume.Copy {
		return fill(dir, data, from)
	}
	return likeness(from, data)
}

// imageDir is the directory of the image at name; -1 when it has none, or something is mounted there: that is not the image's.
func (b *builder) imageDir(name string) (int, error) {
	fd, err := b.root.Open(name, unix.O_PATH|unix.O_DIRECTORY, 0)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return -1, nil
	}
	if err != nil {
		return -1, err
	}
	var here, root unix.Statx_t
	if err = unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &here); err == nil {
		err = unix.Statx(b.root.Fd(), "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &root)
	}
	if err != nil || here.Mnt_id != root.Mnt_id {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// fill copies, and says so by one rename(2) when all is there.
func fill(dir, data, from int) error {
	if err := unix.Mkdirat(dir, volumeStage, 0o700); err != nil {
		return err
	}
	stage, err := unix.Openat(dir, volumeStage, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(stage)
	if err := copyUp(from, stage); err != nil {
		sys.RemoveAt(dir, volumeStage)
		return err
	}
	if err := unix.Renameat(dir, volumeStage, dir, volumeFull); err != nil {
		return err
	}
	return settle(dir, data)
}

// settle ends what a first use, this or one that was killed, began.
func settle(dir, data int) error {
	if err := sys.RemoveAt(dir, volumeStage); err != nil {
		return err
	}
	full, err := unix.Openat(dir, volumeFull, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(full)
	if err := moveAll(full, data); err != nil {
		return err
	}
	if err := likeness(full, data); err != nil {
		return err
	}
	return sys.RemoveAt(dir, volumeFull)
}

// moveAll moves the entries of one directory to another. What somebody else put there meanwhile stays.
func moveAll(from, to int) error {
	names, err := entries(from, -1)
	if err != nil {
		return err
	}
	for _, name := range names {
		err := unix.Renameat2(from, name, to, name, unix.RENAME_NOREPLACE)
		if err == unix.EINVAL || err == unix.ENOSYS { // a network file system
			err = unix.Renameat(from, name, to, name)
		}
		if err != nil && err != unix.EEXIST && err != unix.ENOTEMPTY {
			return &os.PathError{Op: "move", Path: name, Err: err}
		}
	}
	return nil
}

// entries are up to n names of the directory fd, from its beginning; all with -1.
func entries(fd, n int) ([]string, error) {
	again, err := unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(again), "volume")
	defer f.Close()
	names, err := f.Readdirnames(n)
	if err == io.EOF {
		err = nil
	}
	return names, err
}

func isEmpty(dir int) (bool, error) {
	names, err := entries(dir, 1)
	return len(names) == 0, err
}

// likeness gives the directory to the owner, mode and times of from.
func likeness(from, to int) error {
	var st unix.Stat_t
	if err := unix.Fstatat(from, "", &st, unix.AT_EMPTY_PATH); err != nil {
		return err
	}
	return finish(to, ".", &st)
}

func (b *builder) ownFresh(data int) error {
	id, err := lookup(b.root, &b.plan.Process)
	if err != nil {
		return nil // told when the program is to become that user
	}
	return b.chown(data, ".", id)
}

// chown: where only one id is mapped, who is another is nobody that can be had.
func (b *builder) chown(dir int, name string, id *identity) error {
	err := unix.Fchownat(dir, name, id.uid, id.gid, unix.AT_SYMLINK_NOFOLLOW)
	if err == unix.EINVAL {
		return explainID(err)
	}
	return err
}

// giveAway gives everything to the program's user, no symlink followed.
func (b *builder) giveAway(data int) error {
	id, err := lookup(b.root, &b.plan.Process)
	if err != nil {
		return err
	}
	return b.giveTree(data, id)
}

func (b *builder) giveTree(dir int, id *identity) error {
	names, err := entries(dir, -1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := b.giveEntry(dir, name, id); err != nil {
			return &os.PathError{Op: "change owner", Path: name, Err: err}
		}
	}
	return b.give(dir, ".", id)
}

func (b *builder) giveEntry(dir int, name string, id *identity) error {
	fd, err := openEntry(dir, name, unix.O_RDONLY|unix.O_DIRECTORY)
	switch err {
	case nil:
		defer unix.Close(fd)
		return b.giveTree(fd, id)
	case unix.ENOTDIR, unix.ELOOP:
		return b.give(dir, name, id)
	case unix.ENOENT:
		return nil // a container that runs is at work there
	}
	return err
}

// give changes what isn't the user's already: an owner that is set anew takes the setuid bit.
func (b *builder) give(dir int, name string, id *identity) error {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil || int(st.Uid) == id.uid && int(st.Gid) == id.gid {
		return err
	}
	return b.chown(dir, name, id)
}
