package idmap

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
)

const whole = "         0          0 4294967295\n"

var (
	ann     = Caller{UID: 1000, GID: 1000, Bounding: true}
	rootAll = Caller{Caps: 1<<41 - 1, Bounding: true}
)

// machine writes a fake root: files by path, over what every machine has.
func machine(t testing.TB, c Caller, files map[string]string) Source {
	t.Helper()
	s := Source{Root: t.TempDir(), As: &c, Tools: &Helpers{UID: "/usr/bin/newuidmap", GID: "/usr/bin/newgidmap"}}
	all := map[string]string{
		"/proc/self/uid_map": whole, "/proc/self/gid_map": whole,
		"/etc/passwd": "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n",
	}
	for path, text := range files {
		all[path] = text
	}
	for path, text := range all {
		if err := os.MkdirAll(filepath.Dir(s.Root+path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(s.Root+path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func both(text string) map[string]string {
	return map[string]string{"/etc/subuid": text, "/etc/subgid": text}
}

func TestMap(t *testing.T) {
	plain := both("ann:100000:65536\n")
	tests := []struct {
		name, mode string
		files      map[string]string
		caller     Caller
		want       string // Map.String()
		note       string // part of it; "" is no note at all
	}{
		{name: "one range", files: plain, caller: ann,
			want: "uids 0→1000 1→100000+65536, gids 0→1000 1→100000+65536 (subid)"},
		{name: "host is the same", mode: "host", files: plain, caller: ann,
			want: "uids 0→1000 1→100000+65536, gids 0→1000 1→100000+65536 (subid)"},
		{name: "by name and by uid, in file order, others skipped", caller: ann,
			files: both("bob:500000:65536\n1000:300000:10\n# a comment\nann:200000:20\nannie:1:5\n"),
			want:  "uids 0→1000 1→300000+10 11→200000+20, gids 0→1000 1→300000+10 11→200000+20 (subid)"},
		{name: "bad lines are no reason to stop", caller: ann,
			files: both("ann:1\nann:x:5\nann:5:0\nann:4294967290:10\nann:18446744073709551616:1\nann:100000:7"),
			want:  "uids 0→1000 1→100000+7, gids 0→1000 1→100000+7 (subid)"},
		{name: "the range holds my own id", caller: ann, files: both("ann:990:20\n"),
			want: "uids 0→1000 1→990+10 11→1001+9, gids 0→1000 1→990+10 11→1001+9 (subid)"},
		{name: "host root is never given away", caller: ann, files: both("ann:0:10\n"),
			want: "uids 0→1000 1→1+9, gids 0→1000 1→1+9 (subid)"},
		{name: "own ranges overlap", caller: ann, files: both("ann:100:10\nann:105:10\nann:100:10\n"),
			want: "uids 0→1000 1→100+10 11→110+5, gids 0→1000 1→100+10 11→110+5 (subid)"},
		{name: "different files", caller: ann,
			files: map[string]string{"/etc/subuid": "ann:1000000:3", "/etc/subgid": "ann:2000000:5"},
			want:  "uids 0→1000 1→1000000+3, gids 0→1000 1→2000000+5 (subid)"},
		{name: "keep-id", mode: "keep-id", files: plain, caller: ann,
			want: "uids 0→100000+1000 1000→1000 1001→101000+64536, gids 0→100000+1000 1000→1000 1001→101000+64536 (subid)"},
		{name: "keep-id with numbers", mode: "keep-id:uid=0,gid=2", files: both("ann:100000:5"), caller: ann,
			want: "uids 0→1000 1→100000+5, gids 0→100000+2 2→1000 3→100002+3 (subid)"},
		{name: "keep-id above the ranges", mode: "keep-id:uid=70000,gid=70000", files: both("ann:100000:5"), caller: ann,
			want: "uids 0→100000+5 70000→1000, gids 0→100000+5 70000→1000 (subid)"},
		{name: "keep-id at the last id", mode: "keep-id:uid=4294967294,gid=4294967294", files: both("ann:100000:5"), caller: ann,
			want: "uids 0→100000+5 4294967294→1000, gids 0→100000+5 4294967294→1000 (subid)"},
		{name: "nomap", mode: "nomap", files: plain, caller: ann,
			want: "uids 0→100000+65536, gids 0→100000+65536 (subid)"},
		{name: "no range", caller: ann, files: both("bob:100000:65536\n"), note: "ann has no range in /etc/subuid and /etc/subgid",
			want: "uids 0→1000, gids 0→1000 (single)"},
		{name: "no gids", caller: ann, files: map[string]string{"/etc/subuid": "ann:100000:65536\n"}, note: "in /etc/subgid",
			want: "uids 0→1000, gids 0→1000 (single)"},
		{name: "keep-id without a range", mode: "keep-id", caller: ann, note: "no range",
			want: "uids 1000→1000, gids 1000→1000 (single)"},
		{name: "keep-id:uid without a range", mode: "keep-id:uid=5", caller: ann, note: "no range",
			want: "uids 5→1000, gids 1000→1000 (single)"},
		{name: "below newgrp", caller: Caller{UID: 1000, GID: 7, Bounding: true}, files: plain, note: "current group (7)",
			want: "uids 0→1000, gids 0→7 (single)"},
		{name: "inside a container", caller: ann, note: "",
			files: map[string]string{"/etc/subuid": "ann:1:999\nann:1001:64535", "/etc/subgid": "ann:1:999\nann:1001:64535",
				"/proc/self/uid_map": "0 1000 1\n1 100000 65536\n", "/proc/self/gid_map": "0 1000 1\n1 100000 30000\n"},
			want: "uids 0→1000 1→1+999 1000→1001+64535, gids 0→1000 1→1+999 1000→1001+29000 (subid)"},
		{name: "inside a container that has not these ids", caller: ann, note: "don't exist in this user namespace",
			files: map[string]string{"/etc/subuid": "ann:100000:65536", "/etc/subgid": "ann:100000:65536",
				"/proc/self/uid_map": "0 1000 1\n1 100000 65536\n", "/proc/self/gid_map": "0 1000 1\n1 100000 65536\n"},
			want: "uids 0→1000, gids 0→1000 (single)"},
		{name: "root", caller: rootAll,
			want: "uids 0→0+4294967295, gids 0→0+4294967295 (direct)"},
		{name: "root keeps its id", mode: "keep-id", caller: rootAll,
			want: "uids 0→0+4294967295, gids 0→0+4294967295 (direct)"},
		{name: "root of a container", caller: rootAll,
			files: map[string]string{"/proc/self/uid_map": "0 1000 1\n1 100000 65536\n", "/proc/self/gid_map": "0 1000 1\n1 100000 65536\n"},
			want:  "uids 0→0 1→1+65536, gids 0→0 1→1+65536 (direct)"},
		{name: "root of unshare -r", caller: rootAll, note: "only one user exists in the user namespace",
			files: map[string]string{"/proc/self/uid_map": "0 1000 1\n", "/proc/self/gid_map": "0 1000 1\n"},
			want:  "uids 0→0, gids 0→0 (single)"},
		{name: "root without capabilities", caller: Caller{}, note: "root has no CAP_SETUID",
			want: "uids 0→0, gids 0→0 (single)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := machine(t, tt.caller, tt.files).Map(tt.mode)
			if err != nil {
				t.Fatal(err)
			}
			if m.String() != tt.want {
				t.Errorf("got  %s\nwant %s", m, tt.want)
			}
			if tt.note == "" && m.Note != "" || !strings.Contains(m.Note, tt.note) {
				t.Errorf("note %q, want %q in it", m.Note, tt.note)
			}
			valid(t, m.UIDs)
			valid(t, m.GIDs)
		})
	}
}

// valid is what map_write in kernel/user_namespace.c demands.
func valid(t testing.TB, rs []Range) {
	t.Helper()
	if len(rs) == 0 || len(rs) > 340 || len(text(rs)) >= os.Getpagesize() {
		t.Errorf("%d lines, %d bytes", len(rs), len(text(rs)))
	}
	for i, a := range rs {
		if a.Size == 0 || uint64(a.Container)+uint64(a.Size) > maxID || uint64(a.Host)+uint64(a.Size) > maxID {
			t.Errorf("line %d: %+v", i, a)
		}
		for _, b := range rs[:i] {
			if intersect(span{a.Container, a.Size}, span{b.Container, b.Size}).size+intersect(span{a.Host, a.Size}, span{b.Host, b.Size}).size > 0 {
				t.Errorf("%+v overlaps %+v", a, b)
			}
		}
	}
}

func TestSetgroupsDeniedAbove(t *testing.T) {
	files := map[string]string{"/proc/self/uid_map": "0 1000 5\n", "/proc/self/gid_map": "0 1000 5\n"}
	for word, want := range map[string]bool{"deny\n": true, "allow\n": false} {
		files["/proc/self/setgroups"] = word
		if m, err := machine(t, rootAll, files).Map(""); err != nil || m.Rung != Direct || m.NoGroups() != want {
			t.Errorf("%q: %v %v NoGroups %v", word, m, err, m.NoGroups())
		}
	}
}

func TestManyRanges(t *testing.T) {
	var b strings.Builder
	for i := range 2000 {
		b.WriteString("ann:" + itoa(100000+10*i) + ":5\n")
	}
	m, err := machine(t, ann, both(b.String())).Map("")
	if err != nil {
		t.Fatal(err)
	}
	valid(t, m.UIDs)
	if len(m.UIDs) < 200 || !strings.Contains(m.Note, "more subordinate id ranges") {
		t.Errorf("%d lines, note %q", len(m.UIDs), m.Note)
	}
}

func itoa(n int) string { return strings.Fields(Range{Container: uint32(n)}.line())[0] }

func TestModeErrors(t *testing.T) {
	tests := []struct {
		mode   string
		caller Caller
		files  map[string]string
		want   string
	}{
		{"auto", ann, nil, `unknown user namespace mode "auto"`},
		{"keep-id:", ann, nil, `bad option ""`},
		{"keep-id:uid=-1", ann, nil, `bad option "uid=-1"`},
		{"keep-id:uid=4294967295", ann, nil, `bad option`},
		{"keep-id:size=1", ann, nil, `unknown option "size"`},
		{"nomap:x", ann, nil, `unknown user namespace mode`},
		{"nomap", ann, nil, "no id is left to map"},
		{"nomap", rootAll, nil, "root keeps its own ids"},
		{"keep-id:uid=1000", rootAll, nil, "root keeps its own ids"},
	}
	for _, tt := range tests {
		_, err := machine(t, tt.caller, tt.files).Map(tt.mode)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: error %v, want %q", tt.mode, err, tt.want)
		} else if len(hint.Of(err)) == 0 {
			t.Errorf("%q: no hint", tt.mode)
		}
	}
}

func TestFixNamesAFreeRange(t *testing.T) {
	m, err := machine(t, ann, both("bob:100000:65536\neve:300000:65536\n")).Map("")
	if want := "sudo usermod --add-subuids 365536-431071 --add-subgids 365536-431071 ann"; err != nil || m.Fix != want {
		t.Errorf("%v, %q, want %q", err, m.Fix, want)
	}
}

func TestLookup(t *testing.T) {
	m := Map{UIDs: []Range{{0, 1000, 1}, {1, 100000, 65536}}, GIDs: []Range{{5, 50, 2}}}
	for _, c := range [][2]uint32{{0, 1000}, {1, 100000}, {65536, 165535}} {
		if got, ok := m.HostUID(c[0]); !ok || got != c[1] {
			t.Errorf("HostUID(%d) = %d, %v", c[0], got, ok)
		}
		if got, ok := m.ContainerUID(c[1]); !ok || got != c[0] {
			t.Errorf("ContainerUID(%d) = %d, %v", c[1], got, ok)
		}
	}
	if _, ok := m.HostUID(65537); ok {
		t.Error("65537 is mapped")
	}
	if g, ok := m.HostGID(6); !ok || g != 51 {
		t.Error(g, ok)
	}
	if g, ok := m.ContainerGID(49); ok {
		t.Error(g, ok)
	}
}

func TestHelpersSaysWhy(t *testing.T) {
	tests := []struct {
		name   string
		caller Caller
		mode   os.FileMode
		want   string
	}{
		{"no_new_privs", Caller{UID: 1000, NoNewPrivs: true, Bounding: true}, 0o755, "no_new_privs"},
		{"bounding set", Caller{UID: 1000}, 0o755, "bounding set"},
		{"missing", ann, 0, "newuidmap is not installed"},
		{"not setuid", ann, 0o755, "neither setuid root nor"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			files := map[string]string{}
			if tt.mode != 0 {
				files["/usr/bin/newuidmap"] = ""
			}
			s := machine(t, tt.caller, files)
			s.Tools = nil
			if tt.mode != 0 {
				if err := os.Chmod(s.Root+"/usr/bin/newuidmap", tt.mode); err != nil {
					t.Fatal(err)
				}
			}
			if h := s.Helpers(); !strings.Contains(h.Why, tt.want) || h.Fix == "" {
				t.Errorf("%+v, want %q", h, tt.want)
			}
		})
	}
}

func TestHelpersFileCaps(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("file capabilities and setuid-root files need root")
	}
	s := machine(t, ann, map[string]string{"/usr/local/bin/newuidmap": "", "/opt/x/newgidmap": "", "/usr/bin/newgidmap": ""})
	s.Tools, s.As.Paths = nil, "relative:/opt/x"
	caps := func(path string, c uint) {
		v := make([]byte, 20)
		v[0], v[3], v[4] = 1, 2, 1<<c // VFS_CAP_REVISION_2, effective
		if err := unix.Setxattr(s.Root+path, "security.capability", v, 0); err != nil {
			t.Skip(err)
		}
		os.Chmod(s.Root+path, 0o755)
	}
	caps("/usr/local/bin/newuidmap", unix.CAP_SETUID)
	caps("/usr/bin/newgidmap", unix.CAP_SETUID) // the wrong one
	os.Chmod(s.Root+"/opt/x/newgidmap", 0o755|os.ModeSetuid)
	if h := s.Helpers(); h.UID != "/usr/local/bin/newuidmap" || h.GID != "/opt/x/newgidmap" {
		t.Errorf("%+v", h)
	}
	os.Chmod(s.Root+"/opt/x", 0o777)
	if h := s.Helpers(); !strings.Contains(h.Why, "/usr/bin/newgidmap") {
		t.Errorf("a directory that everybody writes to was trusted: %+v", h)
	}
}

func TestSubidSource(t *testing.T) {
	for text, want := range map[string]string{
		"":                             "files",
		"passwd: files\n":              "files",
		"#subid: sss\n":                "files",
		"subid: sss files # a comment": "sss",
		"  subid:\tfiles\n":            "files",
		"subid:\n":                     "files",
	} {
		if got := machine(t, ann, map[string]string{"/etc/nsswitch.conf": text}).subidSource(); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
