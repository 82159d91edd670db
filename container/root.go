package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/enter"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/idmap"
	"github.com/rl-containers/rl/storage"
	"github.com/rl-containers/rl/sys"
	"github.com/rl-containers/rl/userns"
)

// planRoot chooses how the root file system is mounted: native overlay, else fuse-overlayfs. Layers are stored as the plain
// mapping (0 is the caller) reads them, so a container with another mapping needs fuse-overlayfs, which serves them from a
// namespace with the plain one: no copy of the image is made.
func (r *run) planRoot() error {
	root := &r.plan.Root
	if r.Rootfs != "" {
		root.Kind, root.Dir = enter.Bind, r.Rootfs
		return nil
	}
	root.Kind, root.Base, root.Lower = enter.Overlay, r.image.Base, r.image.Layers
	mode, _, _ := strings.Cut(r.Options.Userns, ":")
	shifted := (mode == "keep-id" || mode == "nomap") && r.ids.Rung == idmap.Subid
	switch r.StorageDriver {
	case "", "auto":
		if shifted {
			root.Kind = enter.Fuse
		}
	case "overlay":
		if shifted {
			return hint.Errorf("leave --storage-driver out, or use --storage-driver fuse-overlayfs", "native overlay can't show an image with the ids of --userns=%s", mode)
		}
	case "fuse-overlayfs":
		root.Kind = enter.Fuse
	default:
		return hint.Errorf("overlay or fuse-overlayfs", "--storage-driver: unknown driver %q", r.StorageDriver)
	}
	return nil
}

// reuse makes a root file system that was mounted before ready for the next mount. A volatile overlay leaves a mark in its work
// directory, by which the kernel refuses it from then on (Documentation/filesystems/overlayfs.rst, "Volatile mount"): within one
// boot nothing was lost, so that the mark says nothing. The work directory itself stays, whenever this rl is killed: without it no mount
// succeeds.
func (r *run) reuse() error {
	work := r.dir.Dir + "/work"
	if err := os.Mkdir(work, 0o700); !errors.Is(err, fs.ErrExist) {
		return err
	}
	used := work + "/work"
	if _, err := os.Lstat(used); err != nil {
		return nil
	}
	if old, err := storage.ReadLife(r.dir.Dir); err == nil && old.BootID != "" && old.BootID != sys.BootID() && old.Finished.IsZero() {
		r.say("warning: the machine went down while the container ran: what it wrote in its last seconds may be lost")
	}
	index := work + "/index" // of kernels that make one by default
	if sys.RemoveAll(index) != nil || sys.RemoveAll(used) != nil {
		return removeMapped(r.ids, []string{index, used})
	}
	return nil
}

// serveFuse starts fuse-overlayfs on the descriptor that the child mounted. It runs beside the container, in a user
// namespace of its own with the plain mapping: no process of the container can see or trace it. It ends with the mount.
func serveFuse(dev *os.File, r *run) (*userns.Process, error) {
	exe, err := hostProgram("fuse-overlayfs")
	if err != nil {
		return nil, hint.With(err, "as root: apt-get install fuse-overlayfs")
	}
	ids, err := idmap.Mine("")
	if err != nil {
		return nil, err
	}
	root := r.plan.Root
	lower := make([]string, len(root.Lower))
	for i, l := range root.Lower {
		if lower[i] = l; !filepath.IsAbs(l) {
			lower[i] = filepath.Join(root.Base, l)
		}
	}
	options := "lowerdir=" + strings.Join(lower, ":") + ",upperdir=" + root.Dir + "/upper,workdir=" + root.Dir + "/work"
	if ids.Rung == idmap.Single {
		options += ",squash_to_root"
	}
	step("execute %s -f -o %s", exe, options)
	tool := &enter.Plan{Tool: []string{exe, "-f", "-o", options, "/dev/fd/3"}, Process: enter.Process{Env: []string{"PATH=/usr/bin:/bin"}}}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	// It has a word to say even when all is well.
	if r.fuseWords, err = memfd("fuse-overlayfs"); err != nil {
		return nil, err
	}
	return userns.Spawn(userns.Config{Namespaces: unix.CLONE_NEWNS, Map: ids, Stdio: [3]*os.File{null, null, r.fuseWords}, Extra: []*os.File{dev}},
		func(w io.Writer) error { return enter.WritePlan(w, tool) })
}

// hostProgram finds a helper by a fixed list: PATH may name directories that others can write.
func hostProgram(name string) (string, error) {
	for _, dir := range []string{"/usr/bin/", "/usr/local/bin/", "/bin/", "/usr/sbin/", "/usr/libexec/podman/"} {
		if unix.Access(dir+name, unix.X_OK) == nil {
			return dir + name, nil
		}
	}
	return "", fmt.Errorf("%s is not installed", name)
}

// sibling finds one of rl's own helpers.
func sibling(name string) (string, error) {
	if path := sys.Sibling(name); path != "" {
		return path, nil
	}
	return "", hint.Errorf("make install puts it into PREFIX/libexec/rl; it belongs beside rl or there", "%s is missing", name)
}

