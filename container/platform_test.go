package container

import (
	"runtime"
	"testing"
)

func TestPlatform(t *testing.T) {
	for _, c := range []struct{ platform, os, arch, variant, want string }{
		{"", "", "", "", ""},
		{"linux/arm64", "", "", "", "linux/arm64"},
		{"linux/x86_64", "", "", "", "linux/amd64"},
		{"linux/arm/v7", "", "", "", "linux/arm/v7"},
		{"arm64", "", "", "", "arm64"},
		{"", "", "aarch64", "", "linux/arm64"},
		{"", "windows", "", "", "windows/" + runtime.GOARCH},
		{"", "", "arm", "v7", "linux/arm/v7"},
		{"", "", "", "v3", "linux/" + runtime.GOARCH + "/v3"},
	} {
		if got, err := Platform(c.platform, c.os, c.arch, c.variant); err != nil || got != c.want {
			t.Errorf("%+v: %q, %v", c, got, err)
		}
	}
	if _, err := Platform("linux/arm64", "", "amd64", ""); err == nil {
		t.Error("--platform and --arch")
	}
}
