package text

import (
	"bufio"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rl-containers/rl/cmd/rl-tiny/internal/tool"
)

func tr(c *tool.Call) error {
	o, sets, err := c.Options("dscCt", "delete=d", "squeeze-repeats=s", "complement=c")
	if err != nil {
		return err
	}
	if len(sets) == 0 || len(sets) == 1 && !o.Has('d') && !o.Has('s') {
		return tool.Usage("tr [-cds] SET1 [SET2]")
	}
	from := expandSet(sets[0])
	var to []rune
	if len(sets) > 1 {
		to = expandSet(sets[1])
	}
	in := func(r rune) bool { return slices.Contains(from, r) != (o.Has('c') || o.Has('C')) }
	squeeze := func(r rune) bool { return len(sets) > 1 && slices.Contains(to, r) || len(sets) == 1 && in(r) }
	r := bufio.NewReader(c.In)
	last := rune(-1)
	for {
		char, size, err := r.ReadRune()
		if err != nil {
			return atEnd(err)
		}
		if char == utf8.RuneError && size == 1 {
			r.UnreadRune()
			b, _ := r.ReadByte()
			c.Out.WriteByte(b)
			continue
		}
		hit := in(char)
		if hit && o.Has('d') {
			continue
		}
		if hit && len(to) > 0 {
			i := len(to) - 1
			if !o.Has('c') && !o.Has('C') {
				i = min(i, slices.Index(from, char))
			}
			char = to[i]
		}
		if o.Has('s') && char == last && squeeze(char) {
			continue
		}
		last = char
		if _, err := c.Out.WriteRune(char); err != nil {
			return err
		}
	}
}

// expandSet is a set of tr: ranges, classes, escapes.
func expandSet(s string) []rune {
	var out []rune
	for i := 0; i < len(s); {
		if strings.HasPrefix(s[i:], "[:") {
			if class, _, ok := strings.Cut(s[i+2:], ":]"); ok {
				out = append(out, classRunes(class)...)
				i += len(class) + 4
				continue
			}
		}
		r, n := setRune(s[i:])
		i += n
		if i+1 < len(s) && s[i] == '-' {
			high, n := setRune(s[i+1:])
			for ; r <= high; r++ {
				out = append(out, r)
			}
			i += 1 + n
			continue
		}
		out = append(out, r)
	}
	return out
}

func setRune(s string) (rune, int) {
	if s[0] != '\\' || len(s) == 1 {
		return utf8.DecodeRuneInString(s)
	}
	if i := strings.IndexByte("abfnrtv", s[1]); i >= 0 {
		return rune("\a\b\f\n\r\t\v"[i]), 2
	}
	n := 1
	for n < len(s) && n < 4 && s[n] >= '0' && s[n] <= '7' {
		n++
	}
	if v, err := strconv.ParseUint(s[1:n], 8, 16); err == nil {
		return rune(v), n
	}
	return rune(s[1]), 2
}

func classRunes(class string) (out []rune) {
	is := map[string]func(rune) bool{"alpha": unicode.IsLetter, "digit": unicode.IsDigit, "space": unicode.IsSpace, "upper": unicode.IsUpper, "lower": unicode.IsLower,
		"alnum": func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }, "punct": func(r rune) bool { return unicode.IsPunct(r) || unicode.IsSymbol(r) },
		"blank": func(r rune) bool { return r == ' ' || r == '\t' }, "print": unicode.IsPrint, "cntrl": unicode.IsControl,
		"graph": unicode.IsGraphic, "xdigit": func(r rune) bool { return strings.ContainsRune("0123456789abcdefABCDEF", r) }}[class]
	if is == nil {
		return nil
	}
	for r := rune(0); r < 128; r++ {
		if is(r) {
			out = append(out, r)
		}
	}
	return out
}
