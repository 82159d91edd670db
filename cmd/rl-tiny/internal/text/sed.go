package text

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/rl-containers/rl/cmd/rl-tiny/internal/tool"
)

// stream is the state of sed while it runs.
type stream struct {
	out      *bufio.Writer
	in       *bufio.Reader
	rest     []func() (io.ReadCloser, error) // the files to come
	quiet    bool
	number   int
	space    string
	hold     string
	replaced bool
	appended []string
	lastRe   *regexp.Regexp
	noEnd    bool // the last line of the input had no newline
}

func sed(c *tool.Call) error {
	o, args, err := c.Options("nrEe:f:i", "quiet=n", "silent=n", "regexp-extended=E", "expression=e", "file=f", "in-place=i")
	if err != nil {
		return err
	}
	scripts := o.All('e')
	for _, file := range o.All('f') {
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		scripts = append(scripts, strings.TrimSuffix(string(b), "\n"))
	}
	if len(scripts) == 0 {
		if len(args) == 0 {
			return tool.Usage("sed [-nEi] SCRIPT [FILE...]")
		}
		scripts, args = args[:1], args[1:]
	}
	program, err := parseSed(strings.Join(scripts, "\n"), o.Has('E') || o.Has('r'))
	if err != nil {
		return err
	}
	if o.Has('i') {
		for _, name := range args {
			if err := sedInPlace(program, name, o.Has('n')); err != nil {
				c.Warn(err)
			}
		}
		return nil
	}
	if len(args) == 0 {
		args = []string{"-"}
	}
	s := &stream{out: c.Out, quiet: o.Has('n')}
	for _, name := range args {
		s.rest = append(s.rest, func() (io.ReadCloser, error) {
			if name == "-" {
				return io.NopCloser(c.In), nil
			}
			f, err := os.Open(name)
			if err != nil {
				c.Warn(err)
			}
			return f, err
		})
	}
	return s.run(program)
}

func sedInPlace(program []*command, name string, quiet bool) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(name), ".sed")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	s := &stream{out: bufio.NewWriter(tmp), quiet: quiet}
	s.rest = append(s.rest, func() (io.ReadCloser, error) { return os.Open(name) })
	for _, c := range program {
		c.active = false
	}
	if err := s.run(program); err != nil {
		return err
	}
	if err := errors.Join(s.out.Flush(), tmp.Chmod(info.Mode())); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), name)
}

func (s *stream) run(program []*command) error {
	for s.next() {
		err := s.cycle(program)
		if err == errRestart {
			continue
		}
		var quit *quitting
		if errors.As(err, &quit) {
			if !quit.silent {
				s.finish()
			}
			if quit.code != 0 {
				return &tool.Exit{Code: quit.code}
			}
			return nil
		}
		if err != nil {
			return err
		}
		s.finish()
	}
	return nil
}

type quitting struct {
	code   int
	silent bool
}

func (*quitting) Error() string { return "quit" }

var errRestart = errors.New("restart")

// finish ends a cycle.
func (s *stream) finish() {
	if !s.quiet {
		s.print(s.space)
	}
	s.flushAppended()
}

func (s *stream) flushAppended() {
	for _, a := range s.appended {
		s.out.WriteString(a)
	}
	s.appended = nil
}

func (s *stream) print(text string) {
	s.out.WriteString(text)
	if !s.noEnd || !s.last() {
		s.out.WriteByte('\n')
	}
}

// line is the next of all files.
func (s *stream) line() (string, bool) {
	for {
		if s.in == nil {
			if len(s.rest) == 0 {
				return "", false
			}
			open := s.rest[0]
			s.rest = s.rest[1:]
			f, err := open()
			if err != nil {
				continue
			}
			s.in = bufio.NewReaderSize(f, 64<<10)
		}
		line, err := s.in.ReadString('\n')
		if line != "" {
			s.noEnd = !strings.HasSuffix(line, "\n")
			s.number++
			return strings.TrimSuffix(line, "\n"), true
		}
		if err != nil {
			s.in = nil
		}
	}
}

