package idmap

import (
	"reflect"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	good, bad := Parse("# head\n\nann:100000:65536\nbob:1:2:3\n:1:2\n1000:5:1\nx:-1:5\ny:1: 5\nz:4294967294:1\nz:4294967294:2\nw:7:0\n")
	want := []Entry{{3, "ann", 100000, 65536}, {6, "1000", 5, 1}, {9, "z", 4294967294, 1}}
	if !reflect.DeepEqual(good, want) {
		t.Errorf("got %v, want %v", good, want)
	}
	lines := map[int]string{4: "name:start:count", 5: "name:start:count", 7: "decimal", 8: "decimal", 10: "beyond", 11: "count is 0"}
	for _, p := range bad {
		if w, ok := lines[p.Line]; !ok || !strings.Contains(p.Why, w) || p.Text == "" {
			t.Errorf("unexpected %+v", p)
		}
		delete(lines, p.Line)
	}
	if len(lines) != 0 {
		t.Errorf("not reported: %v", lines)
	}
}

func TestParseGetsubids(t *testing.T) {
	got := parseGetsubids("0: ann 100000 65536\n1: ann 300000 10\nError fetching ranges\n2: ann x 1\n")
	if want := []span{{100000, 65536}, {300000, 10}}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestOverlaps(t *testing.T) {
	data := "ann:100000:65536\nbob:165536:65536\neve:165535:1\n1000:500000:10\nmal:400000:200000\n"
	got := Overlaps(data, "ann", 1000)
	if len(got) != 2 || got[0].Line != 3 || got[1].Line != 5 || !strings.Contains(got[1].Why, "line 4") {
		t.Errorf("%+v", got)
	}
	if got := Overlaps("ann:1:5\nbob:6:5\n", "ann", 1000); got != nil {
		t.Errorf("neighbours: %+v", got)
	}
}

func TestRealIDs(t *testing.T) {
	passwd := "root:x:0:0::/:/bin/sh\nann:x:1000:1000::/:/bin/sh\nbob:x:1001:1001::/:/bin/sh\nbroken\n"
	got := RealIDs("ann:1000:5\nbob:0:9\n", passwd, "ann", 1000)
	if len(got) != 1 || got[0].Line != 1 || !strings.Contains(got[0].Why, "bob (1001)") {
		t.Errorf("%+v", got)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"ann:100000:65536\n", "ann:0:1\nann:0:1", "1000:4294967294:1", "ann:990:20", "::", "ann:1:4294967294", "\xff:1:1"} {
		f.Add(s, uint32(1000))
	}
	f.Fuzz(func(t *testing.T, data string, at uint32) {
		good, bad := Parse(data)
		for _, e := range good {
			if e.Count == 0 || e.End() > maxID || e.Owner == "" {
				t.Errorf("%+v", e)
			}
		}
		if n := strings.Count(data, "\n") + 1; len(good)+len(bad) > n {
			t.Errorf("%d lines gave %d entries", n, len(good)+len(bad))
		}
		layouts(t, owned(data, "ann", "1000"), at)
	})
}

// layouts checks that whatever a file says, the kernel would take what becomes of it.
func layouts(t *testing.T, spans []span, at uint32) {
	others := usable(spans, []span{{0, maxID}}, 1000)
	for _, m := range []mode{{}, {keep: true}, {keep: true, uid: &at}} {
		if at == maxID {
			continue
		}
		rs, _ := fit(m.ranges(m.uid, 1000, others))
		valid(t, rs)
	}
}
