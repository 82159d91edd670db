package spec

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/rl-containers/rl/hint"
)

// Health is a health check, in the JSON of docker's image spec v1.2 ("Healthcheck"), which the OCI's has no word for.
type Health struct {
	// Test is {"CMD", WORD…}, {"CMD-SHELL", LINE}, or {"NONE"}. In an image it may be empty: nothing is said.
	Test []string `json:",omitempty"`
	// Interval is from the end of a check to the next, Timeout how long one may take. During the StartPeriod after the start of
	// the container failures don't count, until a check went well, and StartInterval stands for Interval. 0 in an image is the
	// default, in a container: no checks but those that are asked for (Interval), Interval (StartInterval).
	Interval      time.Duration `json:",omitempty"`
	Timeout       time.Duration `json:",omitempty"`
	StartPeriod   time.Duration `json:",omitempty"`
	StartInterval time.Duration `json:",omitempty"`
	// Retries is how many failures in a row make it unhealthy.
	Retries int `json:",omitempty"`
}

// HealthOptions are --health-* and --no-healthcheck as typed.
type HealthOptions struct {
	Cmd                                           string
	Interval, Timeout, StartPeriod, StartInterval string
	Retries                                       *int `json:",omitempty"`
	// OnFailure is "", "none", "kill", "restart" or "stop".
	OnFailure string
	// None drops the image's.
	None bool
}

// docker's defaults (Dockerfile reference, HEALTHCHECK).
const (
	healthInterval = 30 * time.Second
	healthTimeout  = 30 * time.Second
	healthRetries  = 3
)

const noHealth = "NONE"

// NoHealth says that there is no check, whatever an image below had.
func NoHealth() *Health { return &Health{Test: []string{noHealth}} }

// Command is what a check executes, as exec.
func (h *Health) Command() []string {
	if h.Test[0] == "CMD-SHELL" {
		return append([]string{"sh", "-c"}, h.Test[1:]...)
	}
	return h.Test[1:]
}

// health joins the image's HEALTHCHECK and the flags, each of which wins over what the image says of the same, as with docker.
func (m *maker) health() error {
	o := &m.o.Health
	if o.None {
		if *o != (HealthOptions{None: true}) {
			return hint.Errorf("leave one of them out", "--no-healthcheck and --health-… exclude each other")
		}
		return nil
	}
	h, err := m.healthTest()
	if err != nil {
		return err
	}
	if h == nil {
		if *o != (HealthOptions{}) && o.Cmd == "" {
			return hint.Errorf(`--health-cmd "test -e /ready"`, "--health-…: neither the image nor --health-cmd says what is checked")
		}
		return nil
	}
	if m.c.HealthOnFailure, err = onFailure(o.OnFailure); err != nil {
		return err
	}
	m.c.Health = h
	return h.set(o)
}

// healthTest is the image's check, or that of the flags with the image's times; nil: there is none.
func (m *maker) healthTest() (*Health, error) {
	h := &Health{}
	if img := m.img.Config.Healthcheck; img != nil {
		*h = *img
	}
	h.sane()
	switch {
	case m.o.Health.Cmd != "":
		var err error
		if h.Test, err = parseHealthCmd(m.o.Health.Cmd); err != nil {
			return nil, err
		}
	case len(h.Test) > 0 && !isTest(h.Test):
		// The image's own mistake must not keep it from running.
		m.warn("the image has a HEALTHCHECK of an unknown form (%s): it is not checked", h.Test[0])
		return nil, nil
	}
	if len(h.Test) == 0 || h.Test[0] == noHealth {
		return nil, nil
	}
	return h, nil
}

func isTest(test []string) bool {
	switch test[0] {
	case noHealth:
		return true
	case "CMD", "CMD-SHELL":
		return len(test) > 1
	}
	return false
}

// sane gives what the image doesn't say its default.
func (h *Health) sane() {
	if h.Interval <= 0 {
		h.Interval = healthInterval
	}
	if h.Timeout <= 0 {
		h.Timeout = healthTimeout
	}
	if h.Retries <= 0 {
		h.Retries = healthRetries
	}
	h.StartPeriod, h.StartInterval = max(0, h.StartPeriod), max(0, h.StartInterval)
}