func (s *stream) next() bool {
	line, ok := s.line()
	if ok {
		s.space, s.replaced = line, false
	}
	return ok
}

// last tells whether the current line is the last one, by looking ahead.
func (s *stream) last() bool {
	for {
		if s.in != nil {
			if _, err := s.in.Peek(1); err == nil {
				return false
			}
			s.in = nil
		}
		if len(s.rest) == 0 {
			return true
		}
		open := s.rest[0]
		s.rest = s.rest[1:]
		if f, err := open(); err == nil {
			s.in = bufio.NewReaderSize(f, 64<<10)
		}
	}
}

func (s *stream) cycle(program []*command) error {
	for pc := 0; pc < len(program); pc++ {
		c := program[pc]
		if c.selected(s) == c.negate {
			if c.name == '{' {
				pc = c.jump
			}
			continue
		}
		to, err := s.do(c, program)
		if err != nil {
			return err
		}
		if to >= 0 {
			pc = to - 1
		}
	}
	return nil
}

// do runs one command; to is where to go on, -1 with the next.
func (s *stream) do(c *command, program []*command) (to int, err error) {
	switch c.name {
	case 's':
		err = s.substitute(c)
	case 'y':
		s.space = c.replacer.Replace(s.space)
	case 'p':
		s.print(s.space)
	case 'P':
		first, _, _ := strings.Cut(s.space, "\n")
		s.print(first)
	case 'd':
		s.flushAppended()
		return -1, errRestart
	case 'D':
		_, rest, more := strings.Cut(s.space, "\n")
		s.flushAppended()
		if !more {
			return -1, errRestart
		}
		s.space = rest
		return 0, nil
	case 'n':
		if s.last() {
			return -1, &quitting{silent: s.quiet}
		}
		s.finish()
		s.next()
	case 'N':
		if s.last() {
			return -1, &quitting{}
		}
		s.flushAppended()
		line, _ := s.line()
		s.space += "\n" + line
	case 'h':
		s.hold = s.space
	case 'H':
		s.hold += "\n" + s.space
	case 'g':
		s.space = s.hold
	case 'G':
		s.space += "\n" + s.hold
	case 'x':
		s.space, s.hold = s.hold, s.space
	case '=':
		fmt.Fprintln(s.out, s.number)
	case 'a':
		s.appended = append(s.appended, c.text+"\n")
	case 'i':
		s.out.WriteString(c.text + "\n")
	case 'c':
		if !c.ranged() || !c.active {
			s.out.WriteString(c.text + "\n")
		}
		return -1, errRestart
	case 'q':
		return -1, &quitting{code: c.code}
	case 'Q':
		return -1, &quitting{code: c.code, silent: true}
	case 'b':
		return c.target(program)
	case 't':
		if s.replaced {
			s.replaced = false
			return c.target(program)
		}
	case 'r':
		if b, err := os.ReadFile(c.text); err == nil {
			s.appended = append(s.appended, string(b))
		}
	}
	return -1, err
}

func (s *stream) substitute(c *command) error {
	re := c.re
	if re == nil {
		if re = s.lastRe; re == nil {
			return errors.New("no previous regular expression")
		}
	}
	s.lastRe = re
	var b strings.Builder
	at, n, done := 0, 0, false
	for _, m := range re.FindAllStringSubmatchIndex(s.space, -1) {
		if n++; n < c.nth || done && !c.global {
			continue
		}
		b.WriteString(s.space[at:m[0]])
		c.replacement.expand(&b, s.space, m)
		at, done = m[1], true
	}
	if !done {
		return nil
	}
	b.WriteString(s.space[at:])
	s.space, s.replaced = b.String(), true
	if c.printed {
		s.print(s.space)
	}
	return nil
}
