package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/rl-containers/rl/hint"
)

// JSON writes the report as an array, one object a rung.
func JSON(w io.Writer, results []Result) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(results)
}

// Text prints one rung: state, name, what was found and what rl does about it on one line, what to type on the next.
// On a terminal the state is a sign, and in colour unless plain.
func Text(w io.Writer, r Result, terminal, plain bool) error {
	line := label(r.State, terminal, plain) + pad(r.Name, nameWidth) + hint.Clean(r.Detail)
	if r.Action != "" {
		line += " → " + hint.Clean(r.Action)
	}
	if r.Fix != "" {
		line += "\n" + strings.Repeat(" ", labelWidth(terminal)+nameWidth) + "fix: " + hint.Clean(r.Fix)
	}
	_, err := fmt.Fprintln(w, line)
	return err
}

// nameWidth is that of the longest name, "runtime directory", and a gap.
const nameWidth = 19

func labelWidth(terminal bool) int {
	if terminal {
		return 2
	}
	return 10
}

func label(s State, terminal, plain bool) string {
	if !terminal {
		return pad(string(s), 10)
	}
	sign, colour := "✓", "32"
	switch s {
	case Degraded:
		sign, colour = "!", "33"
	case Broken:
		sign, colour = "✗", "31"
	}
	if plain {
		return sign + " "
	}
	return "\x1b[" + colour + "m" + sign + "\x1b[0m "
}

func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(1, width-len(s)))
}
