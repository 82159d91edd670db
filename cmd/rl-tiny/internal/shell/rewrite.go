package shell

import (
	"bytes"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// Commands that no program can be named like; the handlers run them. What the interpreter does in its own process, or not at
// all, becomes one of them: its background jobs have no process of their own, so no number to kill or to wait for.
const (
	cmdBackground = "rl:background"
	cmdWait       = "rl:wait"
	cmdKill       = "rl:kill"
	cmdExec       = "rl:exec"
	cmdRunExit    = "rl:run-exit" // exec in a part of the shell that is no process of its own
	cmdUmask      = "rl:umask"
	cmdUlimit     = "rl:ulimit"
	cmdStatus     = "rl:status"
	cmdEcho       = "rl:echo"
	cmdPrintf     = "rl:printf"
)

// Variables in the place of the parameters $0, $$ and $!.
const (
	varName = "_rl_name"
	varPid  = "_rl_pid"
	varLast = "_rl_last"
)

// rewrite changes a parsed program, in place, into what the interpreter and the handlers together run as a shell does. top
// says that its outermost commands are run by the shell itself, not by a subshell.
func rewrite(node syntax.Node, top bool) {
	syntax.Walk(node, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.Stmt:
			for _, r := range n.Redirs {
				rewriteRedirect(r)
			}
			if n.Background {
				background(n)
				return false
			}
		case *syntax.ParamExp:
			rewriteParam(n)
		case *syntax.CallExpr:
			if len(n.Args) > 1 && n.Args[0].Lit() == "exec" {
				n.Args[0] = execWord(n.Args[0], top)
			}
		case *syntax.FuncDecl:
			rewrite(n.Body, false)
			return false
		case *syntax.Subshell, *syntax.CmdSubst, *syntax.ProcSubst:
			if top {
				rewrite(n, false)
				return false
			}
		case *syntax.BinaryCmd:
			if n.Op == syntax.Pipe || n.Op == syntax.PipeAll {
				rewritePipe(n)
				return false
			}
		}
		return true
	})
}

// fed tells whether the interpreter itself feeds a program of node, by a goroutine that would not survive an exec: a
// here-document or a process substitution.
func fed(node syntax.Node) (yes bool) {
	syntax.Walk(node, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.Redirect:
			yes = yes || n.Op == syntax.Hdoc || n.Op == syntax.DashHdoc || n.Op == syntax.WordHdoc
		case *syntax.ProcSubst:
			yes = true
		}
		return !yes
	})
	return yes
}

// rewritePipe makes the right side a subshell as the left one is: neither changes the shell's variables, ends it or execs.
func rewritePipe(n *syntax.BinaryCmd) {
	rewrite(n.X, false)
	rewrite(n.Y, false)
	switch n.Y.Cmd.(type) {
	case *syntax.Subshell, nil:
		return
	}
	n.Y = &syntax.Stmt{Position: n.Y.Position, Cmd: &syntax.Subshell{Lparen: n.Y.Position, Stmts: []*syntax.Stmt{n.Y}}}
}

func execWord(w *syntax.Word, top bool) *syntax.Word {
	name := cmdRunExit
	if top {
		name = cmdExec
	}
	return &syntax.Word{Parts: []syntax.WordPart{&syntax.Lit{ValuePos: w.Pos(), ValueEnd: w.End(), Value: name}}}
}

func rewriteParam(p *syntax.ParamExp) {
	if p.Param == nil {
		return
	}
	switch p.Param.Value {
	case "0":
		rename(p, varName)
	case "$":
		rename(p, varPid)
	case "!":
		rename(p, varLast)
	}
}

// rename gives a parameter another name, in braces: $!x is not $_rl_lastx.
func rename(p *syntax.ParamExp, name string) { p.Param.Value, p.Short = name, false }

// rewriteRedirect: >| is > where nothing forbids to overwrite; <> is read only.
func rewriteRedirect(r *syntax.Redirect) {
	switch r.Op {
	case syntax.RdrClob:
		r.Op = syntax.RdrOut
	case syntax.RdrInOut:
		r.Op = syntax.RdrIn
	}
}

// background turns "LIST &" into a command that starts another shell with the text of LIST.
func background(st *syntax.Stmt) {
	job := *st
	job.Background, job.Comments = false, nil
	text := source(&job)
	*st = syntax.Stmt{Position: st.Position, Cmd: &syntax.CallExpr{Args: []*syntax.Word{
		{Parts: []syntax.WordPart{&syntax.Lit{ValuePos: st.Position, Value: cmdBackground}}},
		quoted(text),
	}}}
}

// source is the text of a node.
func source(n syntax.Node) string {
	var b bytes.Buffer
	syntax.NewPrinter().Print(&b, n)
	return strings.TrimSuffix(b.String(), "\n")
}

// quoted is a word that stands for s, whether it is run or printed first.
func quoted(s string) *syntax.Word {
	w := &syntax.Word{}
	for i, piece := range strings.Split(s, "'") {
		if i > 0 {
			w.Parts = append(w.Parts, &syntax.DblQuoted{Parts: []syntax.WordPart{&syntax.Lit{Value: "'"}}})
		}
		w.Parts = append(w.Parts, &syntax.SglQuoted{Value: piece})
	}
	return w
}

// quote is s as a shell word.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'"'"'`) + "'" }

func quoteAll(args []string) string {
	words := make([]string, len(args))
	for i, a := range args {
		words[i] = quote(a)
	}
	return strings.Join(words, " ")
}

// rewriteText is rewrite for text that the interpreter parses itself (eval, trap, "."). What can't be parsed is left to
// its complaint.
func rewriteText(text string) string {
	f, err := newParser().Parse(strings.NewReader(text), "")
	if err != nil {
		return text
	}
	rewrite(f, false)
	return source(f)
}

func newParser() *syntax.Parser { return syntax.NewParser(syntax.Variant(syntax.LangBash)) }
