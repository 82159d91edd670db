package text

import (
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/rl-containers/rl/cmd/rl-tiny/internal/tool"
)

func tail(c *tool.Call) error {
	old(c)
	o, names, err := c.Options("n:c:qvfF", "lines=n", "bytes=c", "quiet=q", "follow=f")
	if err != nil {
		return err
	}
	letter, value := byte('n'), "10"
	if l := o.Last("nc"); l != 0 {
		letter, value = l, o.Get(l)
	}
	n, err := strconv.Atoi(strings.TrimLeft(value, "+-"))
	if err != nil {
		return tool.Usage("invalid number %q", value)
	}
	title := header(c, o, names)
	var ends []int64
	c.Each(names, func(name string, r io.Reader) error {
		title(name)
		size, err := tailOne(c, r, letter, n, value[0] == '+')
		ends = append(ends, size)
		return err
	})
	if (o.Has('f') || o.Has('F')) && len(names) == 1 && len(ends) == 1 && names[0] != "-" {
		return follow(c, names[0], ends[0])
	}
	return nil
}

// tailOne keeps no more than it shows. It returns how much there was.
func tailOne(c *tool.Call, r io.Reader, letter byte, n int, from bool) (size int64, err error) {
	counter := &counting{r: r}
	if letter == 'c' {
		b, err := io.ReadAll(counter)
		if from {
			b = b[min(len(b), max(0, n-1)):]
		} else {
			b = b[max(0, len(b)-n):]
		}
		c.Out.Write(b)
		return counter.n, err
	}
	var ring []string
	line := 0
	end := "\n"
	err = tool.Lines(&lastByte{counter, &end}, func(l string) error {
		line++
		switch {
		case from:
			if line >= n {
				ring = append(ring, l)
			}
		default:
			if ring = append(ring, l); len(ring) > n {
				ring = ring[1:]
			}
		}
		return nil
	})
	for i, l := range ring {
		if i == len(ring)-1 {
			c.Printf("%s%s", l, end)
		} else {
			c.Printf("%s\n", l)
		}
	}
	return counter.n, err
}

type counting struct {
	r io.Reader
	n int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// lastByte remembers whether what was read ended with a newline.
type lastByte struct {
	r   io.Reader
	end *string
}

func (l *lastByte) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if n > 0 {
		*l.end = ""
		if p[n-1] == '\n' {
			*l.end = "\n"
		}
	}
	return n, err
}

// follow shows what is appended, by looking each tenth of a second; a file that became shorter is read from its start.
func follow(c *tool.Call, name string, at int64) error {
	for {
		if err := c.Out.Flush(); err != nil {
			return err
		}
		time.Sleep(100 * time.Millisecond)
		f, err := os.Open(name)
		if err != nil {
			continue
		}
		if info, err := f.Stat(); err == nil && info.Size() < at {
			at = 0
		}
		if _, err := f.Seek(at, io.SeekStart); err == nil {
			n, _ := io.Copy(c.Out, f)
			at += n
		}
		f.Close()
	}
}
