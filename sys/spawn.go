package sys

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Spawn is the start of a program in other namespaces. It does what syscall.StartProcess can't: it enters existing namespaces,
// a user namespace among them, which the kernel grants to a process with one thread only (setns(2)); and what it executes is a
// file that the new process and all that it starts can't write to, even where it is their user's (CVE-2019-5736).
//
// The work of the child is compiled to a table of system calls before the fork: a child of a program with many threads can run
// no other Go code.
type Spawn struct {
	// Path is the program, Argv and Env what it is told.
	Path      string
	Argv, Env []string
	// Files become descriptors 0, 1, …; nothing else is inherited.
	Files []*os.File
	// Join are namespaces to enter first, the user namespace before those that belong to it (setns(2)).
	Join []*os.File
	// Flags are CLONE_NEW* of new namespaces. CLONE_NEWCGROUP is unshared by the child, when it is in its cgroup.
	Flags uintptr
	// Cgroup is the directory of the cgroup v2 to start in, or nil (CLONE_INTO_CGROUP, Linux 5.7).
	Cgroup *os.File
	// AmbientCaps keeps all capabilities over the execve, for a child whose uid isn't mapped yet (capabilities(7)).
	AmbientCaps bool
	// Pdeathsig is sent to the child when the calling thread ends (prctl(2), PR_SET_PDEATHSIG); 0 is none.
	Pdeathsig syscall.Signal
}

// step tells the child's loop what is special about a call.
type step uint8

const (
	plain step = iota
	may        // its failure doesn't count
	seal       // its failure means that there is no read-only mount of the program
	same       // no call: is what was opened the program that runs here?
	fork       // the old process reports the new one and exits
)

// call is one system call of the child. An argument may be the result of an earlier call.
type call struct {
	nr     uintptr
	args   [6]uintptr
	from   [6]int // 1 + the index of the call whose result is the argument
	what   step
	result uintptr
}

// table is the child's work. The memory that it points to by numbers is kept by keep.
type table struct {
	calls     []call
	keep      []any
	mine, its unix.Stat_t // the program as the parent knows it, and what the child opened
	said      [2]uint64   // what the child tells the parent: index+1 and errno, or 0 and a pid
	pipe      uintptr
	pidfd     int32
}

func (t *table) add(what step, nr uintptr, args ...uintptr) int {
	c := call{nr: nr, what: what}
	copy(c.args[:], args)
	t.calls = append(t.calls, c)
	return len(t.calls) - 1
}

// addTo is add with the result of call i as the first argument.
func (t *table) addTo(i int, what step, nr uintptr, args ...uintptr) int {
	at := t.add(what, nr, append([]uintptr{0}, args...)...)
	t.calls[at].from[0] = i + 1
	return at
}

func (t *table) pointer(p unsafe.Pointer) uintptr {
	t.keep = append(t.keep, p)
	return uintptr(p)
}

func (t *table) text(s string) uintptr {
	p, err := unix.BytePtrFromString(s)
	if err != nil { // a NUL, which no path has
		return 0
	}
	return t.pointer(unsafe.Pointer(p))
}

// above is a descriptor above all that the child is given, and no higher than it must be: a user's limit may be low (ulimit -n).
func (s *Spawn) above() uintptr { return uintptr(max(len(s.Files), 16)) }

// compile writes the table. memfd is a sealed copy of the program, or -1: then a read-only mount of it is made.
func (s *Spawn) compile(memfd int) (*table, error) {
	argv, err := syscall.SlicePtrFromStrings(s.Argv)
	if err != nil {
		return nil, err
	}
	env, err := syscall.SlicePtrFromStrings(s.Env)
	if err != nil {
		return nil, err
	}
	t := &table{pidfd: -1, keep: []any{argv, env}}
	exe := t.add(may, unix.SYS_FCNTL, uintptr(memfd), unix.F_DUPFD_CLOEXEC, s.above())
	if len(s.Join) > 0 {
		exe = s.join(t, exe, memfd < 0)
		s.addFork(t)
		s.joinCgroup(t)
	} else if memfd < 0 {
		exe = s.mountSelf(t)
	}
	if s.Pdeathsig != 0 {
		t.add(plain, unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(s.Pdeathsig))
	}
	if s.Flags&unix.CLONE_NEWCGROUP != 0 {
		t.add(plain, unix.SYS_UNSHARE, unix.CLONE_NEWCGROUP)
	}
	if s.AmbientCaps {
		t.ambient()
	}
	s.descriptors(t)
	t.addTo(exe, plain, unix.SYS_EXECVEAT, t.text(""), uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&env[0])), unix.AT_EMPTY_PATH)
	return t, nil
}

