package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/cgroup"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/sys"
)

// record is state.json: what was made, never what is. What is comes from the process: whether it lives, and what it executes.
type record struct {
	ID          string            `json:"id"`
	Bundle      string            `json:"bundle"`
	Rootfs      string            `json:"rootfs"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Created     time.Time         `json:"created"`
	Owner       int               `json:"owner"`
	Cgroup      string            `json:"cgroup,omitempty"`
	// Pid and Start name the first process beyond doubt, within the boot BootID.
	Pid    int    `json:"pid"`
	Start  uint64 `json:"start"`
	BootID string `json:"boot_id"`
}

// The files of a container's state directory.
const (
	recordFile = "state.json"
	configFile = "config.json"
	gateFile   = "start.sock"
)

// dir is the state directory of a container, by handle.
type dir struct {
	*os.File
	id string
}

// NotFound: there is no such container.
type NotFound struct{ ID string }

func (e *NotFound) Error() string { return fmt.Sprintf("container %q does not exist", e.ID) }

// checkID is runc's rule, which keeps an id from being a path.
func checkID(id string) error {
	bad := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_+-.", r))
	}
	const form = "letters, digits and _ + - . make one, at most 255 of them, the first no point"
	switch {
	case strings.ContainsFunc(id, bad):
		return hint.Errorf(form, "invalid character in container ID %q", id)
	case id == "" || strings.HasPrefix(id, ".") || len(id) > 255:
		return hint.Errorf(form, "invalid container ID %q", id)
	}
	return nil
}

// root is the directory of state directories.
func (r *Runtime) root() (string, error) {
	if r.Root != "" {
		return filepath.Abs(r.Root)
	}
	if run := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(run) && (os.Geteuid() != 0 || inUserns()) {
		return filepath.Join(run, "rl-oci"), nil
	}
	if os.Geteuid() == 0 && !inUserns() {
		return "/run/rl-oci", nil
	}
	if run := "/run/user/" + strconv.Itoa(os.Geteuid()); unix.Access(run, unix.W_OK) == nil {
		return filepath.Join(run, "rl-oci"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", hint.Errorf("--root DIR, or export XDG_RUNTIME_DIR=…", "find a place for the state: neither XDG_RUNTIME_DIR nor HOME is set")
	}
	// No tmpfs: the boot id keeps what a reboot has made untrue apart.
	return filepath.Join(home, ".local/share/rl", "run-"+sys.BootID(), "oci"), nil
}

// inUserns: uid 0 here is not that of the machine.
func inUserns() bool {
	b, err := os.ReadFile("/proc/self/uid_map")
	return err == nil && strings.Join(strings.Fields(string(b)), " ") != "0 0 4294967295"
}

// newDir makes and locks the state directory of a new container. One without a record whose maker is dead is taken over.
func (r *Runtime) newDir(id string) (*dir, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	root, err := r.root()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(root, 0o700); err != nil {
		return nil, hint.With(fmt.Errorf("make state directory: %w", err), "--root DIR, or export XDG_RUNTIME_DIR=… to a directory of yours")
	}
	path := filepath.Join(root, id)
	err = os.Mkdir(path, 0o711) // a container of another user namespace must pass on the way to its socket
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make state directory: %w", err)
	}
	d, err := r.open(id)
	if err != nil {
		return nil, err
	}
	if unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil || d.has(recordFile) || !d.named() {
		d.Close()
		return nil, fmt.Errorf("container with id exists: %s", id)
	}
	return d, nil
}

// open finds the state directory of a container. It follows no symlink: the directory may be another user's.
func (r *Runtime) open(id string) (*dir, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	root, err := r.root()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(root, id)
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		return nil, &NotFound{id}
	}
	if err != nil {
		return nil, fmt.Errorf("container %s: %w", id, &os.PathError{Op: "open", Path: path, Err: err})
	}
	return &dir{os.NewFile(uintptr(fd), path), id}, nil
}

// lock waits for whoever works on the container.
func (d *dir) lock() error {
	for {
		err := unix.Flock(int(d.Fd()), unix.LOCK_EX)
		if err != unix.EINTR {
			return os.NewSyscallError("flock", err)
		}
	}
}

func (d *dir) has(name string) bool {
	var st unix.Stat_t
	return unix.Fstatat(int(d.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil
}

func (d *dir) read(name string) ([]byte, error) {
	fd, err := unix.Openat(int(d.Fd()), name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: filepath.Join(d.Name(), name), Err: err}
	}
	return readLimited("/proc/self/fd/"+strconv.Itoa(fd), maxConfig)
}

// write makes a file whole or not at all.
func (d *dir) write(name string, content []byte) error {
	tmp := filepath.Join(d.Name(), name+".new")
	if err := os.WriteFile(tmp, content, 0o600); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	return os.Rename(tmp, filepath.Join(d.Name(), name))
}

func (d *dir) record() (*record, error) {
	text, err := d.read(recordFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &NotFound{d.id} // being made, or its maker was killed
	}
	if err != nil {
		return nil, fmt.Errorf("state of container %s: %w", d.id, err)
	}
	rec := new(record)
	if err := json.Unmarshal(text, rec); err != nil {
		return nil, fmt.Errorf("state of container %s: %w", d.id, err)
	}
	return rec, nil
}

// hooks are those of the configuration that the container was made with; none is an empty one. The rest isn't read: encoding/json
// makes tables of all types that a configuration can hold, which takes longer than a start.
func (d *dir) hooks() (*specs.Hooks, error) {
	var s struct {
		Hooks specs.Hooks `json:"hooks"`
	}
	text, err := d.read(configFile)
	if err != nil {
		return &s.Hooks, err
	}
	err = json.Unmarshal(text, &s)
	return &s.Hooks, err
}

// alive: the first process is there, and neither another one of the same number nor a zombie.
func (rec *record) alive() bool {
	if rec.BootID != sys.BootID() || rec.Pid <= 0 {
		return false
	}
	start, err := sys.StartTime(rec.Pid)
	if err != nil || start != rec.Start {
		return false
	}
	return !sys.Zombie(rec.Pid)
}

// status is derived: the gate's name is there until start, and a killed start may have left it; what waits at it is rl-enter.
func (d *dir) status(rec *record) specs.ContainerState {
	switch {
	case !rec.alive():
		return specs.StateStopped
	case d.has(gateFile) && waiting(rec.Pid):
		return specs.StateCreated
	case cgroup.Reopen(rec.Cgroup).Frozen():
		return "paused"
	}
	return specs.StateRunning
}

func waiting(pid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	return err != nil || strings.HasPrefix(string(b), "rl-enter\x00")
}

// get opens a container that exists.
func (r *Runtime) get(id string) (*dir, *record, error) {
	d, err := r.open(id)
	if err != nil {
		return nil, nil, err
	}
	rec, err := d.record()
	if err != nil {
		d.Close()
		return nil, nil, err
	}
	return d, rec, nil
}

// State tells how a container is.
func (r *Runtime) State(id string) (*State, error) {
	d, rec, err := r.get(id)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.state(rec), nil
}

func (d *dir) state(rec *record) *State {
	s := &State{Rootfs: rec.Rootfs, Created: rec.Created, Owner: owner(rec.Owner)}
	s.State = rec.state(d.status(rec))
	return s
}

// state is what runtime-spec wants of it, for hooks too.
func (rec *record) state(status specs.ContainerState) specs.State {
	s := specs.State{Version: specs.Version, ID: rec.ID, Status: status, Pid: rec.Pid, Bundle: rec.Bundle, Annotations: rec.Annotations}
	if status == specs.StateStopped {
		s.Pid = 0
	}
	return s
}

func owner(uid int) string {
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return strconv.Itoa(uid)
	}
	return u.Username
}

// List is the state of all containers, sorted by id. A broken one is left out with a word.
func (r *Runtime) List() ([]State, error) {
	root, err := r.root()
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(root)
	if err != nil && (r.Root != "" || !errors.Is(err, fs.ErrNotExist)) {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	var all []State
	for _, e := range entries {
		s, err := r.State(e.Name())
		var gone *NotFound
		switch {
		case err == nil:
			all = append(all, *s)
		case !errors.As(err, &gone) && e.IsDir():
			r.say(err.Error())
		}
	}
	slices.SortFunc(all, func(a, b State) int { return strings.Compare(a.ID, b.ID) })
	return all, nil
}

func (r *Runtime) say(line string) {
	if r.Say != nil {
		r.Say(line)
	}
}

// process is the first process of a running container, by pidfd.
func (rec *record) process() (*sys.Process, error) {
	p, err := sys.FindProcess(rec.Pid, rec.Start)
	if err != nil || !rec.alive() {
		return nil, notRunning()
	}
	return p, nil
}

func notRunning() error { return errors.New("container not running") }

// exitCode is the program's own, or 128 and the signal that ended it.
func exitCode(ws syscall.WaitStatus) int {
	if ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}