// tiny is the built-in image.
func tiny(s *storage.Store) (*storage.Image, error) {
	exe, err := sibling("rl-tiny")
	if err != nil {
		return nil, err
	}
	return storage.Tiny(s.DataDir, exe)
}

// toolRequest is what rl-image reads from its descriptor 3.
type toolRequest struct {
	Version string    `json:"version"`
	Verb    string    `json:"verb"`
	Args    any       `json:"args"`
	Store   toolStore `json:"store"`
}

type toolStore struct {
	DataDir     string `json:"data_dir"`
	GraphRoot   string `json:"graph_root"`
	SingleUID   bool   `json:"single_uid"`
	RootlessUID int    `json:"rootless_uid"`
	RootlessGID int    `json:"rootless_gid"`
}

// ImageTool runs a verb of rl-image, which does all writing to the image store, as root of a user namespace with the
// caller's ids. rl-image prints what went wrong by itself.
func ImageTool(verb string, args any) error {
	store, err := storage.Open()
	if err != nil {
		return err
	}
	return imageTool(store, verb, args)
}

func imageTool(store *storage.Store, verb string, args any) error {
	return imageToolFrom(store, verb, args, os.Stdin)
}

// imageToolFrom is imageTool with another standard input.
func imageToolFrom(store *storage.Store, verb string, args any, stdin *os.File) error {
	return imageToolWith(store, verb, args, stdin, os.Stdout)
}

// imageToolWith is imageTool with another standard input and output.
func imageToolWith(store *storage.Store, verb string, args any, stdin, stdout *os.File) error {
	exe, err := sibling("rl-image")
	if err != nil {
		return err
	}
	ids, err := idmap.Mine("")
	if err != nil {
		return err
	}
	request, err := memory(toolRequest{Version: Version, Verb: verb, Args: args, Store: toolStore{
		DataDir: store.DataDir, GraphRoot: store.GraphRoot, SingleUID: ids.Rung == idmap.Single, RootlessUID: os.Geteuid(), RootlessGID: os.Getegid()}})
	if err != nil {
		return err
	}
	defer request.Close()
	step("execute %s %s, as root of a user namespace", exe, verb)
	tool := &enter.Plan{Tool: []string{exe, verb}, Process: enter.Process{Env: toolEnv()}}
	// rl-image hears the terminal's Ctrl-C itself and ends in order; rl waits for that.
	signal.Ignore(syscall.SIGINT, syscall.SIGQUIT)
	defer signal.Reset(syscall.SIGINT, syscall.SIGQUIT)
	status, err := userns.Run(userns.Config{Namespaces: unix.CLONE_NEWNS, Map: ids, Stdio: [3]*os.File{stdin, stdout, os.Stderr}, Extra: []*os.File{request}},
		func(w io.Writer) error { return enter.WritePlan(w, tool) })
	if err != nil {
		return fmt.Errorf("start rl-image: %w", err)
	}
	if code := exitCode(status); code != 0 {
		return &hint.Exit{Code: code}
	}
	return nil
}

// toolEnv is the caller's environment, with the home that the libraries would else look up for the root that they run as.
func toolEnv() []string {
	env := os.Environ()
	if os.Getenv("HOME") == "" {
		if home, err := storage.HomeDir(); err == nil {
			env = append(env, "HOME="+home)
		}
	}
	return env
}

// memory holds v as JSON in memory: credentials never reach an argument list or a disk.
func memory(v any) (*os.File, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	f, err := memfd("request")
	if err != nil {
		return nil, err
	}
	if _, err := f.Write(b); err != nil {
		return nil, err
	}
	_, err = f.Seek(0, io.SeekStart)
	return f, err
}

func memfd(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// fuseSaid adds the words of a fuse-overlayfs that failed.
func (r *run) fuseSaid(err error) error {
	if err == nil || r.fuseWords == nil {
		return err
	}
	words := make([]byte, 1024)
	n, _ := r.fuseWords.ReadAt(words, 0)
	if said := strings.TrimSpace(strings.TrimPrefix(string(words[:n]), "unknown argument ignored: lazytime\n")); said != "" {
		return fmt.Errorf("%w (fuse-overlayfs: %s)", err, said)
	}
	return err
}

// removeMapped deletes directories that hold files of the caller's subordinate ids.
func removeMapped(ids idmap.Map, dirs []string) error {
	plain, err := idmap.Mine("")
	if err != nil {
		plain = ids
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	status, err := userns.Run(userns.Config{Namespaces: unix.CLONE_NEWNS, Map: plain, Stdio: [3]*os.File{null, null, null}},
		func(w io.Writer) error { return enter.WritePlan(w, &enter.Plan{Remove: dirs, Owner: owner(plain)}) })
	if err == nil && status != 0 {
		err = errors.New("remove directories of containers: " + sys.Describe(status))
	}
	return err
}
