package container

import (
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/archive"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/idmap"
	"github.com/rl-containers/rl/sys"
)

// CopyRequest is `rl cp` as typed.
type CopyRequest struct {
	// From and To are PATH, CONTAINER:PATH, or - for a tar archive on standard input or output.
	From, To string
	// Archive keeps owners: an id remains what it is on this machine, so that the container's root is the caller.
	Archive bool
	// Follow copies what a symlink at the end of From leads to.
	Follow bool
	// Overwrite lets a directory take the place of what is none, and the other way round.
	Overwrite bool
}

// place is one of the two ends of a copy.
type place struct {
	container string // "" is the host
	path      string // as typed; of a container absolute
	files     *files
}

// parseEnd takes CONTAINER:PATH apart as docker does: a path of the host with a colon starts with "/" or ".".
func parseEnd(word string) (place, error) {
	name, rest, ok := strings.Cut(word, ":")
	if !ok || strings.HasPrefix(word, "/") || strings.HasPrefix(word, ".") {
		if word == "" {
			return place{}, hint.Errorf("rl cp CONTAINER:PATH PATH, or the other way round", "cp: an empty path")
		}
		return place{path: word}, nil
	}
	if name == "" || rest == "" {
		return place{}, hint.Errorf("CONTAINER:PATH; a file of the host whose name has a colon is ./NAME", "cp: %q names no file of a container", word)
	}
	return place{container: name, path: inside(rest)}, nil
}

// inside makes a path of a container absolute, and keeps what its end says.
func inside(name string) string {
	clean := path.Clean("/" + name)
	switch {
	case clean == "/":
		return "/."
	case archive.Contents(name):
		return clean + "/."
	case strings.HasSuffix(name, "/"):
		return clean + "/"
	}
	return clean
}

// onHost is a path of the host, made so.
func onHost(name string) (string, error) {
	abs, err := filepath.Abs(name)
	switch {
	case err != nil:
		return "", err
	case abs == "/" || archive.Contents(name):
		return abs + "/.", nil
	case strings.HasSuffix(name, "/"):
		return abs + "/", nil
	}
	return abs, nil
}

// topName is the name of the top entry of an archive of p.
func topName(p string) string {
	if archive.Contents(p) {
		return "."
	}
	return path.Base(p)
}

// Copy copies files between a container and the host, or another container. It returns how many bytes of archive that were, 0 where
// they passed without being counted.
func Copy(req CopyRequest) (n int64, err error) {
	from, err := parseEnd(req.From)
	if err != nil {
		return 0, err
	}
	to, err := parseEnd(req.To)
	if err != nil {
		return 0, err
	}
	if from.container == "" && to.container == "" {
		return 0, hint.Errorf("rl cp CONTAINER:PATH PATH, or the other way round; cp copies on the host", "cp: none of both is a container's")
	}
	for _, e := range []*place{&from, &to} {
		if e.container != "" {
			if e.files, err = openFiles(e.container); err != nil {
				return 0, err
			}
		}
	}
	switch {
	case from.container != "" && to.container != "":
		return 0, req.across(&from, &to)
	case from.path == "-":
		return 0, req.fromStdin(&to)
	case to.path == "-":
		return 0, req.toStdout(&from)
	case from.container != "":
		return req.toHost(&from, &to)
	}
	return req.fromHost(&from, &to)
}

func (req *CopyRequest) packJob(from *place) *archive.Job {
	return &archive.Job{Pack: &archive.PackJob{Path: from.path, Name: topName(from.path), Follow: req.Follow}}
}

// unpackJob makes files in a container: root's, as docker's, or whose the archive says.
func (req *CopyRequest) unpackJob(to *place, name string) *archive.Job {
	job := &archive.UnpackJob{Path: to.path, Name: name, Overwrite: req.Overwrite}
	if !req.Archive {
		o := to.files.owner()
		job.Owner = &[2]int{o.UID, o.GID}
	}
	return &archive.Job{Unpack: job}
}

// pipe runs both ends of a stream at once.
func pipe(write, read func(*os.File) error) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 1<<20) // fewer switches between both; the limit of a user may refuse
	written := make(chan error, 1)
	go func() {
		err := write(w)
		w.Close()
		written <- err
	}()
	err = read(r)
	r.Close()
	return blame(err, <-written)
}

// across copies between containers: no byte passes through this process.
func (req *CopyRequest) across(from, to *place) error {
	return pipe(
		func(w *os.File) error { return from.files.do(req.packJob(from), w, false) },
		func(r *os.File) error {
			return to.files.do(req.unpackJob(to, topName(from.path)), r, true)
		})
}

