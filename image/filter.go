package image

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/logs"
)

const filters = "reference=PATTERN, label=KEY[=VALUE], label!=KEY[=VALUE], dangling=true|false, until=24h or until=TIME"

// parseFilters compiles podman's filters into one test.
func parseFilters(words []string) (func(Summary) bool, error) {
	var tests []func(Summary) bool
	for _, f := range words {
		key, value, ok := strings.Cut(f, "=")
		test, err := filter(key, value)
		if !ok || err != nil {
			return nil, hint.Errorf(filters, "--filter %s: not a filter of images", f)
		}
		tests = append(tests, test)
	}
	return func(s Summary) bool {
		for _, t := range tests {
			if !t(s) {
				return false
			}
		}
		return true
	}, nil
}

func filter(key, value string) (func(Summary) bool, error) {
	switch key {
	case "reference":
		return func(s Summary) bool { return s.matchesReference(value) }, nil
	case "label":
		return func(s Summary) bool { return s.hasLabel(value) }, nil
	case "label!":
		return func(s Summary) bool { return !s.hasLabel(value) }, nil
	case "until":
		limit, err := logs.ParseTime(value, time.Now())
		return func(s Summary) bool { return s.Created.Before(limit) }, err
	case "dangling":
		want, err := strconv.ParseBool(value)
		return func(s Summary) bool { return (s.Repository == "<none>") == want }, err
	}
	return nil, strconv.ErrSyntax
}

func (s *Summary) hasLabel(word string) bool {
	name, want, exact := strings.Cut(word, "=")
	have, ok := s.Labels[name]
	return ok && (!exact || have == want)
}

// glob matches * with any characters, slashes too.
func glob(pattern, s string) bool {
	quoted := strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*")
	matched, err := regexp.MatchString("^"+quoted+"$", s)
	return err == nil && matched
}
