package events

import (
	"slices"
	"strings"

	"github.com/rl-containers/rl/hint"
)

// Filter tells which events are asked for: of the values of one key any, of several keys all.
type Filter map[string][]string

// ParseFilter reads --filter KEY=VALUE.
func ParseFilter(words []string) (Filter, error) {
	f := Filter{}
	for _, word := range words {
		key, value, ok := strings.Cut(word, "=")
		if key == "status" {
			key = "event"
		}
		if !ok || value == "" || !slices.Contains([]string{"container", "event", "image", "label", "type", "volume"}, key) {
			return nil, hint.Errorf("container=, event=, image=, label=KEY[=VALUE], type=, volume=", "--filter %s: not a filter of events", word)
		}
		if key == "event" {
			value = ours(value)
		}
		f[key] = append(f[key], value)
	}
	return f, nil
}

// ours is podman's word for one of docker's.
func ours(status string) string {
	switch status {
	case "die":
		return "died"
	case "destroy", "delete":
		return "remove"
	case "exec_start":
		return "exec"
	case "load":
		return "loadfromarchive"
	case "exec_die":
		return "exec_died"
	}
	return status
}

func (f Filter) matches(e *Event) bool {
	for key, values := range f {
		if !slices.ContainsFunc(values, func(v string) bool { return e.is(key, v) }) {
			return false
		}
	}
	return true
}

func (e *Event) is(key, value string) bool {
	switch key {
	case "container":
		return e.Type == Container && (e.Name == value || strings.HasPrefix(e.ID, value))
	case "event": // docker's word for one is "health_status: healthy"
		status, health, both := strings.Cut(value, ": ")
		return e.Status == status && (!both || e.HealthStatus == health)
	case "image":
		return e.Type == Image && (named(e.Name, value) || strings.HasPrefix(strings.TrimPrefix(e.ID, "sha256:"), value)) ||
			e.Type == Container && named(e.Image, value)
	case "label":
		k, v, exact := strings.Cut(value, "=")
		have, ok := e.Attributes[k]
		return ok && (!exact || have == v)
	case "type":
		return e.Type == value
	case "volume":
		return e.Type == Volume && e.Name == value
	}
	return false
}

// named: the word is the name of the image, perhaps without its registry or its tag.
func named(name, word string) bool {
	bare := name
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		bare = name[:i]
	}
	for _, n := range []string{name, bare} {
		if n != "" && (n == word || strings.HasSuffix(n, "/"+word)) {
			return true
		}
	}
	return false
}
