package container

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/spec"
	"github.com/rl-containers/rl/storage"
)

// readFilters makes one test of several KEY=VALUE: those of the same key are alternatives, but of label each must hold.
func readFilters[T any](filters []string, test func(key, value string) (func(*T) bool, error)) (func(*T) bool, error) {
	alternatives := map[string][]func(*T) bool{}
	for i, f := range filters {
		key, value, _ := strings.Cut(f, "=")
		t, err := test(key, value)
		if err != nil {
			return nil, err
		}
		if key == "label" || key == "label!" {
			key += strconv.Itoa(i)
		}
		alternatives[key] = append(alternatives[key], t)
	}
	return func(v *T) bool {
		for _, tests := range alternatives {
			if !slices.ContainsFunc(tests, func(test func(*T) bool) bool { return test(v) }) {
				return false
			}
		}
		return true
	}, nil
}

// Filter is what --filter KEY=VALUE of ps, each as typed, leaves of all containers. The list that it is given is used up.
func Filter(states []storage.State, filters []string) ([]storage.State, error) {
	if len(filters) == 0 {
		return states, nil
	}
	f := stateFilter{states}
	match, err := readFilters(filters, f.test)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(states, func(s storage.State) bool { return !match(&s) }), nil
}

// stateFilter knows all containers, since some filters name one.
type stateFilter struct{ all []storage.State }

const stateFilters = "id=, name=REGEXP, status=, label=KEY[=VALUE], label!=, exited=CODE, before=CONTAINER, since=CONTAINER, until=TIME, ancestor=IMAGE, volume=NAME|PATH, network=MODE, health=STATUS, pod=POD, restart-policy=POLICY, should-start-on-boot=true|false"

func (f stateFilter) test(key, value string) (func(*storage.State) bool, error) {
	switch key {
	case "id":
		return func(s *storage.State) bool { return strings.HasPrefix(s.ID, strings.ToLower(value)) }, nil
	case "name":
		pattern, err := regexp.Compile(value)
		if err != nil {
			return nil, hint.Errorf("--filter name=web, or name=^web$", "filter name=%s: %w", value, err)
		}
		return func(s *storage.State) bool { return pattern.MatchString(s.Name) }, nil
	case "status":
		return byStatus(value)
	case "label":
		return func(s *storage.State) bool { return hasPair(s.Labels, value) }, nil
	case "label!":
		return func(s *storage.State) bool { return !hasPair(s.Labels, value) }, nil
	case "exited":
		code, err := strconv.Atoi(value)
		if err != nil {
			return nil, hint.Errorf("--filter exited=0", "filter exited=%s: not an exit code", value)
		}
		return func(s *storage.State) bool { return s.Status == storage.Exited && s.ExitCode == code }, nil
	case "before", "since":
		return f.byAge(key, value)
	case "until":
		limit, err := pastTime(value)
		return func(s *storage.State) bool { return s.Created.Before(limit) }, err
	case "ancestor":
		return func(s *storage.State) bool { return isImage(s, value) }, nil
	case "volume":
		return func(s *storage.State) bool { return usesVolume(s, value) }, nil
	case "health":
		return byHealth(value)
	case "restart-policy":
		if _, _, err := restartPolicy(value); err != nil || value == "" {
			return nil, hint.Errorf("no, always, unless-stopped or on-failure", "filter restart-policy=%s: not a restart policy", value)
		}
		return func(s *storage.State) bool {
			kind, _, _ := strings.Cut(cmp.Or(s.Restart, "no"), ":")
			return kind == value
		}, nil
	case "should-start-on-boot":
		want, err := strconv.ParseBool(value)
		if err != nil {
			return nil, hint.Errorf("true or false", "filter should-start-on-boot=%s: neither true nor false", value)
		}
		return func(s *storage.State) bool { return startsOnBoot(s) == want }, nil
	case "pod":
		return func(*storage.State) bool { return false }, nil // as with podman: no container is in that one
	case "network":
		return func(s *storage.State) bool { return NetworkMode(s) == value }, nil
	}
	return nil, hint.Errorf(stateFilters, "unknown filter %q", key)
}

