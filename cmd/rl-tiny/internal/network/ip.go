// Package network are the programs of rl-tiny that use the network or tell of it.
package network

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/cmd/rl-tiny/internal/tool"
)

// Programs are the programs of this package.
func Programs() []tool.Program {
	return []tool.Program{
		{Name: "getent", Run: getent}, {Name: "httpd", Run: httpd}, {Name: "ip", Run: ip}, {Name: "nc", Run: nc},
		{Name: "nslookup", Run: nslookup}, {Name: "ping", Run: ping}, {Name: "wget", Run: wget},
	}
}

// message is one of rtnetlink(7): its fixed part and its attributes.
type message struct {
	kind  uint16
	fixed []byte
	attrs map[uint16][]byte
}

// dump asks the kernel for all objects of a kind.
func dump(request, family int) ([]message, error) {
	rib, err := syscall.NetlinkRIB(request, family)
	if err != nil {
		return nil, os.NewSyscallError("netlink", err)
	}
	raw, err := syscall.ParseNetlinkMessage(rib)
	if err != nil {
		return nil, os.NewSyscallError("netlink", err)
	}
	sizes := map[uint16]int{unix.RTM_NEWLINK: unix.SizeofIfInfomsg, unix.RTM_NEWADDR: unix.SizeofIfAddrmsg, unix.RTM_NEWROUTE: unix.SizeofRtMsg}
	var all []message
	for i := range raw {
		size, ok := sizes[raw[i].Header.Type]
		if !ok || len(raw[i].Data) < size {
			continue
		}
		attrs, err := syscall.ParseNetlinkRouteAttr(&raw[i])
		if err != nil {
			return nil, err
		}
		m := message{raw[i].Header.Type, raw[i].Data[:size], map[uint16][]byte{}}
		for _, a := range attrs {
			m.attrs[a.Attr.Type&^unix.NLA_F_NESTED] = a.Value
		}
		all = append(all, m)
	}
	return all, nil
}

func (m message) text(attr uint16) string { return strings.TrimRight(string(m.attrs[attr]), "\x00") }

func (m message) number(attr uint16) uint32 {
	if b := m.attrs[attr]; len(b) >= 4 {
		return binary.NativeEndian.Uint32(b)
	}
	return 0
}

func (m message) address(attr uint16) string {
	a, ok := netip.AddrFromSlice(m.attrs[attr])
	if !ok {
		return ""
	}
	return a.String()
}

func (m message) fixed32(at int) uint32 { return binary.NativeEndian.Uint32(m.fixed[at:]) }

// ip lists; it changes nothing.
func ip(c *tool.Call) error {
	family, args := unix.AF_UNSPEC, c.Args
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		switch args[0] {
		case "-4":
			family = unix.AF_INET
		case "-6":
			family = unix.AF_INET6
		default:
			return tool.Usage("unknown option %s", args[0])
		}
		args = args[1:]
	}
	if len(args) == 0 {
		return tool.Usage("ip [-4|-6] {addr|link|route} [show] [dev NAME]")
	}
	object := args[0]
	args = args[1:]
	if len(args) > 0 && args[0] != "" && (strings.HasPrefix("show", args[0]) || strings.HasPrefix("list", args[0]) || args[0] == "ls") {
		args = args[1:]
	}
	if len(args) > 0 && args[0] == "dev" {
		args = args[1:]
	}
	dev := ""
	switch {
	case len(args) == 1:
		dev = args[0]
	case len(args) > 1:
		return tool.Usage("%q: ip only lists here", strings.Join(args, " "))
	}
	if dev != "" {
		if _, err := net.InterfaceByName(dev); err != nil {
			return fmt.Errorf("device %q does not exist", dev)
		}
	}
	switch {
	case strings.HasPrefix("address", object):
		return interfaces(c, family, dev, true)
	case strings.HasPrefix("link", object):
		return interfaces(c, family, dev, false)
	case strings.HasPrefix("route", object):
		return routes(c, family, dev)
	}
	return tool.Usage("object %q is unknown: addr, link, route", object)
}

func interfaces(c *tool.Call, family int, dev string, addresses bool) error {
	links, err := dump(unix.RTM_GETLINK, unix.AF_UNSPEC)
	if err != nil {
		return err
	}
	addrs, err := dump(unix.RTM_GETADDR, family)
	if err != nil {
		return err
	}
	for _, l := range links {
		if l.kind != unix.RTM_NEWLINK || dev != "" && l.text(unix.IFLA_IFNAME) != dev {
			continue
		}
		var mine []message
		for _, a := range addrs {
			if a.kind == unix.RTM_NEWADDR && a.fixed32(4) == l.fixed32(4) && (family == unix.AF_UNSPEC || int(a.fixed[0]) == family) {
				mine = append(mine, a)
			}
		}
		if addresses && family != unix.AF_UNSPEC && len(mine) == 0 {
			continue
		}
		mode := ""
		if !addresses {
			mode = " mode DEFAULT"
		}
		printLink(c, l, mode, !addresses || family == unix.AF_UNSPEC)
		if addresses {
			for _, a := range mine {
				printAddress(c, a)
			}
		}
	}
	return nil
}

