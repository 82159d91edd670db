package slirp

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/sys"
)

// Helper is the program that carries a container's packets, and the sockets of its published ports. A nil Helper
// stands for a network that needs none; its methods do nothing.
type Helper struct {
	mode  Mode
	ports []Port
	dir   *os.File // the run directory, by handle
	proc  *sys.Process
	alive *os.File // slirp4netns ends when this is closed, by us or by our death
	ready *os.File
	words tail // the last of its standard error
	said  *os.File
	gone  chan struct{}
	done  chan error
	// closing is set when the helper's death is wanted.
	closing atomic.Bool
	forward *forwarder
}

// Start takes the published ports of the host, then starts the helper that m names for the network namespace of pid, which
// must not have been reaped. runDir is a directory of the caller that nobody else may enter. For none and host it returns
// nil.
//
// The caller must be locked to its thread, as for userns.Start: the kernel kills the helper when that thread ends
// (prctl(2), PR_SET_PDEATHSIG).
func Start(m Mode, ports []Port, pid int, runDir string) (h *Helper, err error) {
	if m.Kind == None || m.Kind == Host {
		return nil, useless(m, ports)
	}
	if err := carried(m, ports); err != nil {
		return nil, err
	}
	h = &Helper{mode: m, ports: append([]Port(nil), ports...), gone: make(chan struct{}), done: make(chan error, 1)}
	bound, err := bindAll(h.ports)
	if err != nil {
		return nil, err
	}
	h.forward = &forwarder{bound: bound}
	if h.dir, err = os.OpenFile(runDir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err == nil {
		err = h.launch(pid, runDir)
	}
	if err != nil {
		h.forward.close()
		closeFile(h.dir)
		return nil, fmt.Errorf("start %s: %w", m.Kind, err)
	}
	return h, nil
}

// useless refuses ports that nothing could publish. With --network=host docker drops them with a warning; here nothing that
// was asked for is dropped.
func useless(m Mode, ports []Port) error {
	switch {
	case len(ports) == 0:
		return nil
	case m.Kind == Host:
		return hint.Errorf("leave -p out: with --network=host the program listens on the host itself", "-p %s: network host has no ports to publish", ports[0])
	case m.Note != "":
		return hint.With(fmt.Errorf("-p %s: %s", ports[0], m.Note))
	}
	return hint.Errorf("use --network slirp4netns or pasta", "-p %s: network none can't publish ports", ports[0])
}

// carried refuses what slirp4netns can't do: its API knows IPv4 only (slirp4netns(1), "API SOCKET").
func carried(m Mode, ports []Port) error {
	for _, p := range ports {
		if m.Kind == Slirp4netns && p.Proto == "udp" && p.IP.Is6() {
			return hint.Errorf("use --network=pasta, or an IPv4 address", "-p %s: slirp4netns publishes UDP on IPv4 only", p)
		}
	}
	return nil
}

func closeFile(f *os.File) {
	if f != nil {
		f.Close()
	}
}

// launch starts the one extra process.
func (h *Helper) launch(pid int, runDir string) (err error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	var readyW, aliveR, errR, errW *os.File
	defer func() {
		for _, f := range []*os.File{null, readyW, aliveR, errW} {
			closeFile(f)
		}
		if err != nil {
			closeFile(errR)
			h.closePipes()
		}
	}()
	for _, p := range []struct{ r, w **os.File }{{&h.ready, &readyW}, {&aliveR, &h.alive}, {&errR, &errW}} {
		if *p.r, *p.w, err = os.Pipe(); err != nil {
			return err
		}
	}
	// Its own process group: a Ctrl-C at the terminal is for the program, not for its network.
	attr := &syscall.ProcAttr{Dir: runDir, Env: helperEnv(), Sys: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}}
	if h.mode.Kind == Pasta {
		attr.Files = sys.Descriptors(null, readyW, errW)
		h.forward.release()
		err = h.exec(h.mode.pastaArgs(h.ports, pid), attr)
	} else {
		attr.Files = sys.Descriptors(null, null, errW, aliveR, readyW)
		err = h.execSlirp(pid, attr)
	}
	if err != nil {
		return err
	}
	h.said = errR
	go h.watch(errR)
	return nil
}

func (h *Helper) execSlirp(pid int, attr *syscall.ProcAttr) error {
	exists, mine := rootInside(pid)
	if exists && !mine && len(h.ports) > 0 {
		// The helper becomes another user than rl before it makes its socket, to which rl must be able to write. Nobody
		// else gets to it: the directory is closed.
		defer unix.Umask(unix.Umask(0))
	}
	return h.exec(h.mode.slirpArgs(h.ports, pid, exists && sandboxed()), attr)
}

// sandboxed is false for root in a container without CAP_SYS_ADMIN: slirp4netns makes root's sandbox where it was started,
// not in the user namespace of the container (main.c, parent).
func sandboxed() bool {
	caps, err := sys.Effective()
	return os.Geteuid() != 0 || err == nil && caps&(1<<unix.CAP_SYS_ADMIN) != 0
}

func (h *Helper) exec(args []string, attr *syscall.ProcAttr) (err error) {
	h.proc, err = sys.StartProcess(args[0], args, attr)
	return err
}

