package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/rl-containers/rl/container"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/storage"
)

// completeName is the verb that the completion scripts ask, on each press of the key: so what they offer is what this rl knows, and
// what is there at this moment. It is in no help.
const completeName = "__complete"

// choice is a word that can stand next, and what is said of it.
type choice struct{ word, help string }

// offer is all that can stand next.
type offer struct {
	choices []choice
	// files: "files" or "dirs" where those may stand, too.
	files string
}

// complete answers the scripts: one choice a line, behind a tab what is said of it; then a line for files, which begins with a tab.
// The words are those behind rl up to the cursor; bash, which takes words apart at colons, hands over its whole line instead.
func complete(w io.Writer, args []string) error {
	switch {
	case len(args) == 2 && args[0] == "--line":
		args = split(args[1])[1:]
	case len(args) > 0 && args[0] == "--":
		args = args[1:]
	}
	if len(args) == 0 {
		args = []string{""}
	}
	last := len(args) - 1
	o := next(args[:last], args[last])
	for _, c := range o.choices {
		if strings.HasPrefix(c.word, args[last]) && safe(c.word) {
			fmt.Fprintf(w, "%s\t%s\n", c.word, hint.Clean(c.help))
		}
	}
	if o.files != "" {
		fmt.Fprintf(w, "\t%s\n", o.files)
	}
	return nil
}

// safe: a word that no shell reads as more than itself. Names in a store may come from somebody else's archive.
func safe(word string) bool {
	return word != "" && !strings.ContainsFunc(word, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_./:@=,+", r)
	})
}

