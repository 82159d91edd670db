package image

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/logs"
)

const filters = "reference=PATTERN, label=KEY[=VALUE], label!=KEY[=VALUE], dangling=true|false, intermediate=true|false, containers=true|false, readonly=true|false, before=IMAGE, since=IMAGE, until=24h or until=TIME, id=BEGINNING, digest=BEGINNING"

type test = func(*Summary) bool

// parseFilters compiles podman's and docker's filters into one test. Of several that name an image one is enough, the others must
// all be met.
func (s *Store) parseFilters(words []string) (test, error) {
	var all []test
	names := map[string][]test{}
	for _, f := range words {
		key, value, ok := strings.Cut(f, "=")
		if !ok {
			return nil, hint.Errorf(filters, "--filter %s: not a filter of images", f)
		}
		t, err := s.filter(key, value)
		switch {
		case err == strconv.ErrSyntax:
			return nil, hint.Errorf(filters, "--filter %s: not a filter of images", f)
		case err != nil:
			return nil, fmt.Errorf("--filter %s: %w", f, err)
		case key == "reference" || key == "id" || key == "digest":
			names[key] = append(names[key], t)
		default:
			all = append(all, t)
		}
	}
	for _, some := range names {
		all = append(all, func(i *Summary) bool { return anyOf(some, i) })
	}
	return func(i *Summary) bool {
		for _, t := range all {
			if !t(i) {
				return false
			}
		}
		return true
	}, nil
}

func anyOf(some []test, i *Summary) bool {
	for _, t := range some {
		if t(i) {
			return true
		}
	}
	return false
}

func (s *Store) filter(key, value string) (test, error) {
	switch key {
	case "reference":
		return func(i *Summary) bool { return i.matchesReference(value) }, nil
	case "id":
		return func(i *Summary) bool {
			return value != "" && strings.HasPrefix(i.ID, strings.TrimPrefix(value, "sha256:"))
		}, nil
	case "digest":
		return func(i *Summary) bool {
			return value != "" && (strings.HasPrefix(i.Digest, value) || strings.HasPrefix(strings.TrimPrefix(i.Digest, "sha256:"), value))
		}, nil
	case "label":
		return func(i *Summary) bool { return i.hasLabel(value) }, nil
	case "label!":
		return func(i *Summary) bool { return !i.hasLabel(value) }, nil
	case "until":
		limit, err := logs.ParseTime(value, time.Now())
		if err != nil {
			return nil, strconv.ErrSyntax
		}
		return func(i *Summary) bool { return i.Created.Before(limit) }, nil
	case "before", "since", "after":
		return s.beside(key, value)
	}
	return s.choice(key, value)
}

// beside are images that are older or newer than another one.
func (s *Store) beside(key, name string) (test, error) {
	img, err := s.find(name)
	if err != nil {
		return nil, hint.With(err, s.near(name)...)
	}
	if key == "before" {
		return func(i *Summary) bool { return i.Created.Before(img.Created) }, nil
	}
	return func(i *Summary) bool { return i.Created.After(img.Created) }, nil
}

// choice are filters that are true or false.
func (s *Store) choice(key, value string) (test, error) {
	want, err := strconv.ParseBool(value)
	if err != nil {
		return nil, strconv.ErrSyntax
	}
	ids := map[string]bool{}
	switch key {
	case "readonly":
		return func(i *Summary) bool { return i.ReadOnly == want }, nil
	case "containers":
		ids, err = s.usedByAll()
		return func(i *Summary) bool { return ids[i.ID] == want }, err
	case "dangling", "intermediate":
		images, err := s.store.Images()
		if err != nil {
			return nil, err
		}
		s.keepBases(images, ids)
		intermediate := key == "intermediate"
		return func(i *Summary) bool { return (i.Repository == "<none>" && ids[i.ID] == intermediate) == want }, nil
	}
	return nil, strconv.ErrSyntax
}

// usedByAll are the images of all containers, podman's and buildah's, too.
func (s *Store) usedByAll() (map[string]bool, error) {
	used, err := s.inUse()
	if err != nil {
		return nil, err
	}
	others, err := s.store.Containers()
	for _, c := range others {
		used[c.ImageID] = true
	}
	return used, err
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
