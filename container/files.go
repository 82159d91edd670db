package container

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/archive"
	"github.com/rl-containers/rl/enter"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/idmap"
	"github.com/rl-containers/rl/plan"
	"github.com/rl-containers/rl/storage"
	"github.com/rl-containers/rl/sys"
	"github.com/rl-containers/rl/userns"
)

// files is the way to the file system of one container: by its namespaces while it runs, else by mounting it once more.
type files struct {
	state *storage.State
	// config is nil for one of --rm in the foreground, which has none on disk.
	config *Config
	ids    idmap.Map
	say    func(line string)
}

func openFiles(word string) (*files, error) {
	s, err := Find(word)
	if err != nil {
		return nil, err
	}
	f := &files{state: s, say: (&run{}).say}
	if f.config, err = ReadConfig(s.Dir); err != nil && (!s.Running || !errors.Is(err, os.ErrNotExist)) {
		return nil, err
	}
	if s.Running {
		f.ids, err = idmap.OfProcess(s.Pid)
		err = gone(s, "files of", err)
	} else {
		f.ids, err = idmap.Mine(f.config.Request.Options.Userns)
	}
	return f, err
}

// owner is the container's root.
func (f *files) owner() enter.Owner {
	if _, ok := f.ids.HostUID(0); ok {
		return enter.Owner{}
	}
	return enter.Owner{UID: int(f.ids.UIDs[0].Container), GID: int(f.ids.GIDs[0].Container)}
}

// do has the inside do the job, with stream as its end of the archive, and waits for it. write: files are to be changed.
func (f *files) do(job *archive.Job, stream *os.File, write bool) error {
	if f.state.Running {
		return gone(f.state, "files of", f.join(job, stream))
	}
	return gone(f.state, "files of", f.mount(job, stream, write))
}

