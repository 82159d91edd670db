package main

import (
	_ "embed"
	"reflect"
	"strings"
)

// pagesText is what the manual says beside the flags: of each verb, behind "= VERB", paragraphs of a line each, examples (four
// spaces), and other verbs to see. It is a piece of the program's file, which nobody reads before a page is made.
//
//go:embed pages.txt
var pagesText string

// prose is that of one verb.
type prose struct {
	paragraphs []string
	examples   []string // lines for a shell; # says what the next one does
	see        []string
}

// readProse reads all of it.
func readProse(text string) map[string]*prose {
	all := map[string]*prose{}
	p := &prose{}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		name, is := strings.CutPrefix(line, "= ")
		see, others := strings.CutPrefix(line, "see: ")
		example, shown := strings.CutPrefix(line, "    ")
		switch {
		case is:
			p = &prose{}
			all[name] = p
		case others:
			p.see = strings.Split(see, ", ")
		case shown:
			p.examples = append(p.examples, example)
		case line != "":
			p.paragraphs = append(p.paragraphs, line)
		}
	}
	return all
}

// proseOf finds that of a verb; one of a group that stands alone, too, under this or another name has what is said there.
func proseOf(all map[string]*prose, v *verb) (p *prose, original string) {
	if p := all[v.name]; p != nil {
		return p, v.name
	}
	kind := reflect.TypeOf(v.command())
	for _, other := range commands() {
		if all[other.name] != nil && reflect.TypeOf(other.command()) == kind {
			return all[other.name], other.name
		}
	}
	return nil, ""
}
