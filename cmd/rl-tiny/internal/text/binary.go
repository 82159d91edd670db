package text

import (
	"bufio"
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/rl-containers/rl/cmd/rl-tiny/internal/tool"
)

func sum(c *tool.Call) error {
	o, names, err := c.Options("cbts", "check=c", "status=s")
	if err != nil {
		return err
	}
	make := map[string]func() hash.Hash{"md5sum": md5.New, "sha1sum": sha1.New, "sha256sum": sha256.New, "sha512sum": sha512.New}[c.Name]
	if o.Has('c') {
		c.Each(names, func(_ string, r io.Reader) error { return sumCheck(c, r, make, o.Has('s')) })
		return nil
	}
	c.Each(names, func(name string, r io.Reader) error {
		h := make()
		if _, err := io.Copy(h, r); err != nil {
			return err
		}
		c.Printf("%x  %s\n", h.Sum(nil), name)
		return nil
	})
	return nil
}

func sumCheck(c *tool.Call, r io.Reader, make func() hash.Hash, quiet bool) error {
	return tool.Lines(r, func(line string) error {
		want, name, ok := strings.Cut(line, " ")
		if !ok || len(name) < 2 {
			return nil
		}
		name = name[1:] // a blank, or * for binary
		state := "FAILED"
		f, err := os.Open(name)
		if err == nil {
			h := make()
			if _, err = io.Copy(h, f); err == nil && hex.EncodeToString(h.Sum(nil)) == strings.ToLower(want) {
				state = "OK"
			}
			f.Close()
		}
		if state != "OK" {
			c.Code = 1
		}
		if !quiet {
			c.Printf("%s: %s\n", name, state)
		}
		return nil
	})
}

func base64sum(c *tool.Call) error {
	o, names, err := c.Options("dDw:", "decode=d", "wrap=w")
	if err != nil {
		return err
	}
	width, err := o.Int('w', 76)
	if err != nil {
		return err
	}
	c.Each(names, func(_ string, r io.Reader) error {
		if o.Has('d') || o.Has('D') {
			_, err := io.Copy(c.Out, base64.NewDecoder(base64.StdEncoding, r))
			return err
		}
		var b bytes.Buffer
		e := base64.NewEncoder(base64.StdEncoding, &b)
		if _, err := io.Copy(e, r); err != nil {
			return err
		}
		e.Close()
		for b.Len() > 0 {
			n := b.Len()
			if width > 0 {
				n = min(n, width)
			}
			c.Out.Write(b.Next(n))
			if width > 0 {
				c.Out.WriteByte('\n')
			}
		}
		return nil
	})
	return nil
}

func cmp(c *tool.Call) error {
	o, names, err := c.Options("s", "silent=s", "quiet=s")
	if err != nil {
		return err
	}
	if len(names) == 1 {
		names = append(names, "-")
	}
	if len(names) != 2 {
		return tool.Usage("cmp [-s] FILE1 [FILE2]")
	}
	var r [2]*bufio.Reader
	for i, name := range names {
		f := c.In
		if name != "-" {
			if f, err = os.Open(name); err != nil {
				return &tool.Exit{Code: 2, Err: err}
			}
			defer f.Close()
		}
		r[i] = bufio.NewReaderSize(f, 64<<10)
	}
	line := 1
	for at := int64(1); ; at++ {
		a, errA := r[0].ReadByte()
		b, errB := r[1].ReadByte()
		switch {
		case errA == io.EOF && errB == io.EOF:
			return nil
		case errA != nil || errB != nil:
			if !o.Has('s') {
				short := names[0]
				if errA == nil {
					short = names[1]
				}
				fmt.Fprintf(os.Stderr, "cmp: EOF on %s after byte %d\n", short, at-1)
			}
			return &tool.Exit{Code: 1}
		case a != b:
			if !o.Has('s') {
				c.Printf("%s %s differ: byte %d, line %d\n", names[0], names[1], at, line)
			}
			return &tool.Exit{Code: 1}
		case a == '\n':
			line++
		}
	}
}

func comm(c *tool.Call) error {
	o, names, err := c.Options("123")
	if err != nil {
		return err
	}
	if len(names) != 2 {
		return tool.Usage("comm [-123] FILE1 FILE2")
	}
	var lines [2][]string
	for i, name := range names {
		c.Each([]string{name}, func(_ string, r io.Reader) error {
			return tool.Lines(r, func(l string) error { lines[i] = append(lines[i], l); return nil })
		})
	}
	show := func(column byte, l string) {
		if o.Has(column) {
			return
		}
		for before := byte('1'); before < column; before++ {
			if !o.Has(before) {
				c.Printf("\t")
			}
		}
		c.Printf("%s\n", l)
	}
	a, b := lines[0], lines[1]
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0] < b[0]:
			show('1', a[0])
			a = a[1:]
		case len(a) == 0 || a[0] > b[0]:
			show('2', b[0])
			b = b[1:]
		default:
			show('3', a[0])
			a, b = a[1:], b[1:]
		}
	}
	return nil
}

