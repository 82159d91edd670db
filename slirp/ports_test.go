package slirp

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestParsePorts(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"8080:80", "8080:80/tcp"},
		{"8080:80/udp", "8080:80/udp"},
		{"8080:80/TCP", "8080:80/tcp"},
		{"80", "0:80/tcp"},
		{"80/udp", "0:80/udp"},
		{":80", "0:80/tcp"},
		{"0:80", "0:80/tcp"},
		{"127.0.0.1:8080:80", "127.0.0.1:8080:80/tcp"},
		{"127.0.0.1::80", "127.0.0.1:0:80/tcp"},
		{"::80", "0:80/tcp"},
		{":8080:80", "8080:80/tcp"},
		{"[::1]:8080:80", "[::1]:8080:80/tcp"},
		{"[::1]::80/udp", "[::1]:0:80/udp"},
		{"[::1]:80", "[::1]:0:80/tcp"},
		{"8000-8003:9000-9003", "8000-8003:9000-9003/tcp"},
		{"80-82", "0:80/tcp 0:81/tcp 0:82/tcp"},
		{"65535:65535", "65535:65535/tcp"},
		{"[::ffff:192.0.2.1]:80:80", "!not an IPv6 address"},
		{"", "!no container port"},
		{"8080:", "!no container port"},
		{"8080:0", "!port 0"},
		{"8080:80/sctp", "!SCTP"},
		{"8080:80/", "!slash"},
		{"8080:80/icmp", "!neither tcp nor udp"},
		{"8080:80/tcp/udp", "!neither tcp nor udp"},
		{"65536:80", "!beyond 65535"},
		{"-1:80", "!no host port"},
		{"+80:80", "!not a number"},
		{"8080 :80", "!not a number"},
		{"0x50:80", "!not a number"},
		{"8002-8000:80-82", "!backwards"},
		{"8000-8002:80", "!3 host ports for 1"},
		{"8000:80-81", "!1 host ports for 2"},
		{"0-1:80-81", "!host port 0"},
		{"::1:8080:80", "!brackets"},
		{"[::1:8080:80", "![ without ]"},
		{"[::1]8080:80", "![ without ]"},
		{"localhost:80:80", "!is a name"},
		{"1.2.3:80:80", "!not an IP"},
		{"127.0.0.1:80", "!127.0.0.1::80"},
		{"224.0.0.1:80:80", "!multicast"},
		{"a:b:c:d", "!colons"},
		{"80-:80", "!no host port"},
		{"\x00:80", "!not a number"},
	} {
		got, err := ParsePorts([]string{tc.in})
		if want, bad := strings.CutPrefix(tc.want, "!"); bad {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v, %v; want an error with %q", tc.in, got, err, want)
			}
			continue
		}
		if all := joined(got); err != nil || all != tc.want {
			t.Errorf("%q: %q, %v; want %q", tc.in, all, err, tc.want)
		}
	}
}

func joined(ports []Port) string {
	var all []string
	for _, p := range ports {
		all = append(all, p.String())
	}
	return strings.Join(all, " ")
}

func TestConflicts(t *testing.T) {
	for _, tc := range []struct {
		specs []string
		bad   bool
	}{
		{[]string{"80:80", "80:81"}, true},
		{[]string{"80:80", "80:80"}, true},
		{[]string{"80:80", "80:80/udp"}, false},
		{[]string{"80:80", "127.0.0.1:80:80"}, true},
		{[]string{"127.0.0.1:80:80", "127.0.0.2:80:80"}, false},
		{[]string{"0.0.0.0:80:80", "[::]:80:80"}, false},
		{[]string{"[::]:80:80", "[::1]:80:80"}, true},
		{[]string{"80-90:80-90", "90:100"}, true},
		{[]string{"80-90:80-90", "91:100"}, false},
		{[]string{"80", "80"}, false},
	} {
		if _, err := ParsePorts(tc.specs); (err != nil) != tc.bad {
			t.Errorf("%q: %v", tc.specs, err)
		}
	}
}

func FuzzParsePorts(f *testing.F) {
	for _, s := range []string{"80", "1-2:3-4/udp", "[::1]:80:80", "1.2.3.4::5", "::", "[", "65535-65535:1-1", "80:80/sctp"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ports, err := ParsePorts([]string{s})
		if err != nil {
			return
		}
		for _, p := range ports {
			if p.Container == 0 || p.Count < 1 || int(p.Container)+p.Count > 65536 || int(p.Host)+p.Count > 65536 && p.Host != 0 {
				t.Fatalf("%q: %+v", s, p)
			}
			if p.Host == 0 && p.Count != 1 {
				t.Fatalf("%q: a range without ports: %+v", s, p)
			}
			again, err := ParsePorts([]string{p.String()})
			if err != nil || !slices.Equal(again, []Port{p}) {
				t.Fatalf("%q: %s reads as %v, %v", s, p, again, err)
			}
		}
	})
}

func TestOwnerTable(t *testing.T) {
	// A line of /proc/net/tcp6 on a little-endian machine: [::1]:631.
	line := "   0: 00000000000000000000000001000000:0277 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000   104        0 2461 1 0000000000000000 100 0 0 10 0"
	if tableAddr("0100007F") != netip.MustParseAddr("127.0.0.1") {
		t.Skip("another byte order")
	}
	uid, inode, ok := holderOf(line, netip.MustParseAddrPort("[::1]:631"), "tcp")
	if !ok || uid != "104" || inode != "2461" {
		t.Errorf("got %q %q %v", uid, inode, ok)
	}
	if _, _, ok := holderOf(line, netip.MustParseAddrPort("[::2]:631"), "tcp"); ok {
		t.Error("another address is taken for it")
	}
}
