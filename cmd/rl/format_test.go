package main

import (
	"strings"
	"testing"
	"time"

	"github.com/rl-containers/rl/hint"
)

type pet struct {
	ID    string `json:"Id"`
	Names []string
	Age   int
	Born  *time.Time
	Home  home
}

type home struct{ Street string }

func (p *pet) Label(key string) string { return key + "!" }

func pets() []pet {
	return []pet{{ID: "1", Names: []string{"rex", "max"}, Age: 3}, {ID: "22", Names: []string{"e\x1b[31mvil\n"}, Age: 40}}
}

func petList(format string) *listing[pet] {
	return &listing[pet]{format: format, titles: map[string]string{"ID": "PET ID"}, columns: []column[pet]{
		{"PET", func(p *pet) string { return p.ID }},
		{"NAMES", func(p *pet) string { return strings.Join(p.Names, ",") }},
	}}
}

func TestListing(t *testing.T) {
	for format, want := range map[string]string{
		"":                                     "PET  NAMES\n1    rex,max\n22   e\\x1b[31mvil\\x0a\n",
		"table":                                "PET  NAMES\n1    rex,max\n22   e\\x1b[31mvil\\x0a\n",
		"{{.ID}}":                              "1\n22\n",
		`{{.ID}}\t{{.Age}}`:                    "1\t3\n22\t40\n",
		"{{.ID}}\n":                            "1\n22\n",
		"{{println .ID}}":                      "1\n22\n",
		"tablet":                               "tablet\ntablet\n",
		`table {{.ID}}\t{{.Age}}`:              "PET ID  AGE\n1       3\n22      40\n",
		`table {{join .Names "+"}}\t{{.ID}}`:   "NAMES             PET ID\nrex+max           1\ne\\x1b[31mvil\\x0a  22\n",
		`table {{println .ID}}`:                "PET ID\n\n1\n22\n",
		`table {{.Label "a.b-c"}}`:             "b c\na.b-c!\na.b-c!\n",
		`table {{if gt .Age 5}}{{.ID}}{{end}}`: "\n22\n",
		"{{range .}}{{.ID}},{{end}}":           "1,22,",
		`{{upper (join .Names "-")}}`:          "REX-MAX\nE\x1b[31MVIL\n",
		`{{title "ab cd"}}{{pad .ID 1 2}}.`:    "Ab Cd 1  .\nAb Cd 22  .\n",
		`{{truncate .ID 1}}`:                   "1\n2\n",
		`{{json .Names}}`:                      "[\"rex\",\"max\"]\n[\"e\\u001b[31mvil\\n\"]\n",
	} {
		var b strings.Builder
		if err := petList(format).write(&b, pets()); err != nil || b.String() != want {
			t.Errorf("%q: %q, %v; not %q", format, b.String(), err, want)
		}
	}
}

func TestListingErrors(t *testing.T) {
	for format, want := range map[string]string{
		"{{.Nope}}":        "known: .Age .Born .Home .ID .Label .Names",
		"table {{.Nope}}":  "known: .Age .Born .Home .ID .Label .Names",
		"{{.Home.Nope}}":   "known: .Street",
		"{{.ID":            "--format json all",
		"{{nofunction .}}": "--format json all",
	} {
		for _, rows := range [][]pet{pets(), nil} {
			err := petList(format).write(new(strings.Builder), rows)
			if err == nil || !strings.Contains(strings.Join(hint.Of(err), " "), want) {
				t.Errorf("%q: %v, hints %q; not %q", format, err, hint.Of(err), want)
			}
		}
	}
}

func TestListingEmpty(t *testing.T) {
	for format, want := range map[string]string{"json": "[]\n", "table {{.ID}}": "PET ID\n", "{{.ID}}": "", "": "PET  NAMES\n"} {
		var b strings.Builder
		if err := petList(format).write(&b, nil); err != nil || b.String() != want {
			t.Errorf("%q: %q, %v; not %q", format, b.String(), err, want)
		}
	}
	var b strings.Builder
	l := petList("table {{.ID}}")
	if l.noHeading = true; l.write(&b, pets()) != nil || b.String() != "1\n22\n" {
		t.Errorf("without heading: %q", b.String())
	}
}

func TestPrintTemplate(t *testing.T) {
	for format, want := range map[string]string{"{{.ID}}": "1\n", "{{.Id}}": "1\n", "{{.Home.Street}}": "\n", `{{join .Names " "}}{{.Id}}`: "rex max1\n", "{{.Age}}": "3\n"} {
		var b strings.Builder
		if err := printTemplate(&b, format, &pets()[0]); err != nil || b.String() != want {
			t.Errorf("%q: %q, %v; not %q", format, b.String(), err, want)
		}
	}
	err := printTemplate(new(strings.Builder), "{{.Home.nope}}", &pets()[0])
	if err == nil || !strings.Contains(strings.Join(hint.Of(err), " "), ".Street") {
		t.Errorf("%v, %q", err, hint.Of(err))
	}
}
