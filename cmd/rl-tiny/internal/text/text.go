// Package text are the programs of rl-tiny that work on text and streams.
package text

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/rl-containers/rl/cmd/rl-tiny/internal/files"
	"github.com/rl-containers/rl/cmd/rl-tiny/internal/tool"
)

// Programs are the programs of this package.
func Programs() []tool.Program {
	return []tool.Program{
		{Name: "[", Run: test}, {Name: "base64", Run: base64sum}, {Name: "cmp", Run: cmp}, {Name: "comm", Run: comm}, {Name: "cut", Run: cut},
		{Name: "echo", Run: echo}, {Name: "egrep", Run: grep}, {Name: "false", Run: no}, {Name: "fgrep", Run: grep}, {Name: "grep", Run: grep},
		{Name: "head", Run: head}, {Name: "hexdump", Run: hexdump}, {Name: "md5sum", Run: sum}, {Name: "nl", Run: nl}, {Name: "od", Run: od},
		{Name: "paste", Run: paste}, {Name: "printf", Run: printf}, {Name: "rev", Run: rev}, {Name: "sed", Run: sed}, {Name: "seq", Run: seq},
		{Name: "sha1sum", Run: sum}, {Name: "sha256sum", Run: sum}, {Name: "sha512sum", Run: sum}, {Name: "sort", Run: sort}, {Name: "tac", Run: tac},
		{Name: "tail", Run: tail}, {Name: "test", Run: test}, {Name: "tr", Run: tr}, {Name: "true", Run: func(*tool.Call) error { return nil }},
		{Name: "uniq", Run: uniq}, {Name: "wc", Run: wc}, {Name: "xargs", Run: xargs}, {Name: "yes", Run: yes},
	}
}

func no(*tool.Call) error { return &tool.Exit{Code: 1} }

func yes(c *tool.Call) error {
	line := strings.Join(c.Args, " ") + "\n"
	if len(c.Args) == 0 {
		line = "y\n"
	}
	for {
		if _, err := c.Out.WriteString(line); err != nil {
			return err
		}
	}
}

// old turns the -N of head and tail into -n N.
func old(c *tool.Call) {
	for i, a := range c.Args {
		if value := i > 0 && (c.Args[i-1] == "-n" || c.Args[i-1] == "-c"); !value && len(a) > 1 && a[0] == '-' && a[1] >= '0' && a[1] <= '9' {
			c.Args[i] = "-n" + a[1:]
		}
	}
}

func header(c *tool.Call, o *tool.Options, names []string) func(string) {
	first := true
	return func(name string) {
		if (len(names) < 2 || o.Has('q')) && !o.Has('v') {
			return
		}
		if !first {
			c.Printf("\n")
		}
		first = false
		if name == "-" {
			name = "standard input"
		}
		c.Printf("==> %s <==\n", name)
	}
}

func head(c *tool.Call) error {
	old(c)
	o, names, err := c.Options("n:c:qv", "lines=n", "bytes=c", "quiet=q")
	if err != nil {
		return err
	}
	letter, value := byte('n'), "10"
	if l := o.Last("nc"); l != 0 {
		letter, value = l, o.Get(l)
	}
	count, err := files.Size(strings.TrimPrefix(value, "-"))
	if err != nil {
		return err
	}
	title := header(c, o, names)
	c.Each(names, func(name string, r io.Reader) error {
		title(name)
		switch {
		case value[0] == '-':
			return headBut(c, r, count, letter)
		case letter == 'c':
			_, err := io.Copy(c.Out, io.LimitReader(r, count))
			return err
		}
		b := bufio.NewReader(r)
		for range count {
			line, err := b.ReadBytes('\n')
			c.Out.Write(line)
			if err != nil {
				return atEnd(err)
			}
		}
		return nil
	})
	return nil
}

func atEnd(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// headBut is head -n -N: all but the last.
func headBut(c *tool.Call, r io.Reader, count int64, letter byte) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if letter == 'c' {
		c.Out.Write(b[:max(0, int64(len(b))-count)])
		return nil
	}
	lines := slices.Collect(strings.Lines(string(b)))
	for _, l := range lines[:max(0, int64(len(lines))-count)] {
		c.Out.WriteString(l)
	}
	return nil
}

