package main

import (
	"strings"
	"testing"
)

// TestAbsent: what rl has is not said to be absent, and of what is named to type instead rl's own verbs are there.
func TestAbsent(t *testing.T) {
	there := map[string]bool{}
	for _, v := range commands() {
		there[v.name] = true
	}
	for _, v := range leaves(commands()) {
		there[v.name] = true
	}
	for _, a := range absent() {
		for _, w := range strings.Split(a.words, ", ") {
			if there[w] {
				t.Errorf("%s is there", w)
			}
		}
		for _, part := range strings.Split(a.instead, "rl ")[1:] {
			verb, rest, _ := strings.Cut(part, " ")
			word, _, _ := strings.Cut(rest, " ")
			if !there[strings.Trim(verb, ",:;")] && verb != "runs" && verb != "has" && verb != "reads" && verb != "sees" && verb != "needs" || verb == "system" && !there["system "+word] {
				t.Errorf("%s: there is no rl %s", a.words, verb)
			}
		}
	}
}
