package main

import (
	"os"
	"reflect"
	"strconv"
	"strings"
	"unicode"
)

// readPlain reads the words that follow a verb into its command, by the tags that kong reads, as far as they are plain: known
// flags, each with its value in a word of its own or after =, and words. It tells whether they were. Else the command is of no
// use any more, and kong, which knows all forms and all errors, reads the words into a new one: it makes itself a model of the
// command first, and that takes as long as half of what is left of a start.
func readPlain(command any, words []string) bool {
	p := plain{flags: map[string]reflect.Value{}}
	return p.fields(reflect.ValueOf(command).Elem()) && p.read(words)
}

// plain is what a command's struct says.
type plain struct {
	flags map[string]reflect.Value // by --name and -n
	args  []reflect.Value
	rest  reflect.Value   // the last argument's, which takes all words that follow
	must  []reflect.Value // arguments that are not optional
}

// fields collects them, and sets what a flag is without words.
func (p *plain) fields(v reflect.Value) bool {
	for i := range v.NumField() {
		f, field := v.Type().Field(i), v.Field(i)
		_, embedded := f.Tag.Lookup("embed")
		_, arg := f.Tag.Lookup("arg")
		_, checked := f.Tag.Lookup("enum")
		ok := true
		switch {
		case !f.IsExported() && !f.Anonymous:
		case embedded || f.Anonymous:
			ok = p.fields(field)
		case checked && f.Tag.Get("default") == "":
			ok = false
		case arg:
			ok = p.addArg(f.Tag, field)
		default:
			ok = p.addFlag(f, field, checked)
		}
		if !ok {
			return false
		}
	}
	return true
}

func (p *plain) addArg(tag reflect.StructTag, field reflect.Value) bool {
	_, optional := tag.Lookup("optional")
	if _, all := tag.Lookup("passthrough"); all {
		p.rest = field
	} else {
		p.args = append(p.args, field)
	}
	if !optional {
		p.must = append(p.must, field)
	}
	return tag.Get("default") == "" || setPlain(field, tag.Get("default"))
}

// addFlag adds a flag, unless its value is more than text.
func (p *plain) addFlag(f reflect.StructField, field reflect.Value, checked bool) bool {
	if env := f.Tag.Get("env"); env != "" && os.Getenv(env) != "" {
		return false
	}
	if text := f.Tag.Get("default"); text != "" && !setPlain(field, text) {
		return false
	}
	if checked || field.Kind() == reflect.Slice && f.Tag.Get("sep") != "none" {
		return true // its value is checked, or split
	}
	name := f.Tag.Get("name")
	if name == "" {
		name = dashed(f.Name)
	}
	p.flags["--"+name] = field
	if alias := f.Tag.Get("aliases"); alias != "" {
		p.flags["--"+alias] = field
	}
	if short := f.Tag.Get("short"); short != "" {
		p.flags["-"+short] = field
	}
	return true
}

// dashed is PreserveFds as preserve-fds.
func dashed(name string) string {
	var b strings.Builder
	for i, r := range name {
		if i > 0 && unicode.IsUpper(r) {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

func (p *plain) read(words []string) bool {
	given := 0
	for i := 0; i < len(words); i++ {
		word := words[i]
		switch {
		case len(word) > 1 && word[0] == '-':
			if given < len(p.args) && p.args[given].Kind() == reflect.Slice && p.args[given].Len() > 0 {
				return false // the words of a list stand together
			}
			used, ok := p.flag(word, words[i+1:])
			if !ok {
				return false
			}
			i += used
		case given < len(p.args):
			if !setPlain(p.args[given], word) {
				return false
			}
			if p.args[given].Kind() != reflect.Slice {
				given++
			}
		case p.rest.IsValid():
			p.rest.Set(reflect.ValueOf(words[i:]))
			return p.complete()
		default:
			return false
		}
	}
	return p.complete()
}

func (p *plain) complete() bool {
	for _, arg := range p.must {
		if arg.IsZero() {
			return false
		}
	}
	return true
}

// flag reads one word that is a flag, and tells how many of those that follow it took.
func (p *plain) flag(word string, next []string) (used int, ok bool) {
	name, value, has := strings.Cut(word, "=")
	f := p.flags[name]
	switch {
	case !f.IsValid():
		return 0, !has && p.letters(word)
	case f.Kind() == reflect.Bool:
		f.SetBool(true)
		return 0, !has
	case has:
		return 0, word[1] == '-' && setPlain(f, value)
	case len(next) == 0 || strings.HasPrefix(next[0], "-"):
		return 0, false
	}
	return 1, setPlain(f, next[0])
}

// letters are several flags in one word, -it, none of which has a value.
func (p *plain) letters(word string) bool {
	for _, letter := range strings.TrimPrefix(word, "-") {
		f := p.flags["-"+string(letter)]
		if !f.IsValid() || f.Kind() != reflect.Bool {
			return false
		}
		f.SetBool(true)
	}
	return true
}

// setPlain sets a field, or adds to a list, as far as there is but one way to read text.
func setPlain(field reflect.Value, text string) bool {
	switch field.Interface().(type) {
	case string:
		field.SetString(text)
	case *string:
		field.Set(reflect.ValueOf(&text))
	case bool:
		field.SetBool(text == "true")
		return text == "true" || text == "false"
	case []string:
		field.Set(reflect.Append(field, reflect.ValueOf(text)))
	case int, uint:
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil || text != strconv.FormatUint(n, 10) {
			return false
		}
		field.Set(reflect.ValueOf(n).Convert(field.Type()))
	default:
		return false
	}
	return true
}
