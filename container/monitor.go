package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/enter"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/stdio"
	"github.com/rl-containers/rl/storage"
	"github.com/rl-containers/rl/sys"
)

// MonitorName is the role of rl that stays with a detached container, as argv[0]. It is one process with two programs, so that
// the memory of a start does not stay: one starts the container and executes the other, which watches it, and executes the first
// again for a restart. Children, descriptors and the lock outlast execve(2).
const MonitorName = storage.MonitorName

// The starting program's descriptors beside the standard ones: the container's directory with its lock, the socket on which the
// start is reported, and, when the caller watches from the first byte on, its connection.
const (
	lockFd = 3 + iota
	reportFd
	clientFd
)

// freshWord is the last argument of the monitor of a container that was made for this start.
const freshWord = "fresh"

// handOver starts the monitor of a container, which takes its lock over, and waits for the start of the program. With client, the
// far end of a connection, the caller is attached to it from its first byte on as word says. With the word of a leader it ends with that.
// fresh: it was made for this start, and goes with a caller that dies before that is reported.
func handOver(dir *storage.Container, leader string, client *os.File, word string, fresh bool) error {
	ours, theirs, err := sys.SocketPair()
	if err != nil {
		return err
	}
	defer ours.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	files := []*os.File{null, null, os.Stderr, dir.Lock(), theirs}
	args := []string{MonitorName, filepath.Base(dir.Dir)}
	if client != nil {
		files = append(files, client)
	}
	if fresh || leader != "" || client != nil {
		args = append(args, word, leader)
	}
	if fresh {
		args = append(args, freshWord)
	}
	attr := &syscall.ProcAttr{Dir: "/", Env: os.Environ(), Files: sys.Descriptors(files...), Sys: &syscall.SysProcAttr{Setsid: true}}
	p, err := sys.StartProcess("/proc/self/exe", args, attr)
	for _, f := range []*os.File{null, theirs, client} {
		if f != nil {
			f.Close()
		}
	}
	if err != nil {
		return fmt.Errorf("start monitor: %w", err)
	}
	defer p.Close()
	return readReport(ours)
}

// readReport is the outside of report.
func readReport(from *os.File) error {
	b, err := io.ReadAll(from)
	if err == nil && len(b) == 0 {
		err = errors.New("it was killed")
	}
	var f enter.Failure
	if err == nil {
		err = json.Unmarshal(b, &f)
	}
	if err != nil {
		return fmt.Errorf("start container: its monitor ended without a word: %w", err)
	}
	if f.Message == "" {
		return nil
	}
	return &hint.Exit{Code: f.Code, Err: hint.With(errors.New(f.Message), f.Hints...)}
}

// report tells the caller how the start went. Its error is the caller's death.
func report(to *os.File, err error) error {
	var f enter.Failure
	if err != nil {
		f = enter.Failure{Message: err.Error(), Hints: hint.Of(err), Code: exitCodeOf(err)}
	}
	b, _ := json.Marshal(f)
	_, err = to.Write(b)
	to.Close()
	return err
}

// starter is the starting program.
type starter struct {
	*run
	ends *stdio.Ends
	next handle // of the watching program
}

// Monitor is the role rl-monitor. It returns only when all is over.
func Monitor() int {
	term := notify([]os.Signal{syscall.SIGTERM}) // at its default, whatever was before execve, until now
	if err := sys.SealFds(lockFd); err != nil {
		return 125
	}
	dir, err := storage.Adopt(os.NewFile(lockFd, "container"))
	if err != nil {
		return 125
	}
	if len(os.Args) > 2 && strings.HasPrefix(os.Args[2], "{") {
		// It isn't locked to its thread, which would cost two more threads and their stacks: the first thread, from which the network's
		// helper has its life, lives as long as the process.
		return watch(dir, os.Args[2], term)
	}
	// The network's helper dies with this thread; execve is its own.
	runtime.LockOSThread()
	// systemd sends SIGHUP after SIGTERM to what a session leaves behind (SendSIGHUP=, systemd.kill(5)): it must not end who writes
	// the end down.
	signal.Ignore(syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT)
	to := os.NewFile(reportFd, "report")
	step("monitor: process %d", os.Getpid())
	s, err := adopt(dir)
	if err == nil {
		err = s.first()
	}
	if err != nil && s != nil {
		s.cleanUp(0, err)
	}
	if err == nil {
		tell(dir.Dir, eventOf(s.asRecorded(), "start"))
	}
	gone := report(to, err)
	switch {
	case err != nil:
	case gone != nil:
		// Nobody learns of the container: it is taken back.
		s.proc.Kill()
		status, err := s.proc.Wait()
		s.Remove = s.Remove || len(os.Args) > 4 && os.Args[4] == freshWord
		s.cleanUp(exitCode(status), err)
	default:
		quiet()
		s.goOn(term)
	}
	return 125
}

