package slirp

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/rl-containers/rl/hint"
)

// Hosts writes a container's /etc/hosts (hosts(5)): the loopback, the container's own names, the host's, and those of
// --add-host, which come first: the first line that has a name wins. On the host's own network the names are those of its
// file, base. fullName is the host name with its domain, or without.
func Hosts(net Net, base []byte, fullName, hostname, name string, addHosts []string) ([]byte, error) {
	var b strings.Builder
	for _, h := range addHosts {
		line, err := addHost(net, h)
		if err != nil {
			return nil, err
		}
		b.WriteString(line)
	}
	var names []string
	for _, n := range []string{fullName, hostname, name} {
		if n != "" && !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	if net.Kind == Host && len(base) > 0 {
		b.WriteString(strings.TrimRight(string(base), "\n") + "\n")
		names = slices.DeleteFunc(names, func(n string) bool { return slices.Contains(strings.Fields(string(base)), n) })
	} else {
		b.WriteString("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n")
	}
	own := net.IP
	if !own.IsValid() {
		// Without a network of its own a container still knows its name, as Debian's hosts file does it.
		own = netip.AddrFrom4([4]byte{127, 0, 1, 1})
	}
	if len(names) > 0 {
		b.WriteString(own.String() + "\t" + strings.Join(names, " ") + "\n")
	}
	if net.HostAlias.IsValid() {
		b.WriteString(net.HostAlias.String() + "\thost.containers.internal host.docker.internal\n")
	}
	return []byte(b.String()), nil
}

// addHost reads NAME[;NAME…]:IP, as docker and podman write it, where IP may be in brackets or "host-gateway".
func addHost(net Net, s string) (string, error) {
	names, addr := s, ""
	if i := strings.IndexAny(s, ":="); i >= 0 { // docker 25 takes NAME=IP, too
		names, addr = s[:i], s[i+1:]
	}
	if addr == "" {
		return "", hint.Errorf("the form is NAME:IP or NAME:host-gateway; several names: ONE;TWO:IP", "--add-host %s: no address", s)
	}
	list := strings.Split(names, ";")
	for _, n := range list {
		if n == "" || strings.ContainsAny(n, " \t\n\r\v\f#") {
			return "", fmt.Errorf("--add-host %s: %q is not a host name", s, n)
		}
	}
	if addr == "host-gateway" {
		if !net.HostAlias.IsValid() {
			return "", hint.Errorf("use --network slirp4netns, pasta or host", "--add-host %s: the host can't be reached from network %s", s, net.Kind)
		}
		addr = net.HostAlias.String()
	}
	ip, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(addr, "["), "]"))
	if err != nil {
		return "", fmt.Errorf("--add-host %s: %q is not an IP address", s, addr)
	}
	return ip.String() + "\t" + strings.Join(list, " ") + "\n", nil
}