// parseHealthCmd reads podman's --health-cmd: a line for the shell, a JSON array of words, either of them behind CMD or CMD-SHELL
// as in a Dockerfile, or none.
func parseHealthCmd(s string) ([]string, error) {
	var words []string
	if json.Unmarshal([]byte(s), &words) != nil {
		first, rest, _ := strings.Cut(strings.TrimSpace(s), " ")
		switch strings.ToUpper(first) {
		case noHealth:
			return []string{noHealth}, nil
		case "CMD":
			words = strings.Fields(s)
		case "CMD-SHELL":
			words = []string{first, strings.TrimSpace(rest)}
		default:
			words = []string{"CMD-SHELL", s}
		}
	}
	if len(words) > 0 {
		switch kind := strings.ToUpper(words[0]); {
		case kind == noHealth, kind == "CMD", kind == "CMD-SHELL":
			words[0] = kind
		case len(words) == 1:
			words = []string{"CMD-SHELL", words[0]}
		default:
			words = slices.Insert(words, 0, "CMD")
		}
	}
	if len(words) == 0 || !isTest(words) || words[0] != noHealth && words[1] == "" {
		return nil, hint.Errorf(`--health-cmd "test -e /ready", or '["test", "-e", "/ready"]'`, "--health-cmd %s: no command", s)
	}
	return words, nil
}

// set takes the times and numbers of the flags.
func (h *Health) set(o *HealthOptions) error {
	interval := o.Interval
	if interval == "disable" { // podman's word for: only when it is asked for
		interval = "0s"
	}
	for _, f := range []struct {
		flag, value string
		least       time.Duration
		to          *time.Duration
	}{
		{"--health-interval", interval, 0, &h.Interval}, {"--health-timeout", o.Timeout, time.Second, &h.Timeout},
		{"--health-start-period", o.StartPeriod, 0, &h.StartPeriod}, {"--health-start-interval", o.StartInterval, time.Millisecond, &h.StartInterval},
	} {
		if f.value == "" {
			continue
		}
		d, err := time.ParseDuration(f.value)
		if err != nil {
			return hint.Errorf("a number with its unit: 30s, 1m30s, 500ms", "%s %s: not a time", f.flag, f.value)
		}
		if d < f.least {
			return hint.Errorf("the least is "+f.least.String(), "%s %s: too short", f.flag, f.value)
		}
		*f.to = d
	}
	if o.Retries != nil {
		if *o.Retries < 1 {
			return hint.Errorf("the least is 1", "--health-retries %d: it is how many failures in a row make it unhealthy", *o.Retries)
		}
		h.Retries = *o.Retries
	}
	return nil
}

func onFailure(word string) (string, error) {
	switch word {
	case "", "none":
		return "", nil
	case "kill", "restart", "stop":
		return word, nil
	}
	return "", hint.Errorf("none, kill, restart or stop", "--health-on-failure %s: unknown", word)
}

// ParseHealthcheck reads the HEALTHCHECK of a Dockerfile, without that word: [--interval=30s …] CMD …, or NONE.
func ParseHealthcheck(line string) (*Health, error) {
	var o HealthOptions
	rest := strings.TrimSpace(line)
	for strings.HasPrefix(rest, "--") {
		var word string
		word, rest, _ = strings.Cut(rest, " ")
		rest = strings.TrimSpace(rest)
		if err := o.dockerfile(word); err != nil {
			return nil, err
		}
	}
	kind, command, _ := strings.Cut(rest, " ")
	h := NoHealth()
	var words []string
	switch command = strings.TrimSpace(command); {
	case strings.EqualFold(kind, noHealth) && command == "":
		return h, nil
	case !strings.EqualFold(kind, "CMD") || command == "":
		return nil, hint.Errorf("HEALTHCHECK [--interval=30s --timeout= --start-period= --start-interval= --retries=] CMD COMMAND, or HEALTHCHECK NONE", "neither CMD nor NONE")
	case json.Unmarshal([]byte(command), &words) == nil && len(words) > 0:
		h.Test = append([]string{"CMD"}, words...)
	default:
		h.Test = []string{"CMD-SHELL", command}
	}
	return h, h.set(&o)
}

func (o *HealthOptions) dockerfile(word string) error {
	name, value, _ := strings.Cut(word, "=")
	to := map[string]*string{"--interval": &o.Interval, "--timeout": &o.Timeout, "--start-period": &o.StartPeriod, "--start-interval": &o.StartInterval}[name]
	switch n, ok := number(value); {
	case to != nil && value != "":
		*to = value
	case name == "--retries" && ok:
		o.Retries = &n
	default:
		return hint.Errorf("--interval=30s --timeout=30s --start-period=0s --start-interval=5s --retries=3", "%s: unknown, or without its value", word)
	}
	return nil
}
