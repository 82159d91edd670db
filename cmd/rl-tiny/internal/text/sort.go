package text

import (
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/rl-containers/rl/cmd/rl-tiny/internal/files"
	"github.com/rl-containers/rl/cmd/rl-tiny/internal/tool"
)

// key is a -k of sort, and the options of its comparison.
type key struct {
	first, last int // fields, from 1; last 0 is the end of the line
	flags       string
}

func sort(c *tool.Call) error {
	o, names, err := c.Options("rnufbhVst:k:o:c", "reverse=r", "numeric-sort=n", "unique=u", "ignore-case=f", "key=k", "field-separator=t", "output=o",
		"human-numeric-sort=h", "stable=s", "version-sort=V")
	if err != nil {
		return err
	}
	global := ""
	for _, l := range []byte("rnfbhV") {
		if o.Has(l) {
			global += string(l)
		}
	}
	keys, err := sortKeys(o.All('k'), global)
	if err != nil {
		return err
	}
	var lines []string
	c.Each(names, func(_ string, r io.Reader) error {
		return tool.Lines(r, func(line string) error { lines = append(lines, line); return nil })
	})
	compare := func(a, b string) int {
		for _, k := range keys {
			if n := k.compare(k.field(a, o.Get('t')), k.field(b, o.Get('t'))); n != 0 {
				return n
			}
		}
		return 0
	}
	whole := func(a, b string) int {
		n := compare(a, b)
		if n == 0 && !o.Has('s') && !o.Has('u') {
			if n = strings.Compare(a, b); strings.Contains(global, "r") {
				n = -n
			}
		}
		return n
	}
	if o.Has('c') {
		if !slices.IsSortedFunc(lines, whole) {
			return &tool.Exit{Code: 1}
		}
		return nil
	}
	slices.SortStableFunc(lines, whole)
	if o.Has('u') {
		lines = slices.CompactFunc(lines, func(a, b string) bool { return compare(a, b) == 0 })
	}
	return sortWrite(c, o, lines)
}

func sortWrite(c *tool.Call, o *tool.Options, lines []string) error {
	if o.Has('o') {
		text := strings.Join(lines, "\n")
		if len(lines) > 0 {
			text += "\n"
		}
		return os.WriteFile(o.Get('o'), []byte(text), 0o666)
	}
	for _, l := range lines {
		c.Out.WriteString(l)
		if err := c.Out.WriteByte('\n'); err != nil {
			return err
		}
	}
	return nil
}

func sortKeys(specs []string, global string) ([]key, error) {
	if len(specs) == 0 {
		return []key{{1, 0, global}}, nil
	}
	var keys []key
	for _, s := range specs {
		from, to, _ := strings.Cut(s, ",")
		k := key{}
		flags := ""
		for i, part := range []string{from, to} {
			digits := strings.TrimRight(part, "bfhnrV")
			flags += part[len(digits):]
			digits, _, _ = strings.Cut(digits, ".")
			if digits == "" {
				continue
			}
			n, err := strconv.Atoi(digits)
			if err != nil || n < 1 {
				return nil, tool.Usage("bad key %q", s)
			}
			if i == 0 {
				k.first = n
			} else {
				k.last = n
			}
		}
		if k.first == 0 {
			return nil, tool.Usage("bad key %q", s)
		}
		if k.flags = flags; flags == "" {
			k.flags = global
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// field is the part of the line that the key names. Without a separator a field begins with the blanks before it.
func (k key) field(line, sep string) string {
	if k.first == 1 && k.last == 0 {
		return line
	}
	var fields []string
	if sep != "" {
		fields = strings.Split(line, sep)
	} else {
		for start, i := 0, 0; start < len(line); start = i {
			for i < len(line) && (line[i] == ' ' || line[i] == '\t') {
				i++
			}
			for i < len(line) && line[i] != ' ' && line[i] != '\t' {
				i++
			}
			fields = append(fields, line[start:i])
		}
	}
	if k.first > len(fields) {
		return ""
	}
	end := len(fields)
	if k.last > 0 {
		end = max(k.first, min(end, k.last))
	}
	return strings.Join(fields[k.first-1:end], sep)
}

func (k key) compare(a, b string) int {
	n := 0
	switch has := func(f string) bool { return strings.Contains(k.flags, f) }; {
	case has("n"):
		n = compareNumbers(number(a, false), number(b, false))
	case has("h"):
		n = compareNumbers(number(a, true), number(b, true))
	case has("V"):
		n = versions(a, b)
	default:
		if has("b") {
			a, b = strings.TrimLeft(a, " \t"), strings.TrimLeft(b, " \t")
		}
		if has("f") {
			a, b = strings.ToUpper(a), strings.ToUpper(b)
		}
		n = strings.Compare(a, b)
	}
	if strings.Contains(k.flags, "r") {
		return -n
	}
	return n
}

func compareNumbers(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// number is what the text begins with, 0 without one; human takes 1.5K.
func number(s string, human bool) float64 {
	s = strings.TrimLeft(s, " \t")
	i := 0
	for i < len(s) && (s[i] >= '0' && s[i] <= '9' || s[i] == '.' || i == 0 && s[i] == '-') {
		i++
	}
	n, _ := strconv.ParseFloat(s[:i], 64)
	if human && i < len(s) {
		if unit, err := files.Size("1" + s[i:i+1]); err == nil {
			n *= float64(unit)
		}
	}
	return n
}

// versions compares with runs of digits as numbers.
func versions(a, b string) int {
	for a != "" && b != "" {
		restA, restB := strings.TrimLeft(a, "0123456789"), strings.TrimLeft(b, "0123456789")
		da, db := a[:len(a)-len(restA)], b[:len(b)-len(restB)]
		if da != "" && db != "" {
			na, _ := strconv.Atoi(da)
			nb, _ := strconv.Atoi(db)
			if na != nb {
				return na - nb
			}
			a, b = restA, restB
			continue
		}
		if a[0] != b[0] {
			return int(a[0]) - int(b[0])
		}
		a, b = a[1:], b[1:]
	}
	return len(a) - len(b)
}
