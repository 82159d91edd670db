package idmap

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/rl-containers/rl/hint"
)

// facts are all that the ladder needs to know; Source collects them.
type facts struct {
	uid, gid uint32
	name     string
	// root is a caller with uid 0; privileged has CAP_SETUID and CAP_SETGID besides.
	root, privileged bool
	// ownUIDs and ownGIDs are what the caller's own namespace maps: nothing else can be given away.
	ownUIDs, ownGIDs []span
	noGroups         bool // setgroups(2) is denied in the caller's own namespace, and so in those below
	subUIDs, subGIDs []span
	// newuidmap and newgidmap are absolute paths; broken says why they can't be used.
	newuidmap, newgidmap string
	broken, fix          string
}

// mode is a parsed --userns.
type mode struct {
	keep, nomap bool
	uid, gid    *uint32 // of keep-id; nil is the caller's own
}

func parseMode(s string) (mode, error) {
	name, opts, has := strings.Cut(s, ":")
	switch {
	case !has && (s == "" || s == "host"):
		return mode{}, nil
	case s == "nomap":
		return mode{nomap: true}, nil
	case name == "keep-id":
		m := mode{keep: true}
		if !has {
			return m, nil
		}
		return m, m.options(s, opts)
	}
	return mode{}, hint.Errorf("choose one of keep-id[:uid=N,gid=N], nomap, host", "unknown user namespace mode %q", s)
}

func (m *mode) options(whole, opts string) error {
	for o := range strings.SplitSeq(opts, ",") {
		key, value, _ := strings.Cut(o, "=")
		n, err := strconv.ParseUint(value, 10, 32)
		if err != nil || n >= maxID {
			return hint.Errorf("write keep-id:uid=N,gid=N with numbers below 4294967295", "user namespace mode %q: bad option %q", whole, o)
		}
		id := uint32(n)
		switch key {
		case "uid":
			m.uid = &id
		case "gid":
			m.gid = &id
		default:
			return hint.Errorf("keep-id knows uid=N and gid=N", "user namespace mode %q: unknown option %q", whole, key)
		}
	}
	return nil
}

// climb picks the rung.
func climb(m mode, f facts) (Map, error) {
	if f.privileged && f.alone() {
		return single(m, f, "only one user exists in the user namespace that rl runs in", "")
	}
	if f.privileged {
		return direct(m, f)
	}
	subUIDs := usable(f.subUIDs, f.ownUIDs, f.uid)
	subGIDs := usable(f.subGIDs, f.ownGIDs, f.gid)
	if why, fix := f.without(subUIDs, subGIDs); why != "" {
		return single(m, f, why, fix)
	}
	out := Map{Rung: Subid, denied: f.noGroups, newuidmap: f.newuidmap, newgidmap: f.newgidmap}
	var cut1, cut2 bool
	out.UIDs, cut1 = fit(m.ranges(m.uid, f.uid, subUIDs))
	out.GIDs, cut2 = fit(m.ranges(m.gid, f.gid, subGIDs))
	if cut1 || cut2 {
		out.Note = fmt.Sprintf("%s has more subordinate id ranges than the kernel takes (%d lines, one page): the last ones are left out", f.name, maxLines)
	}
	return out, nil
}

// alone is a caller whose own namespace maps one id, as `unshare -r` makes it.
func (f facts) alone() bool {
	return len(f.ownUIDs) == 1 && f.ownUIDs[0].size == 1 || len(f.ownGIDs) == 1 && f.ownGIDs[0].size == 1
}

// without says why the Subid rung doesn't hold, and what to type; "" where it does.
func (f facts) without(uids, gids []span) (why, fix string) {
	switch {
	case f.root:
		// What setuid programs may do is bounded by the same set.
		return "root has no CAP_SETUID and CAP_SETGID here", "start the outer container with --cap-add SETUID,SETGID"
	case f.broken != "":
		return f.broken, f.fix
	case len(uids) == 0 && len(f.subUIDs) > 0, len(gids) == 0 && len(f.subGIDs) > 0:
		return "the ranges of " + f.name + " in /etc/subuid and /etc/subgid don't exist in this user namespace (/proc/self/uid_map)", ""
	case len(uids) == 0 && len(gids) == 0:
		return f.name + " has no range in /etc/subuid and /etc/subgid", f.fix
	case len(uids) == 0:
		return f.name + " has no range in /etc/subuid", f.fix
	case len(gids) == 0:
		return f.name + " has no range in /etc/subgid", f.fix
	}
	return "", ""
}

