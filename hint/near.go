package hint

import "strings"

// Near is the one of names that word was meant for, by the look of it: one that begins with it or that it begins with, or one from
// which a slip or two of the fingers lead to it. "" if none is near.
func Near(word string, names []string) string {
	if len(word) < 2 {
		return ""
	}
	best, least := "", 1+slips(word)
	for _, name := range names {
		d := distance(word, name, least)
		if d >= least && (strings.HasPrefix(name, word) || len(name) > 1 && strings.HasPrefix(word, name)) {
			d = least - 1 // a name that is spelled nearly so comes before one that is longer
		}
		if d < least && name != word {
			best, least = name, d
		}
	}
	return best
}

// slips are those that are forgiven: in a short word two would make it any other.
func slips(word string) int {
	if len(word) < 6 {
		return 1
	}
	return 2
}

// Meant is the hint that asks for it, with what stands before: "did you mean rl run?". None if nothing is near.
func Meant(before, word string, names []string) []string {
	if name := Near(word, names); name != "" {
		return []string{"did you mean " + before + name + "?"}
	}
	return nil
}

// distance counts the letters that are added, missing or exchanged, and the pairs that stand the wrong way round; limit if there are
// that many or more.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	older, old, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		older, old, row = old, row, older
		row[0] = i + 1
		for j := range len(b) {
			change := 1
			if a[i] == b[j] {
				change = 0
			}
			row[j+1] = min(old[j]+change, old[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], older[j-1]+1)
			}
		}
	}
	return min(row[len(b)], limit)
}
