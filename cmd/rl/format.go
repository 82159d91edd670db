package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"text/tabwriter"
	"text/template"
	"unicode"

	"github.com/rl-containers/rl/hint"
)

// listing is how a verb prints its rows: as --format says, and without it as a table of its own.
type listing[T any] struct {
	verb string
	// format is what was typed: "" or table, json, a Go template for each row, or table TEMPLATE.
	format string
	// bare leaves the titles out.
	bare bool
	// titles and cells are the table. It needs no template: that would cost more than all else for a thousand rows.
	titles []string
	cells  func(*T) []string
	// named are the titles of fields that aren't titled by their names (table TEMPLATE).
	named map[string]string
}

// print writes the rows to stdout. json is one array, as podman's; docker's is an object a line.
func (l *listing[T]) print(rows []T) error {
	text, table := strings.CutPrefix(l.format, "table")
	text = strings.TrimSpace(unescape(text))
	switch {
	case l.format == "json":
		return printJSON(append([]T{}, rows...))
	case text == "" && l.cells != nil:
		return l.table(rows)
	case text == "":
		return hint.Errorf(l.fields(), "%s: --format %q: there is no table of it, only json or a template", l.verb, l.format)
	case table:
		return l.titled(text, rows)
	}
	return l.lines(os.Stdout, text, rows)
}

func (l *listing[T]) table(rows []T) error {
	w := newTable()
	if !l.bare {
		fmt.Fprintln(w, strings.Join(l.titles, "\t"))
	}
	for i := range rows {
		fmt.Fprintln(w, strings.Join(l.cells(&rows[i]), "\t"))
	}
	return w.Flush()
}

func newTable() *tabwriter.Writer { return tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0) }

// titled is a table by a template, whose titles are what it makes of the fields' titles.
func (l *listing[T]) titled(text string, rows []T) error {
	w := newTable()
	if !l.bare {
		t, err := template.New("").Funcs(titleFunctions()).Parse(text)
		if err != nil {
			return l.wrong(err)
		}
		if err := t.Execute(w, l.titleRow()); err != nil {
			return l.wrong(err)
		}
		fmt.Fprintln(w)
	}
	if err := l.lines(w, text, rows); err != nil {
		return err
	}
	return w.Flush()
}

// lines writes a line for each row, or what a template that goes over all of them itself ({{range .}}) makes.
func (l *listing[T]) lines(w io.Writer, text string, rows []T) error {
	t, err := template.New("").Funcs(functions()).Parse(text)
	if err != nil {
		return l.wrong(err)
	}
	var out bytes.Buffer
	if start := strings.NewReplacer(" ", "", "-", "").Replace(text); strings.HasPrefix(start, "{{range.}}") {
		if err := t.Execute(&out, rows); err != nil {
			return l.wrong(err)
		}
		_, err := w.Write(out.Bytes())
		return err
	}
	// A field that isn't there is told without any row, too. What else fails may be due to the emptiness of this one.
	if err := t.Execute(io.Discard, new(T)); err != nil && strings.Contains(err.Error(), "can't evaluate field") {
		return l.wrong(err)
	}
	for i := range rows {
		out.Reset()
		if err := t.Execute(&out, &rows[i]); err != nil {
			return l.wrong(err)
		}
		if _, err := fmt.Fprintln(w, out.String()); err != nil {
			return err
		}
	}
	return nil
}

// wrong says what is wrong with a template in text/template's words, without its place in a text that has no name.
func (l *listing[T]) wrong(err error) error {
	words := strings.TrimPrefix(err.Error(), "template: ")
	words = strings.TrimPrefix(strings.TrimLeft(words, ":0123456789 "), `executing "" at `)
	words, _, _ = strings.Cut(words, " in type ")
	return hint.Errorf(l.fields(), "%s: --format %q: %s", l.verb, l.format, words)
}

// fields names what a template can show.
func (l *listing[T]) fields() string {
	var names []string
	for _, f := range reflect.VisibleFields(reflect.TypeFor[T]()) {
		if f.IsExported() && !f.Anonymous {
			names = append(names, "."+f.Name)
		}
	}
	row := reflect.TypeFor[*T]()
	for i := range row.NumMethod() {
		names = append(names, "."+row.Method(i).Name)
	}
	slices.Sort(names)
	return "fields: " + strings.Join(slices.Compact(names), " ")
}

// titles are the titles of a row's fields, by the fields' names.
type titles map[string]string

// Label titles the column of one label by its key.
func (titles) Label(key string) string { return key }

func (l *listing[T]) titleRow() titles {
	all := titles{}
	for name := range strings.FieldsSeq(strings.ReplaceAll(l.fields(), ".", "")) {
		if all[name] = l.named[name]; all[name] == "" {
			all[name] = spaced(name)
		}
	}
	return all
}

// spaced is ImageID as IMAGE ID.
func spaced(name string) string {
	var b strings.Builder
	lower := false
	for _, r := range name {
		if lower && unicode.IsUpper(r) {
			b.WriteByte(' ')
		}
		lower = unicode.IsLower(r)
		b.WriteRune(unicode.ToUpper(r))
	}
	return b.String()
}

// functions are docker's and podman's beside those of text/template.
func functions() template.FuncMap {
	return template.FuncMap{
		"json":  toJSON,
		"join":  strings.Join,
		"lower": strings.ToLower,
		"upper": strings.ToUpper,
		"split": strings.Split,
		"title": func(s string) string {
			if s == "" {
				return ""
			}
			return strings.ToUpper(s[:1]) + s[1:]
		},
	}
}

// titleFunctions leave titles as they are.
func titleFunctions() template.FuncMap {
	same := func(s any, _ ...any) any { return s }
	all := template.FuncMap{}
	for name := range functions() {
		all[name] = same
	}
	return all
}

func toJSON(v any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return strings.TrimSpace(b.String()), err
}

func printJSON(v any) error {
	e := json.NewEncoder(os.Stdout)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// unescape reads \t and \n of a template as shells leave them, but within {{ }}, where they are Go's.
func unescape(text string) string {
	escapes := strings.NewReplacer(`\t`, "\t", `\n`, "\n")
	var b strings.Builder
	for text != "" {
		plain, action, found := strings.Cut(text, "{{")
		b.WriteString(escapes.Replace(plain))
		if !found {
			break
		}
		inside, rest, closed := strings.Cut(action, "}}")
		b.WriteString("{{" + inside)
		if closed {
			b.WriteString("}}")
		}
		text = rest
	}
	return b.String()
}
