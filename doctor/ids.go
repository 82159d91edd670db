package doctor

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/idmap"
)

func idHelpers(h *Host) Result {
	if h.UID == 0 {
		return good("not needed: root writes its maps itself")
	}
	t := h.IDs.Helpers()
	if t.Why == "" {
		return good(t.UID + ", " + t.GID)
	}
	if strings.HasSuffix(t.Why, "not installed") {
		t.Fix = h.install("uidmap", "fedora=shadow-utils", "suse=shadow", "alpine=shadow-uidmap", "arch=shadow")
	}
	return degraded(t.Why, "one user exists inside (docs/userns.md)", t.Fix)
}

// enough is a number of ids that fits distribution images: nobody is 65534.
const enough = 65536

// subordinateIDs looks at the caller's lines of /etc/subuid and /etc/subgid, and at who shares them.
func subordinateIDs(h *Host) Result {
	if h.UID == 0 {
		return good("not needed: root has all ids of its user namespace")
	}
	name := h.login()
	number := strconv.Itoa(h.UID)
	var sizes, bad []string
	for _, f := range [][2]string{{"/etc/subuid", "/etc/passwd"}, {"/etc/subgid", "/etc/group"}} {
		data := h.read(f[0])
		total, broken := count(data, name, number)
		if total > 0 {
			sizes = append(sizes, fmt.Sprintf("%d in %s", total, f[0]))
		}
		if total > 0 && total < enough {
			bad = append(bad, fmt.Sprintf("%s has only %d of the %d ids that images use", f[0], total, enough))
		}
		broken = append(broken, idmap.Overlaps(data, name, uint32(h.UID))...)
		broken = append(broken, idmap.RealIDs(data, h.read(f[1]), name, uint32(h.UID))...)
		for _, p := range broken {
			bad = append(bad, fmt.Sprintf("%s line %d (%s): %s", f[0], p.Line, hint.Clean(p.Text), p.Why))
		}
	}
	return h.judge(name, sizes, bad)
}

// count adds up the caller's ids, and collects the lines that were meant for it and say nothing.
func count(data, name, number string) (total uint64, bad []idmap.Problem) {
	entries, problems := idmap.Parse(data)
	for _, e := range entries {
		if e.Owner == name || e.Owner == number {
			total += uint64(e.Count)
		}
	}
	for _, p := range problems {
		if owner, _, _ := strings.Cut(strings.TrimSpace(p.Text), ":"); owner == name || owner == number {
			bad = append(bad, p)
		}
	}
	return total, bad
}

func (h *Host) judge(name string, sizes, bad []string) Result {
	add := idmap.AddRanges(name, h.read("/etc/subuid"), h.read("/etc/subgid"))
	detail := strings.Join(append(sizes, bad...), "; ")
	switch {
	case len(sizes) == 0 && strings.Contains("\n"+h.read("/etc/nsswitch.conf"), "\nsubid:"):
		return good("from NSS (getsubids " + name + ")")
	case len(sizes) < 2:
		return degraded(join("no range for "+name+" in both of /etc/subuid and /etc/subgid", detail), "one user exists inside (docs/userns.md)", add)
	case strings.Contains(detail, "shares ids") || strings.Contains(detail, "contains the account"):
		return degraded(detail, "the ids are used all the same; each who has them too owns the files of your containers and may end their processes",
			"sudoedit /etc/subuid /etc/subgid   (give every user ranges of its own)")
	case len(bad) > 0:
		return degraded(detail, "lines that say nothing are passed over; ids that don't exist can't own files", add)
	}
	return good(detail)
}

// login is the caller's name.
func (h *Host) login() string {
	number := strconv.Itoa(h.UID)
	for line := range strings.Lines(h.read("/etc/passwd")) {
		if f := strings.Split(line, ":"); len(f) > 3 && f[2] == number {
			return f[0]
		}
	}
	if u := h.Getenv("USER"); u != "" {
		return u
	}
	return number
}

// idMap writes the mapping that rl run would use.
func idMap(h *Host) Result {
	m, err := h.IDs.Map("")
	if err != nil {
		return broken(err.Error(), "no container can start", strings.Join(hint.Of(err), "; "))
	}
	if !h.userns {
		return broken("not tried: no user namespace", "", "")
	}
	if err := h.Try(m, unix.CLONE_NEWNS, "nothing"); err != nil {
		return broken(err.Error(), "no container can start", strings.Join(hint.Of(err), "; "))
	}
	if m.Note != "" {
		return degraded(m.String(), m.Note, m.Fix)
	}
	return good(m.String())
}
