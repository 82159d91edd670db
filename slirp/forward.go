package slirp

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// forwarder holds the host's sockets of the published ports until the helper takes their places, and the relays of those that
// need one.
type forwarder struct {
	bound  []listener
	relays []*relay
}

// release closes the sockets: the helper takes their places itself.
func (f *forwarder) release() {
	closeAll(f.bound)
	for i := range f.bound {
		f.bound[i].fd = -1
	}
}

func (f *forwarder) close() {
	f.release()
	for _, r := range f.relays {
		r.close()
	}
	f.relays = nil
}

// relayed plans the relay of a UDP port whose clients come by the host's loopback: where slirp4netns is to listen for the
// port, and how to start the relay once it does. Without an address beside the loopback there is none.
func (f *forwarder) relayed(m Mode, l listener) (at netip.AddrPort, start func() error, err error) {
	from := hostAddr()
	everywhere := l.at.Addr().IsUnspecified()
	front, to := l.at, netip.AddrPortFrom(from, l.at.Port())
	at = l.at
	switch {
	case l.proto != "udp" || m.hostLoopback || !from.IsValid() || !everywhere && !l.at.Addr().IsLoopback():
		return at, func() error { return nil }, nil
	case everywhere:
		front = netip.AddrPortFrom(loopback(), l.at.Port())
	default:
		if to, err = freePort(); err != nil {
			return at, nil, err
		}
		at = to
	}
	return at, func() error {
		r, err := newRelay(front, from, to)
		if err != nil {
			return fmt.Errorf("publish %s/udp: %w", front, err)
		}
		f.relays = append(f.relays, r)
		return nil
	}, nil
}

// freePort is a UDP port of the loopback that nobody has at this moment.
func freePort() (netip.AddrPort, error) {
	fd, err := udpSocket(netip.AddrPortFrom(loopback(), 0))
	if err != nil {
		return netip.AddrPort{}, err
	}
	defer unix.Close(fd)
	port, err := localPort(fd)
	return netip.AddrPortFrom(loopback(), port), err
}

func loopback() netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 0, 1}) }
