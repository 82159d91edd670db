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

// tree reads the flags of all verbs: the one source of help, completion and man pages.
func tree() ([]words, error) {
	all := commands()
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

// bash completes verbs, flags, and after them images, containers or files.
func bash(list []words) string {
	var b strings.Builder
	b.WriteString("# bash completion for rl; bashcompinit makes zsh read it.\n_rl() {\n\tlocal cur=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]} words=\n\tCOMPREPLY=()\n\tif [ \"$COMP_CWORD\" = 1 ]; then\n\t\twords='")
	for i, w := range list {
		if i > 0 {
			b.WriteString(" ")
		}
		b.WriteString(w.verb.name)
	}
	fmt.Fprintf(&b, "'\n\telif [ \"$verb\" = oci ] && [ \"$COMP_CWORD\" = 2 ]; then\n\t\twords='%s'\n\telse\n\t\tcase $verb in\n", ociWords())
	for _, w := range list {
		fmt.Fprintf(&b, "\t\t%s) words='%s' ;;\n", w.verb.name, strings.Join(w.flags(), " "))
	}
	b.WriteString(`		esac
		case $cur in -*) ;; *) words= ;; esac
		if [ -z "$words" ]; then
			case $verb in
			run | rmi) words="tiny $(rl images --noheading --format '{{.Repository}}:{{.Tag}}' 2>/dev/null)" ;;
			rm) words=$(rl ps -aq 2>/dev/null) ;;
			esac
			compopt -o default 2>/dev/null
		fi
	fi
	while IFS= read -r w; do COMPREPLY+=("$w"); done < <(compgen -W "$words" -- "$cur")
}
complete -F _rl rl
`)
	return b.String()
}

// ociWords are what can follow rl oci.
func ociWords() string {
	var all []string
	for _, f := range ociGlobalFlags() {
		all = append(all, "--"+f.name)
	}
	for _, v := range ociVerbs() {
		all = append(all, v.name)
	}
	return strings.Join(all, " ")
}

func fish(list []words) string {
	var b strings.Builder
	b.WriteString("# fish completion for rl\n")
	for _, w := range list {
		fmt.Fprintf(&b, "complete -c rl -n __fish_use_subcommand -f -a %s -d '%s'\n", w.verb.name, quote(w.verb.help))
	}
	for _, w := range list {
		for _, f := range w.model.Flags {
			if f.Hidden {
				continue
			}
			fmt.Fprintf(&b, "complete -c rl -n '__fish_seen_subcommand_from %s' -l %s -d '%s'", w.verb.name, f.Name, quote(f.Help))
			if f.Short != 0 {
				fmt.Fprintf(&b, " -s %c", f.Short)
			}
			if !f.IsBool() {
				b.WriteString(" -r")
			}
			b.WriteString("\n")
		}
	}
	fmt.Fprintf(&b, "complete -c rl -n '__fish_seen_subcommand_from oci' -a '%s'\n", ociWords())
	b.WriteString("complete -c rl -n '__fish_seen_subcommand_from run rmi' -f -a \"tiny (rl images --noheading --format '{{.Repository}}:{{.Tag}}' 2>/dev/null)\"\ncomplete -c rl -n '__fish_seen_subcommand_from rm' -f -a '(rl ps -aq 2>/dev/null)'\n")
	return b.String()
}

func quote(s string) string { return strings.ReplaceAll(s, "'", `\'`) }
