package text

import (
	"fmt"
	"regexp"
	"strings"
)

// compile makes a POSIX regular expression (basic, or extended) one of package regexp, with the longest match as POSIX
// wants it. Back references are not to be had there.
func compile(pattern string, extended, fold bool) (*regexp.Regexp, error) {
	t := &translator{in: pattern, extended: extended, start: true}
	translated, err := t.translate()
	if err != nil {
		return nil, err
	}
	flags := "(?s)"
	if fold {
		flags = "(?si)"
	}
	re, err := regexp.Compile(flags + translated)
	if err != nil {
		return nil, fmt.Errorf("regular expression %q: %w", pattern, err)
	}
	re.Longest()
	return re, nil
}

type translator struct {
	in       string
	i        int
	extended bool
	start    bool // at the start of an expression or group: * is itself, ^ is an anchor
	out      strings.Builder
}

func (t *translator) translate() (string, error) {
	for t.i < len(t.in) {
		start := t.start
		t.start = false
		c := t.in[t.i]
		t.i++
		switch {
		case c == '[':
			if err := t.bracket(); err != nil {
				return "", err
			}
		case c == '\\':
			if err := t.escape(); err != nil {
				return "", err
			}
		case c == '*' && start:
			t.out.WriteString(`\*`)
		case c == '^' && !t.extended && !start:
			t.out.WriteString(`\^`)
		case c == '^':
			t.out.WriteByte('^')
			t.start = true
		case c == '$' && !t.extended && !t.atEnd():
			t.out.WriteString(`\$`)
		case strings.IndexByte("(){}|+?", c) >= 0 && !t.extended:
			t.out.WriteString(`\` + string(c))
		default:
			t.out.WriteByte(c)
			t.start = c == '(' || c == '|'
		}
	}
	return t.out.String(), nil
}

// atEnd: of the expression or of a group, where $ is an anchor.
func (t *translator) atEnd() bool {
	rest := t.in[t.i:]
	return rest == "" || strings.HasPrefix(rest, `\)`) || strings.HasPrefix(rest, `\|`)
}

func (t *translator) escape() error {
	if t.i == len(t.in) {
		return fmt.Errorf("regular expression %q: trailing backslash", t.in)
	}
	c := t.in[t.i]
	t.i++
	switch {
	case c >= '1' && c <= '9':
		return fmt.Errorf("regular expression %q: back references (\\%c) are not supported", t.in, c)
	case strings.IndexByte("(){}|+?", c) >= 0 && !t.extended:
		t.out.WriteByte(c)
		t.start = c == '(' || c == '|'
	case c == '<' || c == '>':
		t.out.WriteString(`\b`)
	case strings.IndexByte("wWsSbBntrfv", c) >= 0:
		t.out.WriteString(`\` + string(c))
	case c < 0x80 && (c < '0' || c > '9' && c < 'A' || c > 'Z' && c < 'a' || c > 'z') && c != ' ' && c != '\n':
		t.out.WriteString(`\` + string(c))
	default:
		t.out.WriteByte(c)
	}
	return nil
}

// bracket copies [...]: a backslash is itself there, and so is ] as the first.
func (t *translator) bracket() error {
	t.out.WriteByte('[')
	if t.i < len(t.in) && t.in[t.i] == '^' {
		t.out.WriteByte('^')
		t.i++
	}
	for first := true; t.i < len(t.in); first = false {
		rest := t.in[t.i:]
		if strings.HasPrefix(rest, "[:") {
			if name, _, ok := strings.Cut(rest[2:], ":]"); ok {
				t.out.WriteString("[:" + name + ":]")
				t.i += len(name) + 4
				continue
			}
		}
		c := rest[0]
		t.i++
		switch {
		case c == ']' && !first:
			t.out.WriteByte(']')
			return nil
		case c == '\\' && len(rest) > 1 && (rest[1] == 'n' || rest[1] == 't'): // as GNU's
			t.out.WriteByte('\\')
			t.out.WriteByte(rest[1])
			t.i++
		case c == '\\' || c == '[' || c == ']' || c == '^' || c == '&' || c == '~':
			t.out.WriteString(`\` + string(c))
		default:
			t.out.WriteByte(c)
		}
	}
	return fmt.Errorf("regular expression %q: unmatched [", t.in)
}