func wc(c *tool.Call) error {
	o, names, err := c.Options("lwcmL", "lines=l", "words=w", "bytes=c", "chars=m")
	if err != nil {
		return err
	}
	if o.Count() == 0 {
		c.Args = append([]string{"-lwc"}, c.Args...)
		return wc(c)
	}
	var total counts
	var all []counts
	var shown []string
	regular := true
	c.Each(names, func(name string, r io.Reader) error {
		if info, err := r.(*os.File).Stat(); err != nil || !info.Mode().IsRegular() {
			regular = false
		}
		n, err := count(r)
		if len(names) == 0 {
			name = ""
		}
		all, shown = append(all, n), append(shown, name)
		total.add(n)
		return err
	})
	if len(names) > 1 {
		all, shown = append(all, total), append(shown, "total")
	}
	// The width of GNU's: that of the largest number, when it is known before reading.
	width := 1
	if o.Count() > 1 || len(names) > 1 {
		if width = 7; regular {
			width = len(strconv.FormatInt(total.bytes, 10))
		}
	}
	for i, n := range all {
		c.Printf("%s\n", n.show(o, width, shown[i]))
	}
	return nil
}

type counts struct{ lines, words, bytes, chars, longest int64 }

func (n *counts) add(m counts) {
	n.lines, n.words, n.bytes, n.chars = n.lines+m.lines, n.words+m.words, n.bytes+m.bytes, n.chars+m.chars
	n.longest = max(n.longest, m.longest)
}

func (n counts) show(o *tool.Options, width int, name string) string {
	var cells []string
	for _, f := range []struct {
		letter byte
		n      int64
	}{{'l', n.lines}, {'w', n.words}, {'m', n.chars}, {'c', n.bytes}, {'L', n.longest}} {
		if o.Has(f.letter) {
			cells = append(cells, fmt.Sprintf("%*d", width, f.n))
		}
	}
	if name != "" {
		cells = append(cells, name)
	}
	return strings.Join(cells, " ")
}

func count(r io.Reader) (n counts, err error) {
	b := bufio.NewReaderSize(r, 64<<10)
	inWord, column := false, int64(0)
	for {
		char, size, err := b.ReadRune()
		if err != nil {
			n.longest = max(n.longest, column)
			return n, atEnd(err)
		}
		n.bytes += int64(size)
		n.chars++
		space := unicode.IsSpace(char)
		if !space && !inWord {
			n.words++
		}
		inWord = !space
		column++
		if char == '\n' {
			n.lines++
			n.longest, column = max(n.longest, column-1), 0
		}
	}
}

func seq(c *tool.Call) error {
	// No option parser: -1 is a number.
	args, sep, wide := c.Args, "\n", false
	for len(args) > 0 {
		if args[0] == "-w" {
			wide, args = true, args[1:]
		} else if args[0] == "-s" && len(args) > 1 {
			sep, args = args[1], args[2:]
		} else if s, ok := strings.CutPrefix(args[0], "-s"); ok && s != "" {
			sep, args = s, args[1:]
		} else {
			break
		}
	}
	first, step, last := 1.0, 1.0, 0.0
	var err error
	places := 0
	read := func(s string, to *float64) {
		if _, frac, ok := strings.Cut(s, "."); ok {
			places = max(places, len(frac))
		}
		n, e := strconv.ParseFloat(s, 64)
		if *to = n; e != nil {
			err = fmt.Errorf("invalid number %q", s)
		}
	}
	switch len(args) {
	case 3:
		read(args[1], &step)
		fallthrough
	case 2:
		read(args[0], &first)
		fallthrough
	case 1:
		read(args[len(args)-1], &last)
	default:
		return tool.Usage("seq [-w] [-s SEPARATOR] [FIRST [STEP]] LAST")
	}
	if err != nil {
		return err
	}
	if step == 0 {
		return errors.New("the step is 0")
	}
	width := 0
	if wide {
		width = max(len(strconv.FormatFloat(first, 'f', places, 64)), len(strconv.FormatFloat(last, 'f', places, 64)))
	}
	for i := 0; ; i++ {
		n := first + float64(i)*step
		if step > 0 && n > last+1e-9 || step < 0 && n < last-1e-9 {
			if i > 0 {
				c.Printf("\n")
			}
			return nil
		}
		if i > 0 {
			c.Out.WriteString(sep)
		}
		if _, err := fmt.Fprintf(c.Out, "%0*.*f", width, places, n); err != nil {
			return err
		}
	}
}

func tac(c *tool.Call) error {
	c.Each(c.Args, func(_ string, r io.Reader) error {
		b, err := io.ReadAll(r)
		lines := slices.Collect(strings.Lines(string(b)))
		for _, l := range slices.Backward(lines) {
			c.Out.WriteString(l)
		}
		return err
	})
	return nil
}

func rev(c *tool.Call) error {
	c.Each(c.Args, func(_ string, r io.Reader) error {
		return tool.Lines(r, func(line string) error {
			chars := []rune(line)
			slices.Reverse(chars)
			c.Printf("%s\n", string(chars))
			return nil
		})
	})
	return nil
}