// adopt reads what is to be started.
func adopt(dir *storage.Container) (*starter, error) {
	c, err := ReadConfig(dir.Dir)
	if err != nil {
		return nil, err
	}
	rec, err := storage.ReadRecord(dir.Dir)
	if err != nil {
		return nil, err
	}
	r := &run{Request: c.Request, image: &c.Image, spec: c.Spec, id: filepath.Base(dir.Dir), dir: dir, old: true, running: make(chan struct{})}
	r.Name, r.Restart = rec.Name, rec.Restart
	if r.store, err = storage.Open(); err != nil {
		return nil, err
	}
	return &starter{run: r}, r.surroundings()
}

// first is the start that somebody asked for.
func (s *starter) first() error {
	s.dir.ForgetStop()
	if len(os.Args) > 3 {
		if word := os.Args[2]; word != "" {
			s.next.Clients = []clientHandle{{Fd: clientFd, Word: word}}
		}
		if s.next.Leader = os.Args[3]; s.next.Leader == scopeWord {
			s.next.Leader, s.scope = "", true
		}
	}
	socket, err := sys.Listen(filepath.Join(s.dir.Dir, attachSocket))
	if err != nil {
		return err
	}
	s.next.Socket = socket
	return s.begin()
}

// begin is one start.
func (s *starter) begin() (err error) {
	if err := s.makePlan(); err != nil {
		return err
	}
	// Tried here, where somebody is told; the watching program opens it again.
	if err := s.openLog(); err != nil {
		return err
	}
	if s.ends, err = stdio.OpenEnds(s.Options.Interactive, s.Options.TTY); err != nil {
		return err
	}
	s.io = s.ends
	return s.start()
}

// hold ignores SIGTERM from now on, over execve too, and says whether one came before. At its default it would leave a container
// without its monitor.
func hold(term chan os.Signal) (came bool) {
	signal.Ignore(syscall.SIGTERM)
	signal.Stop(term) // and all that came is in the channel
	return len(term) > 0
}

// goOn executes the watching program, which hears of the end that was asked for meanwhile.
func (s *starter) goOn(term chan os.Signal) {
	h := &s.next
	h.Asked = hold(term)
	h.Pid, h.TTY, h.Userns, h.Remove, h.StopSignal, h.StopTimeout = s.proc.Pid, s.Options.TTY, s.Options.Userns, s.Remove, s.spec.StopSignal, s.StopTimeout
	if s.RemoveImage {
		h.RemoveImage = s.Image
	}
	h.In, h.Out, h.Err, h.Listener = sys.Keep(s.ends.In), sys.Keep(s.ends.Out), sys.Keep(s.ends.Err), sys.Keep(h.Socket)
	h.Net = s.net.HandOver(s.dir.Dir)
	h.tellHealth(s.spec)
	h.Log, h.Who, h.Timeout = s.Log, s.who(), s.Timeout
	if s.fuse != nil {
		h.Fuse = s.fuse.Pid
	}
	for _, c := range h.Clients {
		unix.FcntlInt(uintptr(c.Fd), unix.F_SETFD, 0)
	}
	s.become(h)
}

// become executes rl again, in this process.
func (r *run) become(h *handle) {
	b, err := json.Marshal(h)
	if err == nil {
		unix.FcntlInt(lockFd, unix.F_SETFD, 0)
		err = syscall.Exec("/proc/self/exe", []string{MonitorName, r.id, string(b)}, monitorEnv(h))
	}
	r.cleanUp(0, fmt.Errorf("monitor container: %w", err))
}

// oneP keeps the Go runtime of the watching program small: fewer caches and threads.
const oneP = "GOMAXPROCS=1"

func monitorEnv(h *handle) []string {
	env := slices.DeleteFunc(os.Environ(), func(e string) bool { return e == oneP })
	if !h.Again {
		env = append(env, oneP)
	}
	return env
}

// quiet lets go of the caller's standard error: a pipe that the caller's caller reads to its end must have one.
func quiet() {
	if null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0); err == nil {
		unix.Dup3(null, 2, 0)
		unix.Close(null)
	}
}

// backOff is how long the next start waits after a life that was short: docker's 100 ms, doubled, up to a minute.
func backOff(before, lived time.Duration) time.Duration {
	if lived > 10*time.Second {
		before = 0
	}
	return min(max(2*before, 100*time.Millisecond), time.Minute)
}
