package container

import (
	"slices"
	"testing"
)

func TestJoinRanges(t *testing.T) {
	for _, c := range []struct{ words, want []string }{
		{nil, nil},
		{[]string{"80", "53/udp", "80/tcp", "9/TCP"}, []string{"9/tcp", "80/tcp", "53/udp"}},
		{[]string{"8002", "8000-8001", "8005-8010/tcp", "8006"}, []string{"8000-8002/tcp", "8005-8010/tcp"}},
		{[]string{"1-65535", "1-65535/tcp", "65535", "7/sctp"}, []string{"7/sctp", "1-65535/tcp"}},
		{[]string{"0", "65536", "-1", "80/", "80/icmp", "9-7", "a", "", "/tcp", "80-", "$(id)"}, nil},
	} {
		var got []string
		for _, p := range joinRanges(c.words) {
			got = append(got, p.Inside())
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.words, got, c.want)
		}
	}
	if n := len(oneByOne([]string{"1-65535/tcp"})); n != 65535 {
		t.Errorf("%d ports", n)
	}
}
