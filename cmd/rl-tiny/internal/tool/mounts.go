package tool

import (
	"os"
	"strings"
)

// Mount is a line of /proc/self/mounts (fstab(5)).
type Mount struct{ Source, Target, Type, Options string }

// Mounts are the mounts that this process sees.
func Mounts() ([]Mount, error) {
	b, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil, err
	}
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	var all []Mount
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) >= 4 {
			all = append(all, Mount{unescape.Replace(f[0]), unescape.Replace(f[1]), f[2], f[3]})
		}
	}
	return all, nil
}
