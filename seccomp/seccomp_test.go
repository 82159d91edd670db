//go:build amd64 || arm64

package seccomp

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rl-containers/rl/seccomp/internal/filter"
)

// The programs made at build time are what would be compiled here, whatever unrelated capabilities there are.
func TestDefaultPrepared(t *testing.T) {
	if chrootProgram == "" {
		t.Skip("no programs are made at build time for this architecture")
	}
	for _, caps := range [][]string{
		nil,
		{"CAP_SYS_CHROOT"},
		{"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_SETFCAP", "CAP_SETGID",
			"CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT", "CAP_AUDIT_WRITE", "CAP_MKNOD"},
	} {
		if prepared(caps) == "" {
			t.Errorf("%v is compiled at each start", caps)
		}
		want, err := compileDefault(caps, false)
		if got := defaultFor(t, caps...); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%v: %d and %d bytes, %v", caps, len(got), len(want), err)
		}
	}
}

// A capability that the profile asks about isn't passed over.
func TestDefaultCapabilities(t *testing.T) {
	p, err := filter.Parse(defaultProfile)
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	for _, e := range p.Syscalls {
		for _, c := range []*filter.Conditions{e.Includes, e.Excludes} {
			if c == nil {
				continue
			}
			for _, name := range c.Caps {
				asked++
				if name != "CAP_SYS_CHROOT" && prepared([]string{name}) != "" {
					t.Errorf("the profile asks for %s", name)
				}
			}
		}
	}
	if asked < 10 {
		t.Errorf("the profile asks %d times for a capability", asked)
	}
}

func TestLoadErrors(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none.json"): "none.json\": open: no such file",
		dir:                             "is a directory",
		file("bad.json", `{"defaultAction":"NO"}`):        `bad.json": defaultAction: unknown action "NO"`,
		file("text.json", "allow all\n"):                  `text.json": line 1: invalid character`,
		file("long.json", strings.Repeat(" ", 1<<20)+"{"): "more than 1048576 bytes",
	} {
		if _, err := Load(path, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
}

// What docker and podman use themselves can be given to Load.
func TestLoadPeers(t *testing.T) {
	for _, path := range []string{"default.json", "/usr/share/containers/seccomp.json"} {
		if _, err := os.Stat(path); err != nil {
			t.Logf("%s: not here", path)
			continue
		}
		for _, caps := range [][]string{nil, {"CAP_SYS_ADMIN"}} {
			if program, err := Load(path, caps); err != nil || len(program) == 0 {
				t.Error(err)
			}
		}
	}
}

func BenchmarkDefault(b *testing.B) {
	for b.Loop() {
		if _, err := Default([]string{"CAP_CHOWN", "CAP_SYS_CHROOT"}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDefaultAdmin(b *testing.B) {
	for b.Loop() {
		if _, err := Default([]string{"CAP_SYS_ADMIN"}); err != nil {
			b.Fatal(err)
		}
	}
}
