package sys

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// RemoveAll deletes the tree at path by handles, following no symlink. Unlike os.RemoveAll it opens directories that their
// owner closed (overlayfs makes work/work with mode 0) and goes on after a failure, so that as little as possible is left.
func RemoveAll(path string) error { return RemoveAt(unix.AT_FDCWD, path) }

// RemoveAt is RemoveAll of name in the directory dir.
func RemoveAt(dir int, name string) error {
	err := unix.Unlinkat(dir, name, unix.AT_REMOVEDIR)
	switch {
	case err == nil || err == unix.ENOENT:
		return nil
	case err == unix.ENOTDIR:
		err = unix.Unlinkat(dir, name, 0)
	case err == unix.ENOTEMPTY || err == unix.EEXIST:
		if err = empty(dir, name); err == nil {
			err = unix.Unlinkat(dir, name, unix.AT_REMOVEDIR)
		}
	}
	if err != nil && err != unix.ENOENT {
		return &fs.PathError{Op: "remove", Path: name, Err: err}
	}
	return nil
}

// empty deletes what is in the directory name.
func empty(dir int, name string) error {
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat(dir, name, flags, 0)
	if err == unix.EACCES && unix.Fchmodat(dir, name, 0o700, 0) == nil {
		fd, err = unix.Openat(dir, name, flags, 0)
	}
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	entries, err := f.Readdirnames(-1)
	errs := []error{err}
	for _, e := range entries {
		err := RemoveAt(fd, e)
		if errors.Is(err, unix.EACCES) && unix.Fchmod(fd, 0o700) == nil { // not writable by its owner
			err = RemoveAt(fd, e)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
