package enter

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/sys"
)

// run becomes the user and executes the program. The order is the security of it:
// everything that needs capabilities, then fewer and fewer rights, then "go", then execve.
func run(plan *Plan) error {
	p := &plan.Process
	root, err := sys.OpenRoot("/")
	if err != nil {
		return err
	}
	id, err := lookup(root, p)
	if err != nil {
		return err
	}
	p.Env = setEnv(p.Env, "HOME", id.home)
	cwd, err := openWorkdir(root, p.Cwd)
	if err != nil {
		return err
	}
	if err := prepare(p, id); err != nil {
		return err
	}
	early := unix.Fchdir(cwd) // as root: a home may be closed to whoever the program runs as
	if err := dropRights(p, id); err != nil {
		return err
	}
	if err := workdir(p.Cwd, cwd, early); err != nil {
		return err
	}
	exe, err := find(p)
	if err != nil {
		return err
	}
	if p.Gate > 0 {
		err = pass(p.Gate)
	} else {
		err = waitGo()
	}
	if err != nil {
		return err
	}
	return execute(plan, exe)
}

// makeWorkdir makes a missing working directory, as docker and runc do, while the root file system can still be written to. Whether
// that worked shows when it is opened.
func (b *builder) makeWorkdir() error {
	if fd, err := b.root.Target(b.plan.Process.Cwd, false); err == nil {
		unix.Close(fd)
	}
	return nil
}

// startHooks run with the program's environment unless they have their own.
func startHooks(plan *Plan) error {
	hooks := plan.Process.StartHooks
	for i := range hooks {
		if hooks[i].Env == nil {
			hooks[i].Env = plan.Process.Env
		}
	}
	return sys.RunHooks("startContainer", hooks, plan.State)
}

// openWorkdir opens the working directory below the root, no magic link followed: a name like /proc/self/fd/7 could lead out of
// it (CVE-2024-21626).
func openWorkdir(root *sys.Root, cwd string) (int, error) {
	fd, err := root.Open(cwd, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return -1, hint.With(fmt.Errorf("chdir to working directory %s: %w", cwd, err), "it must be a directory of the container (-w, process.cwd)")
	}
	return fd, nil
}

// workdir changes to the directory behind fd as the user, where root could not: as root of a network file system isn't one.
func workdir(name string, fd int, early error) error {
	defer unix.Close(fd)
	if early == nil {
		return nil
	}
	if err := unix.Fchdir(fd); err != nil {
		return hint.With(fmt.Errorf("chdir to working directory %s: %w", name, err), "-w must name a directory that the user of the container can enter")
	}
	return nil
}

// prepare does what still needs the rights of the container's root.
func prepare(p *Process, id *identity) error {
	for _, l := range p.Rlimits {
		if err := setRlimit(l); err != nil {
			return err
		}
	}
	if p.IDs == nil || p.Terminal {
		for fd := range 3 {
			ownStdio(fd, id)
		}
	}
	if _, err := unix.Setsid(); err != nil {
		return fmt.Errorf("new session: %w", err)
	}
	if p.Terminal {
		if err := unix.IoctlSetInt(0, unix.TIOCSCTTY, 0); err != nil {
			return fmt.Errorf("controlling terminal: %w", err)
		}
	}
	return p.Scheduling.Apply()
}

// ownStdio gives pipes and the terminal to the user, so that a program that is not root can open /dev/stdout again. Files
// and devices of the host are never in these places (package container passes pipes and the null device only).
func ownStdio(fd int, id *identity) {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return
	}
	pty := st.Mode&unix.S_IFMT == unix.S_IFCHR && unix.Major(st.Rdev) >= 136 && unix.Major(st.Rdev) <= 143
	if st.Mode&unix.S_IFMT == unix.S_IFIFO {
		unix.Fchown(fd, id.uid, id.gid) // refused in a single-id namespace: then the user is root and needs it not
	} else if pty {
		unix.Fchown(fd, id.uid, int(st.Gid))
	}
}

func setRlimit(l Rlimit) error {
	want := unix.Rlimit{Cur: l.Soft, Max: l.Hard}
	if l.Clamp {
		var now unix.Rlimit
		if err := unix.Prlimit(0, l.Type, nil, &now); err != nil {
			return os.NewSyscallError("prlimit", err)
		}
		want.Max = min(want.Max, now.Max)
		want.Cur = min(want.Cur, want.Max)
	}
	if err := unix.Prlimit(0, l.Type, &want, nil); err != nil {
		err = fmt.Errorf("set resource limit %s to %s:%s: %w", l.Name, limit(l.Soft), limit(l.Hard), err)
		if errors.Is(err, unix.EPERM) {
			return hint.With(err, "a user can't raise a hard limit: ulimit -H -a shows yours")
		}
		return err
	}
	return nil
}

