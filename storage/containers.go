package storage

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/lazyjson"
	"github.com/rl-containers/rl/sys"
)

// Record is what was asked of a container, in short: what its list shows. Create writes it, rename and update change it.
// What start needs beside it is in config.json, what became of it in the Life.
type Record struct {
	ID      string
	Name    string `json:",omitempty"`
	Image   string
	ImageID string `json:",omitempty"`
	Command []string
	Created time.Time
	Labels  map[string]string `json:",omitempty"`
	// Remove: nothing is kept when it ends (--rm).
	Remove bool `json:",omitempty"`
	// StopSignal is a name or number, "" is SIGTERM; StopTimeout is in seconds.
	StopSignal  string `json:",omitempty"`
	StopTimeout int
	// Restart is the policy: "", "no", "always", "unless-stopped", "on-failure[:N]".
	Restart string `json:",omitempty"`
	// Network is the mode as typed.
	Network string `json:",omitempty"`
	// Healthcheck: it has a health check (State.Health).
	Healthcheck bool `json:",omitempty"`
	// Volumes are the names of those that it uses. Of these the Anonymous were made for it.
	Volumes   []string `json:",omitempty"`
	Anonymous []string `json:",omitempty"`
}

// Container is the directory of one container, locked while it is open.
type Container struct {
	Dir  string
	name string // the link that claims the name, "" without one
	lock *os.File
}

// Two places: what a kill leaves behind of --rm, or of a container that is being made or removed, is garbage by its place alone, and
// looking for it costs nothing for the containers that are kept.
const (
	kept      = "containers"
	transient = "transient"
	names     = "names"
)

// NewContainer makes and locks the directory of a container, with upper and work for its root file system. It is where the next
// command collects it if this one is killed, until Keep.
func (s *Store) NewContainer(id, name string) (*Container, error) {
	parent := filepath.Join(s.DataDir, transient)
	c := &Container{Dir: filepath.Join(parent, id)}
	// Shared on the parent from mkdir to lock: a collector, which wants it exclusively, can't take the new directory for
	// one whose owner is dead.
	guard, err := openDir(parent)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(parent, 0o700); err == nil {
			guard, err = openDir(parent)
		}
	}
	if err != nil {
		return nil, explainDisk("make container directory", err)
	}
	defer guard.Close()
	if err := flock(guard, unix.LOCK_SH); err != nil {
		return nil, err
	}
	if err := c.make(); err != nil {
		c.Remove()
		return nil, explainDisk("make container directory", err)
	}
	if name == "" {
		return c, nil
	}
	if err := s.claim(c, id, name); err != nil {
		c.Remove()
		return nil, err
	}
	return c, nil
}

// Keep keeps a container that is on record.
func (c *Container) Keep() error {
	if err := c.move(kept); err != nil {
		return explainDisk("make container directory", err)
	}
	return nil
}

// move brings it from one place to the other.
func (c *Container) move(place string) error {
	parent := filepath.Join(filepath.Dir(filepath.Dir(c.Dir)), place)
	to := filepath.Join(parent, filepath.Base(c.Dir))
	err := os.Rename(c.Dir, to)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(parent, 0o700); err == nil {
			err = os.Rename(c.Dir, to)
		}
	}
	if err == nil {
		c.Dir = to
	}
	return err
}

func (c *Container) make() error {
	for _, d := range []string{"", "/upper", "/work"} {
		if err := os.Mkdir(c.Dir+d, 0o700); err != nil {
			return err
		}
	}
	// The upper directory's mode is that of "/" inside: everybody may enter.
	if err := os.Chmod(c.Dir+"/upper", 0o755); err != nil {
		return err
	}
	lock, err := openDir(c.Dir)
	if err != nil {
		return err
	}
	c.lock = lock
	return flock(lock, unix.LOCK_EX|unix.LOCK_NB)
}

// ErrNameInUse says that a name belongs to another container.
var ErrNameInUse = errors.New("is already in use by container")

// claim takes a name: a link that says which container has it. One whose container is gone is taken over.
func (s *Store) claim(c *Container, id, name string) error {
	err := s.link(c, id, name)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	s.await(name)
	guard, err := s.guardNames()
	if err != nil {
		return err
	}
	defer guard.Close()
	return s.takeOver(c, id, name)
}

// guardNames lets one at a time change who has which name: of two that take over the same name, the second must see the first.
func (s *Store) guardNames() (*os.File, error) {
	dir := filepath.Join(s.DataDir, names)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, explainDisk("claim name", err)
	}
	guard, err := openDir(dir)
	if err == nil {
		err = flock(guard, unix.LOCK_EX)
	}
	return guard, err
}

