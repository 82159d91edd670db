package storage

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// The seal of the index is the place of the directory of all kept containers: while that is the same, what the index has of them is
// what their files say, and those need not be looked at one by one.
//
// For that, whoever changes what a list shows of a kept container says so first: under a shared lock it renews the time of the
// directory, then it changes. A list seals what it read if the directory had the same time for two seconds before, and after, and
// nobody held the lock when it began. So one that came later has renewed the time since, or will; one that was killed has changed
// nothing that the time doesn't tell. The list only asks for the lock and never takes it: nobody waits for a list that stands still.
//
// A monitor may be that of an older rl, which said nothing before it wrote. Such a container runs by the index and not by the kernel,
// which is doubtful in any case.

// announce is called before a change of a container's record or life; the change is over when the result is closed.
func (c *Container) announce() *os.File {
	parent := filepath.Dir(c.Dir)
	if filepath.Base(parent) != kept {
		return nil
	}
	d, err := openDir(parent)
	if err != nil {
		return nil // the container is gone as well
	}
	unix.FcntlFlock(d.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_RDLCK})
	if unix.UtimesNanoAt(unix.AT_FDCWD, parent, nil, unix.AT_SYMLINK_NOFOLLOW) != nil { // the disk is full, and copies on write
		os.Remove((&Store{DataDir: filepath.Dir(parent)}).indexFile())
	}
	return d
}

// announced tells whether somebody is about to change something.
func announced(d *os.File) bool {
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	return unix.FcntlFlock(d.Fd(), unix.F_OFD_GETLK, &lock) != nil || lock.Type != unix.F_UNLCK
}

// placeOf is the zero place, which no seal is, if it can't be known.
func placeOf(d *os.File) place {
	var st unix.Stat_t
	if unix.Fstat(int(d.Fd()), &st) != nil {
		return place{}
	}
	return place{st.Ino, st.Ctim.Nano()}
}