// split takes a line apart as a shell does, as far as spaces, quotes and backslashes go. The last word may be empty or open.
func split(line string) []string {
	var words []string
	var word strings.Builder
	quote, escaped, begun := rune(0), false, false
	for _, r := range line {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			escaped, begun = true, true
		case quote == r:
			quote = 0
		case quote == 0 && (r == '"' || r == '\''):
			quote, begun = r, true
		case quote == 0 && (r == ' ' || r == '\t' || r == '\n'):
			if begun {
				words = append(words, word.String())
			}
			word.Reset()
			begun = false
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	return append(words, word.String())
}

// next goes down the tree of the verbs.
func next(before []string, current string) offer {
	for len(before) > 0 && strings.HasPrefix(before[0], "-") { // those of globalFlags
		if before[0] == "--log-level" {
			if len(before) == 1 {
				return offer{choices: plainChoices(known("log-level"))}
			}
			before = before[1:]
		}
		before = before[1:]
	}
	all, name := commands(), ""
	for i, word := range before {
		v := find(all, word)
		switch {
		case v == nil || v.name == "oci" && i+1 < len(before):
			return offer{files: "files"}
		case v.name == "oci":
			return offer{choices: plainChoices(ociWords())}
		case v.name == "help" && i == 0:
			continue
		}
		c := v.command()
		if g, ok := c.(group); ok {
			all, name = g, v.name+" "
			continue
		}
		whole := verb{name + v.name, v.help, v.command}
		parser, err := whole.parser(c)
		if err != nil {
			return offer{}
		}
		return (&line{verb: whole.name, model: parser.Model.Node}).next(before[i+1:], current)
	}
	var o offer
	for _, v := range all {
		o.choices = append(o.choices, choice{v.name, v.help})
	}
	if name == "" && strings.HasPrefix(current, "-") {
		o.choices = []choice{{"--help", "Show the commands."}, {"--version", "Show the version."}, {"--log-level", "How much rl tells of itself."}, {"--debug", "Tell each step."}}
	}
	return o
}

// line is what was typed behind a verb.
type line struct {
	verb  string
	model *kong.Node
	given []string // words that are no flags, nor values of some
	force bool     // -f is one of the flags
	all   bool     // every word from here on is the program's, or none is a flag any more
}

// next reads the words before the cursor as kong does, and looks what can follow.
func (l *line) next(before []string, current string) offer {
	var open *kong.Flag // a flag whose value is missing
	for _, word := range before {
		switch {
		case open != nil:
			open = nil
		case l.all || len(word) < 2 || word[0] != '-':
			l.given = append(l.given, word)
			l.all = l.all || l.passes()
		case word == "--":
			l.all = true
		default:
			open = l.opened(word)
			l.force = l.force || word == "--force" || word[1] != '-' && strings.Contains(word, "f")
		}
	}
	name, value, has := strings.Cut(current, "=")
	switch {
	case open != nil:
		return values(l.verb, open, "", current)
	case !l.all && has && strings.HasPrefix(name, "-"):
		if f := l.flag(name); f != nil {
			return values(l.verb, f, name+"=", value)
		}
	case !l.all && strings.HasPrefix(current, "-"):
		return offer{choices: l.flags()}
	}
	return l.argument(current)
}

// passes: all that follows the first word is handed on.
func (l *line) passes() bool {
	p := l.model.Positional
	return len(l.given) >= len(p) && len(p) > 0 && p[len(p)-1].Passthrough
}

// opened is the flag that ends a word and waits for its value.
func (l *line) opened(word string) *kong.Flag {
	if strings.HasPrefix(word, "--") {
		if f := l.flag(word); f != nil && !f.IsBool() {
			return f
		}
		return nil
	}
	for i, letter := range word[1:] {
		if f := l.flag("-" + string(letter)); f != nil && !f.IsBool() {
			if i+2 == len(word) {
				return f
			}
			return nil
		}
	}
	return nil
}

func (l *line) flag(name string) *kong.Flag {
	for _, f := range l.model.Flags {
		if name == "--"+f.Name || f.Short != 0 && name == "-"+string(f.Short) || slices.Contains(f.Aliases, strings.TrimPrefix(name, "--")) {
			return f
		}
	}
	return nil
}

// flags are all of the verb, by their name.
func (l *line) flags() []choice {
	var all []choice
	for _, f := range l.model.Flags {
		if f.Hidden {
			continue
		}
		all = append(all, choice{"--" + f.Name, f.Help})
		if f.Tag.Negatable != "" {
			all = append(all, choice{"--no-" + f.Name, "Not: " + f.Help})
		}
		if f.Short != 0 {
			all = append(all, choice{"-" + string(f.Short), f.Help})
		}
	}
	slices.SortFunc(all, func(a, b choice) int { return strings.Compare(a.word, b.word) })
	return all
}

// argument is what the next word that is no flag names.
func (l *line) argument(current string) offer {
	p := l.model.Positional
	if len(p) == 0 {
		return offer{}
	}
	at := p[min(len(l.given), len(p)-1)]
	if len(l.given) >= len(p) && (at.Passthrough || !at.IsCumulative()) && at.Name != "column" {
		if at.Passthrough {
			return offer{files: "files"} // the words of the program
		}
		return offer{}
	}
	verb := l.verb
	if l.force {
		verb += " -f" // rm takes those that run, too
	}
	o := named(verb, at, current)
	o.choices = slices.DeleteFunc(o.choices, func(c choice) bool { return slices.Contains(l.given, c.word) })
	return o
}

// named are the things that an argument of this name may be.
func named(verb string, at *kong.Positional, current string) offer {
	if len(at.Enum) > 0 {
		return offer{choices: plainChoices(at.EnumSlice())}
	}
	kind, _, _ := strings.Cut(at.Name, " ")
	switch kind {
	case "image", "reference":
		return offer{choices: images(current)}
	case "object":
		return offer{choices: slices.Concat(containers(verb), images(current), volumes())}
	case "container":
		return offer{choices: containers(verb)}
	case "volume":
		return offer{choices: volumes()}
	case "column":
		return offer{choices: plainChoices(container.TopColumnNames())}
	case "source", "dest":
		o := offer{files: "files"}
		for _, c := range containers(verb) {
			o.choices = append(o.choices, choice{c.word + ":", c.help})
		}
		return o
	case "dir":
		return offer{files: "dirs"}
	case "file":
		return offer{files: "files"}
	}
	return offer{}
}

// containers are those that the verb has something to do with.
func containers(verb string) []choice {
	states, err := container.List(true)
	if err != nil {
		return nil
	}
	var all []choice
	for i := range states {
		if s := &states[i]; fits(verb, s) {
			all = append(all, choice{s.Name, s.Image + ", " + s.Status})
		}
	}
	return all
}

func fits(verb string, s *storage.State) bool {
	switch strings.TrimPrefix(verb, "container ") {
	case "start":
		return !s.Running
	case "rm":
		return !s.Running && s.Status != storage.Restarting
	case "stop", "kill":
		return s.Running || s.Status == storage.Restarting
	case "pause", "exec", "attach", "top", "stats", "port", "healthcheck run":
		return s.Running && s.Status != container.Paused
	case "unpause":
		return s.Status == container.Paused
	}
	return true
}

// images are those of the store and the one that is built in. What comes from docker.io or from this machine is offered by its short
// name until more than that is typed.
func images(current string) []choice {
	all := []choice{{"tiny", "built in"}}
	for _, name := range container.ImageNames() {
		short := name
		for _, prefix := range []string{"docker.io/library/", "docker.io/", "localhost/"} {
			short = strings.TrimPrefix(short, prefix)
		}
		if short != name && !(current != "" && strings.HasPrefix(name, current)) {
			name = short
		}
		all = append(all, choice{name, "image"})
	}
	return all
}

func volumes() []choice {
	var all []choice
	for _, name := range container.VolumeNames() {
		all = append(all, choice{name, "volume"})
	}
	return all
}

func plainChoices(words []string) []choice {
	var all []choice
	for _, w := range words {
		all = append(all, choice{word: w})
	}
	return all
}
