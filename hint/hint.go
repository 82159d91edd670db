// Package hint is an error that carries what its reader can type next.
//
// The layers of rl say what failed (operation, object, cause) with fmt.Errorf and %w as usual; the one that knows a
// way out adds it with With. Only main prints: the error on one line, each hint on a line of its own.
package hint

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

type hinted struct {
	error
	hints []string
}

func (h *hinted) Unwrap() error { return h.error }

// With adds what can be typed (or read) next to err. It returns nil for a nil err.
func With(err error, hints ...string) error {
	if err == nil {
		return nil
	}
	return &hinted{err, hints}
}

// Errorf is fmt.Errorf for an error that needs a hint: With(fmt.Errorf(format, args...), h).
func Errorf(h, format string, args ...any) error {
	return With(fmt.Errorf(format, args...), h)
}

// Of returns the hints of err and of all that it wraps, the outermost first.
func Of(err error) []string {
	var all []string
	for err != nil {
		if h, ok := err.(*hinted); ok {
			all = append(all, h.hints...)
		}
		if several, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range several.Unwrap() {
				all = append(all, Of(e)...)
			}
			return all
		}
		err = errors.Unwrap(err)
	}
	return all
}

// apart are the errors that errors.Join put together.
func apart(err error) []error {
	several, ok := err.(interface{ Unwrap() []error })
	if !ok || err.Error() != errors.Join(several.Unwrap()...).Error() {
		return []error{err}
	}
	var all []error
	for _, e := range several.Unwrap() {
		all = append(all, apart(e)...)
	}
	return all
}

// Print writes "rl: ERROR" and one line a hint to w, for each of several that were joined. Control characters of foreign text (a registry's, a file name's)
// are made visible, so that they can't drive the reader's terminal.
func Print(w io.Writer, name string, err error) {
	for _, e := range apart(err) {
		fmt.Fprintf(w, "%s: %s\n", name, Clean(e.Error()))
		for _, h := range Of(e) {
			fmt.Fprintf(w, "  hint: %s\n", Clean(h))
		}
	}
}

// Clean shows control characters (ESC, newline, DEL, C1) as Go escapes.
func Clean(s string) string {
	if plain(s) || !strings.ContainsFunc(s, control) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if control(r) {
			fmt.Fprintf(&b, "\\x%02x", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// plain: nothing but printable ASCII, as almost all that is ever cleaned.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

func control(r rune) bool { return r < 0x20 || r >= 0x7f && r < 0xa0 }
