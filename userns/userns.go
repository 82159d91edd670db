// Package userns makes a process in new namespaces and talks to it until it has become the program: the outside of the
// protocol that package enter draws.
package userns

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/idmap"
	"github.com/rl-containers/rl/sys"
)

// Config says what is made.
type Config struct {
	// Namespaces are CLONE_NEW* beside CLONE_NEWUSER. CLONE_NEWCGROUP is unshared after the child is in its cgroup.
	Namespaces uintptr
	// Join are existing namespaces to enter first.
	Join []*os.File
	// Same leaves the child in the caller's user namespace, or in the joined one; Map then isn't used.
	Same  bool
	Map   idmap.Map
	Stdio [3]*os.File
	// Args are what the child is told before it has its plan.
	Args []string
	// Extra are the child's descriptors from 4 on.
	Extra []*os.File
	// Cgroup is the directory to start in, or nil.
	Cgroup *os.File
	// Detached lets the child live on when the caller ends.
	Detached bool
}

func (c *Config) spawn(sock *os.File) *sys.Spawn {
	s := &sys.Spawn{
		Path: inside(), Argv: append([]string{"rl-enter"}, c.Args...), Join: c.Join,
		Env:   []string{"GOMAXPROCS=1"}, // one thread does it all; others would cost more than they save
		Files: append([]*os.File{c.Stdio[0], c.Stdio[1], c.Stdio[2], sock}, c.Extra...),
		Flags: c.Namespaces, Cgroup: c.Cgroup, AmbientCaps: !c.Same || len(c.Join) > 0,
	}
	if !c.Same {
		s.Flags |= unix.CLONE_NEWUSER
	}
	if !c.Detached {
		s.Pdeathsig = syscall.SIGKILL
	}
	return s
}

// inside is the program that the child becomes first. It is a small one, since Go pays for all that is linked at each start;
// where rl was copied alone, rl does as well.
func inside() string {
	if path := sys.Sibling("rl-enter"); path != "" {
		return path
	}
	return "/proc/self/exe"
}

// Process is the child: first rl's inside, then the program.
type Process struct {
	*sys.Process
	sock *os.File
}

// Start clones the child, which waits for its plan, and writes its id maps. Unless Detached is set the caller must be locked
// to its thread: the child is killed when that thread ends.
func Start(c Config) (*Process, error) {
	ours, theirs, err := sys.SocketPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	proc, err := c.spawn(theirs).Start()
	if err != nil {
		ours.Close()
		return nil, explainClone(err)
	}
	p := &Process{proc, ours}
	if c.Same {
		return p, nil
	}
	if err := c.Map.Write(proc.Pid); err != nil {
		p.Abort()
		return nil, err
	}
	return p, nil
}

func explainClone(err error) error {
	wrapped := fmt.Errorf("make namespaces: %w", err)
	switch {
	case errors.Is(err, unix.EPERM):
		return hint.With(wrapped, "user namespaces are forbidden here; as root: sysctl kernel.unprivileged_userns_clone=1 (Debian), "+
			"sysctl kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu), or start the outer container with --security-opt seccomp=unconfined", "rl doctor tells which")
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EUSERS):
		return hint.With(wrapped, "no more namespaces allowed; as root: sysctl user.max_user_namespaces=15000 (and max_mnt_, max_net_, max_pid_namespaces)")
	case errors.Is(err, unix.EINVAL):
		return hint.With(wrapped, "this kernel has no user namespaces (CONFIG_USER_NS)")
	}
	return wrapped
}

// Resume is the outside of a child that waits at its gate, by a connection to it (enter.Process.Gate).
func Resume(conn *os.File) *Process { return &Process{nil, conn} }

// Send writes the plan, as package enter encodes it.
func (p *Process) Send(write func(io.Writer) error) error {
	// A child that died tells why, or its death does: the reader of Events knows more than a broken pipe.
	if err := write(p.sock); err != nil && !errors.Is(err, unix.EPIPE) && !errors.Is(err, unix.ECONNRESET) {
		return fmt.Errorf("send plan: %w", err)
	}
	return nil
}

// Go lets the child execute the program.
func (p *Process) Go() error {
	return p.Send(func(w io.Writer) error { _, err := w.Write([]byte{'g'}); return err })
}

// Failure is package enter's, as bytes: userns doesn't know what the child does.
type failure struct {
	Message string
	Hints   []string
	Code    int
	Refused bool
}

// Refused is a failure of the root file system that another way of mounting it may not have.
type Refused struct{ error }

// Unwrap returns the failure itself.
func (r *Refused) Unwrap() error { return r.error }

// Failed tells whether the child has sent a failure or died, without waiting.
func (p *Process) Failed() bool {
	fds := []unix.PollFd{{Fd: int32(p.sock.Fd()), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0
}

// Next waits for the next word of the child: a letter with or without a descriptor, or io.EOF when the program was executed (or the
// child died without a word), or the error that it sent.
func (p *Process) Next() (byte, *os.File, error) {
	letter, fds, err := sys.Recv(int(p.sock.Fd()))
	if err != nil {
		return 0, nil, err
	}
	if letter == 'e' {
		return 0, nil, p.failure()
	}
	if len(fds) == 0 {
		return letter, nil, nil
	}
	if len(fds) != 1 {
		return 0, nil, fmt.Errorf("start container: message %q with %d descriptors", letter, len(fds))
	}
	return letter, os.NewFile(uintptr(fds[0]), "from child"), nil
}

func (p *Process) failure() error {
	b, err := io.ReadAll(io.LimitReader(p.sock, 1<<20))
	// A child that died with unread input resets the connection after its last word.
	if err != nil && !errors.Is(err, unix.ECONNRESET) {
		return fmt.Errorf("start container: %w", err)
	}
	var f failure
	if err := json.Unmarshal(b, &f); err != nil {
		return fmt.Errorf("start container: broken message: %w", err)
	}
	err = &hint.Exit{Code: f.Code, Err: hint.With(errors.New(f.Message), f.Hints...)}
	if f.Refused {
		err = &Refused{err}
	}
	return err
}

// Abort kills and reaps the child.
func (p *Process) Abort() {
	p.Kill()
	p.Wait()
	p.sock.Close()
}

// Run executes a program of the host (a Tool or a Remove plan) in a user and mount namespace of its own and waits for it.
func Run(c Config, plan func(io.Writer) error) (syscall.WaitStatus, error) {
	p, err := Spawn(c, plan)
	if err != nil {
		return 0, err
	}
	return p.Wait()
}

// Spawn is Run that doesn't wait.
func Spawn(c Config, plan func(io.Writer) error) (*Process, error) {
	p, err := Start(c)
	if err != nil {
		return nil, err
	}
	if err := p.Send(plan); err != nil {
		p.Abort()
		return nil, err
	}
	if _, _, err := p.Next(); err != io.EOF {
		p.Abort()
		return nil, err
	}
	return p, nil
}