func limit(n uint64) string {
	if n == unix.RLIM_INFINITY {
		return "unlimited"
	}
	return strconv.FormatUint(n, 10)
}

// dropRights leaves the thread with the rights of the program and no more.
func dropRights(p *Process, id *identity) error {
	if err := sys.DropBounding(p.Caps.Bounding); err != nil {
		return err
	}
	// Without no_new_privs a filter can only be installed with CAP_SYS_ADMIN, so before the capabilities go.
	if !p.NoNewPrivs {
		if err := install(p); err != nil {
			return err
		}
	}
	if err := unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl PR_SET_KEEPCAPS", err)
	}
	if err := become(id, p); err != nil {
		return err
	}
	caps := p.Caps
	if id.uid != 0 && p.IDs == nil {
		// As execve would leave them for a user that is not root: nothing but what is ambient.
		caps.Permitted, caps.Effective = caps.Ambient, caps.Ambient
		caps.Inheritable = caps.Ambient
	}
	if err := sys.SetCaps(caps); err != nil {
		return err
	}
	resetSignals()
	if p.Umask != nil {
		unix.Umask(int(*p.Umask))
	}
	if p.Detached {
		return nil
	}
	return stayTied()
}

func install(p *Process) error {
	for _, f := range p.Seccomp {
		var err error
		if p.Notify > 0 {
			err = newAgent(p).install(f, p.SeccompFlags)
		} else {
			_, err = sys.InstallFilter(f, p.SeccompFlags)
		}
		if err != nil {
			return hint.With(fmt.Errorf("install seccomp filter: %w", err), "--security-opt seccomp=unconfined starts without one")
		}
	}
	return nil
}

// stayTied makes the kernel kill this process when rl dies. A change of credentials clears the wish (prctl(2)), so it comes
// after the last one; and rl may have died before it was made.
func stayTied() error {
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl PR_SET_PDEATHSIG", err)
	}
	var b [1]byte
	n, _, err := unix.Recvfrom(Sock, b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	if n == 0 && err == nil {
		return errGone
	}
	return nil
}

// find resolves the program as execvp(3) does, with docker's exit codes: 127 not found, 126 can't be executed.
func find(p *Process) (string, error) {
	if len(p.Args) == 0 {
		return "", nil
	}
	name := p.Args[0]
	switch {
	case name == "":
		return "", notFound(name)
	case strings.Contains(name, "/"):
		return name, check(name)
	}
	var denied error
	for _, dir := range searchPath(p.Env) {
		if !path.IsAbs(dir) {
			dir = path.Join(p.Cwd, dir)
		}
		full := path.Join(dir, name)
		err := check(full)
		if err == nil {
			return full, nil
		}
		var exit *hint.Exit
		if errors.As(err, &exit) && exit.Code == 126 && denied == nil {
			denied = err
		}
	}
	if denied != nil {
		return "", denied
	}
	return "", notFound(name)
}

func notFound(name string) error {
	return &hint.Exit{Code: 127, Err: hint.Errorf("is it in the image? rl run --rm -it --entrypoint sh IMAGE", "%q: executable file not found in $PATH", name)}
}

func searchPath(env []string) []string {
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, "PATH="); ok {
			return strings.Split(v, ":")
		}
	}
	return []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}
}

func check(name string) error {
	var st unix.Stat_t
	err := unix.Stat(name, &st)
	switch {
	case err == unix.ENOENT || err == unix.ENOTDIR:
		return &hint.Exit{Code: 127, Err: fmt.Errorf("%q: no such file or directory", name)}
	case err != nil:
		return &hint.Exit{Code: 126, Err: fmt.Errorf("%q: %w", name, err)}
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return &hint.Exit{Code: 126, Err: fmt.Errorf("%q: is a directory", name)}
	case unix.Faccessat(unix.AT_FDCWD, name, unix.X_OK, unix.AT_EACCESS) != nil:
		return &hint.Exit{Code: 126, Err: hint.Errorf("chmod +x it in the image, or start it by its interpreter", "%q: permission denied", name)}
	}
	return nil
}

