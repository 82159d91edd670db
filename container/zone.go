package container

import (
	"bytes"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rl-containers/rl/enter"
	"github.com/rl-containers/rl/hint"
)

const localtime = "/etc/localtime"

// zoneDirs are where machines keep the time zones: most, and NixOS.
func zoneDirs() []string { return []string{"/usr/share/zoneinfo", "/etc/zoneinfo"} }

// readZone reads a time zone of this machine (tzfile(5)): by its name, or the machine's own.
func readZone(name string) ([]byte, error) {
	if name == "local" {
		b, err := os.ReadFile(localtime)
		if err != nil {
			return nil, hint.Errorf("--tz UTC", "--tz local: this machine has no time zone: %w", err)
		}
		return b, checkZone(name, b)
	}
	if path.IsAbs(name) || slices.Contains(strings.Split(name, "/"), "..") {
		return nil, hint.Errorf("--tz Europe/Berlin, or --tz local for this machine's", "--tz %s: not the name of a time zone", name)
	}
	var b []byte
	var err error
	for _, dir := range zoneDirs() {
		if b, err = os.ReadFile(filepath.Join(dir, name)); err == nil {
			return b, checkZone(name, b)
		}
	}
	if _, none := os.Stat(zoneDirs()[0]); none != nil {
		return nil, hint.Errorf("apt-get install tzdata", "--tz %s: this machine has no time zones (%s)", name, zoneDirs()[0])
	}
	return nil, hint.Errorf("ls "+zoneDirs()[0]+", or --tz local for this machine's", "--tz %s: this machine knows no such time zone", name)
}

func checkZone(name string, b []byte) error {
	if !bytes.HasPrefix(b, []byte("TZif")) {
		return hint.Errorf("ls "+zoneDirs()[0], "--tz %s: not a time zone", name)
	}
	return nil
}

// addZone shows a time zone of this machine as /etc/localtime. What is a symlink in the image is covered itself: podman follows it,
// and one zone of the image is then another. A mount of the user's on the same place wins.
func (r *run) addZone() error {
	if r.TimeZone == "" || slices.ContainsFunc(r.plan.Mounts, func(m enter.Mount) bool { return m.Target == localtime }) {
		return nil
	}
	zone, err := readZone(r.TimeZone)
	if err == nil {
		r.addFile(localtime, zone).OnLink = true
	}
	return err
}

// TimeZones are the names of those of this machine that people live in.
func TimeZones() (all []string) {
	b, _ := os.ReadFile(zoneDirs()[0] + "/zone1970.tab")
	for line := range strings.Lines(string(b)) {
		if fields := strings.Fields(line); len(fields) > 2 && !strings.HasPrefix(line, "#") {
			all = append(all, fields[2])
		}
	}
	return all
}
