package slirp

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, tc := range []struct {
		in, bad string
		kind    Kind
	}{
		{"none", "", None},
		{"host", "", Host},
		{"slirp4netns", "", Slirp4netns},
		{"slirp4netns:", "", Slirp4netns},
		{"slirp4netns:mtu=1500,cidr=10.9.0.0/16,allow_host_loopback=true,enable_ipv6=false,outbound_addr=eth0,outbound_addr6=fd00::9,port_handler=slirp4netns", "", Slirp4netns},
		{"slirp4netns:port_handler=rootlesskit", "", Slirp4netns},
		{"pasta", "", Pasta},
		{"pasta:--mtu,1500,-T,5432,--map-gw,--ipv4-only,--address=192.0.2.9", "", Pasta},
		{"none:x", "takes no options", 0},
		{"host:x=y", "takes no options", 0},
		{"slirp4netns:mtu=0", "mtu", 0},
		{"slirp4netns:mtu=65522", "mtu", 0},
		{"slirp4netns:mtu=", "mtu", 0},
		{"slirp4netns:cidr=10.0.2.1/24", "10.0.2.0/24", 0},
		{"slirp4netns:cidr=fd00::/64", "IPv4", 0},
		{"slirp4netns:cidr=10.0.2.0/30", "/25", 0},
		{"slirp4netns:allow_host_loopback=maybe", "neither true nor false", 0},
		{"slirp4netns:allow_host_loopback", "neither true nor false", 0},
		{"slirp4netns:outbound_addr=fd00::1", "other IP version", 0},
		{"slirp4netns:outbound_addr=--x", "neither an address", 0},
		{"slirp4netns:outbound_addr6=a/b", "neither an address", 0},
		{"slirp4netns:port_handler=x", "neither", 0},
		{"slirp4netns:api-socket=/x", "unknown option", 0},
		{"pasta:--pid,/etc/passwd", "can't be passed", 0},
		{"pasta:-P,/etc/passwd", "can't be passed", 0},
		{"pasta:--pid=/etc/passwd", "can't be passed", 0},
		{"pasta:-l,x", "can't be passed", 0},
		{"pasta:--log-fil,x", "can't be passed", 0},
		{"pasta:--pcap,x", "can't be passed", 0},
		{"pasta:-qP/x", "can't be passed", 0},
		{"pasta:/bin/sh", "can't be passed", 0},
		{"pasta:--,sh", "can't be passed", 0},
		{"pasta:-t", "needs a value", 0},
		{"pasta:-t,--pid", "is not a value", 0},
		{"pasta:--ipv4-only=x", "takes no value", 0},
		{"pasta:-m,1", "68 to 65520", 0},
		{"bridge", "not supported yet", 0},
		{"container:x", "not supported yet", 0},
		{"ns:/proc/1/ns/net", "not supported yet", 0},
		{"mynet", "named networks", 0},
	} {
		m, err := Parse(tc.in)
		if err != nil && strings.Contains(err.Error(), "is not installed") {
			t.Logf("%s: %v", tc.in, err)
			continue
		}
		if tc.bad != "" {
			if err == nil || !strings.Contains(err.Error(), tc.bad) {
				t.Errorf("%s: %v; want an error with %q", tc.in, err, tc.bad)
			}
		} else if err != nil || m.Kind != tc.kind {
			t.Errorf("%s: %s, %v", tc.in, m.Kind, err)
		}
	}
}

func TestPastaArgs(t *testing.T) {
	m := Mode{Kind: Pasta, Program: "/usr/bin/pasta"}
	words := strings.Split("-T,5432,--map-gw,--address=192.0.2.9", ",")
	for i := 0; i < len(words); i++ {
		used, err := m.pastaOption(words[i], words[i+1:])
		if err != nil {
			t.Fatal(err)
		}
		i += used
	}
	got := strings.Join(m.pastaArgs([]Port{{Host: 8080, Container: 80, Count: 2, Proto: "tcp"},
		{IP: netip.MustParseAddr("::1"), Host: 53, Container: 53, Count: 1, Proto: "udp"}}, 77), " ")
	for _, want := range []string{" -t 8080-8081:80-81 ", " -u ::1/53:53 ", " -T 5432", " -U none ", " --address 192.0.2.9 "} {
		if !strings.Contains(got+" ", want) {
			t.Errorf("%q is not in %q", want, got)
		}
	}
	if strings.Contains(got, "--no-map-gw") || !strings.HasSuffix(got, " 77") {
		t.Error(got)
	}
	if m.Net().IP != netip.MustParseAddr("192.0.2.9") {
		t.Errorf("Net() says %s", m.Net().IP)
	}
}

func TestAutoWithoutHelpers(t *testing.T) {
	m := auto()
	if m.Kind == None && m.Note == "" || m.Kind != None && (m.Note != "" || m.Program == "") {
		t.Errorf("%+v", m)
	}
}

func TestSlirpArgs(t *testing.T) {
	m := defaults(Slirp4netns, "/usr/bin/slirp4netns")
	args := m.slirpArgs(nil, 77, true)
	for _, want := range []string{"--configure", "--mtu=65520", "--disable-host-loopback", "--enable-ipv6", "--enable-sandbox", "--enable-seccomp"} {
		if !slices.Contains(args, want) {
			t.Errorf("%s is missing in %q", want, args)
		}
	}
	if strings.Contains(strings.Join(args, " "), "api-socket") {
		t.Errorf("an API socket without ports: %q", args)
	}
}
