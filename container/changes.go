package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/rl-containers/rl/archive"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/spec"
	"github.com/rl-containers/rl/storage"
)

// Diff returns what a container changed of its image, sorted by path.
func Diff(word string) (all []archive.Change, err error) {
	f, err := openFiles(word)
	if err != nil {
		return nil, err
	}
	job, err := f.upperJob()
	if err != nil {
		return nil, gone(f.state, "diff", fmt.Errorf("diff: %w", err))
	}
	if job.Base, job.Lower, err = f.layers(); err != nil {
		return nil, fmt.Errorf("diff: %w", err)
	}
	// The directories around the mount points, too, if nothing else is in them.
	for _, place := range slices.Clone(job.Hidden) {
		for dir := path.Dir(place); dir != "/"; dir = path.Dir(dir) {
			job.Hidden = append(job.Hidden, dir)
		}
	}
	if f.config != nil {
		job.Hidden = append(job.Hidden, path.Clean(f.config.Spec.Spec.Process.Cwd))
	}
	err = pipe(func(w *os.File) error { return f.onLayers(&archive.Job{Diff: job}, w) },
		func(r *os.File) error { return json.NewDecoder(r).Decode(&all) })
	if err != nil {
		return nil, gone(f.state, "diff", fmt.Errorf("diff: %w", err))
	}
	return all, nil
}

func (f *files) rootfs() bool { return f.config != nil && f.config.Request.Rootfs != "" }

func (f *files) upperJob() (*archive.UpperJob, error) {
	if f.rootfs() {
		return nil, hint.Errorf("its directory is "+f.config.Request.Rootfs, "container %s has a --rootfs, and no image to differ from", f.state.Name)
	}
	hidden, err := f.places()
	return &archive.UpperJob{Dir: filepath.Join(f.state.Dir, "upper"), Base: "/", Hidden: hidden}, err
}

// layers are those of the container's image. A container without a configuration on disk runs: its image is the one of that name,
// unless that is another one by now.
func (f *files) layers() (base string, layers []string, err error) {
	if f.config != nil {
		return f.config.Image.Base, f.config.Image.Layers, nil
	}
	store, err := storage.Open()
	if err != nil {
		return "", nil, err
	}
	var img *storage.Image
	if f.state.Image == "tiny" {
		img, err = tiny(store)
	} else if img, err = store.Image(f.state.Image, ""); errors.Is(err, storage.ErrNoRecord) {
		req := &Request{Image: f.state.Image, Pull: "never", Quiet: true}
		if err = resolve(store, req); err == nil {
			img, err = store.Image(f.state.Image, "")
		}
	}
	if err == nil && img.ID != f.state.ImageID {
		err = hint.Errorf("a container without --rm, or with -d, keeps what it was made of", "the image of the container is no longer called %s", f.state.Image)
	}
	if err != nil {
		return "", nil, err
	}
	return img.Base, img.Layers, nil
}

// places are the mount points in the container: rl made those that the image lacked.
func (f *files) places() ([]string, error) {
	all := []string{"/etc/hosts", "/etc/resolv.conf", "/etc/hostname", "/run/.containerenv", "/etc/apt/apt.conf.d/99-rl-single-id", "/etc/passwd", "/etc/group"}
	if f.config != nil {
		if f.config.Request.NoHosts {
			all = all[1:]
		}
		if f.config.Request.TimeZone != "" {
			all = append(all, localtime)
		}
		for _, m := range f.config.Spec.Spec.Mounts {
			all = append(all, path.Clean("/"+m.Destination))
		}
	}
	if !f.state.Running {
		return all, nil
	}
	b, err := os.ReadFile("/proc/" + strconv.Itoa(f.state.Pid) + "/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("mounts of the container: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		if fields := strings.Fields(line); len(fields) > 4 && fields[4] != "/" {
			all = append(all, unescape(fields[4]))
		}
	}
	return all, nil
}

// unescape reads the octal escapes of mountinfo (proc(5)).
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// CommitRequest is `rl commit` as typed.
type CommitRequest struct {
	Container, Name          string
	Author, Message, IIDFile string
	Changes                  []string
	// Format is "oci" or "docker".
	Format string
	// Pause stops the processes meanwhile; nil: where the container has a cgroup, which they don't notice.
	Pause *bool
	// Squash makes one layer of all files.
	Squash bool
	Quiet  bool
}

