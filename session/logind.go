package session

import (
	"maps"
	"os"
	"slices"
	"strings"
)

// settings are those of logind.conf(5) that decide what becomes of the processes of a session.
type settings struct {
	kill     bool
	only     []string
	excluded []string
}

// kills is logind's own rule: the excluded are spared, then the list of the only ones decides, then the switch.
func (s settings) kills(user string) bool {
	switch {
	case slices.Contains(s.excluded, user):
		return false
	case len(s.only) > 0:
		return slices.Contains(s.only, user)
	}
	return s.kill
}

// confDirs are where systemd looks, the first first: a file hides those of its name in later ones.
func confDirs() []string {
	return []string{"/etc/systemd/", "/run/systemd/", "/usr/local/lib/systemd/", "/usr/lib/systemd/"}
}

// settings reads the main file, then the drop-ins in the order of their names.
func (h *Host) settings() settings {
	s := settings{kill: true, excluded: []string{"root"}} // the manual's
	for _, dir := range confDirs() {
		if text := h.read(dir + "logind.conf"); text != "" {
			s.builtIn(text)
			s.add(text)
			break
		}
	}
	drop := map[string]string{}
	for _, dir := range slices.Backward(confDirs()) {
		entries, _ := os.ReadDir(h.Root + dir + "logind.conf.d")
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), ".conf") {
				drop[e.Name()] = dir + "logind.conf.d/" + e.Name()
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(drop)) {
		s.add(h.read(drop[name]))
	}
	return s
}

// builtIn reads what a distribution compiled in, which its main file shows as a comment: Debian, Fedora and others say no there.
func (s *settings) builtIn(text string) {
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "#KillUserProcesses="); ok {
			s.kill = isYes(v)
		}
	}
}

func (s *settings) add(text string) {
	in := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			in = line == "[Login]"
		}
		key, value, _ := strings.Cut(line, "=")
		if !in {
			continue
		}
		switch value = strings.TrimSpace(value); strings.TrimSpace(key) {
		case "KillUserProcesses":
			s.kill = isYes(value)
		case "KillOnlyUsers":
			s.only = strings.Fields(value)
		case "KillExcludeUsers":
			s.excluded = strings.Fields(value)
		}
	}
}

// isYes is systemd.syntax(7)'s boolean.
func isYes(word string) bool {
	switch strings.ToLower(strings.TrimSpace(word)) {
	case "1", "yes", "y", "true", "t", "on":
		return true
	}
	return false
}