// helperEnv is all that a helper is told of the caller's environment: nothing, but the C locale, so that its messages are
// the ones that are documented.
func helperEnv() []string { return []string{"LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"} }

func (h *Helper) closePipes() {
	closeFile(h.alive)
	closeFile(h.ready)
}

// watch reaps the helper and tells of a death that nobody wanted.
func (h *Helper) watch(stderr *os.File) {
	read := make(chan struct{})
	go func() {
		io.Copy(&h.words, stderr)
		close(read)
	}()
	status, err := h.proc.WaitIdle()
	// A process that the helper left behind may hold the pipe open.
	stderr.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	<-read
	stderr.Close()
	if err == nil {
		err = errors.New(sys.Describe(status))
	}
	if !h.closing.Load() {
		h.done <- h.explain(err)
	}
	close(h.done)
	close(h.gone)
}

// explain joins how the helper ended with what it said.
func (h *Helper) explain(end error) error {
	said := h.words.meaning()
	err := fmt.Errorf("%s ended: %w", h.mode.Kind, end)
	if said != "" {
		err = fmt.Errorf("%s ended: %w: %s", h.mode.Kind, end, said)
	}
	switch {
	case strings.Contains(said, "/dev/net/tun"):
		return hint.With(err, "sudo modprobe tun; sudo chmod 666 /dev/net/tun; without it --network=host or none work", "rl doctor tries it")
	case atLeast(h.mode.Program, said) != "":
		return hint.With(err, atLeast(h.mode.Program, said))
	}
	return err
}

// Ready waits until the network can be used and publishes the ports. The error carries the helper's own message.
func (h *Helper) Ready(timeout time.Duration) error {
	if h == nil {
		return nil
	}
	if err := h.await(timeout); err != nil {
		return fmt.Errorf("make network: %w", err)
	}
	return h.publish()
}

func (h *Helper) await(timeout time.Duration) error {
	h.ready.SetReadDeadline(time.Now().Add(timeout))
	n, err := h.ready.Read(make([]byte, 16))
	h.ready.Close()
	if n > 0 {
		return nil
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return hint.Errorf("rl doctor tries it; --network=none or host do without", "%s was not ready after %s%s", h.mode.Kind, timeout, prefixed(": ", h.words.meaning()))
	}
	// It has closed the pipe, which it does at its end only.
	select {
	case <-h.gone:
	case <-time.After(timeout):
		return fmt.Errorf("%s went silent", h.mode.Kind)
	}
	if err, ok := <-h.done; ok && err != nil {
		return err
	}
	return fmt.Errorf("%s was ended", h.mode.Kind)
}

func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}

// publish hands each port to whoever carries it.
func (h *Helper) publish() error {
	if h.mode.Kind == Pasta {
		return nil // told on its command line
	}
	h.forward.release()
	for _, l := range h.forward.bound {
		p := Port{IP: l.at.Addr(), Host: l.at.Port(), Container: l.container, Count: 1, Proto: l.proto}
		if !p.IP.Is4() {
			if l.optional {
				continue
			}
			return hint.Errorf("publish an IPv4 address, or use --network pasta", "publish %s: slirp4netns publishes on IPv4 only", p)
		}
		at, relay, err := h.forward.relayed(h.mode, l)
		if err != nil {
			return err
		}
		p.IP, p.Host = at.Addr(), at.Port()
		if err := addHostfwd(h.dir, p, 0, h.mode.Net().IP); err != nil {
			return err
		}
		if err := relay(); err != nil {
			return err
		}
	}
	return nil
}

// Ports are the published ports, those of the host that the kernel chose filled in.
func (h *Helper) Ports() []Port {
	if h == nil {
		return nil
	}
	return h.ports
}

// Done gets one error when the helper died though nobody asked it to, and is closed after it, or when Close has ended it.
func (h *Helper) Done() <-chan error {
	if h == nil {
		return nil
	}
	return h.done
}

// Close ends the helper and the published ports, and waits for the end. It may be called at any time, more than once.
func (h *Helper) Close() {
	if h == nil || h.closing.Swap(true) {
		return
	}
	h.forward.close()
	h.closePipes()
	h.proc.Kill()
	<-h.gone
	unix.Unlinkat(int(h.dir.Fd()), apiSocket, 0)
	h.dir.Close()
}

// tail keeps the last of what is written to it.
type tail struct {
	sync.Mutex
	b []byte
}

func (t *tail) Write(b []byte) (int, error) {
	const limit = 4096
	t.Lock()
	defer t.Unlock()
	t.b = append(t.b, b...)
	if len(t.b) > limit {
		t.b = append([]byte(nil), t.b[len(t.b)-limit:]...)
	}
	return len(b), nil
}

// meaning is what a helper said, on one line, without the lines that it always says.
func (t *tail) meaning() string {
	t.Lock()
	defer t.Unlock()
	var keep []string
	for line := range strings.Lines(string(t.b)) {
		line = strings.TrimSpace(line)
		switch {
		case line == "", strings.HasPrefix(line, "WARNING: Support for"), strings.HasPrefix(line, "sent tapfd"),
			strings.HasPrefix(line, "received tapfd"), strings.HasPrefix(line, "Failed to send"):
		default:
			keep = append(keep, line)
		}
	}
	return strings.Join(keep, "; ")
}