// join enters the namespaces. The program is looked up before the mount namespace is left, in a copy of it, which belongs to
// the user namespace that was entered before.
func (s *Spawn) join(t *table, exe int, mount bool) int {
	for _, f := range s.Join {
		kind, _ := unix.IoctlRetInt(int(f.Fd()), unix.NS_GET_NSTYPE)
		if mount && kind != unix.CLONE_NEWUSER {
			t.add(seal, unix.SYS_UNSHARE, unix.CLONE_NEWNS)
			exe, mount = s.mountSelf(t), false
		}
		if kind != unix.CLONE_NEWCGROUP {
			t.add(plain, unix.SYS_SETNS, f.Fd(), uintptr(kind))
		}
	}
	if mount {
		t.add(seal, unix.SYS_UNSHARE, unix.CLONE_NEWNS)
		exe = s.mountSelf(t)
	}
	return exe
}

// joinCgroup enters the cgroup namespace, by the process that stays: seen from inside a cgroup namespace the cgroup that the caller comes
// from is no place at all, and nobody is cloned from there (ENOENT; cgroup-v2.rst, "nsdelegate").
func (s *Spawn) joinCgroup(t *table) {
	for _, f := range s.Join {
		if kind, _ := unix.IoctlRetInt(int(f.Fd()), unix.NS_GET_NSTYPE); kind == unix.CLONE_NEWCGROUP {
			t.add(plain, unix.SYS_SETNS, f.Fd(), unix.CLONE_NEWCGROUP)
		}
	}
}

// joins tells whether a namespace of this kind is among those to enter.
func (s *Spawn) joins(kind int) bool {
	return slices.ContainsFunc(s.Join, func(f *os.File) bool {
		k, err := unix.IoctlRetInt(int(f.Fd()), unix.NS_GET_NSTYPE)
		return err == nil && k == kind
	})
}

// cloneArgs is struct clone_args (clone(2)), without what is zero here at its end.
type cloneArgs struct {
	flags, pidfd, childTID, parentTID, exitSignal, stack, stackSize, tls, setTID, setTIDSize, cgroup uint64
}

// addFork makes the process that stays: it is in the entered pid namespace, which a setns(2) gives to children only, and it is
// the caller's own child.
func (s *Spawn) addFork(t *table) {
	flags := s.Flags&^unix.CLONE_NEWCGROUP | unix.CLONE_PARENT
	if !s.joins(unix.CLONE_NEWTIME) { // which is entered by a copy of the memory only, before Linux 6.0
		flags |= sharing
	}
	if s.Cgroup == nil {
		t.add(fork, unix.SYS_CLONE, flags|uintptr(unix.SIGCHLD))
		return
	}
	// With CLONE_PARENT the exit signal is the parent's own.
	a := &cloneArgs{flags: uint64(flags | unix.CLONE_INTO_CGROUP), cgroup: uint64(s.Cgroup.Fd())}
	t.add(fork, unix.SYS_CLONE3, t.pointer(unsafe.Pointer(a)), unsafe.Sizeof(*a))
}

// mountSelf opens the program by its path (the magic link in /proc leads to a mount of another namespace, which may not be
// copied) as a mount of its own, makes sure that it is the program that runs here, and makes that mount read-only.
func (s *Spawn) mountSelf(t *table) int {
	path, err := os.Readlink(s.Path)
	if err != nil {
		path = s.Path
	}
	cwd := unix.AT_FDCWD
	tree := t.add(seal, unix.SYS_OPEN_TREE, uintptr(cwd), t.text(path), unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	high := t.addTo(tree, seal, unix.SYS_FCNTL, unix.F_DUPFD_CLOEXEC, s.above())
	t.addTo(high, seal, unix.SYS_FSTAT, uintptr(unsafe.Pointer(&t.its)))
	t.add(same, 0)
	attr := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	t.addTo(high, seal, unix.SYS_MOUNT_SETATTR, t.text(""), unix.AT_EMPTY_PATH, t.pointer(unsafe.Pointer(attr)), unsafe.Sizeof(*attr))
	return high
}

// ambient raises all capabilities (capabilities(7), "ambient"). Those that the kernel doesn't know fail; all do where the user
// namespace is not a new one, and its root has fewer: it keeps what it has over an execve anyway.
func (t *table) ambient() {
	header := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := &[2]unix.CapUserData{}
	for i := range data {
		half := uint32((uint64(1)<<(unix.CAP_LAST_CAP+1) - 1) >> (32 * i))
		data[i] = unix.CapUserData{Effective: half, Permitted: half, Inheritable: half}
	}
	t.add(may, unix.SYS_CAPSET, t.pointer(unsafe.Pointer(header)), t.pointer(unsafe.Pointer(data)))
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		t.add(may, unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, c)
	}
}

