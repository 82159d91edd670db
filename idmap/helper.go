package idmap

import (
	"encoding/binary"
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"
)

// Helpers is the state of newuidmap(1) and newgidmap(1): their absolute paths, or why they can't be used and what to
// type about it.
type Helpers struct {
	UID, GID string
	Why, Fix string
}

// Helpers finds newuidmap and newgidmap without starting them.
func (s Source) Helpers() Helpers { return s.helpers(s.caller()) }

func (s Source) helpers(c Caller) Helpers {
	if s.Tools != nil {
		return *s.Tools
	}
	if c.NoNewPrivs {
		return Helpers{Why: "no_new_privs is set on this process, so newuidmap can't get its privilege",
			Fix: "start rl from outside of the sandbox (setpriv, systemd NoNewPrivileges=, a container with no-new-privileges)"}
	}
	if !c.Bounding {
		return Helpers{Why: "CAP_SETUID and CAP_SETGID are not in the bounding set, so newuidmap can't get its privilege",
			Fix: "start the outer container with --cap-add SETUID,SETGID"}
	}
	var h Helpers
	if h.UID, h.Why, h.Fix = s.helper("newuidmap", unix.CAP_SETUID, c.Paths); h.Why == "" {
		h.GID, h.Why, h.Fix = s.helper("newgidmap", unix.CAP_SETGID, c.Paths)
	}
	return h
}

// dirs are where helpers are: fixed places first; /run/wrappers is NixOS.
const dirs = "/usr/bin:/bin:/usr/local/bin:/run/wrappers/bin:/usr/sbin:/sbin"

// helper returns the first usable program of that name, or what is wrong with the first one.
func (s Source) helper(name string, capability int, paths string) (path, why, fix string) {
	for dir := range strings.SplitSeq(dirs, ":") {
		p := dir + "/" + name
		w, f := s.privileged(p, capability)
		if w == "" {
			return p, "", ""
		}
		if why == "" && f != "" {
			why, fix = w, f
		}
	}
	for dir := range strings.SplitSeq(paths, ":") {
		if s.trusted(dir) {
			if w, _ := s.privileged(dir+"/"+name, capability); w == "" {
				return dir + "/" + name, "", ""
			}
		}
	}
	if why == "" {
		why, fix = name+" is not installed", "sudo apt-get install uidmap   (dnf install shadow-utils, apk add shadow-uidmap, pacman -S shadow)"
	}
	return "", why, fix
}

// trusted is a directory of $PATH that only root can write to.
func (s Source) trusted(dir string) bool {
	var st unix.Stat_t
	return strings.HasPrefix(dir, "/") && unix.Stat(s.Root+dir, &st) == nil &&
		st.Mode&unix.S_IFMT == unix.S_IFDIR && st.Uid == 0 && st.Mode&0o022 == 0
}

// privileged says why executing path would not give it the capability; fix is "" when there is no such program.
func (s Source) privileged(path string, capability int) (why, fix string) {
	var st unix.Stat_t
	if err := unix.Stat(s.Root+path, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return path + " is not there", ""
	}
	var sfs unix.Statfs_t
	setuid := st.Mode&unix.S_ISUID != 0 && st.Uid == 0
	switch {
	case !setuid && !fileCap(s.Root+path, capability):
		return path + " is neither setuid root nor has the file capability that it needs", "sudo chmod u+s " + path
	case unix.Access(s.Root+path, unix.X_OK) != nil:
		return path + " may not be executed by you", "ls -l " + path + "   (a group may be meant for this: ask the administrator)"
	case unix.Statfs(s.Root+path, &sfs) == nil && sfs.Flags&unix.ST_NOSUID != 0:
		return path + " is on a file system that is mounted nosuid", "sudo mount -o remount,suid $(findmnt -nT " + path + " -o TARGET)"
	}
	return "", ""
}

// fileCap reads the security.capability attribute (struct vfs_cap_data in linux/capability.h): permitted, and effective
// at once.
func fileCap(path string, capability int) bool {
	var buf [24]byte
	n, err := unix.Getxattr(path, "security.capability", buf[:])
	if err != nil || n < 8 {
		return false
	}
	magic, permitted := binary.LittleEndian.Uint32(buf[:]), binary.LittleEndian.Uint32(buf[4:])
	return magic&1 != 0 && permitted&(1<<capability) != 0
}

// find is the absolute path of an ordinary program in the fixed places, "" if it isn't there.
func find(name string) string {
	for dir := range strings.SplitSeq(dirs, ":") {
		if unix.Access(dir+"/"+name, unix.X_OK) == nil {
			return dir + "/" + name
		}
	}
	return ""
}

func pathError(op, path string, err error) error {
	return &fs.PathError{Op: op, Path: path, Err: err}
}