// link makes the link; fs.ErrExist says that there is one.
func (s *Store) link(c *Container, id, name string) error {
	dir := filepath.Join(s.DataDir, names)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return explainDisk("claim name", err)
	}
	err := os.Symlink(id, filepath.Join(dir, name))
	if err == nil {
		c.name = filepath.Join(dir, name)
	} else if !errors.Is(err, fs.ErrExist) {
		err = explainDisk("claim name", err)
	}
	return err
}

// await gives a container of --rm a moment to be gone: a rl that was killed lives on in the lock that its child has until that
// executes its program.
func (s *Store) await(name string) {
	for range 20 {
		owner, err := os.Readlink(filepath.Join(s.DataDir, names, name))
		if _, gone := os.Lstat(filepath.Join(s.DataDir, transient, owner)); err != nil || gone != nil || !s.exists(owner) {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// takeOver is claim under the guard.
func (s *Store) takeOver(c *Container, id, name string) error {
	for {
		err := s.link(c, id, name)
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		link := filepath.Join(s.DataDir, names, name)
		if owner, err := os.Readlink(link); err == nil && s.owns(owner, name) {
			return hint.With(fmt.Errorf("the name %q %w %.12s", name, ErrNameInUse, owner), "rl rm -f "+name+", or choose another name")
		}
		if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("claim name %q: %w", name, err)
		}
	}
}

// exists: kept, or transient and locked by a living rl, or its program outlived that. One that becomes kept meanwhile is seen.
func (s *Store) exists(id string) bool {
	c := &Container{Dir: filepath.Join(s.DataDir, transient, id)}
	d, err := openDir(c.Dir)
	if err != nil {
		_, err := os.Lstat(filepath.Join(s.DataDir, kept, id))
		return err == nil
	}
	defer d.Close()
	return flock(d, unix.LOCK_SH|unix.LOCK_NB) != nil || c.livesOn()
}

// Write puts v into the container's directory as JSON, whole or not at all.
func (c *Container) Write(name string, v any) error {
	b, err := lazyjson.Marshal(v)
	if err != nil {
		return err
	}
	if name == recordFile || name == stateFile {
		defer c.announce().Close()
	}
	tmp := filepath.Join(c.Dir, name+".new")
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		os.Remove(tmp)
		if name == stateFile && diskFull(err) && c.overwrite(name, b) == nil {
			return nil
		}
		return explainDisk("write "+name+" of the container", err)
	}
	return os.Rename(tmp, filepath.Join(c.Dir, name))
}

// Lock is the descriptor that carries the lock: a process that inherits it holds it, too.
func (c *Container) Lock() *os.File { return c.lock }

// Adopt takes over a container whose lock was inherited.
func Adopt(lock *os.File) (*Container, error) {
	dir, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(int(lock.Fd())))
	if err != nil {
		return nil, fmt.Errorf("find the container's directory: %w", err)
	}
	return &Container{Dir: dir, lock: lock}, nil
}

// Close lets go of the lock, and with it says that nobody watches the container any more.
func (c *Container) Close() {
	if c.lock != nil {
		c.lock.Close()
	}
}

// Remove deletes the container. What it can't delete with the caller's rights (directories of mapped ids) is returned, to be
// deleted in a user namespace.
func (c *Container) Remove() (left string) {
	if filepath.Base(filepath.Dir(c.Dir)) == kept {
		c.move(transient) // the next command finishes what is begun here
	}
	if name := c.recordedName(); name != "" { // now: nobody can rename it any more
		os.Remove(name)
	}
	os.Remove(filepath.Join(c.Dir, recordFile)) // before the rest: nobody takes what is half gone for a container
	if err := sys.RemoveAll(c.Dir); err != nil {
		left = c.Dir
	}
	return left
}

