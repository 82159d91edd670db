package text

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"unicode"

	"github.com/rl-containers/rl/cmd/rl-tiny/internal/tool"
)

func xargs(c *tool.Call) error {
	o, argv, err := c.Options("+0n:I:rtd:P:", "null=0", "max-args=n", "no-run-if-empty=r", "replace=I")
	if err != nil {
		return err
	}
	if len(argv) == 0 {
		argv = []string{"echo"}
	}
	input, err := io.ReadAll(c.In)
	if err != nil {
		return err
	}
	var words []string
	switch {
	case o.Has('0'):
		words = strings.FieldsFunc(string(input), func(r rune) bool { return r == 0 })
	case o.Has('d'):
		words = strings.Split(strings.TrimSuffix(string(input), "\n"), strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\0`, "\x00").Replace(o.Get('d')))
	case o.Has('I'):
		words = strings.FieldsFunc(string(input), func(r rune) bool { return r == '\n' })
	default:
		if words, err = splitWords(string(input)); err != nil {
			return err
		}
	}
	most, err := o.Int('n', 5000)
	if err != nil || most < 1 {
		return tool.Usage("-n needs a number")
	}
	if o.Has('I') {
		most = 1
	}
	if len(words) == 0 && !o.Has('r') && !o.Has('I') {
		return xargsRun(c, o, argv)
	}
	for chunk := range batches(words, most) {
		line := append(slices.Clone(argv), chunk...)
		if o.Has('I') {
			line = slices.Clone(argv)
			for i := range line {
				line[i] = strings.ReplaceAll(line[i], o.Get('I'), strings.TrimLeft(chunk[0], " \t"))
			}
		}
		if err := xargsRun(c, o, line); err != nil {
			return err
		}
	}
	return nil
}

// batches cuts words into pieces of at most n words and 100 kB.
func batches(words []string, n int) func(func([]string) bool) {
	return func(yield func([]string) bool) {
		for len(words) > 0 {
			i, size := 0, 0
			for i < len(words) && i < n && (i == 0 || size+len(words[i]) < 100_000) {
				size += len(words[i]) + 1
				i++
			}
			if !yield(words[:i]) {
				return
			}
			words = words[i:]
		}
	}
}

func splitWords(s string) ([]string, error) {
	var words []string
	var word strings.Builder
	in, quote, escaped := false, rune(0), false
	for _, r := range s {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\\':
			in, escaped = true, true
		case r == '\'' || r == '"':
			in, quote = true, r
		case unicode.IsSpace(r):
			if in {
				words = append(words, word.String())
				word.Reset()
			}
			in = false
		default:
			in = true
			word.WriteRune(r)
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("unmatched %c; -0 takes anything", quote)
	}
	if in {
		words = append(words, word.String())
	}
	return words, nil
}

func xargsRun(c *tool.Call, o *tool.Options, argv []string) error {
	if o.Has('t') {
		fmt.Fprintln(os.Stderr, strings.Join(argv, " "))
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, exec.ErrNotFound):
		return &tool.Exit{Code: 127, Err: err}
	case !errors.As(err, &exit):
		return &tool.Exit{Code: 126, Err: err}
	case exit.ExitCode() == 255:
		return &tool.Exit{Code: 124, Err: fmt.Errorf("%s: exited with status 255; aborting", argv[0])}
	case exit.ExitCode() < 0:
		return &tool.Exit{Code: 125, Err: fmt.Errorf("%s: %s", argv[0], exit)}
	}
	c.Code = 123
	return nil
}
