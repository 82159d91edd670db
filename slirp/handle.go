package slirp

import (
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/sys"
)

// Handle is a running Helper for the next program of this process: children and descriptors outlast execve(2).
type Handle struct {
	Mode   Kind
	Dir    string
	Pid    int
	Alive  int
	Said   int
	Relays []RelayHandle `json:",omitempty"`
}

// RelayHandle is a relay without its clients, which come again by themselves.
type RelayHandle struct {
	Front int
	From  netip.Addr
	To    netip.AddrPort
}

// HandOver lets the helper outlast execve. h is of no use from then on. runDir is that of Start.
func (h *Helper) HandOver(runDir string) *Handle {
	if h == nil {
		return nil
	}
	out := &Handle{Mode: h.mode.Kind, Dir: runDir, Pid: h.proc.Pid, Alive: sys.Keep(h.alive), Said: sys.Keep(h.said)}
	for _, r := range h.forward.relays {
		unix.FcntlInt(uintptr(r.front), unix.F_SETFD, 0)
		out.Relays = append(out.Relays, RelayHandle{r.front, r.from, r.to})
	}
	return out
}

// TakeOver goes on with it in the next program.
func (o *Handle) TakeOver() (h *Helper, err error) {
	if o == nil {
		return nil, nil
	}
	h = &Helper{mode: Mode{Kind: o.Mode}, gone: make(chan struct{}), done: make(chan error, 1), forward: &forwarder{}}
	if h.dir, err = os.OpenFile(o.Dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return nil, err
	}
	if h.proc, err = sys.Child(o.Pid); err != nil {
		return nil, err
	}
	h.alive = os.NewFile(uintptr(o.Alive), "alive")
	for _, r := range o.Relays {
		relay, err := startRelay(r.Front, r.From, r.To)
		if err != nil {
			return nil, err
		}
		h.forward.relays = append(h.forward.relays, relay)
	}
	unix.SetNonblock(o.Said, true)
	go h.watch(os.NewFile(uintptr(o.Said), "said"))
	return h, nil
}
