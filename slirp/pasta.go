package slirp

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/rl-containers/rl/hint"
)

// pastaKnown tells how a pasta option that may be passed through takes its value: "" none, "=" one. Options that open files
// (--pid, --log-file, --pcap, --fd, --socket), choose another target (--netns, --userns), change the user (--runas) or keep
// it from being watched are not there: they are rl's to set.
func pastaKnown(flag string) (canonical string, value, ok bool) {
	switch flag {
	case "-4", "-6", "--ipv4-only", "--ipv6-only", "--no-tcp", "--no-udp", "--no-icmp", "--no-dhcp", "--no-ndp", "--no-dhcpv6",
		"--no-ra", "--no-map-gw", "--map-gw", "--dhcp-dns", "--dhcp-search", "--no-splice", "--no-dhcp-dns", "--no-dhcp-search":
		return flag, false, true
	case "-a", "--address", "-n", "--netmask", "-M", "--mac-addr", "-g", "--gateway", "-i", "--interface", "-o", "--outbound",
		"--outbound-if4", "--outbound-if6", "-D", "--dns", "-S", "--search", "--dns-forward", "-m", "--mtu", "-I", "--ns-ifname",
		"-t", "--tcp-ports", "-u", "--udp-ports", "-T", "--tcp-ns", "-U", "--udp-ns", "--ns-mac-addr", "--map-host-loopback",
		"--map-guest-addr", "--dns-host", "--host-lo-to-ns-lo":
		return flag, flag != "--host-lo-to-ns-lo", true
	}
	return flag, false, false
}

// pastaOption takes one word of --network pasta:…, in podman 5's form: pasta's own command line with commas for spaces.
func (m *Mode) pastaOption(word string, rest []string) (used int, err error) {
	flag, value, inline := strings.Cut(word, "=")
	_, wants, ok := pastaKnown(flag)
	switch {
	case !ok:
		return 0, hint.Errorf("pasta(1) has them; those that open files, name a namespace or detach are rl's own", "option %q can't be passed to pasta", word)
	case !wants && inline:
		return 0, fmt.Errorf("option %s takes no value", flag)
	case wants && !inline:
		if len(rest) == 0 {
			return 0, fmt.Errorf("option %s needs a value", flag)
		}
		value, used = rest[0], 1
	}
	if wants && (value == "" || strings.HasPrefix(value, "-")) {
		return 0, fmt.Errorf("option %s: %q is not a value", flag, value)
	}
	return used, m.addPasta(flag, value, wants)
}

func (m *Mode) addPasta(flag, value string, wants bool) error {
	switch flag {
	case "--map-gw": // podman's own word: pasta's default, which rl closes
		m.hostLoopback = true
		return nil
	case "-m", "--mtu":
		n, err := strconv.Atoi(value)
		if err != nil || n < 68 || n > 65520 {
			return fmt.Errorf("option %s: %q is not a number from 68 to 65520", flag, value)
		}
		m.mtu = n
		return nil
	}
	m.extra = append(m.extra, flag)
	if wants {
		m.extra = append(m.extra, value)
	}
	return nil
}

func (m Mode) hasExtra(flags ...string) bool {
	return slices.ContainsFunc(m.extra, func(e string) bool { return slices.Contains(flags, e) })
}

// extraAddr is the last IPv4 address that the user gave to an option.
func (m Mode) extraAddr(flags ...string) (last netip.Addr) {
	for i, e := range m.extra[:max(0, len(m.extra)-1)] {
		if a, err := netip.ParseAddr(m.extra[i+1]); err == nil && a.Is4() && slices.Contains(flags, e) {
			last = a
		}
	}
	return last
}

// pastaNet: the container has the host's own addresses, and so can't reach the host by them.
func (m Mode) pastaNet(n *Net) {
	n.HostDNS = true
	n.DNS = []netip.Addr{pastaDNS()}
	if a := m.extraAddr("--dns-forward"); a.IsValid() {
		n.DNS, n.HostDNS = []netip.Addr{a}, false
	}
	n.IP = m.extraAddr("-a", "--address")
	if !n.IP.IsValid() {
		n.IP = hostAddr()
	}
	n.HostAlias = m.extraAddr("--map-host-loopback", "--map-guest-addr")
}

// pastaArgs is pasta's command line (pasta(1)): in the foreground, so that it stays rl's child, with the host's loopback
// closed in both directions, and its pid written to standard output, a pipe, when everything is set up. Descriptors beyond
// 2 are no way: newer versions close them first thing.
func (m Mode) pastaArgs(ports []Port, pid int) []string {
	args := []string{m.Program, "--config-net", "--foreground", "--quiet", "--pid", "/proc/self/fd/1", "--mtu", strconv.Itoa(m.mtu)}
	if os.Geteuid() == 0 {
		// As nobody, which it else becomes, it may not enter root's namespaces. It is confined there all the same.
		args = append(args, "--runas", "0:0")
	}
	if !m.hostLoopback && !m.hasExtra("--no-map-gw") {
		args = append(args, "--no-map-gw")
	}
	if !m.hasExtra("--dns-forward") {
		args = append(args, "--dns-forward", pastaDNS().String())
	}
	if a := hostAddr(); a.IsValid() && !m.hasExtra("-a", "--address", "-i", "--interface", "-6", "--ipv6-only") {
		args = append(args, "--address", a.String())
	}
	args = append(args, m.pastaPorts("tcp", ports, "-t", "--tcp-ports")...)
	args = append(args, m.pastaPorts("udp", ports, "-u", "--udp-ports")...)
	for _, f := range [][2]string{{"-T", "--tcp-ns"}, {"-U", "--udp-ns"}} {
		if !m.hasExtra(f[0], f[1]) {
			args = append(args, f[0], "none")
		}
	}
	return append(append(args, m.extra...), strconv.Itoa(pid))
}

// pastaPorts writes the published ports of one protocol. Without any, "none" keeps pasta from publishing whatever the
// container listens on.
func (m Mode) pastaPorts(proto string, ports []Port, short, long string) []string {
	var args []string
	for _, p := range ports {
		if p.Proto != proto {
			continue
		}
		spec := rangeForm(p.Host, p.Count) + ":" + rangeForm(p.Container, p.Count)
		if p.IP.IsValid() {
			spec = p.IP.String() + "/" + spec
		}
		args = append(args, short, spec)
	}
	if len(args) == 0 && !m.hasExtra(short, long) {
		return []string{short, "none"}
	}
	return args
}
