package slirp

import (
	"net/netip"
	"strings"
)

// Net is what the files of a container say about its network. It is known before the network exists.
type Net struct {
	Kind Kind
	// IP and IP6 are the container's own addresses; zero where it has none or has the host's.
	IP, IP6 netip.Addr
	// Gateway is the next hop, and what a published port's client from the host's loopback looks like.
	Gateway, Gateway6 netip.Addr
	// DNS are the resolvers that the helper itself provides.
	DNS []netip.Addr
	// HostDNS tells that the host's resolvers are reachable as they are, unless they listen on its loopback.
	HostDNS bool
	// HostAlias is what host.containers.internal and host-gateway mean; zero when the host can't be reached.
	HostAlias netip.Addr
}

// pastaDNS is a link-local address that no host has: pasta sends queries to it on to the host's first resolver. podman 5
// chose the same.
func pastaDNS() netip.Addr { return netip.AddrFrom4([4]byte{169, 254, 1, 1}) }

// Net tells the addresses of m's network.
func (m Mode) Net() Net {
	n := Net{Kind: m.Kind}
	switch m.Kind {
	case Slirp4netns:
		m.slirpNet(&n)
	case Pasta:
		m.pastaNet(&n)
	case Host:
		n.HostDNS = true
		n.HostAlias = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return n
}

// slirpNet fills in the addresses of slirp4netns(1) and libslirp: .100 the container, .2 the gateway, .3 the resolver, and
// the same in fd00::/64, which can't be changed.
func (m Mode) slirpNet(n *Net) {
	at := func(last uint32) netip.Addr { return addTo(m.cidr.Addr(), last) }
	n.IP, n.Gateway, n.DNS = at(100), at(2), []netip.Addr{at(3)}
	if m.ipv6 {
		n.IP6, n.Gateway6 = netip.MustParseAddr("fd00::100"), netip.MustParseAddr("fd00::2")
	}
	// With the host's loopback closed the gateway leads nowhere; the host is reachable by its own address.
	n.HostAlias = hostAddr()
	if m.hostLoopback {
		n.HostAlias = n.Gateway
	}
}

func addTo(a netip.Addr, n uint32) netip.Addr {
	b := a.As4()
	v := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	v += n
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
}

// ResolvConf writes a container's /etc/resolv.conf: dns, search and options replace those of the host's file, which is given
// in host; what is not given is the host's (resolv.conf(5)). Resolvers of the host's loopback become the helper's.
func ResolvConf(net Net, host []byte, dns, search, options []string) []byte {
	servers, hostSearch, hostOptions := parseResolv(host)
	var b strings.Builder
	if len(search) == 0 {
		search = hostSearch
	}
	// docker's and podman's "." stands for no search list at all.
	if len(search) > 0 && !(len(search) == 1 && search[0] == ".") {
		b.WriteString("search " + strings.Join(search, " ") + "\n")
	}
	if len(dns) == 0 {
		dns = net.resolvers(servers)
	}
	for _, s := range dns {
		b.WriteString("nameserver " + s + "\n")
	}
	if len(options) == 0 {
		options = hostOptions
	}
	if len(options) > 0 {
		b.WriteString("options " + strings.Join(options, " ") + "\n")
	}
	return []byte(b.String())
}

// resolvers chooses between the host's and the helper's.
func (n Net) resolvers(host []string) []string {
	if n.Kind == Host {
		return host
	}
	var all []string
	if n.HostDNS {
		for _, s := range host {
			if a, err := netip.ParseAddr(s); err == nil && !a.IsLoopback() && !a.IsUnspecified() && a.Zone() == "" {
				all = append(all, s)
			}
		}
	}
	if len(all) > 0 {
		return all
	}
	for _, a := range n.DNS {
		all = append(all, a.String())
	}
	return all
}

// parseResolv reads resolv.conf(5): the last search or domain line wins, options add up, three servers at most are used.
func parseResolv(file []byte) (servers, search, options []string) {
	for line := range strings.Lines(string(file)) {
		f := strings.Fields(line)
		if len(f) < 2 || strings.HasPrefix(f[0], "#") || strings.HasPrefix(f[0], ";") {
			continue
		}
		switch f[0] {
		case "nameserver":
			servers = append(servers, f[1])
		case "search", "domain":
			search = f[1:]
		case "options":
			options = append(options, f[1:]...)
		}
	}
	return servers, search, options
}
