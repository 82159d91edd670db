package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/rl-containers/rl/hint"
)

// ManCmd is `rl man DIR`, used by make install.
type ManCmd struct {
	Dir string `arg:"" help:"Directory to write rl.1 and rl-VERB.1 to."`
}

// Run writes a page for each verb, from the same flags as its help.
func (c *ManCmd) Run() error {
	list, err := tree()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return hint.With(err, "rl man DIR")
	}
	all := ".TH RL 1\n.SH NAME\nrl \\- run containers without root\n.SH SYNOPSIS\n.B rl\n[\\fB\\-\\-log\\-level\\fR \\fILEVEL\\fR|\\fB\\-D\\fR]\n.I COMMAND\n[flags]\n.SH OPTIONS\n" +
		".TP\n\\fB\\-\\-log\\-level\\fR \\fILEVEL\\fR\n" + roff(levelHelp) + "\n.TP\n\\fB\\-D\\fR, \\fB\\-\\-debug\\fR\nThe same as \\-\\-log\\-level debug.\n.SH COMMANDS\n"
	for _, w := range list {
		all += ".TP\n.BR rl-" + roff(pageName(w)) + " (1)\n" + roff(w.verb.help) + ".\n"
		text := page(w)
		if w.verb.name == "oci" {
			if text, err = ociPage(w.verb.help); err != nil {
				return err
			}
		}
		if err := os.WriteFile(filepath.Join(c.Dir, "rl-"+pageName(w)+".1"), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(c.Dir, "rl.1"), []byte(all), 0o644)
}

// pageName: rl-volume-create is about rl volume create.
func pageName(w words) string { return strings.ReplaceAll(w.verb.name, " ", "-") }

func page(w words) string {
	var b strings.Builder
	name := roff(pageName(w))
	fmt.Fprintf(&b, ".TH RL-%s 1\n.SH NAME\nrl-%s \\- %s\n.SH SYNOPSIS\n.B rl %s\n[flags]", strings.ToUpper(name), name, roff(w.verb.help), w.verb.name)
	for _, p := range w.model.Positional {
		fmt.Fprintf(&b, " %s", roff(p.Summary()))
	}
	b.WriteString("\n.SH OPTIONS\n")
	for _, f := range w.model.Flags {
		if !f.Hidden {
			fmt.Fprintf(&b, ".TP\n%s\n%s\n", signature(f), roff(f.Help))
		}
	}
	if w.model.Detail != "" {
		fmt.Fprintf(&b, ".SH NOTES\n.nf\n%s\n.fi\n", roff(w.model.Detail))
	}
	b.WriteString(".SH SEE ALSO\n.BR rl (1)\n")
	return b.String()
}

// ociPage is the page of the OCI runtime: the flags before the command, then each command with its own.
func ociPage(help string) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH RL-OCI 1\n.SH NAME\nrl-oci \\- %s\n.SH SYNOPSIS\n.B rl-oci\n[flags]\n.I COMMAND\n[flags] CONTAINER\n.PP\n.B rl oci\nis the same.\n.SH OPTIONS\n", roff(help))
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
	b.WriteString(".SH EXIT STATUS\nOf run and exec that of the program, 128+n when signal n ended it. 1 is a failure, of exec 255.\n.SH SEE ALSO\n.BR rl (1)\n")
	return b.String(), nil
}

func signature(f *kong.Flag) string {
	s := "--" + f.Name
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
