package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestPagesProse: each verb has prose, and each example is a command that its parser takes.
func TestPagesProse(t *testing.T) {
	list, err := tree()
	if err != nil {
		t.Fatal(err)
	}
	texts := readProse(pagesText)
	for _, w := range list {
		p, original := proseOf(texts, w.verb)
		if p == nil || len(p.paragraphs) == 0 || len(p.see) == 0 {
			t.Errorf("%s: pages.txt doesn't say what it does, or what to see", w.verb.name)
			continue
		}
		if !slices.ContainsFunc(p.examples, func(line string) bool { return strings.Contains(line, "rl "+original) }) {
			t.Errorf("%s: no example", w.verb.name)
		}
	}
	names := map[string]bool{}
	for _, w := range list {
		names[w.verb.name] = true
	}
	for name, p := range texts {
		if !names[name] && name != "rl" {
			t.Errorf("pages.txt speaks of %s, which isn't there", name)
		}
		for _, line := range p.examples {
			if err := tryExample(line); err != nil {
				t.Errorf("%s: %s: %v", name, line, err)
			}
		}
		for _, other := range p.see {
			if !names[other] {
				t.Errorf("%s: see %s: there is no such", name, other)
			}
		}
	}
}

// tryExample reads the words behind rl as dispatch does, up to doing something.
func tryExample(line string) error {
	line, _, _ = strings.Cut(line, " > ")
	_, line, found := strings.Cut(strings.TrimSuffix(line, ")"), "rl ")
	if !found || strings.HasPrefix(line, "oci ") {
		return nil
	}
	words := split(strings.ReplaceAll(line, "$PWD", "/"))
	all, in := commands(), ""
	for {
		v := find(all, words[0])
		if v == nil {
			return unknown(in, words[0], all)
		}
		words = words[1:]
		c := v.command()
		if g, ok := c.(group); ok {
			if all, in = g, v.name+" "; len(words) == 0 {
				return nil
			}
			continue
		}
		return (&verb{in + v.name, v.help, v.command}).try(c, words)
	}
}

func (v *verb) try(c command, words []string) error {
	parser, err := v.parser(c)
	if err != nil {
		return err
	}
	if _, err := parser.Parse(longForms(words, parser.Model.Flags)); err != nil {
		return err
	}
	var flags *CreateFlags
	switch c := c.(type) {
	case *RunCmd:
		flags = &c.CreateFlags
	case *CreateCmd:
		flags = &c.CreateFlags
	case *ExecCmd:
		if len(c.Command) < 2 || c.Command[0][0] == '-' {
			return fmt.Errorf("exec: %q", c.Command)
		}
		return nil
	default:
		return nil
	}
	_, err = flags.request(v.name)
	return err
}

var (
	helpFlags = regexp.MustCompile(`(?m)^ +(?:-\S, )?--(?:\[no-\])?([a-z][a-z0-9-]*)`)
	pageFlags = regexp.MustCompile(`(?m)^\\fB(?:-., |\\-., )?\\-\\-(?:\[no\\-\])?([a-z0-9\\-]+)\\fR`)
)

func allOf(r *regexp.Regexp, text string) map[string]bool {
	found := map[string]bool{}
	for _, m := range r.FindAllStringSubmatch(text, -1) {
		found[strings.ReplaceAll(m[1], `\-`, "-")] = true
	}
	return found
}

// TestPagesAgree: the page of a verb has the flags of its help, no more and no less.
func TestPagesAgree(t *testing.T) {
	texts := readProse(pagesText)
	list, err := tree()
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range list {
		if w.verb.name == "oci" {
			continue // TestOCIPage
		}
		var help bytes.Buffer
		parser, err := w.verb.parser(w.verb.command())
		if err != nil {
			t.Fatal(err)
		}
		parser.Stdout, parser.Exit = &help, func(int) { panic("done") }
		func() {
			defer func() { recover() }()
			parser.Parse([]string{"--help"})
		}()
		said, paged := allOf(helpFlags, help.String()), allOf(pageFlags, page(w, texts))
		if len(said) == 0 || !maps.Equal(said, paged) {
			t.Errorf("%s: its help has %v, its page %v", w.verb.name, slices.Sorted(maps.Keys(said)), slices.Sorted(maps.Keys(paged)))
		}
	}
}

