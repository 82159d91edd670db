package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/rl-containers/rl/hint"
)

type formatRow struct {
	ID    string
	Names []string
}

// Upper is a method that a template can show.
func (r *formatRow) Upper() string { return strings.ToUpper(r.ID) }

func TestFormatLines(t *testing.T) {
	rows := []formatRow{{"a", []string{"x", "y"}}, {"b", nil}}
	for text, want := range map[string]string{
		`{{.ID}}`:                                     "a\nb\n",
		`{{.Upper}}\t{{.ID}}`:                         "A\ta\nB\tb\n",
		`{{join .Names "\t"}}`:                        "x\ty\n\n",
		`{{json .Names}}`:                             "[\"x\",\"y\"]\nnull\n",
		`{{range .}}{{.ID}},{{end}}`:                  "a,b,",
		`{{title .ID}} {{index (split "p:q" ":") 1}}`: "A q\nB q\n",
	} {
		l := listing[formatRow]{verb: "test", format: text}
		var out bytes.Buffer
		if err := l.lines(&out, unescape(text), rows); err != nil || out.String() != want {
			t.Errorf("%s: %q, %v; want %q", text, out.String(), err, want)
		}
	}
}

func TestFormatWrong(t *testing.T) {
	for _, text := range []string{"{{.Nope}}", "{{.ID", "{{nope .ID}}", "table {{.Nope}}"} {
		l := listing[formatRow]{verb: "test", format: text, bare: true}
		err := l.print(nil)
		if err == nil || !strings.Contains(strings.Join(hint.Of(err), " "), ".ID .Names .Upper") {
			t.Errorf("%s: %v, hints %q", text, err, hint.Of(err))
		}
	}
}

func TestFormatTitles(t *testing.T) {
	l := listing[formatRow]{named: map[string]string{"ID": "CONTAINER ID"}}
	if row := l.titleRow(); row["ID"] != "CONTAINER ID" || row["Names"] != "NAMES" || row["Upper"] != "UPPER" {
		t.Errorf("%v", row)
	}
	for name, want := range map[string]string{"ImageID": "IMAGE ID", "RunningFor": "RUNNING FOR"} {
		if got := spaced(name); got != want {
			t.Errorf("%s is %s", name, got)
		}
	}
}
