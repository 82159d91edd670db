package enter

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/archive"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/sys"
)

// archiveFiles reads or writes files of a container. It ends the process: the mounts that it made end with it.
func archiveFiles(p *Plan) error {
	b := &builder{plan: p}
	steps := []func() error{b.openSources, b.mountRoot, p.becomeRoot, b.mountAll, b.protect}
	switch {
	case p.Enter:
		steps = []func() error{unseen, p.becomeRoot, b.openRunning, b.uncover}
	case p.Root.Kind == "":
		steps = []func() error{p.becomeRoot, b.openHost}
	}
	steps = append(steps, stayTied)
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	stream := os.NewFile(4, "archive")
	if stream == nil {
		return errors.New("archive: no stream")
	}
	err := p.Archive.Do(b.root, stream, warn)
	if errors.Is(err, archive.ErrReader) {
		return errGone // who reads knows why it stopped
	}
	if err != nil {
		return err
	}
	os.Exit(0) // nothing is executed; the end of the socket says that it went well
	return nil
}

// warn tells a line to the outside. Names of files may hold anything: one line stays one.
func warn(line string) { fmt.Fprintln(os.Stderr, hint.Clean(line)) }

// unseen keeps the container's processes from looking into this one, which they may see with --pid=host: its descriptors are
// the host's (ptrace(2), "Ptrace access mode checking").
func unseen() error {
	return os.NewSyscallError("prctl PR_SET_DUMPABLE", unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0))
}

// protect makes the root file system read-only when all that is mounted in it is there.
func (b *builder) protect() error {
	if !b.plan.Root.ReadOnly {
		return nil
	}
	return sys.SetAttr(b.root.Fd(), unix.MOUNT_ATTR_RDONLY, 0, 0, false)
}

// openHost takes the host's root: the work is on files of the caller's and of its ids.
func (b *builder) openHost() (err error) {
	b.root, err = sys.OpenRoot("/")
	return err
}

// uncover takes the root file system without what is mounted in it, where a whole export is wanted. Where the kernel has locked
// mounts of another owner together (mount_namespaces(7)), their mount points stay covered, and are empty in the export.
func (b *builder) uncover() error {
	if j := b.plan.Archive.Pack; j == nil || !j.OneMount {
		return nil
	}
	fd, err := sys.CloneTree(b.root.Fd(), "", false)
	if err != nil {
		return nil
	}
	b.root.Close()
	b.root = sys.RootAt(fd)
	return nil
}