// execute is the end of rl in this process.
func execute(plan *Plan, exe string) error {
	p := &plan.Process
	if len(p.Args) == 0 {
		return errors.New("there is no process to start: process is not set")
	}
	args, fd := p.Args, -1
	if p.Init {
		var err error
		// rl stays in the container: its /proc/1/exe must not be a way to the user's own rl (CVE-2019-5736).
		if fd, err = sys.SealedCopy("/proc/self/exe"); err != nil {
			return fmt.Errorf("make --init: %w", err)
		}
		args = append([]string{"rl-init", exe}, p.Args...)
	}
	if p.NoNewPrivs {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return os.NewSyscallError("prctl PR_SET_NO_NEW_PRIVS", err)
		}
	}
	sock, err := preserve(p.Preserve)
	if err != nil {
		return err
	}
	if p.NoNewPrivs {
		// The last thing: from here on only execve is called, by hooks and by this thread.
		if err := install(p); err != nil {
			return err
		}
	}
	if err := startHooks(plan); err != nil {
		unix.Dup3(sock, Sock, unix.O_CLOEXEC) // back, to tell of it
		return err
	}
	if fd >= 0 {
		return explainExec(exe, execveat(fd, args, p.Env))
	}
	return explainExec(exe, unix.Exec(exe, args, p.Env))
}

// preserve puts the descriptors that the program is to get from 3 on. The socket to the outside moves out of the way: its end
// at execve is the news that the program runs.
func preserve(fds []int) (sock int, err error) {
	if len(fds) == 0 {
		return Sock, nil
	}
	above := 3 + len(fds) + Sock // the limit of open files may be small by now
	if sock, err = unix.FcntlInt(Sock, unix.F_DUPFD_CLOEXEC, above); err != nil {
		return Sock, fmt.Errorf("preserve descriptors: %w", err)
	}
	high := make([]int, len(fds))
	for i, fd := range fds {
		if high[i], err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, above); err != nil {
			return Sock, fmt.Errorf("preserve descriptor %d: %w", 3+i, err)
		}
	}
	for i, fd := range high {
		if err := unix.Dup3(fd, 3+i, 0); err != nil {
			return sock, fmt.Errorf("preserve descriptor %d: %w", 3+i, err)
		}
	}
	return sock, nil
}

func explainExec(exe string, err error) error {
	code := 126
	wrapped := fmt.Errorf("%q: %w", exe, err)
	switch {
	case errors.Is(err, unix.ENOENT):
		code, wrapped = 127, hint.With(wrapped, "the file is there: its interpreter (first line after #!) or dynamic loader is missing in the image")
	case errors.Is(err, unix.ENOEXEC):
		wrapped = hint.With(wrapped, "a program for another CPU (rl run --platform …), or a script without #! line")
	case errors.Is(err, unix.E2BIG):
		wrapped = hint.With(wrapped, "arguments and environment together are too large for the kernel (getconf ARG_MAX; one of them 128 KiB)")
	}
	return &hint.Exit{Code: code, Err: wrapped}
}

// execveat executes the file behind fd (execveat(2), AT_EMPTY_PATH).
func execveat(fd int, args, env []string) error {
	argv, err := syscall.SlicePtrFromStrings(args)
	if err != nil {
		return err
	}
	envv, err := syscall.SlicePtrFromStrings(env)
	if err != nil {
		return err
	}
	empty, _ := unix.BytePtrFromString("")
	_, _, e := unix.RawSyscall6(unix.SYS_EXECVEAT, uintptr(fd), uintptr(unsafe.Pointer(empty)),
		uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&envv[0])), unix.AT_EMPTY_PATH, 0)
	return e
}

// resetSignals gives the program default dispositions and an empty mask, whatever rl's caller ignored or blocked.
func resetSignals() {
	for sig := uintptr(1); sig <= 64; sig++ {
		var def [4]uint64 // struct kernel_sigaction with SIG_DFL
		unix.RawSyscall6(unix.SYS_RT_SIGACTION, sig, uintptr(unsafe.Pointer(&def)), 0, 8, 0, 0)
	}
	var none unix.Sigset_t
	unix.PthreadSigmask(unix.SIG_SETMASK, &none, nil)
}

// setgroups is setgroups(2) for this thread.
func setgroups(gids []int) error {
	list := make([]uint32, max(1, len(gids)))
	for i, g := range gids {
		list[i] = uint32(g)
	}
	return errno(unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(gids)), uintptr(unsafe.Pointer(&list[0])), 0))
}
