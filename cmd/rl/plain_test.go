package main

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// reading is a command that is read in both ways.
type reading struct {
	name  string
	fresh func() any
	kong  func(words []string) (command any, err error)
	flags []*kong.Flag
}

func readings(t *testing.T) (all []reading) {
	t.Helper()
	seen := map[reflect.Type]bool{} // rl container run is rl run
	for _, v := range leaves(commands()) {
		c := v.command()
		if seen[reflect.TypeOf(c)] {
			continue
		}
		seen[reflect.TypeOf(c)] = true
		parser, err := v.parser(c)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, reading{v.name, func() any { return v.command() }, func(words []string) (any, error) {
			_, err := parser.Parse(longForms(words, parser.Model.Flags))
			return c, err
		}, parser.Model.Flags})
	}
	for _, v := range ociVerbs() {
		c := v.command()
		parser, err := v.parser(c)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, reading{"oci " + v.name, func() any { return v.command() }, func(words []string) (any, error) {
			_, err := parser.Parse(words)
			return c, err
		}, parser.Model.Flags})
	}
	return all
}

// words are forms of each flag, before, between and after arguments.
func (r *reading) words() (all [][]string) {
	arguments := [][]string{nil, {"a"}, {"a", "b"}, {"a", "b", "-c", "--d=e"}, {"7", ""}, {"-"}, {"--", "a"}}
	forms := [][]string{nil, {"--nothing"}, {"-?"}, {"--"}}
	for _, f := range r.flags {
		if f.Name == "help" {
			continue
		}
		forms = append(forms, []string{"--" + f.Name}, []string{"--no-" + f.Name})
		for _, value := range []string{"7", "07", "-1", "a,b", ""} {
			forms = append(forms, []string{"--" + f.Name, value}, []string{"--" + f.Name + "=" + value})
			if f.Short != 0 {
				forms = append(forms, []string{"-" + string(f.Short), value}, []string{"-" + string(f.Short) + value}, []string{"-" + string(f.Short) + "=" + value})
			}
		}
	}
	for _, f := range forms {
		after := arguments
		if len(f) > 0 && !strings.HasSuffix(f[len(f)-1], "7") { // other values, the same places
			after = arguments[1:2]
		}
		for _, a := range after {
			all = append(all, slices.Concat(f, a))
		}
		all = append(all, slices.Concat([]string{"a"}, f), slices.Concat([]string{"a"}, f, []string{"b"}))
	}
	return all
}

// TestPlain: what readPlain takes, kong reads the same.
func TestPlain(t *testing.T) {
	for _, r := range readings(t) {
		for _, words := range r.words() {
			got := r.fresh()
			if !readPlain(got, words) {
				continue
			}
			want, err := r.kong(words)
			if err != nil {
				t.Errorf("%s %q: kong says %v", r.name, words, err)
			} else if !reflect.DeepEqual(got, want) {
				t.Errorf("%s %q: %+v, kong %+v", r.name, words, got, want)
			}
		}
	}
}

// TestPlainTakes what is typed most.
func TestPlainTakes(t *testing.T) {
	all := map[string]reading{}
	for _, r := range readings(t) {
		all[r.name] = r
	}
	for _, c := range []struct {
		name  string
		words []string
	}{
		{"run", []string{"--rm", "--network", "none", "tiny", "true"}}, {"run", []string{"-it", "-e", "A=b", "-v", "/a:/b", "--name=x", "tiny", "sh", "-c", "true"}},
		{"exec", []string{"-it", "x", "sh"}}, {"ps", []string{"-a"}}, {"rm", []string{"-f", "a", "b"}},
		{"oci create", []string{"--bundle", "/b", "--pid-file", "/p", "id"}}, {"oci run", []string{"-b", "/b", "id"}},
		{"oci start", []string{"id"}}, {"oci kill", []string{"id", "15"}}, {"oci delete", []string{"--force", "id"}}, {"oci state", []string{"id"}},
	} {
		r := all[c.name]
		if !readPlain(r.fresh(), c.words) {
			t.Errorf("%s %q is left to kong", c.name, c.words)
		}
	}
}

// TestPlainTags: a tag that readPlain doesn't know could mean anything.
func TestPlainTags(t *testing.T) {
	key := regexp.MustCompile(`([a-z]+):"(?:[^"\\]|\\.)*"`)
	known := []string{"aliases", "arg", "default", "embed", "enum", "env", "group", "help", "hidden", "json", "name", "negatable", "optional",
		"passthrough", "placeholder", "sep", "short"}
	var look func(reflect.Type)
	look = func(s reflect.Type) {
		for i := range s.NumField() {
			f := s.Field(i)
			for _, m := range key.FindAllStringSubmatch(string(f.Tag), -1) {
				if !slices.Contains(known, m[1]) {
					t.Errorf("%s.%s: tag %s", s, f.Name, m[1])
				}
			}
			if f.Anonymous {
				look(f.Type)
			}
		}
	}
	for _, r := range readings(t) {
		look(reflect.TypeOf(r.fresh()).Elem())
	}
}
