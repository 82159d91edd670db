package slirp

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/rl-containers/rl/hint"
)

// Port publishes Count consecutive ports of a container on the host.
type Port struct {
	// IP is the host's address to listen on; the zero Addr stands for all of IPv4 and of IPv6.
	IP netip.Addr
	// Host is the first port on the host; 0 lets the kernel choose (Count is 1 then).
	Host uint16
	// Container is the first port in the container.
	Container uint16
	Count     int
	// Proto is "tcp" or "udp".
	Proto string
}

// String is docker's form of p.
func (p Port) String() string {
	var b strings.Builder
	if p.IP.IsValid() {
		b.WriteString(hostForm(p.IP) + ":")
	}
	b.WriteString(rangeForm(p.Host, p.Count) + ":" + rangeForm(p.Container, p.Count) + "/" + p.Proto)
	return b.String()
}

// Shown is p as docker and podman list it: 0.0.0.0:8080->80/tcp.
func (p Port) Shown() string {
	ip := "0.0.0.0"
	if p.IP.IsValid() {
		ip = hostForm(p.IP)
	}
	return ip + ":" + rangeForm(p.Host, p.Count) + "->" + rangeForm(p.Container, p.Count) + "/" + p.Proto
}

func hostForm(a netip.Addr) string {
	if a.Is6() {
		return "[" + a.String() + "]"
	}
	return a.String()
}

func rangeForm(first uint16, count int) string {
	s := strconv.Itoa(int(first))
	if count > 1 {
		s += "-" + strconv.Itoa(int(first)+count-1)
	}
	return s
}

const portForm = "the form is [IP:][HOST[-HOST]:]CONTAINER[-CONTAINER][/tcp|/udp], for example 8080:80 or 127.0.0.1:8080:80 or [::1]:5353:53/udp"

// ParsePorts reads values of -p in the grammar of docker-run(1) and finds those that ask for the same place.
func ParsePorts(specs []string) ([]Port, error) {
	var all []Port
	for _, s := range specs {
		p, err := parsePort(s)
		if err != nil {
			return nil, hint.With(fmt.Errorf("-p %s: %w", s, err), portForm)
		}
		all = append(all, p...)
	}
	return all, conflicts(all)
}

func parsePort(s string) ([]Port, error) {
	rest, proto, _ := strings.Cut(s, "/")
	switch strings.ToLower(proto) {
	case "":
		if strings.HasSuffix(s, "/") {
			return nil, fmt.Errorf("nothing after the slash")
		}
		proto = "tcp"
	case "tcp", "udp":
		proto = strings.ToLower(proto)
	case "sctp":
		return nil, fmt.Errorf("neither slirp4netns nor pasta can carry SCTP; --network=host can")
	default:
		return nil, fmt.Errorf("protocol %q is neither tcp nor udp", proto)
	}
	ip, host, container, err := splitPort(rest)
	if err != nil {
		return nil, err
	}
	return expand(Port{IP: ip, Proto: proto}, host, container)
}

// splitPort takes the three parts apart; an absent host part is "".
func splitPort(s string) (ip netip.Addr, host, container string, err error) {
	if strings.HasPrefix(s, "[") {
		inside, rest, ok := strings.Cut(s[1:], "]")
		if !ok || !strings.HasPrefix(rest, ":") {
			return ip, "", "", fmt.Errorf("[ without ]: after it")
		}
		if ip, err = parseIP(inside); err != nil {
			return ip, "", "", err
		}
		if !ip.Is6() {
			return ip, "", "", fmt.Errorf("%s is not an IPv6 address", inside)
		}
		s = rest[1:]
		host, container, ok = cutLast(s)
		if !ok {
			return ip, "", s, nil
		}
		return ip, host, container, nil
	}
	parts := strings.Split(s, ":")
	switch len(parts) {
	case 1:
		return ip, "", parts[0], nil
	case 2:
		if strings.Contains(parts[0], ".") { // ip:container, which docker spells ip::container
			return ip, "", "", fmt.Errorf("%q is not a port; for a random port of an address write %s::%s", parts[0], parts[0], parts[1])
		}
		return ip, parts[0], parts[1], nil
	case 3:
		if parts[0] == "" {
			return ip, parts[1], parts[2], nil
		}
		ip, err = parseIP(parts[0])
		return ip, parts[1], parts[2], err
	}
	return ip, "", "", fmt.Errorf("too many colons; an IPv6 address is written in brackets")
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return "", s, false
	}
	return s[:i], s[i+1:], true
}

