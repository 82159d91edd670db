package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
	"unicode"
	"unicode/utf8"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/sys"
)

// column is one of a verb's own table.
type column[T any] struct {
	title string
	cell  func(*T) string
}

// listing prints rows as --format asks: "" or "table" is the table of the columns, "table TEMPLATE" another one, "json" an array,
// anything else a Go template, executed for each row. What `{{json .}}` and json print is the row's own MarshalJSON, if it has one.
type listing[T any] struct {
	format    string
	noHeading bool
	columns   []column[T]
	// titles are the headings of fields in a "table TEMPLATE", where they are not the name in capitals.
	titles map[string]string
}

// print writes the rows to standard output.
func (l *listing[T]) print(rows []T) error { return l.write(os.Stdout, rows) }

func (l *listing[T]) write(w io.Writer, rows []T) error {
	text, table := strings.CutPrefix(strings.TrimLeft(l.format, " "), "table")
	table = table && (text == "" || strings.ContainsAny(text[:1], ` \`+"\t"))
	text = strings.TrimLeft(text, " ")
	switch {
	case l.format == "", table && text == "":
		return l.table(w, rows)
	case table:
		return l.tableOf(w, text, rows)
	case strings.TrimSpace(l.format) == "json":
		if rows == nil {
			rows = []T{}
		}
		return writeJSON(w, rows)
	}
	return l.template(w, rows)
}

// table is the verb's own.
func (l *listing[T]) table(w io.Writer, rows []T) error {
	columns, head := len(l.columns), 1
	if l.noHeading {
		head = 0
	}
	lines := make([][]string, head+len(rows))
	cells := make([]string, len(lines)*columns)
	for i := range lines {
		lines[i] = cells[i*columns : (i+1)*columns]
	}
	for i := range columns * head {
		cells[i] = l.columns[i].title
	}
	sys.InParallel(len(rows), func(r int) {
		for i, one := range l.columns {
			lines[head+r][i] = hint.Clean(one.cell(&rows[r]))
		}
	})
	return align(w, lines)
}

// tableOf is one whose columns a template says. A heading is the name of the field.
func (l *listing[T]) tableOf(w io.Writer, text string, rows []T) error {
	t, err := parseTemplate(text, functions())
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if !l.noHeading {
		if err := l.heading(&b, text); err != nil {
			return err
		}
	}
	cleanActions(t.Tree.Root)
	if err := eachRow(&b, t, rows); err != nil {
		return err
	}
	var lines [][]string
	for line := range strings.Lines(b.String()) {
		lines = append(lines, strings.Split(strings.TrimSuffix(line, "\n"), "\t"))
	}
	return align(w, lines)
}

// heading executes the template with the titles in the place of the values.
func (l *listing[T]) heading(w *bytes.Buffer, text string) error {
	same := template.FuncMap{}
	for name := range functions() {
		same[name] = func(v any, _ ...any) any { return v }
	}
	t, err := parseTemplate(text, same)
	if err != nil {
		return err
	}
	known := titles{}
	for _, name := range fieldsOf(reflect.TypeFor[T]()) {
		known[name] = strings.ToUpper(name)
	}
	for name, title := range l.titles {
		known[name] = title
	}
	if t.Execute(w, known) != nil {
		w.Reset() // it computes with values, and has no titles
		return nil
	}
	w.WriteByte('\n')
	return nil
}

// titles stand for a row in the heading of a table.
type titles map[string]string

// Label is the end of the label's name, as docker has it.
func (titles) Label(name string) string {
	return strings.NewReplacer("-", " ", "_", " ").Replace(name[strings.LastIndexByte(name, '.')+1:])
}

// template executes that of the user for each row, or once for all if it ranges over them itself, as podman's may.
func (l *listing[T]) template(w io.Writer, rows []T) error {
	t, err := parseTemplate(l.format, functions())
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if word := strings.Join(strings.Fields(l.format), ""); strings.HasPrefix(word, "{{range.}}") {
		if err := t.Execute(&b, rows); err != nil {
			return explainTemplate(err, reflect.TypeFor[T]())
		}
	} else if err := eachRow(&b, t, rows); err != nil {
		return err
	}
	_, err = w.Write(b.Bytes())
	return err
}

// eachRow executes a template for each, a line a row.
func eachRow[T any](b *bytes.Buffer, t *template.Template, rows []T) error {
	for i := range rows {
		start := b.Len()
		if err := t.Execute(b, &rows[i]); err != nil {
			return explainTemplate(err, reflect.TypeFor[T]())
		}
		if !bytes.HasSuffix(b.Bytes()[start:], []byte("\n")) {
			b.WriteByte('\n')
		}
	}
	if len(rows) == 0 {
		// What is wrong with a template is said without rows, too; a value that isn't there is nothing wrong.
		if err := t.Execute(io.Discard, new(T)); err != nil && strings.Contains(err.Error(), cantEvaluate) {
			return explainTemplate(err, reflect.TypeFor[T]())
		}
	}
	return nil
}

// printTemplate executes a template over one thing that inspect shows: by the names of its fields, else by those of its JSON.
func printTemplate(w io.Writer, text string, v any) error {
	t, err := parseTemplate(text, functions())
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err = t.Execute(&b, v); err != nil && strings.Contains(err.Error(), cantEvaluate) {
		b.Reset()
		if t.Option("missingkey=error").Execute(&b, generic(v)) == nil {
			err = nil
		}
	}
	if err != nil {
		return explainTemplate(err, reflect.TypeOf(v))
	}
	if !bytes.HasSuffix(b.Bytes(), []byte("\n")) {
		b.WriteByte('\n')
	}
	_, err = w.Write(b.Bytes())
	return err
}

// printAll shows what inspect found: one array in JSON, or by a template, a line each.
func printAll[T any](format string, found []T) error {
	if format == "json" {
		return printJSON(append([]T{}, found...))
	}
	for _, one := range found {
		if err := printTemplate(os.Stdout, format, one); err != nil {
			return err
		}
	}
	return nil
}

// generic is v as its JSON says.
func generic(v any) any {
	b, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var m any
	d.Decode(&m)
	return m
}

func parseTemplate(text string, functions template.FuncMap) (*template.Template, error) {
	t, err := template.New("format").Funcs(functions).Parse(unescape(text))
	if err != nil {
		return nil, hint.Errorf(`--format "{{.ID}}" prints a field, --format "table {{.ID}}\t{{.Image}}" a table, --format json all`, "--format: %s", strings.TrimPrefix(err.Error(), "template: format:"))
	}
	return t, nil
}

// unescape reads \t and \n outside of actions as tab and newline: a shell passes them on as typed.
func unescape(text string) string {
	var b strings.Builder
	escapes := strings.NewReplacer(`\t`, "\t", `\n`, "\n")
	for text != "" {
		plain, rest, action := strings.Cut(text, "{{")
		escapes.WriteString(&b, plain)
		if !action {
			break
		}
		inside, after, closed := strings.Cut(rest, "}}")
		b.WriteString("{{" + inside)
		if closed {
			b.WriteString("}}")
		}
		text = after
	}
	return b.String()
}

// functions are docker's and podman's beside those of text/template.
func functions() template.FuncMap {
	return template.FuncMap{
		"json":     compactJSON,
		"join":     join,
		"split":    strings.Split,
		"lower":    strings.ToLower,
		"upper":    strings.ToUpper,
		"title":    titleCase,
		"pad":      pad,
		"truncate": truncate,
		cleaner:    func(v any) any { return cleanValue(v, "") },
		lineCleaner: func(v any) any {
			return cleanValue(v, "\n")
		},
	}
}

func compactJSON(v any) (string, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return strings.TrimSuffix(escapeJSON(b.String()), "\n"), err
}

// escapeJSON writes the control characters that encoding/json leaves as they are (DEL and C1, in which U+009B is a terminal's CSI)
// as JSON does the others. They are in texts alone.
func escapeJSON(s string) string {
	wild := func(r rune) bool { return r >= 0x7f && r < 0xa0 }
	if !strings.ContainsFunc(s, wild) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if wild(r) {
			fmt.Fprintf(&b, "\\u%04x", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// join takes any list, as those of generic are lists of any.
func join(list any, separator string) (string, error) {
	v := reflect.ValueOf(list)
	if !v.IsValid() {
		return "", nil
	}
	if v.Kind() != reflect.Slice && v.Kind() != reflect.Array {
		return "", fmt.Errorf("join: %s is not a list", v.Type())
	}
	words := make([]string, v.Len())
	for i := range words {
		words[i] = fmt.Sprint(v.Index(i).Interface())
	}
	return strings.Join(words, separator), nil
}

func titleCase(s string) string {
	before := ' '
	return strings.Map(func(r rune) rune {
		first := unicode.IsSpace(before)
		if before = r; first {
			return unicode.ToTitle(r)
		}
		return r
	}, s)
}

func pad(s string, before, after int) string {
	if s == "" {
		return s
	}
	return strings.Repeat(" ", max(before, 0)) + s + strings.Repeat(" ", max(after, 0))
}

func truncate(s string, n int) string {
	if r := []rune(s); n >= 0 && len(r) > n {
		return string(r[:n])
	}
	return s
}

// Functions that no user names: cleanActions adds them to what a template prints.
const (
	cleaner     = "_clean"
	lineCleaner = "_cleanLine"
)

// cleanActions ends every action of a template that prints something with the cleaner: in a table no foreign value may end a
// line or drive the terminal.
func cleanActions(node parse.Node) {
	switch n := node.(type) {
	case *parse.ListNode:
		if n != nil {
			for _, one := range n.Nodes {
				cleanActions(one)
			}
		}
	case *parse.ActionNode:
		cleanPipe(n.Pipe)
	case *parse.IfNode:
		cleanActions(n.List)
		cleanActions(n.ElseList)
	case *parse.RangeNode:
		cleanActions(n.List)
		cleanActions(n.ElseList)
	case *parse.WithNode:
		cleanActions(n.List)
		cleanActions(n.ElseList)
	}
}

func cleanPipe(p *parse.PipeNode) {
	if len(p.Decl) > 0 {
		return
	}
	name := cleaner
	if id, ok := p.Cmds[len(p.Cmds)-1].Args[0].(*parse.IdentifierNode); ok && id.Ident == "println" {
		name = lineCleaner
	}
	p.Cmds = append(p.Cmds, &parse.CommandNode{NodeType: parse.NodeCommand, Pos: p.Pos, Args: []parse.Node{parse.NewIdentifier(name).SetPos(p.Pos)}})
}

func cleanValue(v any, end string) any {
	switch v := v.(type) {
	case nil:
		return v
	case bool, int, int64, uint64, float64:
		return v
	case string:
		if s, cut := strings.CutSuffix(v, end); cut {
			return hint.Clean(s) + end
		}
		return hint.Clean(v)
	}
	return hint.Clean(fmt.Sprint(v))
}

const cantEvaluate = "can't evaluate field "

// explainTemplate says which fields there are.
func explainTemplate(err error, root reflect.Type) error {
	var exec template.ExecError
	if !errors.As(err, &exec) {
		return err
	}
	text := err.Error()
	_, why, ok := strings.Cut(text, cantEvaluate)
	if !ok {
		return fmt.Errorf("--format: %s", strings.TrimPrefix(text, "template: format:"))
	}
	name, in, _ := strings.Cut(why, " in type ")
	of := root
	if found := typeNamed(root, strings.TrimLeft(in, "*"), 0); found != nil {
		of = found
	}
	fields := fieldsOf(of)
	for i := range fields {
		fields[i] = "." + fields[i]
	}
	return hint.Errorf("known: "+strings.Join(fields, " "), "--format: there is no field .%s", name)
}

// typeNamed finds a type that root is made of.
func typeNamed(root reflect.Type, name string, depth int) reflect.Type {
	for root.Kind() == reflect.Pointer || root.Kind() == reflect.Slice || root.Kind() == reflect.Map {
		root = root.Elem()
	}
	if root.String() == name || root.Kind() != reflect.Struct || depth > 6 {
		if root.String() == name {
			return root
		}
		return nil
	}
	for i := range root.NumField() {
		if found := typeNamed(root.Field(i).Type, name, depth+1); found != nil {
			return found
		}
	}
	return nil
}

// fieldsOf are the names that a template may use of a type: its fields and its methods.
func fieldsOf(t reflect.Type) []string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	var names []string
	if t.Kind() == reflect.Struct {
		for _, f := range reflect.VisibleFields(t) {
			if f.IsExported() && !f.Anonymous {
				names = append(names, f.Name)
			}
		}
	}
	for p, i := reflect.PointerTo(t), 0; i < p.NumMethod(); i++ {
		if m := p.Method(i); m.Name != "MarshalJSON" && m.Name != "String" {
			names = append(names, m.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// align writes lines of cells, each column as wide as its widest cell and two blanks.
func align(w io.Writer, lines [][]string) error {
	columns := 0
	for _, line := range lines {
		columns = max(columns, len(line))
	}
	wide := make([]int, len(lines)*columns) // the last cell of a line needs no width
	sys.InParallel(len(lines), func(at int) {
		for i := range len(lines[at]) - 1 {
			wide[at*columns+i] = utf8.RuneCountInString(lines[at][i]) + 2
		}
	})
	widths := make([]int, columns+1)
	for i, n := range wide {
		widths[i%columns] = max(widths[i%columns], n)
	}
	blanks := strings.Repeat(" ", slices.Max(widths))
	b := bufio.NewWriterSize(w, 32<<10)
	for at, line := range lines {
		for i, cell := range line {
			b.WriteString(cell)
			if i < len(line)-1 {
				b.WriteString(blanks[:widths[i]-wide[at*columns+i]+2])
			}
		}
		b.WriteByte('\n')
	}
	return b.Flush()
}

func printJSON(v any) error { return writeJSON(os.Stdout, v) }

func writeJSON(w io.Writer, v any) error {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := io.WriteString(w, escapeJSON(b.String()))
	return err
}
