package container

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/enter"
	"github.com/rl-containers/rl/idmap"
	"github.com/rl-containers/rl/storage"
	"github.com/rl-containers/rl/sys"
	"github.com/rl-containers/rl/userns"
)

// DiskUsage is how many bytes of disk each of the directories takes: of volumes, of containers. Those with parts that are closed to the
// caller, since they belong to mapped ids, are looked at from a user namespace.
func DiskUsage(dirs []string) ([]int64, error) { return measure(dirs, sys.DiskUsage, &enter.Plan{}) }

// FileSizes is DiskUsage by the lengths of the files.
func FileSizes(dirs []string) ([]int64, error) {
	return measure(dirs, sys.FileSizes, &enter.Plan{Lengths: true})
}

// measure asks one that the caller has the rights for, else p.
func measure(dirs []string, size func(string) (int64, bool), p *enter.Plan) ([]int64, error) {
	sizes := make([]int64, len(dirs))
	var closed []int
	for i, dir := range dirs {
		size, complete := size(dir)
		if sizes[i] = size; !complete {
			closed = append(closed, i)
		}
	}
	if len(closed) == 0 {
		return sizes, nil
	}
	for _, i := range closed {
		p.Measure = append(p.Measure, dirs[i])
	}
	found, err := measureMapped(p)
	if err != nil {
		return nil, fmt.Errorf("measure directories: %w", err)
	}
	for n, i := range closed {
		sizes[i] = found[n]
	}
	return sizes, nil
}

// VolumeUsage is DiskUsage of volumes by name.
func VolumeUsage(names []string) ([]int64, error) {
	store, err := storage.Open()
	if err != nil {
		return nil, err
	}
	var dirs []string
	for _, name := range names {
		dirs = append(dirs, store.Mountpoint(name))
	}
	return DiskUsage(dirs)
}

func measureMapped(p *enter.Plan) ([]int64, error) {
	ids, err := idmap.Mine("")
	if err != nil {
		return nil, err
	}
	p.Owner = owner(ids)
	out, err := memfd("sizes")
	if err != nil {
		return nil, err
	}
	defer out.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	status, err := userns.Run(userns.Config{Namespaces: unix.CLONE_NEWNS, Map: ids, Stdio: [3]*os.File{null, out, null}},
		func(w io.Writer) error { return enter.WritePlan(w, p) })
	if err == nil && status != 0 {
		err = errors.New(sys.Describe(status))
	}
	if err != nil {
		return nil, err
	}
	if _, err := out.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(out)
	if err != nil {
		return nil, err
	}
	var sizes []int64
	for line := range bytes.Lines(b) {
		n, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 10, 64)
		if err != nil {
			return nil, err
		}
		sizes = append(sizes, n)
	}
	if len(sizes) != len(p.Measure) {
		return nil, errors.New("it ended too early")
	}
	return sizes, nil
}
