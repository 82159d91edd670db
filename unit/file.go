// Package unit reads and writes unit files of systemd, and makes services of podman's .container files (Quadlet). It knows their
// language (systemd.syntax(7), podman-systemd.unit(5)) and nothing of containers.
package unit

import (
	"fmt"
	"strings"

	"github.com/rl-containers/rl/hint"
)

// Entry is KEY=VALUE of a file.
type Entry struct {
	Key, Value string
	// Source is FILE:LINE.
	Source string
}

// Section is what stands below [NAME].
type Section struct {
	Name    string
	Entries []Entry
}

// File is a unit file: its sections, each once, in their order.
type File struct{ Sections []*Section }

// Section returns the one of that name, which is made where it is missing.
func (f *File) Section(name string) *Section {
	for _, s := range f.Sections {
		if s.Name == name {
			return s
		}
	}
	s := &Section{Name: name}
	f.Sections = append(f.Sections, s)
	return s
}

// Add adds KEY=VALUE to a section.
func (s *Section) Add(key, value string) {
	s.Entries = append(s.Entries, Entry{Key: key, Value: value})
}

// Last is the value that counts of a key that takes one, "" without any.
func (s *Section) Last(key string) (e Entry) {
	for _, one := range s.Entries {
		if one.Key == key {
			e = one
		}
	}
	return e
}

// String writes the file.
func (f *File) String() string {
	var b strings.Builder
	for i, s := range f.Sections {
		if len(s.Entries) == 0 {
			continue
		}
		if i > 0 && b.Len() > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "[%s]\n", s.Name)
		for _, e := range s.Entries {
			fmt.Fprintf(&b, "%s=%s\n", e.Key, e.Value)
		}
	}
	return b.String()
}

// Parse adds what text says to f, which may hold something already: of a file to which this is a drop-in. name is for errors.
func (f *File) Parse(name, text string) error {
	var section *Section
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		source := fmt.Sprintf("%s:%d", name, i+1)
		line := strings.TrimSpace(lines[i])
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		line, i = joined(line, lines, i)
		if line[0] == '[' {
			title, ok := strings.CutSuffix(line[1:], "]")
			if !ok || title == "" {
				return hint.Errorf("[Container]", "%s: %q is no title of a section", source, line)
			}
			section = f.Section(title)
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		switch key = strings.TrimSpace(key); {
		case !ok || key == "":
			return hint.Errorf("KEY=VALUE, [SECTION] or # COMMENT", "%s: %q is none of what a unit file has", source, line)
		case section == nil:
			return hint.Errorf("[Container] stands above it", "%s: %s= is in no section", source, key)
		}
		section.Entries = append(section.Entries, Entry{key, strings.TrimSpace(value), source})
	}
	return nil
}

// joined takes the lines that a backslash at the end continues, comments between them left out. The result is the line, and the index
// of the last that belongs to it.
func joined(line string, lines []string, i int) (string, int) {
	for {
		rest, more := strings.CutSuffix(line, `\`)
		if !more || i+1 >= len(lines) {
			return line, i
		}
		i++
		next := strings.TrimSpace(lines[i])
		if next != "" && (next[0] == '#' || next[0] == ';') {
			continue
		}
		line = rest + " " + next
	}
}
