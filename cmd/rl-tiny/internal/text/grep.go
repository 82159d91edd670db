package text

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/rl-containers/rl/cmd/rl-tiny/internal/tool"
)

type grepper struct {
	c             *tool.Call
	o             *tool.Options
	patterns      []*regexp.Regexp
	names         bool // before each line
	max           int
	before, after int
	found         bool
}

var errEnough = errors.New("enough")

func grep(c *tool.Call) error {
	// There are no colours, so all values of --color mean the same.
	c.Args = slices.DeleteFunc(c.Args, func(a string) bool { return strings.HasPrefix(a, "--color") })
	o, args, err := c.Options("EFGPivnclLqshHowxre:f:m:A:B:C:Ra", "extended-regexp=E", "fixed-strings=F", "ignore-case=i", "invert-match=v", "line-number=n",
		"count=c", "files-with-matches=l", "quiet=q", "silent=q", "only-matching=o", "word-regexp=w", "line-regexp=x", "recursive=r", "regexp=e", "max-count=m",
		"after-context=A", "before-context=B", "context=C", "text=a", "no-messages=s", "no-filename=h", "with-filename=H")
	if err != nil {
		return err
	}
	g := &grepper{c: c, o: o}
	names, err := g.prepare(args)
	if err != nil {
		return &tool.Exit{Code: 2, Err: err}
	}
	for _, name := range names {
		if err := g.name(name); err == errEnough {
			return &tool.Exit{Code: 0}
		} else if err != nil {
			if !o.Has('s') {
				c.Warn(err)
			}
			c.Code = 2
		}
	}
	if c.Code == 0 && !g.found {
		c.Code = 1
	}
	return nil
}

func (g *grepper) prepare(args []string) ([]string, error) {
	texts := g.o.All('e')
	for _, file := range g.o.All('f') {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		texts = append(texts, strings.TrimSuffix(string(b), "\n"))
	}
	if len(texts) == 0 {
		if len(args) == 0 {
			return nil, tool.Usage("grep [OPTION...] PATTERN [FILE...]")
		}
		texts, args = args[:1], args[1:]
	}
	for text := range strings.SplitSeq(strings.Join(texts, "\n"), "\n") {
		re, err := g.compile(text)
		if err != nil {
			return nil, err
		}
		g.patterns = append(g.patterns, re)
	}
	var err error
	var around int
	for _, n := range []struct {
		letter byte
		to     *int
		or     int
	}{{'m', &g.max, 1 << 30}, {'C', &around, 0}} {
		if *n.to, err = g.o.Int(n.letter, n.or); err != nil {
			return nil, err
		}
	}
	if g.before, err = g.o.Int('B', around); err != nil {
		return nil, err
	}
	if g.after, err = g.o.Int('A', around); err != nil {
		return nil, err
	}
	recursive := g.o.Has('r') || g.o.Has('R')
	if len(args) == 0 {
		if args = []string{"-"}; recursive {
			args = []string{"."}
		}
	}
	g.names = (len(args) > 1 || recursive || g.o.Has('H')) && !g.o.Has('h')
	return args, nil
}

func (g *grepper) compile(text string) (*regexp.Regexp, error) {
	extended := g.o.Has('E') || g.o.Has('P') || g.c.Name == "egrep"
	if g.o.Has('F') || g.c.Name == "fgrep" {
		text, extended = regexp.QuoteMeta(text), true
	}
	open, end := `\(`, `\)`
	if extended {
		open, end = "(", ")"
	}
	if g.o.Has('w') {
		text = `\<` + open + text + end + `\>`
	}
	if g.o.Has('x') {
		text = "^" + open + text + end + "$"
	}
	return compile(text, extended, g.o.Has('i'))
}

func (g *grepper) name(name string) error {
	if name == "-" {
		return g.stream("(standard input)", g.c.In)
	}
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return g.file(name)
	}
	if !g.o.Has('r') && !g.o.Has('R') {
		return fmt.Errorf("%s: Is a directory", name)
	}
	return filepath.WalkDir(name, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			err = g.file(path)
		}
		if err != nil && err != errEnough {
			g.c.Warn(err)
			g.c.Code, err = 2, nil
		}
		return err
	})
}

func (g *grepper) file(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return g.stream(name, f)
}

func (g *grepper) matches(line string) bool {
	for _, p := range g.patterns {
		if p.MatchString(line) {
			return !g.o.Has('v')
		}
	}
	return g.o.Has('v')
}

func (g *grepper) stream(name string, r io.Reader) error {
	number, count, last, rest := 0, 0, 0, 0
	var held []string
	err := tool.Lines(r, func(line string) error {
		number++
		if !g.matches(line) {
			if rest > 0 {
				rest--
				last = number
				g.show(name, number, line, '-')
			} else if g.before > 0 {
				if held = append(held, line); len(held) > g.before {
					held = held[1:]
				}
			}
			return nil
		}
		count++
		g.found = true
		switch {
		case g.o.Has('q'):
			return errEnough
		case g.o.Has('l') || g.o.Has('L'):
			return io.EOF
		case !g.o.Has('c'):
			if (g.before > 0 || g.after > 0) && last > 0 && number-len(held) > last+1 {
				g.c.Printf("--\n")
			}
			for i, h := range held {
				g.show(name, number-len(held)+i, h, '-')
			}
			g.match(name, number, line)
		}
		held, last, rest = nil, number, g.after
		if count >= g.max {
			return io.EOF
		}
		return nil
	})
	if err == io.EOF {
		err = nil
	}
	if g.o.Has('c') {
		if g.names {
			g.c.Printf("%s:", name)
		}
		g.c.Printf("%d\n", count)
	}
	if g.o.Has('l') && count > 0 || g.o.Has('L') && count == 0 {
		g.c.Printf("%s\n", name)
	}
	return err
}

func (g *grepper) match(name string, number int, line string) {
	if !g.o.Has('o') {
		g.show(name, number, line, ':')
		return
	}
	for _, p := range g.patterns {
		for _, m := range p.FindAllString(line, -1) {
			if m != "" {
				g.show(name, number, m, ':')
			}
		}
	}
}

func (g *grepper) show(name string, number int, line string, sep byte) {
	if g.names {
		g.c.Printf("%s%c", name, sep)
	}
	if g.o.Has('n') {
		g.c.Printf("%d%c", number, sep)
	}
	g.c.Printf("%s\n", line)
}
