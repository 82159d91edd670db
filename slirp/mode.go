// Package slirp is the network of a container: which one is asked for (Parse), what its files say (Net, ResolvConf, Hosts),
// the one program of the host that carries its packets (Start), and its published ports (ParsePorts).
//
// slirp4netns and pasta stand behind one Helper. Whatever it is told, it dies with rl.
package slirp

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/rl-containers/rl/hint"
)

// Kind is a rung of the network ladder.
type Kind int

// The kinds, from a namespace with nothing but a loopback to the caller's own network.
const (
	None Kind = iota
	Slirp4netns
	Pasta
	Host
)

func (k Kind) String() string {
	return [...]string{"none", "slirp4netns", "pasta", "host"}[k]
}

// Mode is a network as asked for, with all that is known about it before it exists.
type Mode struct {
	Kind Kind
	// Program is the absolute path of the helper; "" when the kind needs none.
	Program string
	// Note is one line for the user: what was replaced by the next best thing. "" says that all is as wished.
	Note string

	hostLoopback            bool
	mtu                     int
	cidr                    netip.Prefix
	ipv6                    bool
	outboundAddr, outbound6 string
	extra                   []string // pasta's options, passed through
}

// mtuMax is slirp4netns's own bound, rounded to IPv4's words: what it is used with everywhere.
const mtuMax = 65520

// Parse reads the value of --network as podman(1) writes it. "" and "private" stand for the first of slirp4netns, pasta and
// none that this machine has.
func Parse(network string) (Mode, error) {
	name, opts, hasOpts := strings.Cut(network, ":")
	switch name {
	case "", "private":
		if hasOpts {
			return Mode{}, fmt.Errorf("--network %s: %q takes no options", network, name)
		}
		return auto(), nil
	case "none", "host":
		if hasOpts {
			return Mode{}, fmt.Errorf("--network %s: %q takes no options", network, name)
		}
		kind := None
		if name == "host" {
			kind = Host
		}
		return Mode{Kind: kind}, nil
	case "slirp4netns":
		return named(Slirp4netns, name, opts, (*Mode).slirpOption)
	case "pasta":
		return named(Pasta, name, opts, (*Mode).pastaOption)
	}
	return Mode{}, unsupported(network, name)
}

func unsupported(network, name string) error {
	switch name {
	case "bridge":
		return hint.Errorf("containers of one user reach each other by published ports (-p) and host.containers.internal",
			"--network bridge is not supported yet: use slirp4netns (the default) or pasta")
	case "container", "ns":
		return hint.Errorf("--network=host shares the host's network; the others are slirp4netns, pasta, none",
			"--network %s: joining another network namespace is not supported yet", network)
	}
	return hint.Errorf("slirp4netns (the default), pasta, none, host; container:NAME shares that of another container, and published ports (-p) are reached at host.containers.internal",
		"--network %s: named networks are not supported yet", network)
}

// Tap is the name of the device that the helper uses in the container; nothing when that is not known.
func (m Mode) Tap() []string {
	if m.Kind == Slirp4netns {
		return []string{tapName}
	}
	return nil
}

// auto takes the first rung that this machine has. Looking costs one or two access(2), no exec.
func auto() Mode {
	for _, k := range []Kind{Slirp4netns, Pasta} {
		if path, err := findProgram(k.String()); err == nil {
			return defaults(k, path)
		}
	}
	return Mode{Note: "no network: neither slirp4netns nor pasta is installed; install slirp4netns (or passt), or use --network=host"}
}

func defaults(k Kind, program string) Mode {
	return Mode{Kind: k, Program: program, mtu: mtuMax, ipv6: true, cidr: defaultCIDR()}
}

func defaultCIDR() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 2, 0}), 24)
}

func named(k Kind, name, opts string, set func(*Mode, string, []string) (int, error)) (Mode, error) {
	m := defaults(k, "")
	list := strings.Split(opts, ",")
	for i := 0; i < len(list); i++ {
		if list[i] == "" {
			continue
		}
		used, err := set(&m, list[i], list[i+1:])
		if err != nil {
			return Mode{}, fmt.Errorf("--network %s: %w", name, err)
		}
		i += used
	}
	var err error
	m.Program, err = findProgram(name)
	return m, err
}

// slirpOption sets one of podman-run(1)'s options of slirp4netns.
func (m *Mode) slirpOption(o string, _ []string) (used int, err error) {
	key, value, _ := strings.Cut(o, "=")
	switch key {
	case "allow_host_loopback":
		m.hostLoopback, err = boolean(key, value)
	case "enable_ipv6":
		m.ipv6, err = boolean(key, value)
	case "mtu":
		m.mtu, err = strconv.Atoi(value)
		if err != nil || m.mtu < 68 || m.mtu > 65521 {
			return 0, fmt.Errorf("mtu=%s: not a number from 68 to 65521", value)
		}
	case "cidr":
		m.cidr, err = parseCIDR(value)
	case "outbound_addr":
		m.outboundAddr, err = outbound(key, value, netip.Addr.Is4)
	case "outbound_addr6":
		m.outbound6, err = outbound(key, value, netip.Addr.Is6)
	case "port_handler":
		err = portHandler(value)
	default:
		return 0, hint.Errorf("its options are allow_host_loopback, mtu, cidr, enable_ipv6, outbound_addr, outbound_addr6, port_handler",
			"unknown option %q", o)
	}
	return 0, err
}

// portHandler accepts podman's two words, which choose between the client's address and speed there. Here slirp4netns publishes
// in any case, and the client's address is kept.
func portHandler(value string) error {
	if value != "slirp4netns" && value != "rootlesskit" {
		return fmt.Errorf("port_handler=%s: neither slirp4netns nor rootlesskit", value)
	}
	return nil
}

func boolean(key, value string) (bool, error) {
	b, err := strconv.ParseBool(value)
	if err != nil {
		return false, fmt.Errorf("%s=%s: neither true nor false", key, value)
	}
	return b, nil
}

// parseCIDR accepts what slirp4netns does: IPv4, with room for its addresses .2, .3 and .100 (slirp4netns(1), --cidr).
func parseCIDR(value string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(value)
	if err != nil || !p.Addr().Is4() {
		return p, fmt.Errorf("cidr=%s: not an IPv4 network such as 10.0.2.0/24", value)
	}
	if p.Masked() != p {
		return p, fmt.Errorf("cidr=%s: not the address of a network; %s is", value, p.Masked())
	}
	if p.Bits() > 25 || p.Bits() < 8 {
		return p, fmt.Errorf("cidr=%s: the prefix is to be from /8 to /25", value)
	}
	return p, nil
}

// outbound accepts an address, or the name of an interface of the host.
func outbound(key, value string, family func(netip.Addr) bool) (string, error) {
	if a, err := netip.ParseAddr(value); err == nil {
		if !family(a) {
			return "", fmt.Errorf("%s=%s: address of the other IP version", key, value)
		}
		return value, nil
	}
	if !interfaceName(value) {
		return "", fmt.Errorf("%s=%s: neither an address nor an interface", key, value)
	}
	return value, nil
}

// interfaceName follows the kernel's dev_valid_name.
func interfaceName(s string) bool {
	return s != "" && len(s) < 16 && s[0] != '-' && s != "." && s != ".." && !strings.ContainsAny(s, "/: \t\n\v\f\r")
}
