package system

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/cmd/rl-tiny/internal/files"
	"github.com/rl-containers/rl/cmd/rl-tiny/internal/tool"
)

func date(c *tool.Call) error {
	o, args, err := c.Options("ud:r:RIs:", "utc=u", "date=d", "reference=r", "rfc-email=R", "iso-8601=I", "set=s")
	if err != nil {
		return err
	}
	t := time.Now()
	switch {
	case o.Has('s'):
		return fmt.Errorf("the time can't be set")
	case o.Has('d'):
		t, err = files.ParseTime(o.Get('d'))
	case o.Has('r'):
		var info os.FileInfo
		if info, err = os.Stat(o.Get('r')); err == nil {
			t = info.ModTime()
		}
	}
	if err != nil {
		return err
	}
	if o.Has('u') {
		t = t.UTC()
	}
	format := "%a %b %e %H:%M:%S %Z %Y"
	switch {
	case o.Has('R'):
		format = "%a, %d %b %Y %H:%M:%S %z"
	case o.Has('I'):
		format = "%F"
	case len(args) == 1 && strings.HasPrefix(args[0], "+"):
		format = args[0][1:]
	case len(args) > 0:
		return tool.Usage("date [-u] [-d TIME] [+FORMAT]")
	}
	c.Printf("%s\n", strftime(format, t))
	return nil
}

// strftime formats as strftime(3) does in the C locale.
func strftime(format string, t time.Time) string {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		plain := format[i] == '-' && i+1 < len(format)
		if plain {
			i++
		}
		s := timeField(format[i], t)
		if plain {
			if s = strings.TrimLeft(s, "0 "); s == "" {
				s = "0"
			}
		}
		b.WriteString(s)
	}
	return b.String()
}

func timeField(letter byte, t time.Time) string {
	layouts := map[byte]string{'a': "Mon", 'A': "Monday", 'b': "Jan", 'B': "January", 'h': "Jan", 'd': "02", 'e': "_2", 'D': "01/02/06", 'F': "2006-01-02",
		'H': "15", 'I': "03", 'j': "002", 'm': "01", 'M': "04", 'p': "PM", 'r': "03:04:05 PM", 'R': "15:04", 'S': "05", 'T': "15:04:05", 'X': "15:04:05", 'x': "01/02/06",
		'y': "06", 'Y': "2006", 'z': "-0700", 'Z': "MST", 'c': "Mon Jan _2 15:04:05 2006"}
	if layout, ok := layouts[letter]; ok {
		return t.Format(layout)
	}
	switch letter {
	case 's':
		return fmt.Sprint(t.Unix())
	case 'N':
		return fmt.Sprintf("%09d", t.Nanosecond())
	case 'u':
		return fmt.Sprint((int(t.Weekday())+6)%7 + 1)
	case 'w':
		return fmt.Sprint(int(t.Weekday()))
	case 'V':
		_, week := t.ISOWeek()
		return fmt.Sprintf("%02d", week)
	case 'k':
		return fmt.Sprintf("%2d", t.Hour())
	case 'n':
		return "\n"
	case 't':
		return "\t"
	case '%':
		return "%"
	}
	return "%" + string(letter)
}

func stty(c *tool.Call) error {
	t, err := unix.IoctlGetTermios(0, unix.TCGETS)
	if err != nil {
		return fmt.Errorf("standard input: %w", err)
	}
	if len(c.Args) == 0 || c.Args[0] == "-a" {
		w, err := unix.IoctlGetWinsize(0, unix.TIOCGWINSZ)
		if err != nil {
			return err
		}
		c.Printf("rows %d; columns %d;", w.Row, w.Col)
		for _, f := range flags() {
			sign := " "
			if *f.word(t)&f.bit == 0 {
				sign = " -"
			}
			c.Printf("%s%s", sign, f.name)
		}
		c.Printf("\n")
		return nil
	}
	for i := 0; i < len(c.Args); i++ {
		switch a := c.Args[i]; a {
		case "size":
			w, err := unix.IoctlGetWinsize(0, unix.TIOCGWINSZ)
			if err != nil {
				return err
			}
			c.Printf("%d %d\n", w.Row, w.Col)
		case "sane":
			t.Iflag |= unix.ICRNL | unix.IXON | unix.BRKINT
			t.Oflag |= unix.OPOST | unix.ONLCR
			t.Lflag |= unix.ECHO | unix.ECHOE | unix.ECHOK | unix.ICANON | unix.ISIG | unix.IEXTEN
		case "raw":
			t.Iflag &^= unix.ICRNL | unix.IXON | unix.BRKINT | unix.INPCK | unix.ISTRIP
			t.Oflag &^= unix.OPOST
			t.Lflag &^= unix.ICANON | unix.ISIG | unix.IEXTEN
		case "rows", "cols", "columns":
			if i++; i == len(c.Args) {
				return tool.Usage("%s needs a number", a)
			}
			if err := resize(a, c.Args[i]); err != nil {
				return err
			}
		default:
			if !setFlag(t, a) {
				return tool.Usage("unknown setting %q", a)
			}
		}
	}
	return unix.IoctlSetTermios(0, unix.TCSETS, t)
}

type flag struct {
	name string
	bit  uint32
	word func(*unix.Termios) *uint32
}

func flags() []flag {
	in := func(t *unix.Termios) *uint32 { return &t.Iflag }
	out := func(t *unix.Termios) *uint32 { return &t.Oflag }
	local := func(t *unix.Termios) *uint32 { return &t.Lflag }
	return []flag{{"echo", unix.ECHO, local}, {"icanon", unix.ICANON, local}, {"isig", unix.ISIG, local}, {"iexten", unix.IEXTEN, local},
		{"tostop", unix.TOSTOP, local}, {"icrnl", unix.ICRNL, in}, {"ixon", unix.IXON, in}, {"opost", unix.OPOST, out}, {"onlcr", unix.ONLCR, out}}
}

func setFlag(t *unix.Termios, name string) bool {
	on := !strings.HasPrefix(name, "-")
	for _, f := range flags() {
		if f.name != strings.TrimPrefix(name, "-") {
			continue
		}
		if on {
			*f.word(t) |= f.bit
		} else {
			*f.word(t) &^= f.bit
		}
		return true
	}
	return false
}

func resize(what, value string) error {
	w, err := unix.IoctlGetWinsize(0, unix.TIOCGWINSZ)
	if err != nil {
		return err
	}
	to := &w.Col
	if what == "rows" {
		to = &w.Row
	}
	if _, err := fmt.Sscan(value, to); err != nil {
		return fmt.Errorf("%s: %q is not a number", what, value)
	}
	return unix.IoctlSetWinsize(0, unix.TIOCSWINSZ, w)
}