// descriptors puts the files into their places, all of them out of the way first.
func (s *Spawn) descriptors(t *table) {
	first := len(t.calls)
	for _, f := range s.Files {
		t.add(plain, unix.SYS_FCNTL, f.Fd(), unix.F_DUPFD_CLOEXEC, s.above())
	}
	for i := range s.Files {
		t.addTo(first+i, plain, unix.SYS_DUP3, uintptr(i))
	}
}

// Start makes the child. The caller must be locked to its thread when Pdeathsig is set.
func (s *Spawn) Start() (*Process, error) {
	p, err := s.start(-1)
	if !errors.Is(err, errUnsealed) {
		return p, err
	}
	memfd, err := SealedCopy(s.Path)
	if err != nil {
		return nil, err
	}
	defer unix.Close(memfd)
	return s.start(memfd)
}

// errUnsealed: no read-only mount of the program can be made; a copy in memory does as well, at the price of copying.
var errUnsealed = errors.New("no read-only mount of the program")

func (s *Spawn) start(memfd int) (*Process, error) {
	t, err := s.compile(memfd)
	if err != nil {
		return nil, err
	}
	if err := unix.Stat(s.Path, &t.mine); err != nil {
		return nil, &os.PathError{Op: "stat", Path: s.Path, Err: err}
	}
	var pipe [2]int
	// Nobody else forks between the making of descriptors here and the fork.
	syscall.ForkLock.Lock()
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		syscall.ForkLock.Unlock()
		return nil, os.NewSyscallError("pipe2", err)
	}
	t.pipe = uintptr(pipe[1])
	pid, errno := t.fork(s.first())
	syscall.ForkLock.Unlock()
	runtime.KeepAlive(t)
	runtime.KeepAlive(s)
	unix.Close(pipe[1])
	defer unix.Close(pipe[0])
	if errno != 0 {
		return nil, os.NewSyscallError("clone", errno)
	}
	return s.reap(t, pid, pipe[0])
}

// first is the fork of the child itself, or of the one that enters namespaces and forks again.
func (s *Spawn) first() *cloneArgs {
	a := &cloneArgs{flags: sharing | unix.CLONE_PIDFD, exitSignal: uint64(unix.SIGCHLD)}
	if len(s.Join) > 0 {
		if s.joins(unix.CLONE_NEWTIME) {
			a.flags &^= sharing // nobody else may use the memory of who enters one (setns(2))
		}
		return a
	}
	a.flags |= uint64(s.Flags &^ unix.CLONE_NEWCGROUP)
	if s.Cgroup != nil {
		a.flags |= unix.CLONE_INTO_CGROUP
		a.cgroup = uint64(s.Cgroup.Fd())
	}
	return a
}

// reap hears the child out: how far it came, and who stays. Of two, the later one speaks first when it fails.
func (s *Spawn) reap(t *table, pid int, pipe int) (*Process, error) {
	p := &Process{Pid: pid, pidfd: int(t.pidfd)}
	var failed error
	for {
		var said [2]uint64
		n, err := unix.Read(pipe, unsafe.Slice((*byte)(unsafe.Pointer(&said)), 16))
		switch {
		case err == unix.EINTR:
		case err != nil || n != 16: // closed by execve, or by a death that Wait will tell
			if failed != nil {
				p.Wait()
				unix.Close(p.pidfd)
				return nil, failed
			}
			return p, nil
		case said[0] == 0:
			p.Wait()
			unix.Close(p.pidfd)
			p.Pid = int(said[1])
			if p.pidfd, err = unix.PidfdOpen(p.Pid, 0); err != nil {
				return nil, os.NewSyscallError("pidfd_open", err)
			}
		default:
			failed = t.failure(int(said[0])-1, unix.Errno(said[1]))
		}
	}
}