func printLink(c *tool.Call, l message, mode string, hardware bool) {
	flags := l.fixed32(8)
	var names []string
	if flags&unix.IFF_UP != 0 && flags&unix.IFF_RUNNING == 0 {
		names = append(names, "NO-CARRIER")
	}
	for _, f := range []struct {
		bit  uint32
		name string
	}{{unix.IFF_LOOPBACK, "LOOPBACK"}, {unix.IFF_BROADCAST, "BROADCAST"}, {unix.IFF_POINTOPOINT, "POINTOPOINT"}, {unix.IFF_MULTICAST, "MULTICAST"},
		{unix.IFF_NOARP, "NOARP"}, {unix.IFF_PROMISC, "PROMISC"}, {unix.IFF_UP, "UP"}, {unix.IFF_LOWER_UP, "LOWER_UP"}} {
		if flags&f.bit != 0 {
			names = append(names, f.name)
		}
	}
	state := "UNKNOWN"
	if s := l.attrs[unix.IFLA_OPERSTATE]; len(s) > 0 && int(s[0]) < 7 {
		state = []string{"UNKNOWN", "NOTPRESENT", "DOWN", "LOWERLAYERDOWN", "TESTING", "DORMANT", "UP"}[s[0]]
	}
	name := l.text(unix.IFLA_IFNAME)
	if index := l.number(unix.IFLA_LINK); index != 0 {
		if other, err := net.InterfaceByIndex(int(index)); err == nil {
			name += "@" + other.Name
		} else {
			name += fmt.Sprintf("@if%d", index)
		}
	}
	c.Printf("%d: %s: <%s> mtu %d qdisc %s state %s%s group default", l.fixed32(4), name, strings.Join(names, ","), l.number(unix.IFLA_MTU), l.text(unix.IFLA_QDISC), state, mode)
	if n := l.number(unix.IFLA_TXQLEN); n > 0 {
		c.Printf(" qlen %d", n)
	}
	c.Printf("\n")
	if !hardware {
		return
	}
	kind := "none"
	switch binary.NativeEndian.Uint16(l.fixed[2:]) {
	case unix.ARPHRD_ETHER:
		kind = "ether"
	case unix.ARPHRD_LOOPBACK:
		kind = "loopback"
	}
	c.Printf("    link/%s %s", kind, net.HardwareAddr(l.attrs[unix.IFLA_ADDRESS]))
	if b := l.attrs[unix.IFLA_BROADCAST]; len(b) > 0 {
		c.Printf(" brd %s", net.HardwareAddr(b))
	}
	c.Printf("\n")
}

func printAddress(c *tool.Call, a message) {
	kind, attr := "inet", uint16(unix.IFA_LOCAL)
	if a.fixed[0] == unix.AF_INET6 {
		kind, attr = "inet6", unix.IFA_ADDRESS
	}
	address := a.address(attr)
	if address == "" {
		address = a.address(unix.IFA_ADDRESS)
	}
	c.Printf("    %s %s/%d", kind, address, a.fixed[1])
	if b := a.address(unix.IFA_BROADCAST); b != "" {
		c.Printf(" brd %s", b)
	}
	c.Printf(" scope %s", scope(a.fixed[3]))
	if label := a.text(unix.IFA_LABEL); label != "" {
		c.Printf(" %s", label)
	}
	valid, preferred := "forever", "forever"
	if b := a.attrs[unix.IFA_CACHEINFO]; len(b) >= 8 {
		preferred, valid = lifetime(b), lifetime(b[4:])
	}
	c.Printf("\n       valid_lft %s preferred_lft %s\n", valid, preferred)
}

func lifetime(b []byte) string {
	if n := binary.NativeEndian.Uint32(b); n != 1<<32-1 {
		return fmt.Sprintf("%dsec", n)
	}
	return "forever"
}

func scope(n byte) string {
	switch n {
	case unix.RT_SCOPE_UNIVERSE:
		return "global"
	case unix.RT_SCOPE_LINK:
		return "link"
	case unix.RT_SCOPE_HOST:
		return "host"
	case unix.RT_SCOPE_SITE:
		return "site"
	}
	return fmt.Sprint(n)
}

// routes shows the main table.
func routes(c *tool.Call, family int, dev string) error {
	if family == unix.AF_UNSPEC {
		family = unix.AF_INET
	}
	all, err := dump(unix.RTM_GETROUTE, family)
	if err != nil {
		return err
	}
	for _, r := range all {
		if r.kind != unix.RTM_NEWROUTE || int(r.fixed[0]) != family || r.fixed[4] != unix.RT_TABLE_MAIN {
			continue
		}
		link := ""
		if i, err := net.InterfaceByIndex(int(r.number(unix.RTA_OIF))); err == nil {
			link = i.Name
		}
		if dev == "" || link == dev {
			printRoute(c, r, link)
		}
	}
	return nil
}

func printRoute(c *tool.Call, r message, link string) {
	to := r.address(unix.RTA_DST)
	full := byte(32)
	if r.fixed[0] == unix.AF_INET6 {
		full = 128
	}
	switch {
	case to == "":
		to = "default"
	case r.fixed[1] != full:
		to += fmt.Sprintf("/%d", r.fixed[1])
	}
	c.Printf("%s", to)
	if via := r.address(unix.RTA_GATEWAY); via != "" {
		c.Printf(" via %s", via)
	}
	if link != "" {
		c.Printf(" dev %s", link)
	}
	switch r.fixed[5] {
	case unix.RTPROT_KERNEL:
		c.Printf(" proto kernel")
	case unix.RTPROT_STATIC:
		c.Printf(" proto static")
	case unix.RTPROT_DHCP:
		c.Printf(" proto dhcp")
	case unix.RTPROT_RA:
		c.Printf(" proto ra")
	}
	if r.fixed[6] == unix.RT_SCOPE_LINK && r.fixed[0] == unix.AF_INET {
		c.Printf(" scope link")
	}
	if src := r.address(unix.RTA_PREFSRC); src != "" {
		c.Printf(" src %s", src)
	}
	if metric := r.number(unix.RTA_PRIORITY); metric != 0 {
		c.Printf(" metric %d", metric)
	}
	c.Printf("\n")
}
