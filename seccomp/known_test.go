package seccomp

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// TestKnown: what the lists promise, a profile may say.
func TestKnown(t *testing.T) {
	for _, arch := range Archs() {
		loads(t, fmt.Sprintf(`{"defaultAction":"SCMP_ACT_ALLOW","architectures":[%q]}`, arch))
	}
	for _, action := range Actions() {
		if action != specs.ActNotify { // needs a listener
			loads(t, fmt.Sprintf(`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["sync"],"action":%q}]}`, action))
		}
	}
	for _, op := range Operators() {
		loads(t, fmt.Sprintf(`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_ERRNO","args":[{"index":0,"value":7,"op":%q}]}]}`, op))
	}
}

func loads(t *testing.T, profile string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "profile.json")
	if err := os.WriteFile(path, []byte(profile), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path, nil); err != nil {
		t.Error(err)
	}
}

// TestSupportedFlags: what Linux 5.11 has, every kernel that rl runs on has.
func TestSupportedFlags(t *testing.T) {
	got := SupportedFlags()
	for _, f := range []specs.LinuxSeccompFlag{flagTsync, specs.LinuxSeccompFlagSpecAllow, specs.LinuxSeccompFlagLog} {
		if !slices.Contains(got, f) {
			t.Errorf("%s is missing in %v", f, got)
		}
	}
}