// join works in the container that runs: its volumes and tmpfs are there. Only its user and its mount namespace are entered;
// the process is none of the container's pid namespace, and executes nothing of it.
func (f *files) join(job *archive.Job, stream *os.File) error {
	first, err := f.state.Process()
	if err != nil {
		return fmt.Errorf("container %s: it ended at this moment", f.state.Name)
	}
	defer first.Close()
	var c userns.Config
	c.Same = true
	defer func() { closeAll(c.Join) }()
	for _, kind := range []string{"user", "mnt"} {
		ns, err := namespaceOf(f.state.Pid, kind)
		if err != nil {
			return err
		}
		if ns != nil {
			c.Join = append(c.Join, ns)
		}
	}
	if first.Ended(0) { // the namespaces may be those of another process with its number
		return fmt.Errorf("container %s: it ended at this moment", f.state.Name)
	}
	return f.work(c, &enter.Plan{Enter: true, Owner: f.owner(), Archive: job}, stream, nil)
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// namespaceOf opens a namespace of a process; nil when the caller is in it already.
func namespaceOf(pid int, kind string) (*os.File, error) {
	at := "/proc/" + strconv.Itoa(pid) + "/ns/" + kind
	theirs, err := os.Readlink(at)
	if err != nil {
		return nil, fmt.Errorf("namespaces of process %d: %w", pid, err)
	}
	if ours, _ := os.Readlink("/proc/self/ns/" + kind); ours == theirs {
		return nil, nil
	}
	return os.Open(at)
}

// mount works on a container that doesn't run. To read, its changes are the topmost of read-only layers, so that it may be started
// meanwhile; to write takes the container's lock.
func (f *files) mount(job *archive.Job, stream *os.File, write bool) error {
	r := &run{Request: f.config.Request, image: &f.config.Image, spec: f.config.Spec, ids: f.ids, plan: &enter.Plan{Owner: f.owner(), Archive: job}}
	if err := r.planFiles(f.state, write, job.Pack != nil && job.Pack.OneMount); err != nil {
		return err
	}
	if write {
		dir, err := f.state.Open()
		if errors.Is(err, storage.ErrBusy) && f.startedMeanwhile() {
			return f.join(job, stream)
		}
		if err != nil {
			return err
		}
		defer dir.Close()
		if r.dir = dir; r.Rootfs == "" {
			if err := r.reuse(); err != nil {
				return err
			}
		}
	}
	c := userns.Config{Namespaces: unix.CLONE_NEWNS, Map: f.ids}
	err := f.work(c, r.plan, stream, r)
	if r.fallBack(err) {
		err = f.work(c, r.plan, stream, r)
	}
	return r.fuseSaid(err)
}

// startedMeanwhile looks again.
func (f *files) startedMeanwhile() bool {
	now, ok := storage.LookAt(f.state.Dir)
	if ok && now.Running {
		f.state = &now
	}
	return ok && now.Running
}

// planFiles plans the mounts: the root file system, and unless it is to be alone the volumes.
func (r *run) planFiles(s *storage.State, write, alone bool) error {
	whole, err := plan.Compile(r.spec.Spec, r.ids, plan.Options{})
	if err != nil {
		return err
	}
	if err := r.planRoot(); err != nil {
		return err
	}
	root := &r.plan.Root
	root.ReadOnly, root.Look = whole.Root.ReadOnly, !write
	if r.Rootfs == "" {
		root.Dir = s.Dir
	}
	for _, m := range whole.Mounts {
		if alone || m.Kind != enter.Bind || ofKernel(m.Target) {
			continue
		}
		if !write {
			m.Optional = "there is nothing to see of it"
		}
		r.plan.Mounts = append(r.plan.Mounts, m)
	}
	return nil
}

// ofKernel: what is mounted there has no files of the user's.
func ofKernel(target string) bool {
	top, _, _ := strings.Cut(strings.TrimPrefix(path.Clean(target), "/"), "/")
	return top == "proc" || top == "sys" || top == "dev"
}

// onHost does the job on files of the host, as root of a user namespace with the ids of the container.
func (f *files) onHost(job *archive.Job, stream *os.File) error {
	ids, err := idmap.Given(f.ids.UIDs, f.ids.GIDs)
	if err != nil {
		return err
	}
	return f.work(userns.Config{Namespaces: unix.CLONE_NEWNS, Map: ids}, &enter.Plan{Owner: f.owner(), Archive: job}, stream, nil)
}

// onLayers does the job on the directories of the container as they lie on the disk, where layers and changes have the numbers
// of the plain mapping.
func (f *files) onLayers(job *archive.Job, stream *os.File) error {
	plain, err := idmap.Mine("")
	if err != nil {
		return err
	}
	return f.work(userns.Config{Namespaces: unix.CLONE_NEWNS, Map: plain}, &enter.Plan{Owner: owner(plain), Archive: job}, stream, nil)
}

// work starts the inside and waits for its end. r serves a root file system of fuse-overlayfs.
func (f *files) work(c userns.Config, p *enter.Plan, stream *os.File, r *run) error {
	// The kernel kills the child when the thread that made it ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	words, theirs, err := os.Pipe()
	if err != nil {
		return err
	}
	c.Stdio, c.Extra = [3]*os.File{null, null, theirs}, []*os.File{stream}
	if r != nil && r.dir != nil {
		// The lock, too: when this process is killed, it holds until the inside has let go of the mount.
		c.Extra = append(c.Extra, r.dir.Lock())
	}
	proc, err := userns.Start(c)
	theirs.Close()
	if err != nil {
		words.Close()
		return err
	}
	told := f.tell(words)
	err = proc.Send(func(w io.Writer) error { return enter.WritePlan(w, p) })
	if err == nil {
		err = hear(proc, r)
	}
	if err != nil {
		proc.Kill()
	}
	status, waited := proc.Wait()
	<-told
	switch {
	case err != nil:
		return err
	case waited != nil:
		return waited
	}
	return ended(status)
}

// errStopped: the other end of the stream let go of it before its end, and knows why.
var errStopped = errors.New("the archive was not read to its end")

// ended is how the inside ended without a word of its own.
func ended(status syscall.WaitStatus) error {
	switch {
	case status == 0:
		return nil
	case status.ExitStatus() == 125:
		return errStopped
	}
	return errors.New("copy files: " + sys.Describe(status))
}

// blame chooses, of what both ends of a stream say, the reason: what a reader misses is the consequence of what its writer says, unless
// that is only that the reader let go.
func blame(reader, writer error) error {
	if writer == nil || reader != nil && (errors.Is(writer, errStopped) || errors.Is(writer, archive.ErrReader)) {
		return reader
	}
	return writer
}

// tell passes the warnings of the inside on.
func (f *files) tell(words *os.File) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer words.Close()
		count := 0
		for lines := bufio.NewScanner(words); lines.Scan(); count++ {
			if count < maxWarnings {
				f.say("warning: " + lines.Text())
			}
		}
		io.Copy(io.Discard, words) // a line without an end must not stop whoever writes it
		if count > maxWarnings {
			f.say(fmt.Sprintf("warning: and %d more", count-maxWarnings))
		}
	}()
	return done
}

// warn tells those of the outside.
func (f *files) warn() func(string) {
	count := 0
	return func(line string) {
		if count++; count <= maxWarnings {
			f.say("warning: " + line)
		} else if count == maxWarnings+1 {
			f.say("warning: and more of that kind")
		}
	}
}

// maxWarnings are shown of one copy: a container may have a million sockets.
const maxWarnings = 20

// hear serves the inside until it has ended, and returns its failure.
func hear(proc *userns.Process, r *run) error {
	for {
		letter, dev, err := proc.Next()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case letter != 'f' || dev == nil || r == nil:
			return hint.Errorf("this is a bug of rl", "copy files: unexpected word %q", letter)
		}
		r.fuse, err = serveFuse(dev, r)
		dev.Close()
		if err != nil {
			return err
		}
		defer func() {
			r.fuse.Kill()
			r.fuse.Wait()
		}()
	}
}
