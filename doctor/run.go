package doctor

import (
	"fmt"
	"strings"
	"time"
)

// runNone really runs a container of the built-in image.
func runNone(h *Host) Result {
	return h.run("--network=none")
}

// runNetwork does so with the network that rl picks when it isn't told.
func runNetwork(h *Host) Result {
	return h.run()
}

func (h *Host) run(flags ...string) Result {
	argv := append(append([]string{h.Exe, "run", "--rm"}, flags...), "tiny", "true")
	typed := "rl " + strings.Join(argv[1:], " ")
	begin := time.Now()
	out, err := h.Output(argv...)
	took := time.Since(begin)
	switch {
	case err != nil:
		return broken(typed+": "+firstLine(err.Error()), "", fixOf(err.Error()))
	case strings.TrimSpace(out) != "":
		return degraded(typed+": "+strings.TrimPrefix(firstLine(out), "rl: "), "it runs all the same", fixOf(out))
	}
	return good(fmt.Sprintf("%s: done in %d ms", typed, took.Milliseconds()))
}

// fixOf takes the first hint out of what rl said.
func fixOf(out string) string {
	for line := range strings.Lines(out) {
		if h, ok := strings.CutPrefix(strings.TrimSpace(line), "hint: "); ok {
			return h
		}
	}
	return ""
}
