package container

import (
	"cmp"
	"runtime"
	"strings"

	"github.com/rl-containers/rl/hint"
)

// Platform is OS/ARCH[/VARIANT] of --platform, or of --os, --arch and --variant, of which each stands for this machine's where it
// is missing. "" is this machine's.
func Platform(platform, os, arch, variant string) (string, error) {
	if os+arch+variant != "" {
		if platform != "" {
			return "", hint.Errorf("--platform OS/ARCH[/VARIANT] says it all", "--platform %s: leave --os, --arch and --variant out", platform)
		}
		platform = cmp.Or(os, "linux") + "/" + cmp.Or(arch, runtime.GOARCH)
		if variant != "" {
			platform += "/" + variant
		}
	}
	parts := strings.Split(platform, "/")
	if len(parts) > 1 {
		parts[1] = knownArch(parts[1])
	}
	return strings.Join(parts, "/"), nil
}

// knownArch is what images call an architecture that uname(1) and distributions call otherwise.
func knownArch(name string) string {
	switch strings.ToLower(name) {
	case "x86_64", "x86-64":
		return "amd64"
	case "aarch64":
		return "arm64"
	case "i386", "i686":
		return "386"
	case "armhf", "armv7l":
		return "arm"
	}
	return name
}