func (t *table) failure(at int, errno unix.Errno) error {
	c := t.calls[at]
	if c.what == seal || c.what == same {
		return fmt.Errorf("%w: %w", errUnsealed, errno)
	}
	name, ok := map[uintptr]string{unix.SYS_SETNS: "setns", unix.SYS_UNSHARE: "unshare", unix.SYS_CLONE: "clone", unix.SYS_CLONE3: "clone3",
		unix.SYS_EXECVEAT: "execve", unix.SYS_CAPSET: "capset"}[c.nr]
	if !ok {
		name = "system call " + strconv.Itoa(int(c.nr))
	}
	return os.NewSyscallError(name, errno)
}

// The runtime's own preparations for a fork, as package syscall calls them; runtime/proc.go allows others to.
//
//go:linkname beforeFork syscall.runtime_BeforeFork
func beforeFork()

//go:linkname afterFork syscall.runtime_AfterFork
func afterFork()

//go:linkname afterForkInChild syscall.runtime_AfterForkInChild
func afterForkInChild()

// fork clones the process, or makes a child in its memory: what the child writes there is of the table. It never comes back
// from run.
//
//go:norace
//go:noinline
func (t *table) fork(a *cloneArgs) (pid int, errno syscall.Errno) {
	var r, e uintptr
	beforeFork()
	if a.flags&unix.CLONE_INTO_CGROUP != 0 {
		a.pidfd = uint64(uintptr(unsafe.Pointer(&t.pidfd)))
		r, e = vfork(unix.SYS_CLONE3, uintptr(unsafe.Pointer(a)), unsafe.Sizeof(*a), 0)
	} else {
		r, e = vfork(unix.SYS_CLONE, uintptr(a.flags|a.exitSignal), 0, uintptr(unsafe.Pointer(&t.pidfd)))
	}
	runtime.KeepAlive(a)
	if e != 0 || r != 0 {
		afterFork()
		return int(r), syscall.Errno(e)
	}
	afterForkInChild()
	t.run()
	return 0, 0
}

// run is all that the child does. It may neither grow its stack nor allocate, nor be interrupted by the runtime.
//
//go:norace
//go:nosplit
//go:nocheckptr
func (t *table) run() {
	for i := 0; i < len(t.calls); i++ {
		c := &t.calls[i]
		for k := 0; k < len(c.from); k++ {
			if c.from[k] > 0 {
				c.args[k] = t.calls[c.from[k]-1].result
			}
		}
		if c.what == same {
			if t.mine.Dev != t.its.Dev || t.mine.Ino != t.its.Ino {
				t.tell(i+1, uint64(unix.ESTALE))
			}
			continue
		}
		if c.what == fork {
			r, e := vfork(c.nr, c.args[0], c.args[1], 0)
			if e != 0 {
				t.tell(i+1, uint64(e))
			}
			if r != 0 { // Here, the new process may have used this stack: nothing that it changes counts any more.
				t.tell(0, uint64(r))
			}
			continue
		}
		r, _, e := syscall.RawSyscall6(c.nr, c.args[0], c.args[1], c.args[2], c.args[3], c.args[4], c.args[5])
		c.result = r
		if e != 0 && c.what != may {
			t.tell(i+1, uint64(e))
		}
	}
}

// tell is the child's last word.
//
//go:norace
//go:nosplit
//go:nocheckptr
func (t *table) tell(what int, value uint64) {
	t.said[0], t.said[1] = uint64(what), value
	syscall.RawSyscall(unix.SYS_WRITE, t.pipe, uintptr(unsafe.Pointer(&t.said)), 16)
	for {
		syscall.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
}

// SealedCopy is a copy of the file at path in memory that nobody can change (memfd_create(2)).
func SealedCopy(path string) (int, error) {
	self, err := os.Open(path)
	if err != nil {
		return -1, err
	}
	defer self.Close()
	fd, err := unix.MemfdCreate("rl", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3
		fd, err = unix.MemfdCreate("rl", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return -1, os.NewSyscallError("memfd_create", err)
	}
	st, err := self.Stat()
	if err != nil {
		return -1, err
	}
	for left := st.Size(); left > 0; {
		n, err := unix.Sendfile(fd, int(self.Fd()), nil, int(left))
		if err != nil || n == 0 {
			unix.Close(fd)
			return -1, fmt.Errorf("copy %s: %w", path, err)
		}
		left -= int64(n)
	}
	seals := unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals)
	return fd, os.NewSyscallError("fcntl F_ADD_SEALS", err)
}
