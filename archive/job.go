package archive

import (
	"encoding/json"
	"os"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/sys"
)

// Job is the work of the inside, as data: one of its fields is set.
type Job struct {
	Pack   *PackJob
	Unpack *UnpackJob
	// Layer writes the upper directory as a layer of an image, Diff its changes as JSON.
	Layer, Diff *UpperJob
}

// PackJob writes a tree of the container.
type PackJob struct {
	Path string
	// Name is PackOptions.Name.
	Name string
	// Follow follows a symlink at the end of Path.
	Follow   bool
	OneMount bool
}

// UnpackJob makes files in the container.
type UnpackJob struct {
	Path, Name         string
	Overwrite, Lenient bool
	Owner              *[2]int
	// Host: not a container is meant but the host, whose files keep their owners.
	Host bool
}

// UpperJob is about the changes of a container. Dir is its upper directory; Base and Lower are its layers (enter.RootFS).
type UpperJob struct {
	Dir    string
	Base   string
	Lower  []string
	Hidden []string
}

// Do does the work; root is the root file system of Pack and Unpack.
func (j *Job) Do(root *sys.Root, stream *os.File, warn func(string)) error {
	switch {
	case j.Pack != nil:
		return j.Pack.do(root, stream, warn)
	case j.Unpack != nil:
		u := j.Unpack
		return Unpack(stream, root, UnpackOptions{Path: u.Path, Name: u.Name, Overwrite: u.Overwrite, Lenient: u.Lenient, Owner: u.Owner,
			Host: u.Host, Keep: u.Host, Warn: warn})
	case j.Layer != nil:
		u, err := j.Layer.open()
		if err != nil {
			return err
		}
		return WriteLayer(stream, u, warn)
	}
	return j.Diff.diff(stream)
}

func (j *PackJob) do(root *sys.Root, stream *os.File, warn func(string)) error {
	p, err := Find(root, j.Path, j.Follow)
	if err != nil {
		return err
	}
	defer p.Close()
	if !p.Exists {
		return &os.PathError{Op: "open", Path: j.Path, Err: unix.ENOENT}
	}
	if WantsDir(j.Path) && !p.IsDir() {
		return &os.PathError{Op: "open", Path: j.Path, Err: unix.ENOTDIR}
	}
	return Pack(stream, p, PackOptions{Name: j.Name, OneMount: j.OneMount, Warn: warn})
}

func (j *UpperJob) open() (*Upper, error) {
	fd, err := openDir(j.Dir)
	return &Upper{Dir: fd, Hidden: j.Hidden}, err
}

func openDir(name string) (int, error) {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return fd, nil
}

func (j *UpperJob) diff(stream *os.File) error {
	u, err := j.open()
	if err != nil {
		return err
	}
	if err := os.Chdir(j.Base); err != nil { // short names: a layer may be a link of the store's
		return err
	}
	var layers []int
	for _, l := range j.Lower {
		fd, err := openDir(l)
		if err != nil {
			return err
		}
		layers = append(layers, fd)
	}
	all, err := Changes(u, layers)
	if err != nil {
		return err
	}
	return json.NewEncoder(stream).Encode(all)
}
