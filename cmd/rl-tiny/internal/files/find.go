package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rl-containers/rl/cmd/rl-tiny/internal/tool"
)

// test is a compiled expression of find: whether the file matches; actions act on the way.
type test func(*found) bool

type found struct {
	path  string
	depth int
	info  fs.FileInfo
	prune bool
}

type finder struct {
	c        *tool.Call
	args     []string
	acts     bool // an action was given: no -print by default
	maxDepth int
	minDepth int
	depth    bool
	xdev     bool
	batches  []*batch
}

// batch is an -exec … {} +.
type batch struct{ argv, files []string }

func find(c *tool.Call) error {
	f := &finder{c: c, args: c.Args, maxDepth: 1 << 30}
	var roots []string
	for len(f.args) > 0 && !strings.HasPrefix(f.args[0], "-") && f.args[0] != "(" && f.args[0] != "!" {
		roots, f.args = append(roots, f.args[0]), f.args[1:]
	}
	if len(roots) == 0 {
		roots = []string{"."}
	}
	expr := test(func(*found) bool { return true })
	if len(f.args) > 0 {
		var err error
		if expr, err = f.or(); err != nil {
			return err
		}
		if len(f.args) > 0 {
			return tool.Usage("unexpected %q", f.args[0])
		}
	}
	for _, root := range roots {
		info, err := os.Lstat(root)
		if err != nil {
			c.Warn(err)
			continue
		}
		f.walk(&found{path: root, info: info}, expr)
	}
	for _, b := range f.batches {
		f.flush(b)
	}
	return nil
}

func (f *finder) walk(x *found, expr test) {
	visit := func() {
		if x.depth >= f.minDepth && expr(x) && !f.acts {
			f.c.Printf("%s\n", x.path)
		}
	}
	if !f.depth {
		visit()
	}
	if x.info.IsDir() && !x.prune && x.depth < f.maxDepth {
		f.children(x, expr)
	}
	if f.depth {
		visit()
	}
}

func (f *finder) children(x *found, expr test) {
	entries, err := os.ReadDir(x.path)
	if err != nil {
		f.c.Warn(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			continue // gone meanwhile
		}
		if f.xdev && info.Sys().(*syscall.Stat_t).Dev != x.info.Sys().(*syscall.Stat_t).Dev {
			continue
		}
		path := x.path + "/" + e.Name()
		if strings.HasSuffix(x.path, "/") {
			path = x.path + e.Name()
		}
		f.walk(&found{path: path, depth: x.depth + 1, info: info}, expr)
	}
}

func (f *finder) next() (string, error) {
	if len(f.args) == 0 {
		return "", tool.Usage("the expression ends too early")
	}
	a := f.args[0]
	f.args = f.args[1:]
	return a, nil
}

func (f *finder) peek(words ...string) bool {
	return len(f.args) > 0 && slices.Contains(words, f.args[0])
}

func (f *finder) or() (test, error) {
	left, err := f.and()
	for err == nil && f.peek("-o", "-or") {
		f.args = f.args[1:]
		var right test
		if right, err = f.and(); err == nil {
			a := left
			left = func(x *found) bool { return a(x) || right(x) }
		}
	}
	return left, err
}

func (f *finder) and() (test, error) {
	left, err := f.not()
	for err == nil && len(f.args) > 0 && !f.peek("-o", "-or", ")") {
		if f.peek("-a", "-and") {
			f.args = f.args[1:]
		}
		var right test
		if right, err = f.not(); err == nil {
			a := left
			left = func(x *found) bool { return a(x) && right(x) }
		}
	}
	return left, err
}

func (f *finder) not() (test, error) {
	if f.peek("!", "-not") {
		f.args = f.args[1:]
		t, err := f.not()
		return func(x *found) bool { return !t(x) }, err
	}
	if f.peek("(") {
		f.args = f.args[1:]
		t, err := f.or()
		if err == nil && !f.peek(")") {
			err = tool.Usage("missing )")
		}
		if err == nil {
			f.args = f.args[1:]
		}
		return t, err
	}
	return f.primary()
}

func yes(*found) bool { return true }

func (f *finder) primary() (test, error) {
	word, err := f.next()
	if err != nil {
		return nil, err
	}
	switch word {
	case "-print":
		f.acts = true
		return func(x *found) bool { f.c.Printf("%s\n", x.path); return true }, nil
	case "-print0":
		f.acts = true
		return func(x *found) bool { f.c.Printf("%s\x00", x.path); return true }, nil
	case "-delete":
		f.acts, f.depth = true, true
		return f.remove, nil
	case "-prune":
		return func(x *found) bool { x.prune = true; return true }, nil
	case "-true":
		return yes, nil
	case "-false":
		return func(*found) bool { return false }, nil
	case "-empty":
		return isEmpty, nil
	case "-depth":
		f.depth = true
		return yes, nil
	case "-xdev", "-mount":
		f.xdev = true
		return yes, nil
	case "-exec":
		return f.exec()
	}
	value, err := f.next()
	if err != nil {
		return nil, err
	}
	return f.valued(word, value)
}

func (f *finder) remove(x *found) bool {
	if x.path == "." {
		return true
	}
	if err := os.Remove(x.path); err != nil {
		f.c.Warn(err)
		return false
	}
	return true
}

func isEmpty(x *found) bool {
	if x.info.IsDir() {
		entries, err := os.ReadDir(x.path)
		return err == nil && len(entries) == 0
	}
	return x.info.Mode().IsRegular() && x.info.Size() == 0
}