func byStatus(word string) (func(*storage.State) bool, error) {
	if word == "stopped" { // podman's other word for it
		word = storage.Exited
	}
	known := []string{storage.Created, storage.Running, Paused, storage.Restarting, storage.Exited,
		"removing", "dead", "configured", "initialized", "stopping", "unknown"} // docker's and podman's others, which none has
	if !slices.Contains(known, word) {
		return nil, hint.Errorf("created, running, paused, restarting or exited", "filter status=%s: not a status", word)
	}
	return func(s *storage.State) bool { return s.Status == word }, nil
}

// byHealth: "none" is a container without a health check, or that never ran.
func byHealth(word string) (func(*storage.State) bool, error) {
	known := []string{storage.Starting, storage.Healthy, storage.Unhealthy, storage.Stopped, storage.Unwatched, "none"}
	if !slices.Contains(known, word) {
		return nil, hint.Errorf(strings.Join(known, ", "), "filter health=%s: not a status of health", word)
	}
	return func(s *storage.State) bool {
		h := s.Health()
		return h == nil && word == "none" || h != nil && h.Status == word
	}, nil
}

// startsOnBoot: it was started once, and its policy wants it to run. As docker has it, unless-stopped alone asks whether somebody
// stopped it.
func startsOnBoot(s *storage.State) bool {
	switch s.Restart {
	case "always":
		return s.Status != storage.Created
	case "unless-stopped":
		return s.Status != storage.Created && !s.StoppedForGood()
	}
	return false
}

// byAge compares with another container.
func (f stateFilter) byAge(key, word string) (func(*storage.State) bool, error) {
	other, err := find(f.all, word)
	if err != nil {
		return nil, err
	}
	at := other.Created
	if key == "before" {
		return func(s *storage.State) bool { return s.Created.Before(at) }, nil
	}
	return func(s *storage.State) bool { return s.Created.After(at) }, nil
}

// isImage takes an image's name with or without registry and tag, or its id from the beginning.
func isImage(s *storage.State, word string) bool {
	if id := strings.TrimPrefix(word, "sha256:"); len(id) >= 4 && strings.HasPrefix(s.ImageID, id) {
		return true
	}
	name := s.Image
	for {
		if name == word || name == word+":latest" || untagged(name) == word {
			return true
		}
		_, rest, found := strings.Cut(name, "/")
		if !found {
			return false
		}
		name = rest
	}
}

// untagged is the name of an image without tag and digest.
func untagged(name string) string {
	name, _, _ = strings.Cut(name, "@")
	if colon := strings.LastIndexByte(name, ':'); colon > strings.LastIndexByte(name, '/') {
		name = name[:colon]
	}
	return name
}

// usesVolume is by the volume's name, or by the place of a mount inside or of its source on the host.
func usesVolume(s *storage.State, word string) bool {
	if slices.Contains(s.Volumes, word) {
		return true
	}
	if !strings.HasPrefix(word, "/") {
		return false
	}
	c, err := ReadConfig(s.Dir)
	if err != nil {
		return false
	}
	for _, dst := range c.Spec.Binds {
		if dst == word {
			return true
		}
	}
	for _, m := range c.Spec.Spec.Mounts {
		if m.Source == word && slices.Contains(c.Spec.Binds, m.Destination) {
			return true
		}
	}
	return slices.ContainsFunc(c.Spec.Volumes, func(v spec.Volume) bool { return v.Destination == word })
}

// NetworkMode is the mode as typed; without one it is "private".
func NetworkMode(s *storage.State) string {
	if s.Network == "" {
		return "private"
	}
	return s.Network
}

// pastTime reads a span before now (24h) or a time (RFC 3339, a date, seconds since 1970).
func pastTime(word string) (time.Time, error) {
	if span, err := time.ParseDuration(word); err == nil {
		return time.Now().Add(-span), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, word, time.Local); err == nil {
			return t, nil
		}
	}
	if n, err := strconv.ParseInt(word, 10, 64); err == nil {
		return time.Unix(n, 0), nil
	}
	return time.Time{}, hint.Errorf("24h, 2026-01-31, 2026-01-31T12:00:00Z or seconds since 1970", "filter until=%s: neither a time nor a span", word)
}

func hasPair(have map[string]string, want string) bool {
	key, value, exact := strings.Cut(want, "=")
	got, ok := have[key]
	return ok && (!exact || got == value)
}
