package image

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/rl-containers/rl/hint"
)

// parseFilters compiles podman's filters into one test.
func parseFilters(filters []string) (func(Summary) bool, error) {
	var tests []func(Summary) bool
	for _, f := range filters {
		key, value, ok := strings.Cut(f, "=")
		test, err := filter(key, value)
		if !ok || err != nil {
			return nil, hint.Errorf("reference=PATTERN, label=KEY[=VALUE], dangling=true|false", "--filter %s: not a filter", f)
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
		name, want, exact := strings.Cut(value, "=")
		return func(s Summary) bool {
			have, ok := s.Labels[name]
			return ok && (!exact || have == want)
		}, nil
	case "dangling":
		want, err := strconv.ParseBool(value)
		return func(s Summary) bool { return (s.Repository == "<none>") == want }, err
	}
	return nil, strconv.ErrSyntax
}

// glob matches * with any characters, slashes too.
func glob(pattern, s string) bool {
	quoted := strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*")
	matched, err := regexp.MatchString("^"+quoted+"$", s)
	return err == nil && matched
}
