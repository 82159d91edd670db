package slirp

import (
	"net/netip"
	"strings"
	"testing"
)

func TestSlirpNet(t *testing.T) {
	m := defaults(Slirp4netns, "x")
	n := m.Net()
	if n.IP.String() != "10.0.2.100" || n.Gateway.String() != "10.0.2.2" || n.DNS[0].String() != "10.0.2.3" || n.IP6.String() != "fd00::100" {
		t.Errorf("%+v", n)
	}
	m.cidr, m.ipv6 = netip.MustParsePrefix("172.16.0.0/12"), false
	n = m.Net()
	if n.IP.String() != "172.16.0.100" || n.IP6.IsValid() {
		t.Errorf("%+v", n)
	}
	m.hostLoopback = true
	if n = m.Net(); n.HostAlias != n.Gateway {
		t.Errorf("the host is %s", n.HostAlias)
	}
}

func TestResolvConf(t *testing.T) {
	slirp := defaults(Slirp4netns, "x").Net()
	pasta := Net{Kind: Pasta, HostDNS: true, DNS: []netip.Addr{pastaDNS()}}
	stub := "# systemd\nnameserver 127.0.0.53\noptions edns0 trust-ad\nsearch lan example.org\n"
	for _, tc := range []struct {
		name                 string
		net                  Net
		host                 string
		dns, search, options []string
		want                 string
	}{
		{"slirp, stub", slirp, stub, nil, nil, nil, "search lan example.org\nnameserver 10.0.2.3\noptions edns0 trust-ad\n"},
		{"pasta, stub", pasta, stub, nil, nil, nil, "search lan example.org\nnameserver 169.254.1.1\noptions edns0 trust-ad\n"},
		{"pasta, real", pasta, "nameserver 192.0.2.53\nnameserver ::1\nnameserver fe80::1%eth0\n", nil, nil, nil, "nameserver 192.0.2.53\n"},
		{"host", Net{Kind: Host, HostDNS: true}, stub, nil, nil, nil, "search lan example.org\nnameserver 127.0.0.53\noptions edns0 trust-ad\n"},
		{"none", Net{}, stub, nil, nil, nil, "search lan example.org\noptions edns0 trust-ad\n"},
		{"given", slirp, stub, []string{"9.9.9.9", "1.1.1.1"}, []string{"x.y"}, []string{"ndots:1"}, "search x.y\nnameserver 9.9.9.9\nnameserver 1.1.1.1\noptions ndots:1\n"},
		{"no search", slirp, stub, nil, []string{"."}, nil, "nameserver 10.0.2.3\noptions edns0 trust-ad\n"},
		{"last search wins", slirp, "domain a\nsearch b c", nil, nil, nil, "search b c\nnameserver 10.0.2.3\n"},
		{"empty", slirp, "", nil, nil, nil, "nameserver 10.0.2.3\n"},
		{"rubbish", slirp, "nameserver\n\x00\n;x y\nnameserver x", nil, nil, nil, "nameserver 10.0.2.3\n"},
	} {
		if got := string(ResolvConf(tc.net, []byte(tc.host), tc.dns, tc.search, tc.options)); got != tc.want {
			t.Errorf("%s:\n%s\nwant:\n%s", tc.name, got, tc.want)
		}
	}
}

func TestHosts(t *testing.T) {
	n := Net{Kind: Slirp4netns, IP: netip.MustParseAddr("10.0.2.100"), HostAlias: netip.MustParseAddr("192.0.2.2")}
	got, err := Hosts(n, nil, "web.example", "web", "shop", []string{"db:192.0.2.7", "a;b:fd00::1", "c:[::2]", "gw:host-gateway", "d=192.0.2.8", "e=fd00::5"})
	want := "192.0.2.7\tdb\nfd00::1\ta b\n::2\tc\n192.0.2.2\tgw\n192.0.2.8\td\nfd00::5\te\n" +
		"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n" +
		"10.0.2.100\tweb.example web shop\n192.0.2.2\thost.containers.internal host.docker.internal\n"
	if err != nil || string(got) != want {
		t.Errorf("%v\n%s\nwant:\n%s", err, got, want)
	}
	if got, err = Hosts(Net{}, nil, "web", "web", "", nil); err != nil || !strings.Contains(string(got), "127.0.1.1\tweb\n") || strings.Contains(string(got), "containers.internal") {
		t.Errorf("without a network: %v\n%s", err, got)
	}
	got, err = Hosts(Net{Kind: Host}, []byte("127.0.0.1 localhost\n127.0.1.1 laptop # me"), "laptop", "laptop", "web", nil)
	if want := "127.0.0.1 localhost\n127.0.1.1 laptop # me\n127.0.1.1\tweb\n"; err != nil || string(got) != want {
		t.Errorf("the host's: %v\n%s", err, got)
	}
	for _, bad := range []string{"x", "x:", ":1.2.3.4", "x:1.2.3", "x y:1.2.3.4", "x;:1.2.3.4", "x\n1.1.1.1 y:1.2.3.4", "x:1.2.3.4\ny"} {
		if _, err := Hosts(n, nil, "web", "web", "", []string{bad}); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	if _, err := Hosts(Net{}, nil, "web", "web", "", []string{"gw:host-gateway"}); err == nil {
		t.Error("host-gateway without a network")
	}
}
