package main

import (
	"github.com/rl-containers/rl/container"
	"github.com/rl-containers/rl/hint"
)

// oneContainer is the container of a verb about one: that which is named, or with --latest the one that was made last.
func oneContainer(verb, word string, last bool) (string, error) {
	switch {
	case last && word != "":
		return "", hint.Errorf("rl "+verb+" --latest", "%s: --latest is one, and another is named", verb)
	case last:
		s, err := container.Latest()
		if err != nil {
			return "", err
		}
		return s.ID, nil
	case word == "":
		return "", hint.Errorf("rl "+verb+" CONTAINER, or rl "+verb+" --latest", "%s: no container named", verb)
	}
	return word, nil
}
