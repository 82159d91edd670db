package image

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/spec"
)

// instructed is a config that instructions change, with the health check that the OCI's form has no field for; nil: none was said.
type instructed struct {
	*v1.ImageConfig
	health *spec.Health
}

// apply changes a config as the instructions say.
func (c *instructed) apply(changes []string) error {
	for _, line := range changes {
		word, rest, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			word, rest, ok = strings.Cut(line, "=") // podman takes CMD=… too
		}
		if !ok {
			return hint.Errorf(instructions, "-c %s: no value", line)
		}
		if err := c.change(strings.ToUpper(word), strings.TrimSpace(rest)); err != nil {
			return fmt.Errorf("-c %s: %w", line, err)
		}
	}
	return nil
}

const instructions = "CMD, ENTRYPOINT, ENV, USER, WORKDIR, LABEL, STOPSIGNAL, EXPOSE, VOLUME, HEALTHCHECK"

func (c *instructed) change(word, value string) (err error) {
	switch word {
	case "HEALTHCHECK":
		c.health, err = spec.ParseHealthcheck(value)
	case "CMD":
		c.Cmd = command(value)
	case "ENTRYPOINT":
		c.Entrypoint = command(value)
	case "ENV":
		return pairs(value, func(k, v string) { setEnv(c.ImageConfig, k+"="+v) })
	case "USER":
		c.User = value
	case "WORKDIR":
		c.WorkingDir = value
	case "STOPSIGNAL":
		c.StopSignal = value
	case "LABEL":
		if c.Labels == nil {
			c.Labels = map[string]string{}
		}
		return pairs(value, func(k, v string) { c.Labels[k] = v })
	case "EXPOSE":
		for _, port := range strings.Fields(value) {
			expose(c.ImageConfig, port)
		}
	case "VOLUME":
		if c.Volumes == nil {
			c.Volumes = map[string]struct{}{}
		}
		for _, v := range list(value) {
			c.Volumes[v] = struct{}{}
		}
	default:
		return hint.Errorf(instructions, "unknown instruction %s", word)
	}
	return err
}

// command is the exec form, or the shell form.
func command(value string) []string {
	var words []string
	if json.Unmarshal([]byte(value), &words) == nil {
		return words
	}
	return []string{"/bin/sh", "-c", value}
}

// setEnv replaces a variable or adds it.
func setEnv(c *v1.ImageConfig, entry string) {
	name, _, _ := strings.Cut(entry, "=")
	at := slices.IndexFunc(c.Env, func(e string) bool { return strings.HasPrefix(e, name+"=") })
	if at >= 0 {
		c.Env[at] = entry
		return
	}
	c.Env = append(c.Env, entry)
}

func expose(c *v1.ImageConfig, port string) {
	if c.ExposedPorts == nil {
		c.ExposedPorts = map[string]struct{}{}
	}
	if !strings.Contains(port, "/") {
		port += "/tcp"
	}
	c.ExposedPorts[port] = struct{}{}
}

// list is a JSON array of words, or words.
func list(value string) []string {
	var words []string
	if json.Unmarshal([]byte(value), &words) == nil {
		return words
	}
	return strings.Fields(value)
}

// pairs reads KEY=VALUE…, with quotes and backslashes as in a Dockerfile, or the old form KEY VALUE, in which the value is all
// the rest.
func pairs(value string, set func(key, value string)) error {
	words, err := unquote(value)
	if err != nil {
		return err
	}
	if len(words) > 0 && !strings.Contains(words[0], "=") {
		key, rest, ok := strings.Cut(value, " ")
		if !ok {
			return hint.Errorf("KEY=VALUE", "%s has no value", key)
		}
		set(key, strings.TrimSpace(rest))
		return nil
	}
	for _, w := range words {
		key, v, ok := strings.Cut(w, "=")
		if !ok || key == "" {
			return hint.Errorf(`KEY=VALUE KEY="VALUE WITH BLANKS"`, "%q is not KEY=VALUE", w)
		}
		set(key, v)
	}
	return nil
}

// unquote takes words apart at blanks outside of quotes.
func unquote(s string) (words []string, err error) {
	var word strings.Builder
	inWord, quote := false, rune(0)
	escaped := false
	for _, r := range s {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			escaped, inWord = true, true
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '"' || r == '\'':
			quote, inWord = r, true
		case r == ' ' || r == '\t':
			if inWord {
				words = append(words, word.String())
			}
			word.Reset()
			inWord = false
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("a quote %q has no end", quote)
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}
