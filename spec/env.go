package spec

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/rl-containers/rl/hint"
)

// defaultPath is docker's and podman's for an image that says nothing.
const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// environment keeps the order in which names first came, and the last value of each.
type environment struct {
	entries []string
	at      map[string]int
}

func (e *environment) set(entry string) {
	name, _, _ := strings.Cut(entry, "=")
	if i, ok := e.at[name]; ok {
		e.entries[i] = entry
		return
	}
	e.at[name] = len(e.entries)
	e.entries = append(e.entries, entry)
}

// proxies are the caller's variables that programs find a proxy by, as podman passes them on.
func (e *environment) proxies() {
	for _, name := range []string{"http_proxy", "https_proxy", "ftp_proxy", "no_proxy"} {
		for _, name := range []string{name, strings.ToUpper(name)} {
			if value := os.Getenv(name); value != "" {
				e.set(name + "=" + value)
			}
		}
	}
}

// merge makes a variable of those that are there: PATH=/mine:${PATH}.
func (e *environment) merge(entry string) error {
	name, value, has := strings.Cut(entry, "=")
	if _, there := e.at[name]; !has || !there {
		return hint.Errorf("-e KEY=VALUE sets a new one", "neither rl nor the image sets %q", name)
	}
	e.set(name + "=" + os.Expand(value, func(other string) string {
		if i, ok := e.at[other]; ok {
			_, value, _ := strings.Cut(e.entries[i], "=")
			return value
		}
		return ""
	}))
	return nil
}

// unset takes variables away; what is set later comes back.
func (e *environment) unset(names []string, all bool) {
	e.entries = slices.DeleteFunc(e.entries, func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return all || slices.Contains(names, name)
	})
	clear(e.at)
	for i, entry := range e.entries {
		name, _, _ := strings.Cut(entry, "=")
		e.at[name] = i
	}
}

// env joins rl's own, the image's, the files' and the flags' variables, the later the stronger. HOME is set inside, where
// the user's passwd entry is known.
func (m *maker) env() error {
	e := &environment{at: map[string]int{}}
	e.set(defaultPath)
	e.set("container=rl")
	if m.o.TTY {
		e.set("TERM=xterm")
	}
	if m.o.HTTPProxy {
		e.proxies()
	}
	for _, entry := range m.img.Config.Env {
		// A name without a value never takes the caller's: an image may not read our environment (CVE-2026-57231).
		if i := strings.IndexByte(entry, '='); i > 0 {
			e.set(entry)
		}
	}
	for _, entry := range m.o.EnvMerge {
		if err := e.merge(entry); err != nil {
			return fmt.Errorf("--env-merge %s: %w", entry, err)
		}
	}
	if len(m.o.UnsetEnv) > 0 || m.o.UnsetEnvAll {
		e.unset(m.o.UnsetEnv, m.o.UnsetEnvAll)
	}
	if m.o.EnvHost { // over the image's, as podman does, whatever its manual says
		for _, own := range os.Environ() {
			if !strings.HasPrefix(own, "=") {
				e.set(own)
			}
		}
	}
	for _, file := range m.o.EnvFiles {
		if err := e.file(file); err != nil {
			return err
		}
	}
	for _, entry := range m.o.Env {
		if err := e.flag(entry); err != nil {
			return fmt.Errorf("-e %s: %w", entry, err)
		}
	}
	m.s.Process.Env = e.entries
	return nil
}

// flag takes KEY=VALUE, KEY (the caller's value, if there is one) or PREFIX* (all of the caller's, as podman does).
func (e *environment) flag(entry string) error {
	name, _, hasValue := strings.Cut(entry, "=")
	switch {
	case name == "":
		return errors.New("there is no name before =")
	case hasValue:
		e.set(entry)
	case strings.HasSuffix(name, "*"):
		for _, own := range os.Environ() {
			if strings.HasPrefix(own, name[:len(name)-1]) && !strings.HasPrefix(own, "=") {
				e.set(own)
			}
		}
	default:
		if value, ok := os.LookupEnv(name); ok {
			e.set(name + "=" + value)
		}
	}
	return nil
}

// file reads docker's format: a variable a line, the value as it stands (quotes too), # at the start of a comment.
func (e *environment) file(name string) error { return readPairs("--env-file", name, e.flag) }

// readPairs hands the lines of a file to take, one KEY=VALUE or KEY after the other.
func readPairs(flag, name string, take func(string) error) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("%s: %w", flag, err)
	}
	n := 0
	for line := range strings.Lines(strings.TrimPrefix(string(b), "\ufeff")) {
		n++
		line = strings.TrimLeft(strings.TrimRight(line, "\r\n"), " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		key, _, _ := strings.Cut(line, "=")
		if strings.ContainsRune(line, 0) {
			return hint.Errorf("KEY=VALUE or KEY, one a line", "%s %s, line %d: it holds a NUL character", flag, name, n)
		}
		if strings.ContainsAny(key, " \t") {
			return hint.Errorf("KEY=VALUE or KEY, one a line", "%s %s, line %d: %q: a name holds no blanks", flag, name, n, key)
		}
		if err := take(line); err != nil {
			return fmt.Errorf("%s %s, line %d: %w", flag, name, n, err)
		}
	}
	return nil
}
