package text

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// command is one of a script of sed.
type command struct {
	from, to *address
	negate   bool
	active   bool // within the range
	end      int  // of a range that ends by number
	name     byte
	text     string // of a, i, c, r; the label of b, t and :
	code     int    // of q
	jump     int    // of {: its }
	re       *regexp.Regexp
	replacement
	global, printed bool
	nth             int
	replacer        *strings.Replacer
}

type address struct {
	line, step int
	last       bool
	re         *regexp.Regexp
	relative   bool // +N
}

// replacement is literal text and, between, numbers of groups.
type replacement []piece

type piece struct {
	text  string
	group int // -1 is text
}

func (r replacement) expand(b *strings.Builder, s string, m []int) {
	for _, p := range r {
		if p.group < 0 {
			b.WriteString(p.text)
		} else if i := 2 * p.group; i < len(m) && m[i] >= 0 {
			b.WriteString(s[m[i]:m[i+1]])
		}
	}
}

func (a *address) matches(s *stream) bool {
	switch {
	case a.last:
		return s.last()
	case a.re != nil:
		return a.re.MatchString(s.space)
	case a.step > 0:
		return s.number >= a.line && (s.number-a.line)%a.step == 0
	}
	return s.number == a.line
}

func (c *command) ranged() bool { return c.to != nil }

func (c *command) selected(s *stream) bool {
	switch {
	case c.from == nil:
		return true
	case c.to == nil:
		return c.from.matches(s)
	case c.active:
		switch {
		case c.to.re != nil || c.to.last:
			c.active = !c.to.matches(s)
		default:
			c.active = s.number < c.end
		}
		return true
	case !c.from.matches(s):
		return false
	}
	c.end = c.to.line
	if c.to.relative {
		c.end += s.number
	}
	c.active = c.to.re != nil || c.to.last && !s.last() || c.to.re == nil && !c.to.last && c.end > s.number
	return true
}

func (c *command) target(program []*command) (int, error) {
	if c.text == "" {
		return len(program), nil
	}
	for i, p := range program {
		if p.name == ':' && p.text == c.text {
			return i, nil
		}
	}
	return 0, fmt.Errorf("no label %q", c.text)
}

type sedParser struct {
	in       string
	extended bool
}

func parseSed(script string, extended bool) ([]*command, error) {
	p := &sedParser{script, extended}
	var program []*command
	var open []int
	for {
		p.in = strings.TrimLeft(p.in, " \t\n;")
		if strings.HasPrefix(p.in, "#") {
			_, p.in, _ = strings.Cut(p.in, "\n")
			continue
		}
		if p.in == "" {
			break
		}
		c, err := p.command()
		if err != nil {
			return nil, err
		}
		switch c.name {
		case '{':
			open = append(open, len(program))
		case '}':
			if len(open) == 0 {
				return nil, fmt.Errorf("unexpected }")
			}
			program[open[len(open)-1]].jump = len(program)
			open = open[:len(open)-1]
		}
		program = append(program, c)
	}
	if len(open) > 0 {
		return nil, fmt.Errorf("unmatched {")
	}
	return program, nil
}

func (p *sedParser) take() byte {
	if p.in == "" {
		return 0
	}
	c := p.in[0]
	p.in = p.in[1:]
	return c
}

func (p *sedParser) command() (*command, error) {
	c := &command{nth: 1}
	var err error
	if c.from, err = p.address(); err != nil {
		return nil, err
	}
	if c.from != nil && strings.HasPrefix(p.in, ",") {
		p.in = strings.TrimLeft(p.in[1:], " ")
		if c.to, err = p.address(); err != nil {
			return nil, err
		}
		if c.to == nil {
			return nil, fmt.Errorf("unexpected ,")
		}
	}
	p.in = strings.TrimLeft(p.in, " \t")
	for strings.HasPrefix(p.in, "!") {
		c.negate = true
		p.in = strings.TrimLeft(p.in[1:], " !")
	}
	c.name = p.take()
	switch c.name {
	case '{', '}', '=', 'd', 'D', 'p', 'P', 'h', 'H', 'g', 'G', 'x', 'n', 'N':
	case 's':
		err = p.substitute(c)
	case 'y':
		err = p.translate(c)
	case 'a', 'i', 'c':
		p.text(c)
	case 'q', 'Q':
		c.code, _ = strconv.Atoi(strings.TrimSpace(p.until(";}\n")))
	case 'b', 't':
		c.text = strings.TrimSpace(p.until(";}\n"))
	case ':':
		c.text = strings.TrimSpace(p.until(";\n"))
	case 'r':
		c.text = strings.TrimSpace(p.until("\n"))
	case 0:
		err = fmt.Errorf("missing command")
	default:
		err = fmt.Errorf("unknown command %q", c.name)
	}
	return c, err
}

func (p *sedParser) until(stops string) string {
	i := strings.IndexAny(p.in, stops)
	if i < 0 {
		i = len(p.in)
	}
	s := p.in[:i]
	p.in = p.in[i:]
	return s
}

func (p *sedParser) number() int {
	rest := strings.TrimLeftFunc(p.in, unicode.IsDigit)
	n, _ := strconv.Atoi(p.in[:len(p.in)-len(rest)])
	p.in = rest
	return n
}

