package idmap

import (
	"errors"
	"iter"
	"strconv"
	"strings"
)

// Entry is a line of /etc/subuid or /etc/subgid (subuid(5)): Owner, a login name or a number, may use Count ids from
// Start on.
type Entry struct {
	Line         int // from 1
	Owner        string
	Start, Count uint32
}

// End is the first id after the range.
func (e Entry) End() uint64 { return uint64(e.Start) + uint64(e.Count) }

// Problem is a line that is of no use, and why.
type Problem struct {
	Line int
	Text string
	Why  string
}

// maxID is the first number that is no id: (uid_t)-1 means "none" to the kernel.
const maxID = 1<<32 - 1

// Parse reads a file in the form of subuid(5). What newuidmap would not take is a Problem, not an error: one bad line of
// one user must not stop the others.
func Parse(data string) (good []Entry, bad []Problem) {
	for e, err := range entries(data) {
		if err != nil {
			bad = append(bad, Problem{e.Line, e.Owner, err.Error()})
		} else {
			good = append(good, e)
		}
	}
	return good, bad
}

// entries yields the lines of a file; with an error, Owner is the text of the line. It allocates nothing for good lines.
func entries(data string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for n := 1; data != ""; n++ {
			var line string
			line, data, _ = strings.Cut(data, "\n")
			if blank(line) {
				continue
			}
			e, err := parseLine(line)
			if err != nil {
				e = Entry{Owner: line}
			}
			e.Line = n
			if !yield(e, err) {
				return
			}
		}
	}
}

func blank(line string) bool {
	line = strings.TrimSpace(line)
	return line == "" || line[0] == '#'
}

var (
	errFields = errors.New("not of the form name:start:count")
	errNumber = errors.New("start and count must be decimal numbers")
	errZero   = errors.New("count is 0")
	errHuge   = errors.New("reaches beyond 4294967294, the last id there is")
)

func parseLine(line string) (Entry, error) {
	owner, rest, _ := strings.Cut(line, ":")
	start, count, ok := strings.Cut(rest, ":")
	if !ok || owner == "" || strings.Contains(count, ":") {
		return Entry{}, errFields
	}
	first, err1 := strconv.ParseUint(start, 10, 64)
	size, err2 := strconv.ParseUint(count, 10, 64)
	switch {
	case errors.Is(err1, strconv.ErrRange) || errors.Is(err2, strconv.ErrRange):
		return Entry{}, errHuge
	case err1 != nil || err2 != nil:
		return Entry{}, errNumber
	case size == 0:
		return Entry{}, errZero
	case first >= maxID || size > maxID-first:
		return Entry{}, errHuge
	}
	return Entry{Owner: owner, Start: uint32(first), Count: uint32(size)}, nil
}

// span is a run of ids.
type span struct{ start, size uint32 }

func (s span) end() uint64 { return uint64(s.start) + uint64(s.size) }

// owned are the ranges of a user, by name and by number, in the order of the file.
func owned(data, name, number string) []span {
	var spans []span
	for e, err := range entries(data) {
		if err == nil && (e.Owner == number || name != "" && e.Owner == name) {
			spans = append(spans, span{e.Start, e.Count})
		}
	}
	return spans
}

// parseGetsubids reads the output of getsubids(1): "0: name 100000 65536".
func parseGetsubids(out string) []span {
	var spans []span
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) != 4 {
			continue
		}
		if e, err := parseLine(f[1] + ":" + f[2] + ":" + f[3]); err == nil {
			spans = append(spans, span{e.Start, e.Count})
		}
	}
	return spans
}