// direct maps every id of the caller's namespace to itself, extent by extent: one line must not span two (map_write in
// kernel/user_namespace.c).
func direct(m mode, f facts) (Map, error) {
	if m.nomap || m.uid != nil && *m.uid != f.uid || m.gid != nil && *m.gid != f.gid {
		return Map{}, hint.Errorf("run as an ordinary user, or without --userns", "user namespace mode: root keeps its own ids (nomap and keep-id:uid=N are for ordinary users)")
	}
	return Map{Rung: Direct, denied: f.noGroups, UIDs: identity(f.ownUIDs), GIDs: identity(f.ownGIDs)}, nil
}

func identity(spans []span) []Range {
	rs := make([]Range, len(spans))
	for i, s := range spans {
		rs[i] = Range{s.start, s.start, s.size}
	}
	return rs
}

func single(m mode, f facts, why, fix string) (Map, error) {
	if m.nomap {
		return Map{}, hint.With(fmt.Errorf("user namespace mode nomap: %s: no id is left to map", why), hints(fix)...)
	}
	return Map{
		Rung: Single,
		UIDs: m.ranges(m.uid, f.uid, nil),
		GIDs: m.ranges(m.gid, f.gid, nil),
		Note: why + ": one user exists inside, and changes of ownership are ignored",
		Fix:  fix,
	}, nil
}

func hints(fix string) []string {
	if fix == "" {
		return nil
	}
	return []string{fix}
}

// ranges lays out one kind of ids: me at the place that the mode wants, the others in order around it.
func (m mode) ranges(want *uint32, me uint32, others []span) []Range {
	if m.nomap {
		return lay(nil, 0, others)
	}
	at := uint32(0)
	if m.keep {
		at = me
	}
	if want != nil {
		at = *want
	}
	before, after := split(others, at)
	rs := append(lay(nil, 0, before), Range{at, me, 1})
	return lay(rs, uint64(at)+1, after)
}

// lay appends spans from the container's id next on, as far as there are numbers.
func lay(rs []Range, next uint64, spans []span) []Range {
	for _, s := range spans {
		size := min(uint64(s.size), maxID-next)
		if size == 0 {
			break
		}
		rs = append(rs, Range{uint32(next), s.start, uint32(size)})
		next += size
	}
	return rs
}

// split takes the first n ids of spans.
func split(spans []span, n uint32) (first, rest []span) {
	for i, s := range spans {
		if n < s.size {
			if n > 0 {
				first = append(first, span{s.start, n})
			}
			rest = append(rest, span{s.start + n, s.size - n})
			return first, append(rest, spans[i+1:]...)
		}
		first = append(first, s)
		n -= s.size
	}
	return first, nil
}

// usable is what can be given away of spans: within the extents of the own namespace, each once, and neither host root
// nor the caller: the kernel refuses an overlap, and nobody wants to hand out the first by a slip in /etc/subuid.
func usable(spans, own []span, me uint32) []span {
	taken := []span{{0, 1}, {me, 1}}
	var out []span
	for _, s := range spans {
		for _, o := range own {
			pieces := subtract(intersect(s, o), taken)
			out = append(out, pieces...)
			taken = append(taken, pieces...)
		}
		if len(out) > maxLines {
			break
		}
	}
	return out
}

func intersect(a, b span) span {
	start := max(a.start, b.start)
	end := min(a.end(), b.end())
	if end <= uint64(start) {
		return span{}
	}
	return span{start, uint32(end - uint64(start))}
}

// subtract is s without the taken ones, in order.
func subtract(s span, taken []span) []span {
	if s.size == 0 {
		return nil
	}
	for _, t := range taken {
		x := intersect(s, t)
		if x.size == 0 {
			continue
		}
		left := span{s.start, x.start - s.start}
		right := span{uint32(x.end()), uint32(s.end() - x.end())}
		return append(subtract(left, taken), subtract(right, taken)...)
	}
	return []span{s}
}

// maxLines is UID_GID_MAP_MAX_EXTENTS (Linux 4.15; 5 before).
const maxLines = 340

// fit keeps as many lines as one write to uid_map takes: maxLines, and less than a page of text.
func fit(rs []Range) (kept []Range, cut bool) {
	room := os.Getpagesize() - 1
	for i, r := range rs {
		room -= len(r.line())
		if i == maxLines || room < 0 {
			return rs[:i], true
		}
	}
	return rs, false
}