// Commit makes an image of a container. rl-image prints its id.
func Commit(req CommitRequest) error {
	f, err := openFiles(req.Container)
	if err != nil {
		return err
	}
	store, err := storage.Open()
	if err != nil {
		return err
	}
	c := &storage.Commit{Name: req.Name, Changes: req.Changes, Author: req.Author, Message: req.Message, Format: req.Format, IIDFile: req.IIDFile,
		Quiet: req.Quiet, Command: strings.Join(f.state.Command, " "), Base: f.state.ImageID}
	write, err := f.commitLayer(store, c, req.Squash)
	if err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	f.changed(c)
	if f.config == nil && !req.Quiet {
		f.say("note: the configuration of the container is not written yet: the image has that of its own image")
	}
	resume, err := f.pause(req.Pause)
	if err != nil {
		return err
	}
	defer resume()
	err = pipe(write, func(r *os.File) error { return imageToolFrom(store, "commit", c, r) })
	if err == nil {
		happened(f.state, "commit")
	}
	return gone(f.state, "commit", err)
}

// commitLayer says what the layer holds: the changes; or all files, where there is no image in the store that they could go on.
func (f *files) commitLayer(store *storage.Store, c *storage.Commit, squash bool) (func(*os.File) error, error) {
	isTiny := f.state.Image == "tiny"
	if !squash && !isTiny && !f.rootfs() {
		job, err := f.upperJob()
		return func(w *os.File) error { return f.onLayers(&archive.Job{Layer: job}, w) }, err
	}
	c.Base = ""
	if isTiny {
		img, err := tiny(store)
		if err != nil {
			return nil, err
		}
		c.Config = &img.Config
	} else if !f.rootfs() {
		config, err := f.imageConfig(store)
		if err != nil {
			return nil, err
		}
		c.Config = config
	}
	job := &archive.Job{Pack: &archive.PackJob{Path: "/.", OneMount: true}}
	return func(w *os.File) error { return f.do(job, w, false) }, nil
}

// imageConfig is that of the container's image, which may have lost its name.
func (f *files) imageConfig(store *storage.Store) (*spec.Image, error) {
	name := f.state.ImageID
	img, err := store.Image(name, "")
	if errors.Is(err, storage.ErrNoRecord) {
		if err = resolve(store, &Request{Image: name, Pull: "never", Quiet: true}); err == nil {
			img, err = store.Image(name, "")
		}
	}
	if err != nil {
		return nil, err
	}
	return &img.Config, nil
}

// changed tells what the flags of run made of the image's config.
func (f *files) changed(c *storage.Commit) {
	if f.config == nil {
		return
	}
	o, s := &f.config.Request.Options, f.config.Spec
	c.Changed = spec.ImageConfig{User: o.User, WorkingDir: o.Workdir, StopSignal: o.StopSignal, Labels: s.Labels}
	for _, entry := range s.Spec.Process.Env {
		name, _, _ := strings.Cut(entry, "=")
		own := name == "container" || name == "TERM"
		if !own || slices.ContainsFunc(o.Env, func(e string) bool { return strings.HasPrefix(e+"=", name+"=") }) {
			c.Changed.Env = append(c.Changed.Env, entry)
		}
	}
	if len(o.Args) > 0 {
		c.Changed.Cmd = o.Args
	}
	if o.Entrypoint != nil {
		c.ResetCmd = true
		args := s.Spec.Process.Args
		c.Changed.Entrypoint = args[:max(0, len(args)-len(o.Args))]
	}
	if o.Health != (spec.HealthOptions{}) {
		if c.Changed.Healthcheck = s.Health; s.Health == nil {
			c.Changed.Healthcheck = spec.NoHealth()
		}
	}
	c.Ports = append(exposed(f.config.Request.Ports), oneByOne(f.config.Request.Expose)...)
}

// pause stops the container's processes, if they run, and returns what lets them go on.
func (f *files) pause(asked *bool) (resume func(), err error) {
	want := f.state.Cgroup != ""
	if asked != nil {
		want = *asked
	}
	if !want || !f.state.Running || f.state.Status == Paused {
		return func() {}, nil
	}
	if err := Pause(f.state); err != nil {
		if asked == nil {
			return func() {}, nil
		}
		return nil, fmt.Errorf("commit: %w", hint.With(err, "--pause=false"))
	}
	return func() {
		if err := Unpause(f.state); err != nil {
			f.say("warning: " + err.Error())
		}
	}, nil
}
