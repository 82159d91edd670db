package slirp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

const (
	apiSocket = "slirp4netns.sock" // in the run directory, which is the helper's working directory
	tapName   = "tap0"
)

// slirpArgs is slirp4netns's command line (slirp4netns(1), 1.0 or newer). Descriptor 3 is closed by rl's death, 4 is told
// when the network is up. The target is given by pid: with --netns-type=path the sandbox of an unprivileged caller isn't
// entered (main.c, parent). The pid can't be another's: rl has not reaped it.
func (m Mode) slirpArgs(ports []Port, pid int, sandbox bool) []string {
	args := []string{m.Program, "--configure", "--mtu=" + strconv.Itoa(m.mtu), "--exit-fd=3", "--ready-fd=4", "--enable-seccomp"}
	flag := func(on bool, f string) {
		if on {
			args = append(args, f)
		}
	}
	flag(sandbox, "--enable-sandbox")
	flag(!m.hostLoopback, "--disable-host-loopback")
	flag(m.ipv6, "--enable-ipv6")
	flag(m.cidr != defaultCIDR(), "--cidr="+m.cidr.String())
	flag(m.outboundAddr != "", "--outbound-addr="+m.outboundAddr)
	flag(m.outbound6 != "", "--outbound-addr6="+m.outbound6)
	// Relative to the working directory: a socket's address has room for 107 bytes only (unix(7)).
	flag(len(ports) > 0, "--api-socket="+apiSocket)
	return append(args, strconv.Itoa(pid), tapName)
}

// rootInside tells whether uid and gid 0 exist in pid's user namespace, without which slirp4netns's sandbox can't start, and
// whether that uid is the caller, without which its socket isn't the caller's.
func rootInside(pid int) (exists, mine bool) {
	uid, uidOK := mapped("/proc/" + strconv.Itoa(pid) + "/uid_map")
	_, gidOK := mapped("/proc/" + strconv.Itoa(pid) + "/gid_map")
	return uidOK && gidOK, uid == os.Geteuid()
}

// mapped is what id 0 of a map file is outside (user_namespaces(7)).
func mapped(file string) (int, bool) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	for line := range bytes.Lines(b) {
		var inside, outside, count int
		if _, err := fmt.Sscan(string(line), &inside, &outside, &count); err == nil && inside == 0 {
			return outside, true
		}
	}
	return 0, false
}

// hostfwd is a request to slirp4netns's API (slirp4netns(1), "API SOCKET").
type hostfwd struct {
	Execute   string `json:"execute"`
	Arguments struct {
		Proto     string `json:"proto"`
		HostAddr  string `json:"host_addr"`
		HostPort  uint16 `json:"host_port"`
		GuestAddr string `json:"guest_addr"`
		GuestPort uint16 `json:"guest_port"`
	} `json:"arguments"`
}

// addHostfwd publishes one port through the socket in dir. The API knows IPv4 only.
func addHostfwd(dir *os.File, p Port, i int, guest netip.Addr) error {
	var r hostfwd
	r.Execute = "add_hostfwd"
	a := &r.Arguments
	a.Proto, a.HostAddr, a.GuestAddr = p.Proto, "0.0.0.0", guest.String()
	a.HostPort, a.GuestPort = p.Host+uint16(i), p.Container+uint16(i)
	if p.IP.IsValid() {
		a.HostAddr = p.IP.String()
	}
	request, err := json.Marshal(r)
	if err != nil {
		return err
	}
	answer, err := ask(dir, request)
	if err != nil {
		return fmt.Errorf("ask slirp4netns to publish %s:%d/%s: %w", a.HostAddr, a.HostPort, p.Proto, err)
	}
	var reply struct {
		Error *struct {
			Desc string `json:"desc"`
		} `json:"error"`
	}
	if err := json.Unmarshal(answer, &reply); err != nil {
		return fmt.Errorf("publish %s:%d/%s: broken answer of slirp4netns: %w", a.HostAddr, a.HostPort, p.Proto, err)
	}
	if reply.Error != nil {
		return fmt.Errorf("publish %s:%d/%s: slirp4netns: %s", a.HostAddr, a.HostPort, p.Proto, reply.Error.Desc)
	}
	return nil
}

// ask sends one request and reads the answer: the API takes one per connection, and answers when the sender has shut down
// its side.
func ask(dir *os.File, request []byte) ([]byte, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	path := "/proc/self/fd/" + strconv.Itoa(int(dir.Fd())) + "/" + apiSocket
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return nil, os.NewSyscallError("connect", err)
	}
	limit := unix.NsecToTimeval(int64(5 * time.Second))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
		return nil, os.NewSyscallError("setsockopt", err)
	}
	if err := unix.Sendto(fd, request, unix.MSG_NOSIGNAL, nil); err != nil {
		return nil, os.NewSyscallError("send", err)
	}
	if err := unix.Shutdown(fd, unix.SHUT_WR); err != nil {
		return nil, os.NewSyscallError("shutdown", err)
	}
	return readAll(fd)
}

func readAll(fd int) ([]byte, error) {
	var all []byte
	buf := make([]byte, 4096)
	for len(all) < 1<<16 {
		n, err := unix.Read(fd, buf)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return nil, errors.New("no answer in 5 seconds")
		case err != nil:
			return nil, os.NewSyscallError("read", err)
		case n == 0:
			return all, nil
		}
		all = append(all, buf[:n]...)
	}
	return nil, errors.New("the answer does not end")
}