func parseIP(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	switch {
	case s == "localhost":
		return a, fmt.Errorf("%q is a name; write 127.0.0.1 or [::1]", s)
	case err != nil:
		return a, fmt.Errorf("%q is not an IP address", s)
	case a.IsMulticast():
		return a, fmt.Errorf("%s is a multicast address", s)
	}
	return a.Unmap(), nil
}

// expand reads the two ranges and fits them together as docker does: equal lengths, or one container port for the first
// free port of a host range (which rl takes as the first), or no host part at all.
func expand(p Port, host, container string) ([]Port, error) {
	first, n, err := parseRange("container port", container)
	if err != nil {
		return nil, err
	}
	if first == 0 {
		return nil, fmt.Errorf("container port 0 does not exist")
	}
	p.Container, p.Count = first, n
	if host == "" || host == "0" {
		return random(p), nil
	}
	var m int
	if p.Host, m, err = parseRange("host port", host); err != nil {
		return nil, err
	}
	if p.Host == 0 {
		return nil, fmt.Errorf("a range can't start at host port 0")
	}
	if m != n {
		return nil, fmt.Errorf("%d host ports for %d container ports", m, n)
	}
	return []Port{p}, nil
}

// random gives each port a host port of its own that the kernel chooses.
func random(p Port) []Port {
	all := make([]Port, p.Count)
	for i := range all {
		all[i] = Port{IP: p.IP, Container: p.Container + uint16(i), Count: 1, Proto: p.Proto}
	}
	return all
}

func parseRange(what, s string) (first uint16, count int, err error) {
	from, to, ranged := strings.Cut(s, "-")
	first, err = parseNumber(what, from)
	if err != nil || !ranged {
		return first, 1, err
	}
	last, err := parseNumber(what, to)
	if err != nil {
		return 0, 0, err
	}
	if last < first {
		return 0, 0, fmt.Errorf("%s range %s runs backwards", what, s)
	}
	return first, int(last-first) + 1, nil
}

func parseNumber(what, s string) (uint16, error) {
	if s == "" {
		return 0, fmt.Errorf("no %s", what)
	}
	for _, r := range s {
		if r < '0' || r > '9' {
			return 0, fmt.Errorf("%s %q is not a number", what, s)
		}
	}
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("%s %s is beyond 65535", what, s)
	}
	return uint16(n), nil
}

// conflicts finds two ports of one command that need the same place of the host.
func conflicts(all []Port) error {
	for i, a := range all {
		for _, b := range all[:i] {
			if a.Proto == b.Proto && a.Host != 0 && overlap(a, b) && sameIP(a.IP, b.IP) {
				return hint.Errorf("give one of them another host port, or the two different addresses",
					"-p %s and -p %s publish the same port of the host", b, a)
			}
		}
	}
	return nil
}

func overlap(a, b Port) bool {
	return int(a.Host) < int(b.Host)+b.Count && int(b.Host) < int(a.Host)+a.Count
}

// sameIP tells whether two listeners would meet: equal addresses, or one that stands for all of the other's IP version.
func sameIP(a, b netip.Addr) bool {
	if !a.IsValid() || !b.IsValid() {
		return true
	}
	return a == b || a.Is4() == b.Is4() && (a.IsUnspecified() || b.IsUnspecified())
}