// docs are the texts of README.md and docs, by name.
func docs(t *testing.T) map[string]string {
	files, _ := filepath.Glob("../../docs/*.md")
	texts := map[string]string{}
	for _, name := range append(files, "../../README.md") {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		texts[filepath.Base(name)] = string(b)
	}
	if len(texts) < 5 {
		t.Fatalf("only %d texts", len(texts))
	}
	return texts
}

// TestPagesDocs: each flag that README.md and docs name is one of rl's, or said to be somebody else's; each verb is in one of them.
func TestPagesDocs(t *testing.T) {
	flags, verbs := map[string]bool{}, map[string]bool{}
	list, err := tree()
	if err != nil {
		t.Fatal(err)
	}
	texts := readProse(pagesText)
	for _, w := range list {
		_, original := proseOf(texts, w.verb) // those of groups that stand alone, too, need no word of their own
		verbs[original] = true
		for _, f := range (&line{model: w.model.Node}).flags() {
			flags[f.word] = true
		}
		for _, f := range w.model.Flags {
			flags["--"+f.Name] = true // hidden ones, too
			for _, alias := range f.Aliases {
				flags["--"+alias] = true
			}
		}
	}
	for _, f := range ociGlobalFlags() {
		flags["--"+f.name] = true
	}
	for _, v := range ociVerbs() {
		parser, err := v.parser(v.command())
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range parser.Model.Flags {
			flags["--"+f.Name] = true
		}
	}
	code := regexp.MustCompile("`[^`\n]+`|(?m)^    .*$")
	flag := regexp.MustCompile(`(?:^|[\s\x60/])(--[a-z][a-z0-9-]*)`)
	said := ""
	for name, text := range docs(t) {
		if name == "compat.md" {
			text = theirs.ReplaceAllString(text, "|")
		}
		for _, c := range code.FindAllString(text, -1) {
			said += c + "\n"
			for _, m := range flag.FindAllStringSubmatch(c, -1) {
				if !flags[m[1]] && !strings.Contains(foreign, " "+m[1]+" ") {
					t.Errorf("%s: %s: rl has no %s", name, c, m[1])
				}
			}
		}
	}
	for v := range verbs {
		if !regexp.MustCompile("(?:\\brl |`)" + v + "(?:$|[^a-z-])").MatchString(said) {
			t.Errorf("neither README.md nor docs name rl %s", v)
		}
	}
}

// TestPagesLines: each line that README.md and docs give to type is one that the parser takes.
func TestPagesLines(t *testing.T) {
	tried := 0
	for name, text := range docs(t) {
		fenced := false
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "```") {
				fenced = !fenced
			}
			typed, indented := strings.CutPrefix(line, "    ")
			typed = strings.TrimPrefix(typed, "bin/")
			if !indented && !fenced || !strings.HasPrefix(typed, "rl ") {
				continue
			}
			typed, _, _ = strings.Cut(typed, "  #")
			for _, command := range strings.Split(strings.TrimSpace(typed), "; ") {
				tried++
				if err := tryExample(command); err != nil {
					t.Errorf("%s: %s: %v", name, command, err)
				}
			}
		}
	}
	if tried < 10 {
		t.Errorf("only %d lines were found", tried)
	}
}

// foreign are flags of other programs, and those of docker and podman that docs/compat.md says rl hasn't.
const foreign = " --add-subuids --add-subgids --scope --template --now --list --network-alias --runtime --isolation --runc-binary "

// theirs are the two columns of docs/compat.md that speak of docker and podman.
var theirs = regexp.MustCompile(`(?m)^\| .*? \| .*? ?\|`)

func TestPagesTry(t *testing.T) {
	for _, line := range []string{"rl run --nonsense tiny", "rl run --log-driver no tiny", "rl volume lss", "rl rename x", "rl exec -it x", "rl run"} {
		if tryExample(line) == nil {
			t.Errorf("%s is taken for an example", line)
		}
	}
}