// valued are the tests with a value.
func (f *finder) valued(word, value string) (test, error) {
	switch word {
	case "-name":
		return match(value, false, func(x *found) string { return filepath.Base(x.path) })
	case "-iname":
		return match(value, true, func(x *found) string { return filepath.Base(x.path) })
	case "-path", "-wholename":
		return match(strings.ReplaceAll(value, "/", "\x00"), false, func(x *found) string { return strings.ReplaceAll(x.path, "/", "\x00") })
	case "-type":
		return func(x *found) bool {
			return strings.IndexByte(value, strings.Replace(modeString(x.info.Sys().(*syscall.Stat_t).Mode)[:1], "-", "f", 1)[0]) >= 0
		}, nil
	case "-maxdepth", "-mindepth":
		n, err := strconv.Atoi(value)
		if word == "-maxdepth" {
			f.maxDepth = n
		} else {
			f.minDepth = n
		}
		return yes, err
	case "-newer":
		info, err := os.Stat(value)
		if err != nil {
			return nil, err
		}
		return func(x *found) bool { return x.info.ModTime().After(info.ModTime()) }, nil
	case "-perm":
		return perm(value)
	case "-user", "-group":
		return owned(word, value)
	}
	return measured(word, value)
}

func match(pattern string, fold bool, name func(*found) string) (test, error) {
	pattern = strings.ReplaceAll(pattern, "[!", "[^") // the shell's spelling
	if fold {
		pattern = strings.ToLower(pattern)
	}
	if _, err := filepath.Match(pattern, ""); err != nil {
		return nil, fmt.Errorf("bad pattern %q", pattern)
	}
	return func(x *found) bool {
		s := name(x)
		if fold {
			s = strings.ToLower(s)
		}
		ok, _ := filepath.Match(pattern, s)
		return ok
	}, nil
}

func perm(value string) (test, error) {
	digits := strings.TrimLeft(value, "-/")
	want, err := parseMode(digits, 0)
	return func(x *found) bool {
		have := x.info.Sys().(*syscall.Stat_t).Mode & 0o7777
		switch value[0] {
		case '-':
			return have&want == want
		case '/':
			return want == 0 || have&want != 0
		}
		return have == want
	}, err
}

func owned(word, value string) (test, error) {
	if word == "-user" {
		uid, _, err := parseOwner(value)
		return func(x *found) bool { return int(x.info.Sys().(*syscall.Stat_t).Uid) == uid }, err
	}
	_, gid, err := parseOwner(":" + value)
	return func(x *found) bool { return int(x.info.Sys().(*syscall.Stat_t).Gid) == gid }, err
}

// measured are the tests with +N, N or -N.
func measured(word, value string) (test, error) {
	number := strings.TrimLeft(value, "+-")
	unit := int64(1)
	if word == "-size" {
		unit = 512
		if last := strings.TrimLeft(number, "0123456789"); last != "" {
			n, err := Size("1" + last)
			if err != nil {
				return nil, err
			}
			unit, number = n, strings.TrimSuffix(number, last)
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return nil, tool.Usage("%s: bad value %q", word, value)
	}
	var measure func(x *found) int64
	switch word {
	case "-size":
		measure = func(x *found) int64 { return (x.info.Size() + unit - 1) / unit }
	case "-mtime":
		measure = func(x *found) int64 { return int64(time.Since(x.info.ModTime()) / (24 * time.Hour)) }
	case "-mmin":
		measure = func(x *found) int64 { return int64(time.Since(x.info.ModTime()) / time.Minute) }
	case "-links":
		measure = func(x *found) int64 { return int64(x.info.Sys().(*syscall.Stat_t).Nlink) }
	case "-inum":
		measure = func(x *found) int64 { return int64(x.info.Sys().(*syscall.Stat_t).Ino) }
	default:
		return nil, tool.Usage("unknown test %q", word)
	}
	return func(x *found) bool {
		switch value[0] {
		case '+':
			return measure(x) > n
		case '-':
			return measure(x) < n
		}
		return measure(x) == n
	}, nil
}

func (f *finder) exec() (test, error) {
	f.acts = true
	var argv []string
	for {
		a, err := f.next()
		if err != nil {
			return nil, err
		}
		if a == ";" {
			return func(x *found) bool {
				line := make([]string, len(argv))
				for i, w := range argv {
					line[i] = strings.ReplaceAll(w, "{}", x.path)
				}
				return f.run(line) == nil
			}, nil
		}
		if a == "+" && len(argv) > 0 && argv[len(argv)-1] == "{}" {
			b := &batch{argv: argv[:len(argv)-1]}
			f.batches = append(f.batches, b)
			return func(x *found) bool {
				if b.files = append(b.files, x.path); len(b.files) >= 1000 {
					f.flush(b)
				}
				return true
			}, nil
		}
		argv = append(argv, a)
	}
}

func (f *finder) flush(b *batch) {
	if len(b.files) > 0 && f.run(append(slices.Clone(b.argv), b.files...)) != nil {
		f.c.Code = 1
	}
	b.files = nil
}

func (f *finder) run(argv []string) error {
	if len(argv) == 0 {
		return tool.Usage("-exec needs a command")
	}
	f.c.Out.Flush()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = f.c.In, os.Stdout, os.Stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		f.c.Warn(err)
	}
	return err
}
