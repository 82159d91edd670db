package sys

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
)

// Process is a child of this process, by pidfd: a signal can't hit another process that got its number.
type Process struct {
	Pid   int
	pidfd int
}

// StartProcess executes path with argv in a child. It is os.StartProcess without the fork by which package os first learns
// whether the kernel has pidfds; Linux 5.4 and later do.
func StartProcess(path string, argv []string, attr *syscall.ProcAttr) (*Process, error) {
	p := &Process{pidfd: -1}
	if attr.Sys == nil {
		attr.Sys = &syscall.SysProcAttr{}
	}
	attr.Sys.PidFD = &p.pidfd
	hint.Logf(hint.LevelDebug, "execute %s", argv)
	pid, _, err := syscall.StartProcess(path, argv, attr)
	if err != nil {
		return nil, &os.PathError{Op: "execute", Path: path, Err: err}
	}
	p.Pid = pid
	return p, nil
}

// Sibling is the path of another of rl's programs: beside this one, or in ../libexec/rl of it; "" where it is missing.
func Sibling(name string) string {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return ""
	}
	dir := filepath.Dir(self)
	for _, path := range []string{filepath.Join(dir, name), filepath.Join(dir, "../libexec/rl", name)} {
		if unix.Access(path, unix.X_OK) == nil {
			return path
		}
	}
	return ""
}

// FindProcess is the process pid, if it is the one that started at that time (StartTime).
func FindProcess(pid int, start uint64) (*Process, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, os.NewSyscallError("pidfd_open", err)
	}
	if now, err := StartTime(pid); err != nil || now != start {
		unix.Close(fd)
		return nil, os.NewSyscallError("pidfd_open", unix.ESRCH)
	}
	return &Process{pid, fd}, nil
}

// Child is a process that this one, or the program that it executed before, has started and not waited for.
func Child(pid int) (*Process, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, os.NewSyscallError("pidfd_open", err)
	}
	return &Process{pid, fd}, nil
}

// Close lets go of the process, which lives on.
func (p *Process) Close() { unix.Close(p.pidfd) }

// Ended waits until the process, any process, has ended, at most so many milliseconds (-1: for ever).
func (p *Process) Ended(timeout int) bool {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(p.pidfd), Events: unix.POLLIN}}, timeout)
		if err != unix.EINTR {
			return n > 0
		}
	}
}

// Signal sends s. A process that has ended is no error.
func (p *Process) Signal(s syscall.Signal) error {
	err := unix.PidfdSendSignal(p.pidfd, s, nil, 0)
	if err == unix.ESRCH {
		return nil
	}
	return os.NewSyscallError("pidfd_send_signal", err)
}

// Kill sends SIGKILL.
func (p *Process) Kill() error { return p.Signal(unix.SIGKILL) }

// Wait waits for the end and reaps. It is called once.
func (p *Process) Wait() (syscall.WaitStatus, error) {
	var status syscall.WaitStatus
	for {
		_, err := syscall.Wait4(p.Pid, &status, 0, nil)
		if err == nil {
			return status, nil
		}
		if err != syscall.EINTR {
			return status, os.NewSyscallError("wait4", err)
		}
	}
}

// WaitIdle is Wait that costs no thread.
func (p *Process) WaitIdle() (syscall.WaitStatus, error) {
	p.EndedIdle()
	return p.Wait()
}

// EndedIdle waits until the process, any process, has ended. It costs no thread: the runtime's poller watches the pidfd.
func (p *Process) EndedIdle() {
	if fd, err := unix.FcntlInt(uintptr(p.pidfd), unix.F_DUPFD_CLOEXEC, 0); err == nil {
		unix.SetNonblock(fd, true) // by which package os knows that it can be polled
		f := os.NewFile(uintptr(fd), "pidfd")
		defer f.Close()
		if conn, err := f.SyscallConn(); err == nil {
			conn.Read(func(uintptr) bool { return p.Ended(0) })
		}
	}
	p.Ended(-1) // where the poller can't
}

// Describe is how a process ended, in words.
func Describe(status syscall.WaitStatus) string {
	if status.Signaled() {
		return "signal: " + status.Signal().String()
	}
	return fmt.Sprintf("exit status %d", status.ExitStatus())
}

// Descriptors are the numbers of files, for syscall.ProcAttr.
func Descriptors(files ...*os.File) []uintptr {
	fds := make([]uintptr, len(files))
	for i, f := range files {
		fds[i] = f.Fd()
	}
	return fds
}

// BootID names this boot of the machine (proc(5), /proc/sys/kernel/random/boot_id).
func BootID() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b))
}

// StartTime is when pid started, in clock ticks after boot (proc(5), stat field 22).
func StartTime(pid int) (uint64, error) {
	_, start, err := Stat(pid)
	return start, err
}

// Stat is the state of pid (proc(5), stat field 3: R, S, D, T stopped, Z ended and not waited for …) and its StartTime.
func Stat(pid int) (state byte, start uint64, err error) {
	var line [statSize]byte
	rest, err := readStat(pid, &line)
	for field := 3; err == nil && field < 22; field++ {
		var word []byte
		if word, rest, _ = bytes.Cut(rest, []byte(" ")); field == 3 && len(word) > 0 {
			state = word[0]
		}
	}
	if err != nil {
		return 0, 0, err
	}
	word, _, _ := bytes.Cut(rest, []byte(" "))
	start, err = strconv.ParseUint(string(word), 10, 64)
	return state, start, err
}

// Zombie tells whether pid has ended and only waits for its parent to notice, or is gone.
func Zombie(pid int) bool {
	fields, err := StatFields(pid)
	return err != nil || fields[0] == "Z" || fields[0] == "X"
}

// Parent is the process that pid is a child of; 0 when pid is gone.
func Parent(pid int) int {
	fields, err := StatFields(pid)
	if err != nil {
		return 0
	}
	parent, _ := strconv.Atoi(fields[1])
	return parent
}

// StatFields are those of /proc/PID/stat from the third, the state, on.
func StatFields(pid int) ([]string, error) {
	var line [statSize]byte
	b, err := readStat(pid, &line)
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(string(b))
	if len(fields) < 20 {
		return nil, fmt.Errorf("stat of process %d: %d fields", pid, len(fields))
	}
	return fields, nil
}

// statSize is more than 52 numbers and a name of 64 bytes take: one read has the whole line. os.ReadFile would ask thrice as much of the
// kernel.
const statSize = 2048

// readStat is /proc/PID/stat from the third field on. The name before that, in parentheses, may hold anything, parentheses too.
func readStat(pid int, line *[statSize]byte) ([]byte, error) {
	path := "/proc/" + strconv.Itoa(pid) + "/stat"
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	n, err := unix.Read(fd, line[:])
	if err != nil {
		return nil, &os.PathError{Op: "read", Path: path, Err: err}
	}
	b := line[:n]
	return bytes.TrimPrefix(b[bytes.LastIndexByte(b, ')')+1:], []byte(" ")), nil
}

// EmptyKeyring leaves the caller's session keyring for an empty one that all containers of the user share: one of their own
// would use up kernel.keys.maxkeys after 200 containers. Where there is no room even for that, none is the next best thing;
// the default seccomp profile has no keyctl anyway.
func EmptyKeyring() { unix.KeyctlJoinSessionKeyring("rl") }

// Stopped tells whether pid stands still after SIGSTOP.
func Stopped(pid int) bool {
	fields, err := StatFields(pid)
	return err == nil && fields[0] == "T"
}
