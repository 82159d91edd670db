package unit

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Split takes a line apart as systemd does (systemd.syntax(7), "Quoting"): blanks separate words, quotes of both kinds keep them together,
// a backslash begins an escape in and out of quotes.
func Split(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	open, quote := false, byte(0)
	for i := 0; i < len(line); {
		c := line[i]
		switch {
		case c == '\\':
			n, err := unescape(&word, line[i:])
			if err != nil {
				return nil, err
			}
			i, open = i+n, true
			continue
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteByte(c)
		case c == '"' || c == '\'':
			quote, open = c, true
		case strings.IndexByte(" \t\n\r", c) >= 0:
			if open {
				words = append(words, word.String())
				word.Reset()
			}
			open = false
		default:
			word.WriteByte(c)
			open = true
		}
		i++
	}
	if quote != 0 {
		return nil, fmt.Errorf("a %c is not closed", quote)
	}
	if open {
		words = append(words, word.String())
	}
	return words, nil
}

// plainEscapes are those of one letter.
const plainEscapes = "a\ab\bf\fn\nr\rt\tv\v\\\\\"\"''s "

// unescape reads one escape at the beginning of text, and tells how long it is.
func unescape(word *strings.Builder, text string) (int, error) {
	if len(text) < 2 {
		return 0, errors.New(`a \ stands at the end`)
	}
	for i := 0; i < len(plainEscapes); i += 2 {
		if text[1] == plainEscapes[i] {
			word.WriteByte(plainEscapes[i+1])
			return 2, nil
		}
	}
	from, digits, base := 2, map[byte]int{'x': 2, 'u': 4, 'U': 8}[text[1]], 16
	if text[1] >= '0' && text[1] <= '7' {
		from, digits, base = 1, 3, 8
	}
	if digits == 0 || len(text) < from+digits {
		return 0, fmt.Errorf(`\%c is no escape of systemd's`, text[1])
	}
	n, err := strconv.ParseUint(text[from:from+digits], base, 32)
	switch {
	case err != nil || n == 0 || base == 8 && n > 255:
		return 0, fmt.Errorf(`%s is no escape of systemd's`, text[:from+digits])
	case text[1] == 'u' || text[1] == 'U':
		word.Write(utf8.AppendRune(nil, rune(n)))
	default:
		word.WriteByte(byte(n))
	}
	return from + digits, nil
}

// Quote writes a word so that Split, and a command line of systemd, read it as one. Specifiers (%n) and variables ($HOME) remain
// systemd's to replace.
func Quote(word string) string {
	if word == ";" { // would begin another command
		return `\;`
	}
	if word != "" && strings.IndexFunc(word, special) < 0 {
		return word
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range word {
		switch {
		case r == '"' || r == '\\':
			b.WriteRune('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func special(r rune) bool { return r <= ' ' || r == 0x7f || r == '"' || r == '\'' || r == '\\' }

// Literal is Quote for a word in which systemd is to replace nothing.
func Literal(word string) string {
	return Quote(strings.NewReplacer("%", "%%", "$", "$$").Replace(word))
}

// Command is a command line, each word as quote writes it. The program itself is never replaced anything in but specifiers.
func Command(quote func(string) string, words ...string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = quote(w)
	}
	return strings.Join(quoted, " ")
}