func hexdump(c *tool.Call) error {
	o, names, err := c.Options("Cn:v")
	if err != nil {
		return err
	}
	return dumpBlocks(c, o, names, func(at int64, b []byte) {
		if !o.Has('C') {
			c.Printf("%07x", at)
			for i := 0; i < len(b); i += 2 {
				w := uint16(b[i])
				if i+1 < len(b) {
					w |= uint16(b[i+1]) << 8
				}
				c.Printf(" %04x", w)
			}
			c.Printf("\n")
			return
		}
		left := ""
		for i, x := range b {
			if i == 8 {
				left += " "
			}
			left += fmt.Sprintf(" %02x", x)
		}
		c.Printf("%08x %-50s |%s|\n", at, left, printable(b))
	}, func(at int64) {
		if o.Has('C') {
			c.Printf("%08x\n", at)
		} else {
			c.Printf("%07x\n", at)
		}
	})
}

func printable(b []byte) string {
	out := make([]byte, len(b))
	for i, x := range b {
		if out[i] = x; x < 0x20 || x > 0x7e {
			out[i] = '.'
		}
	}
	return string(out)
}

// dumpBlocks reads 16 bytes at a time; blocks equal to the one before become a line with *.
func dumpBlocks(c *tool.Call, o *tool.Options, names []string, show func(int64, []byte), end func(int64)) error {
	limit := int64(1 << 62)
	if o.Has('n') || o.Has('N') {
		n, err := strconv.ParseInt(o.Get('n')+o.Get('N'), 0, 64)
		if err != nil {
			return err
		}
		limit = n
	}
	var at int64
	var last []byte
	star := false
	c.Each(names, func(_ string, r io.Reader) error {
		b := bufio.NewReader(io.LimitReader(r, limit))
		for {
			block := make([]byte, 16)
			n, err := io.ReadFull(b, block)
			block = block[:n]
			if n > 0 && !o.Has('v') && bytes.Equal(block, last) {
				if !star {
					c.Printf("*\n")
				}
				star = true
			} else if n > 0 {
				show(at, block)
				last, star = block, false
			}
			if at += int64(n); err == io.EOF || err == io.ErrUnexpectedEOF {
				return nil
			}
			if err != nil {
				return err
			}
		}
	})
	if at > 0 {
		end(at)
	}
	return nil
}

func od(c *tool.Call) error {
	o, names, err := c.Options("A:t:N:vcxbdo", "address-radix=A", "format=t", "read-bytes=N")
	if err != nil {
		return err
	}
	kind := o.Get('t')
	if l := o.Last("cxbdo"); l != 0 {
		kind = map[byte]string{'c': "c", 'x': "x2", 'b': "o1", 'd': "u2", 'o': "o2"}[l]
	}
	if kind == "" {
		kind = "o2"
	}
	size, err := strconv.Atoi(strings.TrimRight(kind[1:], "z"))
	if err != nil {
		size = map[byte]int{'c': 1, 'a': 1}[kind[0]]
		if size == 0 {
			size = 4
		}
	}
	if strings.IndexByte("cxoud", kind[0]) < 0 || size != 1 && size != 2 && size != 4 && size != 8 {
		return tool.Usage("-t takes c, or one of x, o, u, d with 1, 2, 4 or 8")
	}
	address := func(at int64) {
		switch o.Get('A') {
		case "n":
		case "x":
			c.Printf("%06x", at)
		case "d":
			c.Printf("%07d", at)
		default:
			c.Printf("%07o", at)
		}
	}
	return dumpBlocks(c, o, names, func(at int64, b []byte) {
		address(at)
		for i := 0; i < len(b); i += size {
			c.Printf("%s", odCell(kind[0], size, b[i:min(len(b), i+size)]))
		}
		c.Printf("\n")
	}, func(at int64) {
		if address(at); o.Get('A') != "n" {
			c.Printf("\n")
		}
	})
}

func odCell(kind byte, size int, b []byte) string {
	var v uint64
	for i, x := range b {
		v |= uint64(x) << (8 * i)
	}
	switch kind {
	case 'x':
		return fmt.Sprintf(" %0*x", size*2, v)
	case 'o':
		return fmt.Sprintf(" %0*o", (size*8+2)/3, v)
	case 'u':
		return fmt.Sprintf(" %*d", []int{0, 3, 5, 0, 10, 0, 0, 0, 20}[size], v)
	case 'd':
		return fmt.Sprintf(" %*d", []int{0, 4, 6, 0, 11, 0, 0, 0, 20}[size], int64(v<<(64-8*size))>>(64-8*size))
	}
	if i := strings.IndexByte("\x00\a\b\f\n\r\t\v", b[0]); i >= 0 {
		return "  \\" + string("0abfnrtv"[i])
	}
	if b[0] < 0x20 || b[0] > 0x7e {
		return fmt.Sprintf(" %03o", b[0])
	}
	return "   " + string(b[0])
}
