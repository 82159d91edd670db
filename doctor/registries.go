package doctor

import (
	"path/filepath"
	"sort"
	"strings"

	"github.com/rl-containers/rl/hint"
)

// registries tells which registries.conf rules (containers-registries.conf(5)). Nothing is asked of the network.
func registries(h *Host) Result {
	var search, insecure []string
	files := h.registriesFiles()
	for _, f := range files {
		c := parseRegistries(h.read(f))
		if c.search != nil {
			search = c.search
		}
		insecure = append(insecure, c.insecure...)
	}
	detail := "no registries.conf"
	if len(files) > 0 {
		detail = strings.Join(files, ", ")
	}
	if len(search) > 0 {
		detail += "; short names: " + strings.Join(search, ", ")
	}
	if len(insecure) > 0 {
		return degraded(hint.Clean(detail+"; without checked TLS: "+strings.Join(insecure, ", ")),
			"whoever is on the way to these registries can exchange images", "remove insecure = true from "+strings.Join(files, " or "))
	}
	return good(hint.Clean(detail))
}

func (h *Host) registriesFiles() []string {
	if file := h.registriesFile(); file != "" {
		return append([]string{file}, h.dropIns()...)
	}
	return h.dropIns()
}

// registriesFile is the first of the places that containers/image looks at.
func (h *Host) registriesFile() string {
	if f := h.Getenv("CONTAINERS_REGISTRIES_CONF"); f != "" {
		return f
	}
	for _, f := range []string{h.configHome() + "/containers/registries.conf", "/etc/containers/registries.conf"} {
		if h.exists(f) {
			return f
		}
	}
	return ""
}

func (h *Host) configHome() string {
	if dir := h.Getenv("XDG_CONFIG_HOME"); dir != "" {
		return dir
	}
	return h.Getenv("HOME") + "/.config"
}

// dropIns are the files of registries.conf.d, the system's before the user's.
func (h *Host) dropIns() []string {
	var all []string
	for _, dir := range []string{"/etc/containers/registries.conf.d", h.configHome() + "/containers/registries.conf.d"} {
		files, _ := filepath.Glob(h.Root + dir + "/*.conf")
		sort.Strings(files)
		for _, f := range files {
			all = append(all, strings.TrimPrefix(f, h.Root))
		}
	}
	return all
}

type registriesConf struct{ search, insecure []string }

// parseRegistries picks two facts out of a registries.conf: this is a report, and a TOML library at every start of rl is
// too much for it. It understands the keys at the beginning of a line, as everybody writes them.
func parseRegistries(text string) (c registriesConf) {
	var place string
	for line := range strings.Lines(joinArrays(text)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			place = ""
			continue
		}
		key, value, _ := strings.Cut(line, "=")
		value = strings.TrimSpace(value)
		switch strings.TrimSpace(key) {
		case "unqualified-search-registries":
			c.search = quoted(value)
		case "prefix", "location":
			if q := quoted(value); len(q) > 0 && place == "" {
				place = q[0]
			}
		case "insecure":
			if strings.HasPrefix(value, "true") {
				c.insecure = append(c.insecure, place)
			}
		}
	}
	for i, p := range c.insecure {
		if p == "" {
			c.insecure[i] = "(a registry without location)"
		}
	}
	return c
}

// joinArrays drops comments and puts an array over several lines on one.
func joinArrays(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		line = strings.TrimSpace(line)
		b.WriteString(line)
		open := strings.HasSuffix(line, "[") || strings.HasSuffix(line, ",")
		if !open && !strings.HasSuffix(line, `"`) || strings.Contains(line, "=") && !open {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// quoted are the strings in a TOML value.
func quoted(value string) []string {
	var all []string
	parts := strings.FieldsFunc(value, func(r rune) bool { return r == '[' || r == ']' || r == ',' || r == ' ' || r == '\t' })
	for _, p := range parts {
		if p = strings.Trim(p, `"'`); p != "" {
			all = append(all, p)
		}
	}
	return all
}
