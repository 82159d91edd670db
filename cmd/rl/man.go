package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/rl-containers/rl/container"
	"github.com/rl-containers/rl/hint"
)

// ManCmd is `rl man DIR`, used by make install.
type ManCmd struct {
	Dir string `arg:"" help:"Directory to write rl.1 and rl-VERB.1 to."`
}

// Run writes a page for each verb, from the same flags as its help, one for each group, and one of all.
func (c *ManCmd) Run() error {
	list, err := tree()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return hint.With(err, "rl man DIR")
	}
	texts := readProse(pagesText)
	pages := map[string]string{"rl": mainPage(texts["rl"])}
	for _, v := range commands() {
		if g, ok := v.command().(group); ok {
			pages["rl-"+v.name] = groupPage(&v, g)
		}
	}
	for _, w := range list {
		name := "rl-" + pageName(w.verb.name)
		if pages[name] = page(w, texts); w.verb.name == "oci" {
			if pages[name], err = ociPage(w.verb.help); err != nil {
				return err
			}
		}
	}
	for name, text := range pages {
		if err := os.WriteFile(filepath.Join(c.Dir, name+".1"), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// pageName: rl-volume-create is about rl volume create.
func pageName(verb string) string { return strings.ReplaceAll(verb, " ", "-") }

// head is the title, the name and what is said of it in a line.
func head(name, help string) string {
	return fmt.Sprintf(".TH %s 1 \"\" \"rl %s\" \"rl manual\"\n.SH NAME\n%s \\- %s\n.SH SYNOPSIS\n", strings.ToUpper(roff(name)), roff(container.Version), roff(name), roff(help))
}

// list names pages, each with what is said of it.
func list(b *strings.Builder, group string, verbs []verb) {
	for _, v := range verbs {
		fmt.Fprintf(b, ".TP\n.BR %s (1)\n%s.\n", roff("rl-"+pageName(group+v.name)), roff(v.help))
	}
}

// mainPage is rl(1).
func mainPage(p *prose) string {
	var b strings.Builder
	b.WriteString(head("rl", "run containers without root") + ".B rl\n[\\fB\\-\\-log\\-level\\fR \\fILEVEL\\fR|\\fB\\-D\\fR]\n.I COMMAND\n[flags]\n")
	describe(&b, p)
	b.WriteString(".SH OPTIONS\n.TP\n\\fB\\-\\-log\\-level\\fR \\fILEVEL\\fR\n" + roff(levelHelp) + "\n.TP\n\\fB\\-D\\fR, \\fB\\-\\-debug\\fR\nThe same as \\-\\-log\\-level debug.\n")
	b.WriteString(".SH COMMANDS\n")
	list(&b, "", commands())
	b.WriteString(".SH EXIT STATUS\nThat of the program, 128+n when signal n ended it; 125 when rl failed, 126 when the program can't be executed, 127 when it was not found.\n")
	more(&b, p)
	return b.String()
}

// groupPage lists the verbs of a group.
func groupPage(v *verb, g group) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s.B rl %s\n.I COMMAND\n[flags]\n.SH COMMANDS\n", head("rl-"+v.name, v.help), roff(v.name))
	list(&b, v.name+" ", g)
	b.WriteString(".SH SEE ALSO\n.BR rl (1)\n")
	return b.String()
}

// page is that of one verb.
func page(w words, texts map[string]*prose) string {
	var b strings.Builder
	p, original := proseOf(texts, w.verb)
	fmt.Fprintf(&b, "%s.B rl %s\n[flags]", head("rl-"+pageName(w.verb.name), w.verb.help), roff(w.verb.name))
	for _, arg := range w.model.Positional {
		fmt.Fprintf(&b, " %s", roff(arg.Summary()))
	}
	b.WriteString("\n")
	describe(&b, p)
	if original != w.verb.name {
		fmt.Fprintf(&b, ".PP\n.B rl %s\nis the same.\n", roff(original))
	}
	for text := range strings.SplitSeq(w.model.Detail, "\n\n") {
		if text != "" {
			fmt.Fprintf(&b, ".PP\n%s\n", roff(text))
		}
	}
	options(&b, w.model.Flags)
	more(&b, p)
	return b.String()
}

// options are the flags: those of no group, then the groups.
func options(b *strings.Builder, flags []*kong.Flag) {
	b.WriteString(".SH OPTIONS\n")
	title := func(f *kong.Flag) string {
		if f.Group == nil {
			return ""
		}
		return f.Group.Title
	}
	var titles []string
	for _, f := range flags {
		if t := title(f); t != "" && !slices.Contains(titles, t) {
			titles = append(titles, t)
		}
	}
	for _, t := range append([]string{""}, titles...) {
		if t != "" {
			fmt.Fprintf(b, ".SS %s\n", roff(t))
		}
		for _, f := range flags {
			if title(f) == t && !f.Hidden {
				fmt.Fprintf(b, ".TP\n%s\n%s\n", signature(f), roff(f.Help))
			}
		}
	}
}

func describe(b *strings.Builder, p *prose) {
	b.WriteString(".SH DESCRIPTION\n" + paragraphs(p.paragraphs) + "\n")
}

// more are the examples, and where else to look.
func more(b *strings.Builder, p *prose) {
	b.WriteString(".SH EXAMPLES\n")
	apart := ""
	for _, line := range p.examples {
		if comment, is := strings.CutPrefix(line, "# "); is {
			b.WriteString(apart + roff(comment) + ":\n")
			apart = ""
			continue
		}
		b.WriteString(apart + ".EX\n" + roff(line) + "\n.EE\n")
		apart = ".PP\n"
	}
	b.WriteString(".SH SEE ALSO\n")
	for _, name := range p.see {
		fmt.Fprintf(b, ".BR %s (1),\n", roff("rl-"+pageName(name)))
	}
	b.WriteString(".BR rl (1)\n")
}

// ociPage is the page of the OCI runtime: the flags before the command, then each command with its own.
func ociPage(help string) (string, error) {
	var b strings.Builder
	p := readProse(pagesText)["oci"]
	b.WriteString(head("rl-oci", help) + ".B rl-oci\n[flags]\n.I COMMAND\n[flags] CONTAINER\n.PP\n.B rl oci\nis the same.\n")
	describe(&b, p)
	b.WriteString(".SH OPTIONS\n")
	for _, f := range ociGlobalFlags() {
		name, value, _ := strings.Cut(f.text(), " ")
		fmt.Fprintf(&b, ".TP\n\\fB%s\\fR \\fI%s\\fR\n%s\n", roff(name), roff(value), roff(f.help))
	}
	b.WriteString(".SH COMMANDS\n")
	for _, v := range ociVerbs() {
		parser, err := v.parser(v.command())
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, ".SS %s", v.name)
		for _, p := range parser.Model.Positional {
			fmt.Fprintf(&b, " %s", roff(p.Summary()))
		}
		fmt.Fprintf(&b, "\n%s.\n", roff(v.help))
		for _, f := range parser.Model.Flags {
			if !f.Hidden && f.Name != "help" {
				fmt.Fprintf(&b, ".TP\n%s\n%s\n", signature(f), roff(f.Help))
			}
		}
	}
	b.WriteString(".SH EXIT STATUS\nOf run and exec that of the program, 128+n when signal n ended it. 1 is a failure, of exec 255.\n")
	more(&b, p)
	return b.String(), nil
}

func signature(f *kong.Flag) string {
	s := "--" + f.Name
	if f.Tag.Negatable != "" {
		s = "--[no-]" + f.Name
	}
	if f.Short != 0 {
		s = "-" + string(f.Short) + ", " + s
	}
	s = `\fB` + roff(s) + `\fR`
	if !f.IsBool() {
		s += ` \fI` + roff(f.FormatPlaceHolder()) + `\fR`
	}
	return s
}

// roff keeps a text from being read as a request or an escape.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return strings.ReplaceAll(s, "\n.", "\n\\&.")
}

func paragraphs(all []string) string {
	escaped := make([]string, len(all))
	for i := range all {
		escaped[i] = roff(all[i])
	}
	return strings.Join(escaped, "\n.PP\n")
}