func (p *sedParser) address() (*address, error) {
	if p.in == "" {
		return nil, nil
	}
	switch c := p.in[0]; {
	case c == '$':
		p.take()
		return &address{last: true}, nil
	case c == '+':
		p.take()
		return &address{line: p.number(), relative: true}, nil
	case unicode.IsDigit(rune(c)):
		a := &address{line: p.number()}
		if strings.HasPrefix(p.in, "~") {
			p.take()
			a.step = p.number()
		}
		return a, nil
	case c == '/' || c == '\\' && len(p.in) > 1:
		if p.take() == '\\' {
			c = p.take()
		}
		text, err := p.delimited(c)
		if err != nil {
			return nil, err
		}
		fold := strings.HasPrefix(p.in, "I")
		if fold {
			p.take()
		}
		re, err := compile(text, p.extended, fold)
		return &address{re: re}, err
	}
	return nil, nil
}

// delimited is the text up to the next delimiter that is neither escaped nor in brackets.
func (p *sedParser) delimited(end byte) (string, error) {
	var b strings.Builder
	for bracket := 0; p.in != ""; {
		c := p.take()
		switch {
		case c == '\\' && p.in != "" && bracket == 0:
			if next := p.take(); next == end {
				b.WriteByte(end)
			} else {
				b.WriteByte('\\')
				b.WriteByte(next)
			}
			continue
		case c == '[' && bracket == 0:
			bracket = 1
			if strings.HasPrefix(p.in, "^") {
				b.WriteByte(c)
				c = p.take()
			}
			if strings.HasPrefix(p.in, "]") {
				b.WriteByte(c)
				c = p.take()
			}
		case c == ']':
			bracket = 0
		case c == end && (bracket == 0 || !strings.Contains(p.in, "]")):
			return b.String(), nil
		}
		b.WriteByte(c)
	}
	return "", fmt.Errorf("unterminated %c…%c", end, end)
}

func (p *sedParser) substitute(c *command) error {
	end := p.take()
	pattern, err := p.delimited(end)
	if err != nil {
		return err
	}
	raw, err := p.plain(end)
	if err != nil {
		return err
	}
	c.replacement = parseReplacement(raw)
	fold := false
	for p.in != "" {
		switch l := p.in[0]; {
		case l == 'g':
			c.global = true
		case l == 'p':
			c.printed = true
		case l == 'i' || l == 'I':
			fold = true
		case l >= '1' && l <= '9':
			c.nth = p.number()
			continue
		case strings.IndexByte(" \t;}\n", l) >= 0:
			if pattern != "" {
				c.re, err = compile(pattern, p.extended, fold)
			}
			return err
		default:
			return fmt.Errorf("unknown option %q of s", l)
		}
		p.take()
	}
	if pattern != "" {
		c.re, err = compile(pattern, p.extended, fold)
	}
	return err
}

// plain is like delimited, without brackets: a replacement or a set of y.
func (p *sedParser) plain(end byte) (string, error) {
	var b strings.Builder
	for p.in != "" {
		c := p.take()
		if c == end {
			return b.String(), nil
		}
		if c == '\\' && p.in != "" {
			if next := p.take(); next == end && end != '&' {
				b.WriteByte(end)
				continue
			} else {
				b.WriteByte('\\')
				c = next
			}
		}
		b.WriteByte(c)
	}
	return "", fmt.Errorf("unterminated s or y command")
}

func parseReplacement(raw string) (r replacement) {
	var b strings.Builder
	group := func(n int) {
		r = append(r, piece{b.String(), -1}, piece{"", n})
		b.Reset()
	}
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '&':
			group(0)
		case c != '\\' || i+1 == len(raw):
			b.WriteByte(c)
		default:
			i++
			switch n := raw[i]; {
			case n >= '0' && n <= '9':
				group(int(n - '0'))
			case n == 'n':
				b.WriteByte('\n')
			case n == 't':
				b.WriteByte('\t')
			default:
				b.WriteByte(n)
			}
		}
	}
	return append(r, piece{b.String(), -1})
}

func (p *sedParser) translate(c *command) error {
	end := p.take()
	var sets [2][]rune
	for i := range sets {
		raw, err := p.plain(end)
		if err != nil {
			return err
		}
		raw = strings.NewReplacer(`\n`, "\n", `\\`, `\`, `\t`, "\t").Replace(raw)
		if !utf8.ValidString(raw) {
			return fmt.Errorf("y takes text only")
		}
		sets[i] = []rune(raw)
	}
	if len(sets[0]) != len(sets[1]) {
		return fmt.Errorf("the strings of y have different lengths")
	}
	var pairs []string
	for i := range sets[0] {
		pairs = append(pairs, string(sets[0][i]), string(sets[1][i]))
	}
	c.replacer = strings.NewReplacer(pairs...)
	return nil
}

// text is what a, i and c write: the rest of the line, or the lines after "a\".
func (p *sedParser) text(c *command) {
	p.in = strings.TrimLeft(p.in, " \t")
	if rest, ok := strings.CutPrefix(p.in, "\\"); ok {
		p.in = strings.TrimPrefix(strings.TrimLeft(rest, " \t"), "\n")
	}
	var b strings.Builder
	for p.in != "" {
		ch := p.take()
		if ch == '\n' {
			break
		}
		if ch == '\\' && p.in != "" {
			ch = p.take()
		}
		b.WriteByte(ch)
	}
	c.text = b.String()
}