// fromStdin unpacks an archive of the user's, whose owners count, as docker does.
func (req *CopyRequest) fromStdin(to *place) error {
	if isTerminal(os.Stdin) {
		return hint.Errorf("tar -cf - FILE… | rl cp - CONTAINER:DIR", "cp: standard input is a terminal, not an archive")
	}
	job := req.unpackJob(to, "")
	job.Unpack.Owner, job.Unpack.Lenient = nil, !req.Archive
	return to.files.do(job, os.Stdin, true)
}

func (req *CopyRequest) toStdout(from *place) error {
	if isTerminal(os.Stdout) {
		return hint.Errorf("rl cp CONTAINER:PATH - > FILE.tar", "cp: standard output is a terminal, which shows no archive")
	}
	return from.files.do(req.packJob(from), os.Stdout, false)
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// toHost makes files of the caller's. With -a they are made as root of the container's user namespace, who may give them to the
// ids of the container.
func (req *CopyRequest) toHost(from, to *place) (n int64, err error) {
	if to.path, err = onHost(to.path); err != nil {
		return 0, err
	}
	name := topName(from.path)
	read := func(r *os.File) error { return from.files.onHost(req.keeping(to, name), r) }
	if !req.Archive {
		root, err := sys.OpenRoot("/")
		if err != nil {
			return 0, err
		}
		defer root.Close()
		read = func(r *os.File) error {
			return archive.Unpack(&counter{Reader: r, n: &n}, root, archive.UnpackOptions{Path: to.path, Name: name, Overwrite: req.Overwrite, Host: true,
				Warn: from.files.warn()})
		}
	}
	err = pipe(func(w *os.File) error { return from.files.do(req.packJob(from), w, false) }, read)
	return n, err
}

func (req *CopyRequest) keeping(to *place, name string) *archive.Job {
	return &archive.Job{Unpack: &archive.UnpackJob{Path: to.path, Name: name, Overwrite: req.Overwrite, Host: true}}
}

// fromHost reads files as the caller.
func (req *CopyRequest) fromHost(from, to *place) (n int64, err error) {
	if from.path, err = onHost(from.path); err != nil {
		return 0, err
	}
	root, err := sys.OpenRoot("/")
	if err != nil {
		return 0, err
	}
	defer root.Close()
	p, err := archive.Find(root, from.path, req.Follow)
	if err != nil {
		return 0, err
	}
	defer p.Close()
	if !p.Exists {
		return 0, &os.PathError{Op: "open", Path: strings.TrimSuffix(from.path, "/."), Err: unix.ENOENT}
	}
	if archive.WantsDir(from.path) && !p.IsDir() {
		return 0, &os.PathError{Op: "open", Path: from.path, Err: unix.ENOTDIR}
	}
	name := topName(from.path)
	o := archive.PackOptions{Name: name, Warn: to.files.warn()}
	if req.Archive {
		o.Owner = inContainer(to.files.ids)
	}
	err = pipe(func(w *os.File) error { return archive.Pack(&counted{Writer: w, n: &n}, p, o) },
		func(r *os.File) error { return to.files.do(req.unpackJob(to, name), r, true) })
	return n, err
}

// inContainer translates owners of the host's.
func inContainer(ids idmap.Map) func(uid, gid int) (int, int, error) {
	return func(uid, gid int) (int, int, error) {
		u, ok := ids.ContainerUID(uint32(uid))
		g, too := ids.ContainerGID(uint32(gid))
		if !ok || !too {
			return 0, 0, hint.Errorf("without -a all that is copied belongs to the container's root", "its owner %d:%d is none of the ids of the container", uid, gid)
		}
		return int(u), int(g), nil
	}
}

// counter counts what is read, counted what is written.
type counter struct {
	io.Reader
	n *int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	*c.n += int64(n)
	return n, err
}

type counted struct {
	io.Writer
	n *int64
}

func (c *counted) Write(b []byte) (int, error) {
	n, err := c.Writer.Write(b)
	*c.n += int64(n)
	return n, err
}

// Export writes the whole root file system of a container as a tar archive, without volumes and other mounts.
func Export(word string, out *os.File) error {
	f, err := openFiles(word)
	if err != nil {
		return err
	}
	job := &archive.Job{Pack: &archive.PackJob{Path: "/.", OneMount: true}}
	if err := f.do(job, out, false); err != nil {
		return fmt.Errorf("export container %s: %w", f.state.Name, err)
	}
	return nil
}
