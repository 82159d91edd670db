package cgroup

import (
	"path"
	"slices"
	"strings"
	"testing"
)

func TestParsePath(t *testing.T) {
	for _, c := range []struct{ path, want, err string }{
		{"", "rl-oci-id", ""},
		{"pod/c1", "pod/c1", ""},
		{"./pod//c1/", "pod/c1", ""},
		{"/machine/c1", "/machine/c1", ""},
		{"user.slice:podman:abc", "podman-abc.scope", ""},
		{"system.slice::abc", "abc.scope", ""},
		{":podman:pod.slice", "podman-pod.slice", ""},
		{"/a:b:c", "/a:b:c", ""},
		{"a b/ü", "a b/ü", ""},
		{"/", "", "names no cgroup"},
		{".", "", "names no cgroup"},
		{"../x", "", "leads out"},
		{"/a/../b", "", "leads out"},
		{"a\nb", "", "control characters"},
		{"/test\x00invalid", "", "control characters"},
		{"x\x1b[2J", "", "control characters"},
		{strings.Repeat("a", 241), "", "too long"},
		{"user.slice:..:x/y", "user.slice:..:x/y", ""},
	} {
		w, err := parsePath(c.path, "id")
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%q: %v, want an error with %q", c.path, err, c.err)
			}
			continue
		}
		got := path.Join(w.names...)
		if w.absolute {
			got = "/" + got
		}
		if err != nil || got != c.want || w.given != (c.path != "") {
			t.Errorf("%q: %q (given %v), %v, want %q", c.path, got, w.given, err, c.want)
		}
	}
}

func TestParsePathID(t *testing.T) {
	if _, err := parsePath("", "a/b"); err == nil {
		t.Error("an id with a slash passed")
	}
	long := strings.Repeat("x", maxName)
	if w, err := parsePath("", long); err != nil || len(w.names[0]) > maxName {
		t.Errorf("a long id: %v, %v", w, err)
	}
}

// FuzzParsePath: whatever a bundle says, the result is names below a base.
func FuzzParsePath(f *testing.F) {
	for _, s := range []string{"", "/", "a/../..", "::", "a:b:c", ":..:", "//x", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		w, err := parsePath(s, "id")
		if err != nil {
			return
		}
		joined := path.Join(append([]string{"/base"}, w.names...)...)
		if len(w.names) == 0 || !below(joined, "/base") || joined == "/base" || strings.ContainsAny(joined, "\x00\n") {
			t.Errorf("%q: %q", s, joined)
		}
	})
}

func TestBases(t *testing.T) {
	for _, c := range []struct {
		path, own string
		want      []string
	}{
		{"c", "/", []string{"/"}},
		{"c", "/a/b", []string{"/a/b", "/a", "/"}},
		{"/c", "/a", []string{"/", "/a", "/"}},
	} {
		w, err := parsePath(c.path, "id")
		if got := w.bases(c.own); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s from %s: %v, %v", c.path, c.own, got, err)
		}
	}
}

func TestShared(t *testing.T) {
	for _, c := range []struct{ a, b, want string }{
		{"/", "/x", "/"},
		{"/a/b", "/a/b/c", "/a/b"},
		{"/a/b", "/a/bc", "/a"},
		{"/a/b/c", "/a/b", "/a/b"},
		{"/a", "/b/c", "/"},
	} {
		if got := shared(c.a, c.b); got != c.want {
			t.Errorf("%s, %s: %s, want %s", c.a, c.b, got, c.want)
		}
	}
}

func TestOwnPath(t *testing.T) {
	for text, want := range map[string]string{
		"0::/\n":                                "/",
		"9:name=systemd:/x\n0::/user.slice/a\n": "/user.slice/a",
		"4:memory:/m\n":                         "",
		"0::/../b\n":                            "",
		"0::/..\n":                              "",
		"0::/..x\n":                             "/..x",
		"0::/a (deleted)\n":                     "/a",
		"":                                      "",
	} {
		if got := ownPath(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
