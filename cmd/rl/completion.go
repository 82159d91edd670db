package main

import (
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

// Run prints the script, which asks rl for all that it offers.
func (c *CompletionCmd) Run() error {
	switch c.Shell {
	case "fish":
		return printText(fishScript)
	case "zsh":
		return printText(zshScript)
	}
	return printText(bashScript)
}

// Each script asks `rl __complete` (complete.go). An rl that was typed with its path is asked itself; by an alias the one in PATH.
// A word that ends in : / or = goes on, and no space is put behind it.

// bash takes words apart at : and =, and puts the answer in the place of the last part.
const bashScript = `# bash completion for rl
_rl() {
	local line=${COMP_LINE:0:COMP_POINT} rl=${COMP_WORDS[0]/#\~/$HOME} word help cur part
	[ "${rl##*/}" = rl ] || rl=rl
	cur=${line##*[[:space:]]}
	part=${cur%"${cur##*[:=]}"}
	[[ $COMP_WORDBREAKS == *[:=]* ]] || part=
	COMPREPLY=()
	while IFS= read -r help; do
		word=${help%%$'\t'*}
		if [ -n "$word" ]; then
			COMPREPLY+=("${word#"$part"}")
			[[ $word != *[:/=] ]] || compopt -o nospace 2>/dev/null
		elif [ ${#COMPREPLY[@]} = 0 ]; then
			[[ $help == *dirs ]] && compopt -o dirnames 2>/dev/null || compopt -o default 2>/dev/null
		else
			compopt -o nospace 2>/dev/null
			while IFS= read -r word; do
				[ ! -d "$word" ] && word="$word " || word=$word/
				COMPREPLY+=("$word")
			done < <(compgen -f -- "${cur#"$part"}")
		fi
	done < <("$rl" __complete --line "$line" 2>/dev/null)
}
complete -F _rl rl
`

// zsh runs the file as the function when it is found in fpath, and reads it once when it is sourced.
const zshScript = `#compdef rl
# zsh completion for rl
_rl() {
	local rl=${(Q)words[1]/#\~/$HOME} text word files=
	local -a typed plain open
	[[ ${rl:t} = rl ]] || rl=rl
	typed=("${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}")
	for text in "${(@f)$("$rl" __complete -- "${typed[@]}" 2>/dev/null)}"; do
		word=${text%%$'\t'*}
		if [[ -z $word ]]; then
			files=${text#$'\t'}
		elif [[ $word = *[:/=] ]]; then
			open+=("${word//:/\\:}:${text#*$'\t'}")
		else
			plain+=("${word//:/\\:}:${text#*$'\t'}")
		fi
	done
	(( $#plain )) && _describe -t rl rl plain
	(( $#open )) && _describe -t rl rl open -S ''
	[[ -n $files && $PREFIX = --*=* ]] && compset -P '*='
	case $files in
	files) _files ;;
	dirs) _files -/ ;;
	esac
}
if [[ $funcstack[1] = _rl ]]; then
	_rl "$@"
else
	(( $+functions[compdef] )) || { autoload -U compinit && compinit }
	compdef _rl rl
fi
`

// fish takes the words with what is said of them as they are.
const fishScript = `# fish completion for rl
function __rl_complete
	set -l typed (commandline -opc)
	set -l rl rl
	string match -q -r '(^|/)rl$' -- $typed[1]; and set rl (string replace -r '^~' $HOME -- $typed[1])
	set -l current (commandline -ct)
	for text in (command $rl __complete -- $typed[2..-1] "$current" 2>/dev/null)
		switch $text
		case \tfiles \tdirs
			set -l flag (string match -r -- '^--[a-z-]*=' $current)
			for path in (__fish_complete_path (string replace -- "$flag" '' $current))
				test $text = \tfiles; or string match -q -r '/(\t|$)' -- $path; and echo "$flag$path"
			end
		case '*'
			echo $text
		end
	end
end
complete -c rl -f -a '(__rl_complete)'
`

// words are a verb with its flags, for pages.
type words struct {
	verb  *verb
	model *kong.Application
}

// tree reads the flags of all verbs, those of groups too: the one source of help and man pages.
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
