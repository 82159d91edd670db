package slirp

import (
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// relay answers the UDP clients of a published port that come by the host's loopback. slirp4netns shows them to the
// container as its gateway, and drops what is sent back there while the host's loopback is closed (libslirp, sotranslate_out).
// The relay stands between: to slirp4netns its clients come from an address of the host, to which there is a way back.
type relay struct {
	front   int // the published port on the loopback
	stop    *os.File
	stopped *os.File
	from    netip.Addr     // of the host, not its loopback
	to      netip.AddrPort // where slirp4netns listens for the port
	clients []relayClient
}

// relayClient is one client, with the socket that stands for it.
type relayClient struct {
	at   netip.AddrPort
	fd   int
	last time.Time
}

const (
	relayClients = 512 // a port; the longest silent one makes room for another
	relayIdle    = 2 * time.Minute
)

// newRelay takes front, beside slirp4netns's own socket where that listens on all addresses.
func newRelay(front netip.AddrPort, from netip.Addr, to netip.AddrPort) (*relay, error) {
	fd, err := udpSocket(front)
	if err != nil {
		return nil, err
	}
	return startRelay(fd, from, to)
}

func startRelay(front int, from netip.Addr, to netip.AddrPort) (r *relay, err error) {
	r = &relay{front: front, from: from, to: to}
	if r.stopped, r.stop, err = os.Pipe(); err != nil {
		unix.Close(front)
		return nil, err
	}
	go r.run()
	return r, nil
}

// close ends the relay. Its goroutine lets go of the sockets.
func (r *relay) close() { r.stop.Close() }

func udpSocket(at netip.AddrPort) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err == nil {
		err = unix.Bind(fd, sockaddr(at))
	}
	if err != nil {
		unix.Close(fd)
		return -1, os.NewSyscallError("bind", err)
	}
	return fd, nil
}

func (r *relay) run() {
	defer r.end()
	buf := make([]byte, 1<<16)
	for {
		fds := []unix.PollFd{{Fd: int32(r.stopped.Fd())}, {Fd: int32(r.front), Events: unix.POLLIN}}
		for _, c := range r.clients {
			fds = append(fds, unix.PollFd{Fd: int32(c.fd), Events: unix.POLLIN})
		}
		_, err := unix.Poll(fds, int(relayIdle.Milliseconds()))
		if err == unix.EINTR {
			continue
		}
		if err != nil || fds[0].Revents != 0 {
			return
		}
		for i := range r.clients {
			if fds[2+i].Revents != 0 {
				r.back(&r.clients[i], buf)
			}
		}
		if fds[1].Revents != 0 {
			r.forth(buf)
		}
		r.forget()
	}
}

func (r *relay) end() {
	for _, c := range r.clients {
		unix.Close(c.fd)
	}
	unix.Close(r.front)
	r.stopped.Close()
}

// back brings one packet of the container to a client. An error is an ICMP message of an earlier one: UDP loses packets.
func (r *relay) back(c *relayClient, buf []byte) {
	n, err := unix.Read(c.fd, buf)
	if err != nil {
		return
	}
	c.last = time.Now()
	unix.Sendto(r.front, buf[:n], 0, sockaddr(c.at))
}

// forth brings one packet of a client to the container.
func (r *relay) forth(buf []byte) {
	n, sa, err := unix.Recvfrom(r.front, buf, 0)
	if err != nil {
		return
	}
	if c := r.client(addrPort(sa)); c != nil {
		c.last = time.Now()
		unix.Write(c.fd, buf[:n])
	}
}

func (r *relay) client(at netip.AddrPort) *relayClient {
	for i := range r.clients {
		if r.clients[i].at == at {
			return &r.clients[i]
		}
	}
	if len(r.clients) == relayClients {
		oldest := 0
		for i := range r.clients {
			if r.clients[i].last.Before(r.clients[oldest].last) {
				oldest = i
			}
		}
		r.drop(oldest)
	}
	fd, err := udpSocket(netip.AddrPortFrom(r.from, 0))
	if err != nil {
		return nil
	}
	if unix.Connect(fd, sockaddr(r.to)) != nil {
		unix.Close(fd)
		return nil
	}
	r.clients = append(r.clients, relayClient{at: at, fd: fd})
	return &r.clients[len(r.clients)-1]
}

// forget drops the clients that have been silent for long.
func (r *relay) forget() {
	for i := len(r.clients) - 1; i >= 0; i-- {
		if time.Since(r.clients[i].last) > relayIdle {
			r.drop(i)
		}
	}
}

func (r *relay) drop(i int) {
	unix.Close(r.clients[i].fd)
	r.clients = append(r.clients[:i], r.clients[i+1:]...)
}
