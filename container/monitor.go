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
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/enter"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/idmap"
	"github.com/rl-containers/rl/slirp"
	"github.com/rl-containers/rl/stdio"
	"github.com/rl-containers/rl/storage"
	"github.com/rl-containers/rl/sys"
)

// MonitorName is the role of rl that stays with a detached container, as argv[0].
const MonitorName = "rl-monitor"

// The monitor's descriptors beside the standard ones: the container's directory with its lock, the socket on which the start is
// reported, and, when the caller watches from the first byte on, its connection.
const (
	lockFd = 3 + iota
	reportFd
	clientFd
)

// handOver starts the monitor of a container, which takes its lock over, and waits for the start of the program. With client, the
// far end of a connection, the caller is attached to it from its first byte on.
func handOver(dir *storage.Container, client *os.File, word string) error {
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
		args = append(args, word)
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

// monitor is the rl that stays with a detached container.
type monitor struct {
	*run
	hub *stdio.Hub
	// asked: the machine or the session goes down.
	asked atomic.Bool
	delay time.Duration // before the next start
}

// Monitor is the role rl-monitor, from the start of a container to its end. Who started it is told of a failure.
func Monitor() int {
	// The network's helper dies with this thread.
	runtime.LockOSThread()
	if err := sys.SealFds(lockFd); err != nil {
		return 125
	}
	to := os.NewFile(reportFd, "report")
	m, err := adopt(os.NewFile(lockFd, "container"))
	if err != nil {
		report(to, err)
		return 125
	}
	code, err := m.live(to)
	m.cleanUp(code, err)
	m.hub.End(code)
	return 0
}

// adopt reads what is to be started.
func adopt(lock *os.File) (*monitor, error) {
	dir, err := storage.Adopt(lock)
	if err != nil {
		return nil, err
	}
	c, err := ReadConfig(dir.Dir)
	if err != nil {
		return nil, err
	}
	r := &run{Request: c.Request, image: &c.Image, spec: c.Spec, id: filepath.Base(dir.Dir), dir: dir, running: make(chan struct{})}
	rec, err := storage.ReadRecord(dir.Dir)
	if err != nil {
		return nil, err
	}
	r.Name, r.Restart = rec.Name, rec.Restart
	if r.store, err = storage.Open(); err != nil {
		return nil, err
	}
	if r.mode, err = slirp.Parse(r.Network); err != nil {
		return nil, err
	}
	if r.ports, err = slirp.ParsePorts(r.Ports); err != nil {
		return nil, err
	}
	if r.ids, err = idmap.Mine(r.Options.Userns); err != nil {
		return nil, err
	}
	m := &monitor{run: r, hub: stdio.NewHub(r.Options.Interactive, r.Options.TTY, r.log)}
	r.io = m.hub
	return m, nil
}

// live carries the container over all its lives. Whoever asked for the first is told how it began.
func (m *monitor) live(to *os.File) (code int, err error) {
	m.dir.ForgetStop()
	if len(os.Args) > 2 {
		if err := m.firstClient(os.Args[2]); err != nil {
			return 0, err
		}
	}
	socket, err := m.listen()
	if err != nil {
		report(to, err)
		return 0, err
	}
	defer socket.Close()
	m.catch()
	err = m.begin()
	if gone := report(to, err); err != nil {
		return 0, err
	} else if gone != nil {
		// Nobody learns the container's name: it is taken back.
		m.proc.Kill()
		m.Remove = m.Remove || m.first()
	}
	quiet()
	for {
		m.slim()
		if code, err = m.stay(); err != nil || !m.again(code) {
			return code, err
		}
		if err = m.begin(); err != nil {
			return code, err
		}
	}
}

// first: the container was made by this start.
func (m *monitor) first() bool { return m.life.Restarts == 0 && m.Detached }

// begin is one start. The spec and the plan are of no use after it.
func (m *monitor) begin() error {
	if m.spec == nil {
		c, err := ReadConfig(m.dir.Dir)
		if err != nil {
			return err
		}
		m.spec = c.Spec
	}
	if err := m.makePlan(); err != nil {
		return err
	}
	if err := m.hub.Open(); err != nil {
		return err
	}
	m.going.Store(false)
	m.running = make(chan struct{})
	return m.start()
}

// quiet lets go of the caller's standard error: a pipe that the caller's caller reads to its end must have one.
func quiet() {
	if null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0); err == nil {
		unix.Dup3(null, 2, 0)
		unix.Close(null)
	}
}

// again writes down an end and waits for the next start, if the restart policy wants one.
func (m *monitor) again(code int) bool {
	lived := time.Since(m.life.Started)
	if rec, err := storage.ReadRecord(m.dir.Dir); err == nil {
		m.Name, m.Restart = rec.Name, rec.Restart // rename, update
	}
	if !m.wants(code) {
		return false
	}
	m.release()
	m.died(code, nil)
	m.life.Restarts++
	m.life.Restarting = true
	m.dir.WriteLife(&m.life)
	return m.backOff(lived)
}

// wants is the restart policy.
func (m *monitor) wants(code int) bool {
	kind, times, _ := restartPolicy(m.Restart)
	if m.asked.Load() || m.dir.StopAsked() {
		return false
	}
	switch kind {
	case "always", "unless-stopped":
		return true
	case "on-failure":
		return code != 0 && (times == 0 || m.life.Restarts < times)
	}
	return false
}

// backOff waits longer for each life that was short: docker's 100 ms, doubled, up to a minute. It is false when the end was asked
// for meanwhile.
func (m *monitor) backOff(lived time.Duration) bool {
	if lived > 10*time.Second {
		m.delay = 0
	}
	m.delay = min(max(2*m.delay, 100*time.Millisecond), time.Minute)
	for until := time.Now().Add(m.delay); time.Now().Before(until); {
		time.Sleep(min(100*time.Millisecond, time.Until(until)))
		if m.asked.Load() || m.dir.StopAsked() {
			return false
		}
	}
	return true
}

// catch ends the container in order when the monitor is asked to end: at logout or when the machine goes down.
func (m *monitor) catch() {
	signal.Ignore(syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPIPE)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	stop, timeout := signalOf(m.spec.StopSignal), m.StopTimeout
	go func() {
		for range signals {
			m.asked.Store(true)
			if m.proc != nil {
				m.proc.Signal(stop)
				time.AfterFunc(time.Duration(timeout)*time.Second, func() { m.proc.Kill() })
			}
		}
	}()
}
