package tool

import (
	"strconv"
	"strings"
)

// Options are the options of a call, by their letters.
type Options struct {
	order  []byte
	values map[byte][]string
}

// Has tells whether the option was given.
func (o *Options) Has(letter byte) bool { return len(o.values[letter]) > 0 }

// Get is the last value of the option, or "".
func (o *Options) Get(letter byte) string {
	if v := o.values[letter]; len(v) > 0 {
		return v[len(v)-1]
	}
	return ""
}

// Count is how many options were given.
func (o *Options) Count() int { return len(o.order) }

// All are the values of an option that was given more than once.
func (o *Options) All(letter byte) []string { return o.values[letter] }

// Last is the last given option of the letters, or 0: of options that exclude each other it is the one that holds.
func (o *Options) Last(letters string) byte {
	for i := len(o.order) - 1; i >= 0; i-- {
		if strings.IndexByte(letters, o.order[i]) >= 0 {
			return o.order[i]
		}
	}
	return 0
}

// Int is the value of a numeric option.
func (o *Options) Int(letter byte, otherwise int) (int, error) {
	s := o.Get(letter)
	if s == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, Usage("-%c: %q is not a number", letter, s)
	}
	return n, nil
}

// Options parses the arguments as getopt(3) does: letters of short, one that is followed by ":" takes a value; long are
// words "lines=n" for --lines as another name of -n. A short that begins with "+" ends options at the first operand.
func (c *Call) Options(short string, long ...string) (*Options, []string, error) {
	short, posix := strings.CutPrefix(short, "+")
	o := &Options{values: map[byte][]string{}}
	var operands []string
	args := c.Args
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		var err error
		switch {
		case arg == "--":
			return o, append(operands, args...), nil
		case len(arg) < 2 || arg[0] != '-':
			operands = append(operands, arg)
			if posix {
				return o, append(operands, args...), nil
			}
		case arg[1] == '-':
			args, err = o.long(arg[2:], args, short, long)
		default:
			args, err = o.cluster(arg[1:], args, short)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return o, operands, nil
}

func (o *Options) add(letter byte, value string) {
	o.order = append(o.order, letter)
	o.values[letter] = append(o.values[letter], value)
}

func takesValue(short string, letter byte) (takes, known bool) {
	i := strings.IndexByte(short, letter)
	if i < 0 || letter == ':' {
		return false, false
	}
	return i+1 < len(short) && short[i+1] == ':', true
}

func (o *Options) long(name string, args []string, short string, long []string) ([]string, error) {
	name, value, given := strings.Cut(name, "=")
	for _, l := range long {
		if word, letter, _ := strings.Cut(l, "="); word != name || letter == "" {
			continue
		} else if takes, _ := takesValue(short, letter[0]); takes && !given {
			if len(args) == 0 {
				return nil, Usage("--%s needs a value", name)
			}
			o.add(letter[0], args[0])
			return args[1:], nil
		} else if !takes && given {
			return nil, Usage("--%s takes no value", name)
		} else {
			o.add(letter[0], value)
			return args, nil
		}
	}
	return nil, Usage("unknown option --%s", name)
}

func (o *Options) cluster(letters string, args []string, short string) ([]string, error) {
	for i := 0; i < len(letters); i++ {
		takes, known := takesValue(short, letters[i])
		switch {
		case !known:
			return nil, Usage("unknown option -%c", letters[i])
		case !takes:
			o.add(letters[i], "")
		case i+1 < len(letters):
			o.add(letters[i], letters[i+1:])
			return args, nil
		case len(args) > 0:
			o.add(letters[i], args[0])
			return args[1:], nil
		default:
			return nil, Usage("-%c needs a value", letters[i])
		}
	}
	return args, nil
}
