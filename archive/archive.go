// Package archive carries trees of files as tar streams (POSIX.1-2001 pax), and compares the layers of an overlay. All
// names are looked up by handles below a root, and the name itself is never followed: a process of the container that exchanges
// directories and symlinks meanwhile can spoil its own copy, and reach nothing else (CVE-2018-15664, CVE-2019-14271).
//
// Pack and Unpack run on both sides: as root of the container's user namespace with its root file system, and as the caller with
// the host's. What comes out of a container is hostile: Unpack makes no device and no setuid file on the host.
package archive

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/sys"
)

// Place is a name in an open directory: all that is done to it is done by this handle.
type Place struct {
	// Dir is an O_PATH handle, Name a single component, or "." for the directory itself.
	Dir  int
	Name string
	// Stat is that of the name, if it Exists.
	Stat   unix.Stat_t
	Exists bool
}

// Close lets go of the handle.
func (p *Place) Close() { unix.Close(p.Dir) }

// IsDir tells whether a directory is there.
func (p *Place) IsDir() bool { return p.Exists && kind(&p.Stat) == unix.S_IFDIR }

func kind(st *unix.Stat_t) uint32 { return st.Mode & unix.S_IFMT }

// maxLinks is the kernel's own limit of symlinks in one resolution (path_resolution(7)).
const maxLinks = 40

// Find looks name up below root. A symlink at its end is followed, inside the root, with follow, or where a slash or "/." at
// the end asks for the directory; a dangling one leads to the place that it names. A missing directory above is an error.
func Find(root *sys.Root, name string, follow bool) (*Place, error) {
	if WantsDir(name) {
		follow = true
	}
	at := name
	for range maxLinks {
		p, err := look(root, at)
		if err != nil || !follow || !p.Exists || kind(&p.Stat) != unix.S_IFLNK {
			return p, err
		}
		link, err := readlink(p.Dir, p.Name)
		if err == nil {
			err = mayFollow(p)
		}
		p.Close()
		if err != nil {
			return nil, &fs.PathError{Op: "follow link", Path: name, Err: err}
		}
		if !strings.HasPrefix(link, "/") {
			// Not path.Join: what ".." means is decided by the handles, not by the words.
			link = strings.TrimSuffix(at, path.Base(at)) + link
		}
		at = strings.TrimRight(link, "/")
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: unix.ELOOP}
}

// mayFollow asks the kernel, which forbids links of others in directories like /tmp (proc(5), protected_symlinks). Where the link
// leads doesn't matter here.
func mayFollow(p *Place) error {
	fd, err := unix.Openat(p.Dir, p.Name, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err == nil {
		unix.Close(fd)
	}
	if err == unix.EACCES {
		return err
	}
	return nil
}

// WantsDir tells whether name can only mean a directory: it ends in "/" or "/.".
func WantsDir(name string) bool { return strings.HasSuffix(name, "/") || Contents(name) }

// Contents tells whether name means what is in a directory: it ends in "/.".
func Contents(name string) bool { return name == "." || strings.HasSuffix(name, "/.") }

func look(root *sys.Root, name string) (*Place, error) {
	dir, base := path.Split(strings.TrimRight(name, "/"))
	whole := base == "" || base == "." || base == ".."
	if whole {
		dir, base = name, "."
	}
	fd, err := root.Open(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	p := &Place{Dir: fd, Name: base, Exists: true}
	err = unix.Fstatat(fd, base, &p.Stat, unix.AT_SYMLINK_NOFOLLOW)
	if err == unix.ENOENT && !whole {
		p.Exists = false
		return p, nil
	}
	if err != nil {
		p.Close()
		return nil, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	return p, nil
}

func readlink(dir int, name string) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(dir, name, buf)
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}

// beneath opens name below dir, through directories only: no symlink, mount point or "..", whatever was put there meanwhile,
// leads elsewhere.
func beneath(dir int, name string, flags uint64) (int, error) {
	how := unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS}
	if name == "" {
		name = "."
	}
	for {
		fd, err := unix.Openat2(dir, name, &how)
		if err == unix.EAGAIN || err == unix.EINTR {
			continue
		}
		return fd, err
	}
}

// xattrNames are the extended attributes of the file behind fd that are carried: the user's own, and file capabilities. Those
// by which overlay file systems keep their books would make another tree of the copy.
func xattrNames(fd int) []string {
	size, err := unix.Flistxattr(fd, nil)
	if err != nil || size == 0 {
		return nil
	}
	buf := make([]byte, size)
	if size, err = unix.Flistxattr(fd, buf); err != nil {
		return nil
	}
	var names []string
	for name := range strings.SplitSeq(string(buf[:size]), "\x00") {
		if carried(name) {
			names = append(names, name)
		}
	}
	return names
}

func carried(name string) bool {
	if name == capability {
		return true
	}
	rest, ok := strings.CutPrefix(name, "user.")
	return ok && !strings.HasPrefix(rest, "overlay.") && !strings.HasPrefix(rest, "fuseoverlayfs.") && !strings.HasPrefix(rest, "containers.")
}

const (
	capability = "security.capability"
	// paxXattr is the key of an extended attribute in a pax header, as star, GNU tar and the OCI image-spec (layer.md) have it.
	paxXattr = "SCHILY.xattr."
)

func xattr(fd int, name string) ([]byte, error) {
	size, err := unix.Fgetxattr(fd, name, nil)
	if err != nil || size == 0 {
		return nil, err
	}
	buf := make([]byte, size)
	size, err = unix.Fgetxattr(fd, name, buf)
	if err != nil {
		return nil, err
	}
	return buf[:size], nil
}

// ErrReader says that the other end of the stream is gone: it knows why.
var ErrReader = errors.New("nobody reads the archive any more")