// Collect takes away what killed rl commands left of --rm containers. It returns the directories that need a user namespace
// to be deleted, and the lives that may have left a cgroup; it kills what still runs of them. It never waits: a busy place is left to the next command.
func (s *Store) Collect() (left []string, lives []Life) {
	parent := filepath.Join(s.DataDir, transient)
	guard, err := openDir(parent)
	if err != nil {
		return nil, nil
	}
	defer guard.Close()
	entries, err := guard.Readdirnames(-1)
	if err != nil || len(entries) == 0 || flock(guard, unix.LOCK_EX|unix.LOCK_NB) != nil {
		return nil, nil
	}
	var dead []*Container
	for _, id := range entries {
		c := &Container{Dir: filepath.Join(parent, id)}
		if c.lock, err = openDir(c.Dir); err != nil {
			continue
		}
		if flock(c.lock, unix.LOCK_EX|unix.LOCK_NB) != nil {
			c.Close()
			continue
		}
		if _, err := os.Lstat(c.Dir); err != nil { // kept since it was opened
			c.Close()
			continue
		}
		dead = append(dead, c)
	}
	flock(guard, unix.LOCK_UN) // the deleting may take its time: the dead are ours by their own locks
	for _, c := range dead {
		if c.livesOn() {
			c.Close()
			continue
		}
		if l := c.bury(); l.Cgroup != "" {
			lives = append(lives, *l)
		}
		r, err := ReadRecord(c.Dir)
		if l := c.Remove(); l != "" {
			left = append(left, l)
		}
		c.Close()
		if err == nil {
			left = append(left, s.RemoveAnonymous(r)...)
		}
	}
	return left, lives
}

// livesOn: its monitor was killed, not the container.
func (c *Container) livesOn() bool {
	l, err := ReadLife(c.Dir)
	if err != nil || !l.Detached {
		return false
	}
	alive, _ := l.alive(sys.BootID())
	return alive
}

// bury ends what the dead rl could not: a program that changed its credentials lost the wish to die with rl (prctl(2),
// PR_SET_PDEATHSIG), one that was detached never had it.
func (c *Container) bury() *Life {
	l, err := ReadLife(c.Dir)
	if err == nil {
		l.kill()
	}
	return l
}

// Named tells whether the container has the name of its record still, or has none.
func (c *Container) Named() bool {
	r, err := ReadRecord(c.Dir)
	s := &Store{DataDir: filepath.Dir(filepath.Dir(c.Dir))}
	return err == nil && (r.Name == "" || s.nameOf(r) != "")
}

// recordedName is the link by which the container has the name of its record; without a record, of a rl that was killed before it
// wrote that or while it removed it, the one that leads to it.
func (c *Container) recordedName() string {
	s := &Store{DataDir: filepath.Dir(filepath.Dir(c.Dir))}
	if r, err := ReadRecord(c.Dir); err == nil {
		return s.nameOf(r)
	}
	if c.name != "" {
		return c.name
	}
	entries, _ := os.ReadDir(filepath.Join(s.DataDir, names))
	for _, e := range entries {
		link := filepath.Join(s.DataDir, names, e.Name())
		if owner, err := os.Readlink(link); err == nil && owner == filepath.Base(c.Dir) {
			return link
		}
	}
	return ""
}

// nameOf is the link by which the container has its name, "" when it has none.
func (s *Store) nameOf(r *Record) string {
	if r.Name == "" {
		return ""
	}
	link := filepath.Join(s.DataDir, names, r.Name)
	if owner, err := os.Readlink(link); err != nil || owner != r.ID {
		return ""
	}
	return link
}

// The files of a container that its list is made of.
const (
	recordFile = "record.json"
	stateFile  = "state.json"
)

// ReadRecord reads the record of the container in dir.
func ReadRecord(dir string) (*Record, error) {
	r := new(Record)
	text, err := readFile(dir, recordFile)
	if err == nil {
		err = broken(dir, recordFile, parseRecord(text, r))
	}
	if err == nil && r.ID == "" {
		err = broken(dir, recordFile, errNoID)
	}
	return r, err
}

func readJSON(dir, name string, v any) error {
	text, err := readFile(dir, name)
	if err != nil {
		return err
	}
	return broken(dir, name, json.Unmarshal([]byte(text), v))
}

func readFile(dir, name string) (string, error) {
	b, err := os.ReadFile(filepath.Join(dir, name))
	return string(b), err
}

func broken(dir, name string, err error) error {
	if err != nil {
		err = fmt.Errorf("%s/%s: %w", dir, name, err)
	}
	return err
}

func openDir(path string) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how)
		if err != unix.EINTR {
			return os.NewSyscallError("flock", err)
		}
	}
}

func explainDisk(op string, err error) error {
	err = fmt.Errorf("%s: %w", op, err)
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return hint.With(err, "the disk or your quota is full: df -h ~/.local/share; rl rmi IMAGE frees space")
	case errors.Is(err, unix.EROFS), errors.Is(err, unix.EACCES):
		return hint.With(err, "rl needs a directory that it can write: export XDG_DATA_HOME=/some/writable/dir")
	}
	return err
}
