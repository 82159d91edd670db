package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
	"mvdan.cc/sh/v3/syntax"
)

// statements runs the standard input line by line, with prompts or without.
func (s *shell) statements(line func(prompt string) (string, error), interactive bool) int {
	code := 0
	for {
		prompt := ""
		if interactive {
			prompt = s.prompt()
		}
		text, err := line(prompt)
		if errors.Is(err, errInterrupt) {
			code = 130
			continue
		}
		if err != nil {
			return s.leave(code)
		}
		stmts, ok := s.complete(text, line)
		switch {
		case ok:
			if code, ok = s.statement(stmts, code, interactive); !ok {
				return code
			}
		case !interactive:
			return 2
		default:
			code = 2
		}
	}
}

// leave ends a shell whose input ended, with the trap of EXIT: the interpreter runs that after a file.
func (s *shell) leave(code int) int {
	f := &syntax.File{Stmts: []*syntax.Stmt{{Cmd: &syntax.CallExpr{Args: []*syntax.Word{
		{Parts: []syntax.WordPart{&syntax.Lit{Value: cmdStatus}}}, quoted(strconv.Itoa(code))}}}}}
	return s.end(s.runner.Run(context.Background(), f))
}

var errInterrupt = errors.New("interrupted")

// complete reads on until the text is whole: the lines of a loop, of a here-document, of a quoted string.
func (s *shell) complete(text string, line func(string) (string, error)) ([]*syntax.Stmt, bool) {
	for {
		f, err := newParser().Parse(strings.NewReader(text), "")
		if err == nil && !continued(text) {
			rewrite(f, !fed(f))
			return f.Stmts, true
		}
		if err != nil && !syntax.IsIncomplete(err) {
			syntaxError(err)
			return nil, false
		}
		more, readErr := line("> ")
		switch {
		case readErr == nil:
			text += more
		case err == nil && readErr == io.EOF:
			text = strings.TrimSuffix(text, "\\\n")
		case readErr == io.EOF:
			syntaxError(err)
			return nil, false
		default:
			return nil, false
		}
	}
}

// continued tells of a text whose last line ends with a backslash of its own.
func continued(text string) bool {
	text, ok := strings.CutSuffix(text, "\n")
	return ok && (len(text)-len(strings.TrimRight(text, "\\")))%2 == 1
}

// statement runs what one prompt got. Ctrl-C ends it, and not the shell; ok is false when the shell is to end.
func (s *shell) statement(stmts []*syntax.Stmt, last int, interactive bool) (code int, ok bool) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if interactive {
		s.mu.Lock()
		s.cancel, s.stop = cancel, ctx.Done()
		s.mu.Unlock()
	}
	code = last
	for _, st := range stmts {
		err := s.runner.Run(ctx, st)
		if ctx.Err() != nil {
			return 130, true
		}
		code = exitCode(err)
		if s.runner.Exited() {
			return s.finish(err), false
		}
	}
	return code, true
}

func (s *shell) prompt() string {
	if ps1, ok := s.runner.Vars["PS1"]; ok {
		return ps1.Str
	}
	if ps1, ok := os.LookupEnv("PS1"); ok { // before the first command the interpreter tells of no variables
		return ps1
	}
	sign := "$ "
	if os.Geteuid() == 0 {
		sign = "# "
	}
	return s.runner.Dir + " " + sign
}

// editor is what reads a line with a prompt: with editing and history at a terminal, else plainly.
func (s *shell) editor() func(prompt string) (string, error) {
	if !term.IsTerminal(0) {
		return func(prompt string) (string, error) {
			fmt.Fprint(os.Stderr, prompt)
			return readLine(os.Stdin)
		}
	}
	keys := &keyboard{}
	t := term.NewTerminal(keys, "")
	return func(prompt string) (string, error) {
		if w, h, err := term.GetSize(0); err == nil && w > 0 {
			t.SetSize(w, h)
		}
		old, err := keyByKey()
		if err != nil {
			return "", err
		}
		t.SetPrompt(prompt)
		keys.interrupted = false
		line, err := t.ReadLine()
		unix.IoctlSetTermios(0, unix.TCSETS, old)
		switch {
		case err == io.EOF && keys.interrupted:
			fmt.Fprintln(os.Stderr, "^C")
			history := t.History // an editor that saw Ctrl-C would see it again
			t = term.NewTerminal(keys, "")
			t.History = history
			return "", errInterrupt
		case err == io.EOF:
			fmt.Fprintln(os.Stderr)
		}
		return line + "\n", err
	}
}

// keyByKey makes the terminal give each key at once and without echo. Its translations stay: what is typed ahead of a
// command is already in its queue when the command reads it.
func keyByKey() (old *unix.Termios, err error) {
	if old, err = unix.IoctlGetTermios(0, unix.TCGETS); err != nil {
		return nil, err
	}
	t := *old
	t.Lflag &^= unix.ICANON | unix.ECHO | unix.ISIG | unix.IEXTEN
	t.Iflag |= unix.ICRNL
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	return old, unix.IoctlSetTermios(0, unix.TCSETS, &t)
}

// readLine reads byte by byte: what follows the line is for the commands.
func readLine(in io.Reader) (string, error) {
	var line []byte
	var b [1]byte
	for {
		n, err := in.Read(b[:])
		line = append(line, b[:n]...)
		if n == 1 && b[0] == '\n' || err != nil && len(line) > 0 {
			return string(line), nil
		}
		if err != nil {
			return "", err
		}
	}
}

// keyboard is the terminal as the line editor sees it. It remembers a Ctrl-C, which the editor takes for an end.
type keyboard struct{ interrupted bool }

func (k *keyboard) Read(p []byte) (int, error) {
	// One byte a call: what was typed ahead is for the command.
	n, err := os.Stdin.Read(p[:1])
	if n == 1 && p[0] == 3 {
		k.interrupted = true
	}
	if errors.Is(err, unix.EIO) { // the terminal is gone
		err = io.EOF
	}
	return n, err
}

func (k *keyboard) Write(p []byte) (int, error) { return os.Stdout.Write(p) }
