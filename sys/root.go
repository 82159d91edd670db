package sys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Root is a handle on the root directory of a container's file system. Its paths are resolved as a process chrooted
// there would resolve them ("..", absolute symlinks), and can't leave it whatever the image put in the way.
type Root struct{ fd int }

// maxLinks is the kernel's own limit of symlinks in one resolution (path_resolution(7)).
const maxLinks = 40

// OpenRoot returns the handle of dir, a path of the host.
func OpenRoot(dir string) (*Root, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open root", Path: dir, Err: err}
	}
	return &Root{fd}, nil
}

// RootAt wraps fd, an O_PATH descriptor of a directory, which the Root then owns.
func RootAt(fd int) *Root { return &Root{fd} }

// Fd is the O_PATH descriptor of the root directory.
func (r *Root) Fd() int { return r.fd }

// Close releases the handle.
func (r *Root) Close() error { return unix.Close(r.fd) }

// Open opens name inside the root with openat2(2) flags. RESOLVE_IN_ROOT keeps every component below the root, and
// magic links of a /proc in the image are refused (CVE-2024-21626 class). A FIFO never blocks: O_NONBLOCK is added.
func (r *Root) Open(name string, flags uint64, mode uint64) (int, error) {
	how := unix.OpenHow{
		Flags: flags | unix.O_CLOEXEC, Mode: mode,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	}
	if flags&unix.O_PATH == 0 {
		how.Flags |= unix.O_NONBLOCK | unix.O_NOCTTY
	}
	for {
		fd, err := unix.Openat2(r.fd, relative(name), &how)
		// EAGAIN: a rename or mount somewhere raced with ".." (openat2(2)); the kernel asks for another try.
		if err == unix.EAGAIN || err == unix.EINTR {
			continue
		}
		if err != nil {
			return -1, &fs.PathError{Op: "open", Path: name, Err: err}
		}
		return fd, nil
	}
}

// ErrNotRegular: a directory, device, pipe or socket stands where a file was to be read.
var ErrNotRegular = errors.New("not a regular file")

// ReadFile reads a regular file of at most limit bytes inside the root. A FIFO, device or directory in its place is an
// error, never a hang.
func (r *Root) ReadFile(name string, limit int64) ([]byte, error) {
	fd, err := r.Open(name, unix.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: ErrNotRegular}
	}
	if st.Size() > limit {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("%d bytes, more than the %d allowed", st.Size(), limit)}
	}
	b := make([]byte, st.Size())
	n, err := f.Read(b)
	if n == 0 && st.Size() > 0 {
		return nil, err
	}
	return b[:n], nil
}

// Target returns an O_PATH handle on name for a mount, after making what is missing of it: directories, and for
// file an empty file as the last component. Symlinks, dangling ones too, are followed inside the root.
func (r *Root) Target(name string, file bool) (int, error) {
	if fd, err := r.Open(name, unix.O_PATH, 0); err == nil {
		return fd, nil
	}
	w, err := r.walker()
	if err != nil {
		return -1, err
	}
	defer w.close()
	fd, err := w.walk(name, file)
	if err != nil {
		return -1, &fs.PathError{Op: "make mount point", Path: name, Err: err}
	}
	return fd, nil
}

// walker resolves a path component by component, each from the handle of the last, and keeps the chain for "..".
type walker struct {
	chain []int // chain[0] is the root
	links int
}

func (r *Root) walker() (*walker, error) {
	fd, err := unix.FcntlInt(uintptr(r.fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, err
	}
	return &walker{chain: []int{fd}}, nil
}

func (w *walker) close() {
	for _, fd := range w.chain {
		unix.Close(fd)
	}
}

func (w *walker) top() int { return w.chain[len(w.chain)-1] }

// truncate keeps the first n handles.
func (w *walker) truncate(n int) {
	for len(w.chain) > n {
		unix.Close(w.top())
		w.chain = w.chain[:len(w.chain)-1]
	}
}

// walk goes down name, making what is missing, and returns the handle of the last component.
func (w *walker) walk(name string, file bool) (int, error) {
	rest := split(name)
	for len(rest) > 0 {
		c := rest[0]
		rest = rest[1:]
		if c == ".." {
			w.truncate(max(1, len(w.chain)-1))
			continue
		}
		link, err := w.step(c, file && len(rest) == 0)
		if err != nil {
			return -1, err
		}
		if link == "" {
			continue
		}
		if w.links++; w.links > maxLinks {
			return -1, unix.ELOOP
		}
		if strings.HasPrefix(link, "/") {
			w.truncate(1)
		}
		rest = append(split(link), rest...)
	}
	return unix.FcntlInt(uintptr(w.top()), unix.F_DUPFD_CLOEXEC, 3)
}

// step opens (or makes) one component, or returns the text of the symlink it is.
func (w *walker) step(c string, file bool) (link string, err error) {
	fd, err := unix.Openat(w.top(), c, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		fd, err = w.create(c, file)
	}
	if err != nil {
		return "", err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return "", err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFLNK {
		w.chain = append(w.chain, fd)
		return "", nil
	}
	defer unix.Close(fd)
	// The text of the handle itself: the name can't be exchanged between the two looks.
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", buf)
	if err == nil && n == 0 {
		err = unix.ENOENT
	}
	return string(buf[:n]), err
}

func (w *walker) create(c string, file bool) (int, error) {
	var err error
	if file {
		var fd int
		if fd, err = unix.Openat(w.top(), c, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o644); err == nil {
			unix.Close(fd)
		}
	} else {
		err = unix.Mkdirat(w.top(), c, 0o755)
	}
	if err != nil && err != unix.EEXIST {
		return -1, err
	}
	return unix.Openat(w.top(), c, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}

// relative makes name a path for openat2 below the root.
func relative(name string) string {
	if name = strings.TrimLeft(name, "/"); name == "" {
		return "."
	}
	return name
}

func split(name string) []string {
	var parts []string
	for _, c := range strings.Split(name, "/") {
		if c != "" && c != "." {
			parts = append(parts, c)
		}
	}
	return parts
}
