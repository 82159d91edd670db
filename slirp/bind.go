package slirp

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
)

// listener is a socket of the host that stands for one published port.
type listener struct {
	fd        int
	at        netip.AddrPort
	container uint16
	proto     string
	optional  bool // the IPv6 half of a port without an address
}

// bindAll takes every place that ports ask for, so that a port in use is an error before anything was started, and fills in
// the ports that the kernel chose. It leaves the sockets bound, TCP ones listening.
func bindAll(ports []Port) (bound []listener, err error) {
	defer func() {
		if err != nil {
			closeAll(bound)
		}
	}()
	for i := range ports {
		p := &ports[i]
		for n := range p.Count {
			more, err := bindPort(p, uint16(n))
			bound = append(bound, more...)
			if err != nil {
				return bound, err
			}
		}
	}
	return bound, nil
}

func closeAll(l []listener) {
	for _, b := range l {
		unix.Close(b.fd)
	}
}

// bindPort binds the n-th port of p, on IPv4 and IPv6 when p has no address. A host without IPv6 has none of the latter.
func bindPort(p *Port, n uint16) (bound []listener, err error) {
	addrs := []netip.Addr{p.IP}
	if !p.IP.IsValid() {
		addrs = []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	}
	for _, a := range addrs {
		port := uint16(0)
		if p.Host != 0 {
			port = p.Host + n
		}
		at := netip.AddrPortFrom(a, port)
		fd, err := bindOne(at, p.Proto)
		if errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL) && a.Is6() && !p.IP.IsValid() {
			continue
		}
		if err != nil {
			return bound, explainBind(at, p.Proto, err)
		}
		if p.Host == 0 {
			if p.Host, err = localPort(fd); err != nil {
				unix.Close(fd)
				return bound, err
			}
			at = netip.AddrPortFrom(a, p.Host)
		}
		bound = append(bound, listener{fd, at, p.Container + n, p.Proto, a.Is6() && !p.IP.IsValid()})
	}
	if len(bound) == 0 {
		return nil, fmt.Errorf("publish %s: this host has neither IPv4 nor IPv6", p)
	}
	return bound, nil
}

func bindOne(at netip.AddrPort, proto string) (fd int, err error) {
	domain, kind := unix.AF_INET, unix.SOCK_STREAM
	if at.Addr().Is6() {
		domain = unix.AF_INET6
	}
	if proto == "udp" {
		kind = unix.SOCK_DGRAM
	}
	fd, err = unix.Socket(domain, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	if domain == unix.AF_INET6 {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
	}
	if err == nil && proto == "tcp" {
		// As every server does: connections of the last one may still be in TIME_WAIT.
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	}
	if err == nil {
		err = unix.Bind(fd, sockaddr(at))
	}
	if err == nil && proto == "tcp" {
		err = unix.Listen(fd, 4096)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func sockaddr(at netip.AddrPort) unix.Sockaddr {
	if at.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
	}
	sa := &unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()}
	if n, err := strconv.ParseUint(at.Addr().Zone(), 10, 32); err == nil {
		sa.ZoneId = uint32(n)
	}
	return sa
}

func localPort(fd int) (uint16, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return 0, os.NewSyscallError("getsockname", err)
	}
	return addrPort(sa).Port(), nil
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch s := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(s.Addr), uint16(s.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(s.Addr), uint16(s.Port))
	}
	return netip.AddrPort{}
}

// explainBind names the port, the address, and who has it or what forbids it.
func explainBind(at netip.AddrPort, proto string, err error) error {
	wrapped := fmt.Errorf("publish port %d/%s on %s: %w", at.Port(), proto, at.Addr(), err)
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		other := at.Port() + 1
		if other == 0 {
			other = 1024
		}
		return hint.With(fmt.Errorf("%w%s", wrapped, owner(at, proto)), fmt.Sprintf("end that program, or publish on another port, for example -p %d:…", other))
	case errors.Is(err, unix.EACCES):
		return hint.With(wrapped, fmt.Sprintf("ports below %s are root's here; use a higher one, or as root: sysctl net.ipv4.ip_unprivileged_port_start=%d", firstPort(), at.Port()))
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return hint.With(wrapped, fmt.Sprintf("%s is not an address of this host (ip address shows them)", at.Addr()))
	case errors.Is(err, unix.EMFILE):
		return hint.With(wrapped, "each published port needs a descriptor or two: publish fewer, or raise ulimit -n")
	}
	return wrapped
}

func firstPort() string {
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	if err != nil {
		return "1024"
	}
	return strings.TrimSpace(string(b))
}

// owner tells who has a port: its process where /proc lets the caller see it, else its user; "" when neither is found.
func owner(at netip.AddrPort, proto string) string {
	for _, table := range []string{proto, proto + "6"} {
		file, err := os.ReadFile("/proc/net/" + table)
		if err != nil {
			continue
		}
		for line := range bytes.Lines(file) {
			uid, inode, ok := holderOf(string(line), at, proto)
			if !ok {
				continue
			}
			if who := process(inode); who != "" {
				return ", by " + who
			}
			return ", by user " + uid
		}
	}
	return ""
}

// holderOf reads a line of /proc/net/tcp and alike (proc(5)): local address, state, uid and inode.
func holderOf(line string, at netip.AddrPort, proto string) (uid, inode string, ok bool) {
	f := strings.Fields(line)
	if len(f) < 10 {
		return "", "", false
	}
	addr, port, _ := strings.Cut(f[1], ":")
	n, err := strconv.ParseUint(port, 16, 16)
	if err != nil || uint16(n) != at.Port() || proto == "tcp" && f[3] != "0A" {
		return "", "", false
	}
	if a := tableAddr(addr); a != at.Addr() && !a.IsUnspecified() && !at.Addr().IsUnspecified() {
		return "", "", false
	}
	return f[7], f[9], true
}

// tableAddr reads an address as 32-bit words in the host's byte order, in hex.
func tableAddr(s string) netip.Addr {
	b, err := hex.DecodeString(s)
	if err != nil || len(b)%4 != 0 {
		return netip.Addr{}
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	a, _ := netip.AddrFromSlice(b)
	return a.Unmap()
}

// process finds whose descriptor a socket is, among the processes that the caller may look at.
func process(inode string) string {
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		return ""
	}
	want := "socket:[" + inode + "]"
	for _, d := range dirs {
		if d.Name()[0] < '0' || d.Name()[0] > '9' || !holds("/proc/"+d.Name()+"/fd", want) {
			continue
		}
		comm, _ := os.ReadFile("/proc/" + d.Name() + "/comm")
		return strings.TrimSpace(string(comm)) + " (pid " + d.Name() + ")"
	}
	return ""
}

func holds(dir, want string) bool {
	f, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer f.Close()
	names, _ := f.Readdirnames(-1)
	for _, n := range names {
		if link, err := os.Readlink(dir + "/" + n); err == nil && link == want {
			return true
		}
	}
	return false
}

// hostAddr is the address from which this host reaches the world; zero when it doesn't. Connecting a UDP socket looks the
// route up and sends nothing; the address is one of RFC 5737's, which nobody has.
func hostAddr() netip.Addr {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return netip.Addr{}
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{203, 0, 113, 1}}); err != nil {
		return netip.Addr{}
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return netip.Addr{}
	}
	return addrPort(sa).Addr()
}