func nl(c *tool.Call) error {
	o, names, err := c.Options("b:w:s:")
	if err != nil {
		return err
	}
	width, err := o.Int('w', 6)
	if err != nil {
		return err
	}
	sep := "\t"
	if o.Has('s') {
		sep = o.Get('s')
	}
	n := 0
	c.Each(names, func(_ string, r io.Reader) error {
		return tool.Lines(r, func(line string) error {
			if line == "" && o.Get('b') != "a" {
				c.Printf("%*s\n", width+len(sep), "")
				return nil
			}
			n++
			c.Printf("%*d%s%s\n", width, n, sep, line)
			return nil
		})
	})
	return nil
}

func paste(c *tool.Call) error {
	o, names, err := c.Options("d:s", "delimiters=d", "serial=s")
	if err != nil {
		return err
	}
	sep := "\t"
	if o.Has('d') {
		sep = o.Get('d')
	}
	var columns [][]string
	c.Each(names, func(_ string, r io.Reader) error {
		var column []string
		err := tool.Lines(r, func(line string) error { column = append(column, line); return nil })
		columns = append(columns, column)
		return err
	})
	if o.Has('s') {
		for _, column := range columns {
			c.Printf("%s\n", strings.Join(column, sep))
		}
		return nil
	}
	for row, more := 0, true; more; row++ {
		more = false
		cells := make([]string, len(columns))
		for i, column := range columns {
			if row < len(column) {
				cells[i], more = column[row], true
			}
		}
		if more {
			c.Printf("%s\n", strings.Join(cells, sep))
		}
	}
	return nil
}

func uniq(c *tool.Call) error {
	o, names, err := c.Options("cdui", "count=c", "repeated=d", "unique=u", "ignore-case=i")
	if err != nil {
		return err
	}
	last, n := "", 0
	flush := func() {
		if n == 0 || o.Has('d') && n == 1 || o.Has('u') && n > 1 {
			return
		}
		if o.Has('c') {
			c.Printf("%7d ", n)
		}
		c.Printf("%s\n", last)
	}
	if len(names) > 1 {
		return tool.Usage("uniq [-cdui] [FILE]")
	}
	c.Each(names, func(_ string, r io.Reader) error {
		return tool.Lines(r, func(line string) error {
			if n > 0 && (line == last || o.Has('i') && strings.EqualFold(line, last)) {
				n++
				return nil
			}
			flush()
			last, n = line, 1
			return nil
		})
	})
	flush()
	return nil
}

func cut(c *tool.Call) error {
	o, names, err := c.Options("f:c:b:d:s", "fields=f", "delimiter=d", "characters=c", "bytes=b", "only-delimited=s")
	if err != nil {
		return err
	}
	letter := o.Last("fcb")
	ranges, err := parseRanges(o.Get(letter))
	if letter == 0 || err != nil {
		return tool.Usage("give -f, -c or -b with a list such as 1,3-5,7-")
	}
	sep := "\t"
	if o.Has('d') {
		sep = o.Get('d')
	}
	c.Each(names, func(_ string, r io.Reader) error {
		return tool.Lines(r, func(line string) error {
			if letter != 'f' {
				c.Printf("%s\n", strings.Join(pick(strings.Split(line, ""), ranges), ""))
			} else if fields := strings.Split(line, sep); len(fields) > 1 {
				c.Printf("%s\n", strings.Join(pick(fields, ranges), sep))
			} else if !o.Has('s') {
				c.Printf("%s\n", line)
			}
			return nil
		})
	})
	return nil
}

func parseRanges(s string) ([][2]int, error) {
	var all [][2]int
	for part := range strings.SplitSeq(s, ",") {
		low, high, ranged := strings.Cut(part, "-")
		r := [2]int{1, 1 << 30}
		var err error
		if low != "" {
			if r[0], err = strconv.Atoi(low); err != nil || r[0] < 1 {
				return nil, tool.ErrUsage
			}
		}
		if !ranged {
			r[1] = r[0]
		} else if high != "" {
			if r[1], err = strconv.Atoi(high); err != nil {
				return nil, err
			}
		}
		if low == "" && high == "" {
			return nil, tool.ErrUsage
		}
		all = append(all, r)
	}
	return all, nil
}

func pick(items []string, ranges [][2]int) []string {
	var out []string
	for i, item := range items {
		if slices.ContainsFunc(ranges, func(r [2]int) bool { return i+1 >= r[0] && i+1 <= r[1] }) {
			out = append(out, item)
		}
	}
	return out
}
