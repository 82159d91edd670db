package idmap

import (
	"fmt"
	"strconv"
	"strings"
)

// AddRanges is the command that gives name 65536 ids, behind all that the two files name already (their texts), and not
// below 100000 as login.defs(5) has it.
func AddRanges(name, subuid, subgid string) string {
	if name == "" {
		return ""
	}
	free := uint64(100000)
	for _, data := range []string{subuid, subgid} {
		for e, err := range entries(data) {
			if err == nil {
				free = max(free, e.End())
			}
		}
	}
	if free+65536 > maxID {
		return "sudo usermod --add-subuids FIRST-LAST --add-subgids FIRST-LAST " + name
	}
	return fmt.Sprintf("sudo usermod --add-subuids %d-%d --add-subgids %d-%d %s", free, free+65535, free, free+65535, name)
}

// Overlaps says in which lines of a subuid(5) file others hold ids of the user too: each of them then owns the files and
// may kill the processes of the other's containers.
func Overlaps(data, name string, uid uint32) []Problem {
	number := strconv.FormatUint(uint64(uid), 10)
	good, _ := Parse(data)
	var out []Problem
	for _, mine := range good {
		if mine.Owner != name && mine.Owner != number {
			continue
		}
		for _, e := range good {
			if e.Owner == name || e.Owner == number || !meet(mine, e) {
				continue
			}
			out = append(out, Problem{e.Line, fmt.Sprintf("%s:%d:%d", e.Owner, e.Start, e.Count),
				fmt.Sprintf("shares ids with line %d (%s)", mine.Line, mine.Owner)})
		}
	}
	return out
}

func meet(a, b Entry) bool {
	return uint64(a.Start) < b.End() && uint64(b.Start) < a.End()
}

// RealIDs says which accounts of a passwd(5) or group(5) file have a number within the user's ranges: a container could
// act as them. The user's own number is not told; it is never mapped twice.
func RealIDs(data, accounts, name string, uid uint32) []Problem {
	number := strconv.FormatUint(uint64(uid), 10)
	var out []Problem
	for e, err := range entries(data) {
		if err != nil || e.Owner != name && e.Owner != number {
			continue
		}
		for line := range strings.Lines(accounts) {
			f := strings.Split(line, ":")
			if len(f) < 3 || f[2] == number {
				continue
			}
			id, err := strconv.ParseUint(strings.TrimSpace(f[2]), 10, 32)
			if err == nil && id >= uint64(e.Start) && id < e.End() {
				out = append(out, Problem{e.Line, fmt.Sprintf("%s:%d:%d", e.Owner, e.Start, e.Count),
					fmt.Sprintf("contains the account %s (%d)", f[0], id)})
			}
		}
	}
	return out
}
