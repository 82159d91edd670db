package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// CompletionCmd is `rl completion`.
type CompletionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help tells how to use it.
func (*CompletionCmd) Help() string {
	return "bash: source <(rl completion bash)\nzsh:  source <(rl completion zsh)\nfish: rl completion fish | source"
}

// words are a verb with its flags, for scripts and pages.
type words struct {
	verb  *verb
	model *kong.Application
}

// tree reads the flags of all verbs, those of groups too: the one source of help, completion and man pages.
func tree() ([]words, error) {
	all := leaves(commands())
	var list []words
	for i := range all {
		parser, err := all[i].parser(all[i].command())
		if err != nil {
			return nil, err
		}
		list = append(list, words{&all[i], parser.Model})
	}
	return list, nil
}

// firstWords are what can follow rl, and groups what can follow each of them.
func firstWords() (names []string, groups []groupWords) {
	for _, v := range commands() {
		names = append(names, v.name)
		if g, ok := v.command().(group); ok {
			in := groupWords{name: v.name}
			for _, w := range g {
				in.words = append(in.words, w.name)
			}
			groups = append(groups, in)
		}
	}
	return names, append(groups, groupWords{"oci", ociWords()})
}

type groupWords struct {
	name  string
	words []string
}

// object is what the first argument names, and the command that lists such: "" for files and all else.
func (w words) object() string {
	if len(w.model.Positional) == 0 {
		return ""
	}
	kind, _, _ := strings.Cut(w.model.Positional[0].Name, " ")
	const images = "rl images --noheading --format '{{.Repository}}:{{.Tag}}'"
	switch kind {
	case "image":
		return "echo tiny; " + images
	case "object":
		return "rl ps -a --format '{{.Names}}'; " + images + "; rl volume ls -q"
	case "container":
		return "rl ps -aq"
	case "volume":
		return "rl volume ls -q"
	}
	return ""
}

// flags are "--name" and "-n", sorted.
func (w words) flags() []string {
	var all []string
	for _, f := range w.model.Flags {
		if f.Hidden {
			continue
		}
		all = append(all, "--"+f.Name)
		if f.Short != 0 {
			all = append(all, "-"+string(f.Short))
		}
	}
	slices.Sort(all)
	return all
}

// Run prints the script.
func (c *CompletionCmd) Run() error {
	list, err := tree()
	if err != nil {
		return err
	}
	switch c.Shell {
	case "fish":
		fmt.Print(fish(list))
	case "zsh":
		fmt.Print("autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n" + bash(list))
	default:
		fmt.Print(bash(list))
	}
	return nil
}

// bash completes verbs, flags, and after them images, containers, volumes or files.
func bash(list []words) string {
	var b strings.Builder
	names, groups := firstWords()
	fmt.Fprintf(&b, `# bash completion for rl; bashcompinit makes zsh read it.
_rl() {
	local cur=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]} at=1 words= w
	COMPREPLY=()
	[ "$COMP_CWORD" = 1 ] || case $verb in
`)
	for _, g := range groups {
		fmt.Fprintf(&b, "\t%s) at=2; words='%s' ;;\n", g.name, strings.Join(g.words, " "))
	}
	fmt.Fprintf(&b, `	esac
	if [ "$COMP_CWORD" = 1 ]; then
		words='%s'
	elif [ "$COMP_CWORD" -gt $at ]; then
		[ $at = 1 ] || verb="$verb ${COMP_WORDS[2]}"
		words=
		case "$verb:$cur" in
`, strings.Join(names, " "))
	for _, w := range list {
		fmt.Fprintf(&b, "\t\t'%s:'-*) words='%s' ;;\n", w.verb.name, strings.Join(w.flags(), " "))
		if o := w.object(); o != "" {
			fmt.Fprintf(&b, "\t\t'%s:'*) words=$({ %s; } 2>/dev/null) ;;\n", w.verb.name, o)
		}
	}
	b.WriteString(`		esac
		compopt -o default 2>/dev/null
	fi
	while IFS= read -r w; do COMPREPLY+=("$w"); done < <(compgen -W "$words" -- "$cur")
}
complete -F _rl rl
`)
	return b.String()
}

// ociWords are what can follow rl oci.
func ociWords() []string {
	var all []string
	for _, f := range ociGlobalFlags() {
		all = append(all, "--"+f.name)
	}
	for _, v := range ociVerbs() {
		all = append(all, v.name)
	}
	return all
}

// fish completes the same. __rl_at asks which words stand before the one that is typed.
func fish(list []words) string {
	var b strings.Builder
	b.WriteString(`# fish completion for rl
function __rl_at
	set -l before (commandline -opc)[2..-1]
	string match -q -- "$argv[1] *" "$before "
end
function __rl_after
	set -l before (commandline -opc)[2..-1]
	test "$before" = "$argv[1]"
end
`)
	for _, v := range commands() {
		fmt.Fprintf(&b, "complete -c rl -n '__rl_after \"\"' -f -a %s -d '%s'\n", v.name, quote(v.help))
	}
	_, groups := firstWords()
	for _, g := range groups {
		fmt.Fprintf(&b, "complete -c rl -n '__rl_after %s' -f -a '%s'\n", g.name, strings.Join(g.words, " "))
	}
	for _, w := range list {
		for _, f := range w.model.Flags {
			fishFlag(&b, w.verb.name, f)
		}
		if o := w.object(); o != "" {
			fmt.Fprintf(&b, "complete -c rl -n '__rl_at \"%s\"' -f -a '(begin; %s; end 2>/dev/null)'\n", w.verb.name, quote(o))
		}
	}
	return b.String()
}

func fishFlag(b *strings.Builder, verb string, f *kong.Flag) {
	if f.Hidden {
		return
	}
	fmt.Fprintf(b, "complete -c rl -n '__rl_at \"%s\"' -l %s -d '%s'", verb, f.Name, quote(f.Help))
	if f.Short != 0 {
		fmt.Fprintf(b, " -s %c", f.Short)
	}
	if !f.IsBool() {
		b.WriteString(" -r")
	}
	b.WriteString("\n")
}

func quote(s string) string { return strings.ReplaceAll(s, "'", `\'`) }
