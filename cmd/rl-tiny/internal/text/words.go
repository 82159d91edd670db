package text

import (
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
	"mvdan.cc/sh/v3/expand"

	"github.com/rl-containers/rl/cmd/rl-tiny/internal/tool"
)

func echo(c *tool.Call) error {
	text, err := Echo(c.Args)
	c.Printf("%s", text)
	return err
}

// Echo is what echo prints: -n without a newline, -e with escapes.
func Echo(args []string) (string, error) {
	end, escapes := "\n", false
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' && strings.Trim(args[0][1:], "neE") == "" {
		for _, l := range args[0][1:] {
			switch l {
			case 'n':
				end = ""
			case 'e':
				escapes = true
			case 'E':
				escapes = false
			}
		}
		args = args[1:]
	}
	text := strings.Join(args, " ")
	if escapes {
		var err error
		if text, _, err = expand.Format(nil, strings.ReplaceAll(text, "%", "%%"), nil); err != nil {
			return "", err
		}
	}
	return text + end, nil
}

func printf(c *tool.Call) error {
	text, err := Printf(c.Args)
	c.Printf("%s", text)
	return err
}

// Printf is what printf prints.
func Printf(args []string) (string, error) {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		return "", tool.Usage("printf FORMAT [ARGUMENT...]")
	}
	format, args := args[0], args[1:]
	var b strings.Builder
	for {
		text, n, err := expand.Format(nil, format, args)
		b.WriteString(text)
		if args = args[min(n, len(args)):]; err != nil || n == 0 || len(args) == 0 {
			return b.String(), err
		}
	}
}

// tester reads an expression of test(1).
type tester struct{ args []string }

func test(c *tool.Call) error {
	args := c.Args
	if c.Name == "[" {
		if len(args) == 0 || args[len(args)-1] != "]" {
			return &tool.Exit{Code: 2, Err: fmt.Errorf("missing ]")}
		}
		args = args[:len(args)-1]
	}
	t := &tester{args}
	ok, err := t.all()
	switch {
	case err != nil:
		return &tool.Exit{Code: 2, Err: err}
	case !ok:
		return &tool.Exit{Code: 1}
	}
	return nil
}

// all has the rules of POSIX for few arguments, where an operator may be a plain string.
func (t *tester) all() (bool, error) {
	switch a := t.args; len(a) {
	case 0:
		return false, nil
	case 1:
		return a[0] != "", nil
	case 2:
		if a[0] == "!" {
			return a[1] == "", nil
		}
	case 3:
		if ok, known, err := binary(a[0], a[1], a[2]); known {
			return ok, err
		}
	}
	ok, err := t.or()
	if err == nil && len(t.args) > 0 {
		err = fmt.Errorf("unexpected %q", t.args[0])
	}
	return ok, err
}

func (t *tester) is(word string) bool {
	if len(t.args) == 0 || t.args[0] != word {
		return false
	}
	t.args = t.args[1:]
	return true
}

func (t *tester) or() (bool, error) {
	ok, err := t.and()
	for err == nil && t.is("-o") {
		var right bool
		right, err = t.and()
		ok = ok || right
	}
	return ok, err
}

func (t *tester) and() (bool, error) {
	ok, err := t.not()
	for err == nil && t.is("-a") {
		var right bool
		right, err = t.not()
		ok = ok && right
	}
	return ok, err
}

func (t *tester) not() (bool, error) {
	if t.is("!") {
		ok, err := t.not()
		return !ok, err
	}
	if t.is("(") {
		ok, err := t.or()
		if err == nil && !t.is(")") {
			err = fmt.Errorf("missing )")
		}
		return ok, err
	}
	if len(t.args) == 0 {
		return false, fmt.Errorf("argument expected")
	}
	if len(t.args) >= 3 {
		if ok, known, err := binary(t.args[0], t.args[1], t.args[2]); known {
			t.args = t.args[3:]
			return ok, err
		}
	}
	if a := t.args[0]; len(t.args) >= 2 && len(a) == 2 && a[0] == '-' {
		if ok, known := unary(a[1], t.args[1]); known {
			t.args = t.args[2:]
			return ok, nil
		}
		return false, fmt.Errorf("unknown operator %q", a)
	}
	ok := t.args[0] != ""
	t.args = t.args[1:]
	return ok, nil
}

func unary(op byte, s string) (ok, known bool) {
	switch op {
	case 'z':
		return s == "", true
	case 'n':
		return s != "", true
	case 't':
		fd, err := strconv.Atoi(s)
		return err == nil && term.IsTerminal(fd), true
	case 'r':
		return unix.Access(s, unix.R_OK) == nil, true
	case 'w':
		return unix.Access(s, unix.W_OK) == nil, true
	case 'x':
		return unix.Access(s, unix.X_OK) == nil, true
	case 'L', 'h':
		info, err := os.Lstat(s)
		return err == nil && info.Mode()&fs.ModeSymlink != 0, true
	}
	want := map[byte]fs.FileMode{'d': fs.ModeDir, 'p': fs.ModeNamedPipe, 'S': fs.ModeSocket, 'b': fs.ModeDevice, 'c': fs.ModeDevice | fs.ModeCharDevice,
		'u': fs.ModeSetuid, 'g': fs.ModeSetgid, 'k': fs.ModeSticky}
	info, err := os.Stat(s)
	switch mode, typed := want[op]; {
	case op == 'e':
		return err == nil, true
	case op == 'f':
		return err == nil && info.Mode().IsRegular(), true
	case op == 's':
		return err == nil && info.Size() > 0, true
	case op == 'b':
		return err == nil && info.Mode()&(fs.ModeDevice|fs.ModeCharDevice) == mode, true
	case typed:
		return err == nil && info.Mode()&mode == mode, true
	}
	return false, false
}

func binary(a, op, b string) (ok, known bool, err error) {
	switch op {
	case "=", "==":
		return a == b, true, nil
	case "!=":
		return a != b, true, nil
	case "<":
		return a < b, true, nil
	case ">":
		return a > b, true, nil
	case "-nt", "-ot", "-ef":
		x, errX := os.Stat(a)
		y, errY := os.Stat(b)
		switch {
		case op == "-ef":
			return errX == nil && errY == nil && os.SameFile(x, y), true, nil
		case op == "-ot":
			x, y, errX, errY = y, x, errY, errX
		}
		return errX == nil && (errY != nil || x.ModTime().After(y.ModTime())), true, nil
	case "-eq", "-ne", "-lt", "-le", "-gt", "-ge":
	default:
		return false, false, nil
	}
	x, err := strconv.ParseInt(strings.TrimSpace(a), 10, 64)
	if err != nil {
		return false, true, fmt.Errorf("%s: integer expected", a)
	}
	y, err := strconv.ParseInt(strings.TrimSpace(b), 10, 64)
	if err != nil {
		return false, true, fmt.Errorf("%s: integer expected", b)
	}
	return map[string]bool{"-eq": x == y, "-ne": x != y, "-lt": x < y, "-le": x <= y, "-gt": x > y, "-ge": x >= y}[op], true, nil
}
