package storage

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/sys"
)

// Staging makes a directory for what is only needed while one command runs, on the store's volume. release removes it. What
// a killed command left is removed first: its lock died with it. found tells that there was such a thing.
func (s *Store) Staging() (dir string, release func(), found bool, err error) {
	parent := filepath.Join(s.DataDir, "staging")
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return "", nil, false, explainDisk("make staging directory", err)
	}
	guard, err := openDir(parent)
	if err != nil {
		return "", nil, false, explainDisk("make staging directory", err)
	}
	defer guard.Close()
	// Alone with the parent from here: nobody takes a directory for dead between its mkdir and its lock.
	if err := flock(guard, unix.LOCK_EX); err != nil {
		return "", nil, false, err
	}
	found = sweepStaging(guard, parent)
	if dir, err = os.MkdirTemp(parent, ""); err != nil {
		return "", nil, found, explainDisk("make staging directory", err)
	}
	lock, err := openDir(dir)
	if err == nil {
		err = flock(lock, unix.LOCK_EX|unix.LOCK_NB)
	}
	if err != nil {
		return "", nil, found, explainDisk("lock staging directory", err)
	}
	return dir, func() {
		sys.RemoveAll(dir)
		lock.Close()
	}, found, nil
}

func sweepStaging(guard *os.File, parent string) (found bool) {
	entries, err := guard.Readdirnames(-1)
	if err != nil {
		return false
	}
	for _, name := range entries {
		dir := filepath.Join(parent, name)
		lock, err := openDir(dir)
		if err != nil {
			continue
		}
		if flock(lock, unix.LOCK_EX|unix.LOCK_NB) == nil {
			found = true
			sys.RemoveAll(dir)
		}
		lock.Close()
	}
	return found
}
