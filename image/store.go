// Package image is rl's side of the user's image store: it pulls, loads, imports, lists and removes images by the libraries
// that podman uses, in the same places, and writes the small records by which `rl run` finds them. It runs as root of a user
// namespace with the user's ids, in the process rl-image.
package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.podman.io/image/v5/types"
	cstorage "go.podman.io/storage"
	stypes "go.podman.io/storage/types"
	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/events"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/storage"
)

// Store is the user's image store, open.
type Store struct {
	rl       *storage.Store
	store    cstorage.Store
	staging  string
	release  func()
	progress io.Writer // nil: quiet
}

// Options are how a Store is opened.
type Options struct {
	Store *storage.Store
	// SingleUID: only one id is mapped here, files of all others become its own.
	SingleUID bool
	// Progress gets lines, or bars if it is a terminal; nil for none.
	Progress io.Writer
	// Freeing: the disk may be full, and is to have more room afterwards.
	Freeing bool
}

// Open opens the store. What killed commands left in it is removed first.
func Open(o Options) (*Store, error) {
	if err := own(o.Store.GraphRoot); err != nil {
		return nil, err
	}
	if o.Freeing {
		os.Remove(reserve(o.Store))
	}
	s := &Store{rl: o.Store, progress: o.Progress}
	var crashed bool
	var err error
	if s.staging, s.release, crashed, err = o.Store.Staging(); err != nil {
		return nil, err
	}
	// The libraries' temporary files go where the room is, and where they are found again.
	os.Setenv("TMPDIR", s.staging)
	options, err := storeOptions(o, s.staging)
	if err == nil {
		s.store, err = cstorage.GetStore(options)
	}
	if err != nil {
		s.release()
		return nil, explain(fmt.Errorf("open image store %s: %w", o.Store.GraphRoot, err))
	}
	if crashed {
		s.collect()
	}
	return s, nil
}

// Close lets go of the store.
func (s *Store) Close() {
	s.store.Free()
	s.release()
	keepReserve(s.rl)
}

// reserve is room on a disk that gets full: to remove an image the library writes (it tries overlay out, and lists the other
// images anew) before it frees anything.
func reserve(s *storage.Store) string { return filepath.Join(s.DataDir, "reserve") }

func keepReserve(s *storage.Store) {
	f, err := os.OpenFile(reserve(s), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return // it is there, mostly
	}
	defer f.Close()
	if unix.Fallocate(int(f.Fd()), 0, 0, 1<<20) != nil {
		os.Remove(f.Name())
	}
}

// own refuses a store in which another user could change images.
func own(dir string) error {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return nil // made by the library
	}
	if st.Mode&0o002 != 0 {
		return hint.Errorf("look into it, then: chmod o-w "+dir, "image store %s can be written by everybody (mode %04o)", dir, st.Mode&0o7777)
	}
	return nil
}

// storeOptions are the user's own, but for the driver: rl runs images from overlay only. Debian's podman without a
// storage.conf takes vfs, which stands beside it in the same directory.
func storeOptions(o Options, staging string) (cstorage.StoreOptions, error) {
	options, err := stypes.DefaultStoreOptions()
	if err != nil {
		return options, err
	}
	options.GraphRoot, options.GraphDriverName, options.GraphDriverPriority = o.Store.GraphRoot, "overlay", nil
	// What is in the run root is about mounts, and this process leaves none.
	options.RunRoot = filepath.Join(staging, "run")
	var kept []string
	for _, option := range options.GraphDriverOptions {
		if strings.HasPrefix(option, "overlay.") || strings.HasPrefix(option, ".") {
			kept = append(kept, option)
		}
	}
	if o.SingleUID {
		kept = append(kept, "overlay.ignore_chown_errors=true")
	}
	options.GraphDriverOptions = kept
	return options, nil
}

// collect removes layers that a killed pull left without an image. Young ones may be of a pull by another program that is
// under way at this moment.
func (s *Store) collect() {
	layers, err := s.store.Layers()
	if err != nil {
		return
	}
	used := map[string]bool{}
	for _, l := range layers {
		used[l.Parent] = true
	}
	images, err := s.store.Images()
	if err != nil {
		return
	}
	for _, i := range images {
		used[i.TopLayer] = true
	}
	for _, l := range layers {
		if !used[l.ID] && len(l.Names) == 0 && !l.ReadOnly && time.Since(l.Created) > time.Hour {
			s.store.DeleteLayer(l.ID) // one that a container uses is refused
		}
	}
	s.store.GarbageCollect()
}

// system is the configuration of the image library: the user's and the machine's files of containers(5).
func (s *Store) system(platform string) (*types.SystemContext, error) {
	sys := &types.SystemContext{BigFilesTemporaryDir: s.staging, DockerRegistryUserAgent: "rl"}
	if platform == "" {
		return sys, nil
	}
	parts := strings.Split(platform, "/")
	if len(parts) < 2 || len(parts) > 3 || parts[0] == "" || parts[1] == "" {
		return nil, hint.Errorf("--platform linux/arm64", "--platform %s: not OS/ARCH[/VARIANT]", platform)
	}
	sys.OSChoice, sys.ArchitectureChoice = parts[0], parts[1]
	if len(parts) == 3 {
		sys.VariantChoice = parts[2]
	}
	return sys, nil
}

// sync brings the layers to the disk: a power cut must not leave an image of empty files behind a complete record.
func (s *Store) sync() error {
	d, err := os.Open(s.rl.GraphRoot)
	if err != nil {
		return err
	}
	defer d.Close()
	return os.NewSyscallError("syncfs", unix.Syncfs(int(d.Fd())))
}

// interrupted is a context's error as a user knows it.
func interrupted(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

// tell writes an event of an image, which may have no name.
func (s *Store) tell(status, id string, names ...string) {
	e := events.Event{Type: events.Image, Status: status, ID: id}
	if len(names) > 0 {
		e.Name = names[0]
	}
	events.Write(s.rl.DataDir, e)
}
