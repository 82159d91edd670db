package container

import (
	"cmp"
	"math/bits"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/spec"
	"github.com/rl-containers/rl/storage"
	"github.com/rl-containers/rl/sys"
)

// topColumn is one that `rl top` shows by podman's names ("format descriptors"): the name, that of ps(1), the title.
type topColumn struct {
	name, code, title string
	cell              func(*topProcess) string
}

func topColumns() []topColumn {
	return []topColumn{
		{"args", "%a", "COMMAND", (*topProcess).args},
		{"capamb", "", "AMBIENT CAPS", func(p *topProcess) string { return capsText(p.status["CapAmb"]) }},
		{"capbnd", "", "BOUNDING CAPS", func(p *topProcess) string { return capsText(p.status["CapBnd"]) }},
		{"capeff", "", "EFFECTIVE CAPS", func(p *topProcess) string { return capsText(p.status["CapEff"]) }},
		{"capinh", "", "INHERITED CAPS", func(p *topProcess) string { return capsText(p.status["CapInh"]) }},
		{"capprm", "", "PERMITTED CAPS", func(p *topProcess) string { return capsText(p.status["CapPrm"]) }},
		{"comm", "%c", "COMMAND", func(p *topProcess) string { return p.status["Name"] }},
		{"etime", "%t", "ELAPSED", (*topProcess).elapsed},
		{"group", "%G", "GROUP", func(p *topProcess) string { return p.in.groups.inside(p.id("Gid", 1)) }},
		{"groups", "", "GROUPS", func(p *topProcess) string { return p.groups(p.in.groups.inside) }},
		{"hgroup", "", "HGROUP", func(p *topProcess) string { return p.in.groups.outside(p.id("Gid", 1)) }},
		{"hgroups", "", "HGROUPS", func(p *topProcess) string { return p.groups(p.in.groups.outside) }},
		{"hpid", "", "HPID", func(p *topProcess) string { return strconv.Itoa(p.pid) }},
		{"huser", "", "HUSER", func(p *topProcess) string { return p.in.users.outside(p.id("Uid", 1)) }},
		{"label", "", "LABEL", (*topProcess).label},
		{"nice", "%n", "NI", func(p *topProcess) string { return p.stat[19-3] }},
		{"pcpu", "%C", "%CPU", (*topProcess).percent},
		{"pgid", "%r", "PGID", func(p *topProcess) string { return p.inside("NSpgid") }},
		{"pid", "%p", "PID", func(p *topProcess) string { return p.inside("NSpid") }},
		{"ppid", "%P", "PPID", (*topProcess).parent},
		{"rgroup", "%g", "RGROUP", func(p *topProcess) string { return p.in.groups.inside(p.id("Gid", 0)) }},
		{"rss", "", "RSS", func(p *topProcess) string { return strconv.Itoa(p.number(24) * os.Getpagesize() / 1024) }},
		{"ruser", "%u", "RUSER", func(p *topProcess) string { return p.in.users.inside(p.id("Uid", 0)) }},
		{"seccomp", "", "SECCOMP", (*topProcess).seccomp},
		{"state", "", "STATE", func(p *topProcess) string { return p.stat[0] }},
		{"stime", "", "STIME", func(p *topProcess) string { return clock(p.started()) }},
		{"time", "%x", "TIME", func(p *topProcess) string { return p.used().String() }},
		{"tty", "%y", "TTY", func(p *topProcess) string { return terminal(p.number(7)) }},
		{"user", "%U", "USER", func(p *topProcess) string { return p.in.users.inside(p.id("Uid", 1)) }},
		{"vsz", "%z", "VSZ", func(p *topProcess) string { return strconv.Itoa(p.number(23) / 1024) }},
	}
}

// TopColumnNames are what `rl top CONTAINER` takes.
func TopColumnNames() []string {
	var names []string
	for _, c := range topColumns() {
		names = append(names, c.name)
	}
	return names
}

// AreTopColumns tells whether all words name columns. Of podman's words some may stand together, with commas between them.
func AreTopColumns(words []string) bool {
	_, ok := findColumns(words)
	return ok
}

func findColumns(words []string) (found []topColumn, all bool) {
	known := topColumns()
	for word := range strings.SplitSeq(strings.Join(words, ","), ",") {
		i := slices.IndexFunc(known, func(c topColumn) bool { return word != "" && (c.name == word || c.code == word) })
		if i < 0 {
			return nil, false
		}
		found = append(found, known[i])
	}
	return found, true
}

// TopColumns lists the processes of a container as they see themselves, but for columns that begin with h, which are the host's.
// The first line are the titles.
func TopColumns(word string, names []string) ([][]string, error) {
	chosen, ok := findColumns(names)
	if !ok {
		return nil, hint.Errorf(strings.Join(TopColumnNames(), " "), "top: %s: not columns", strings.Join(names, " "))
	}
	s, pids, err := topPids(word)
	if err != nil {
		return nil, err
	}
	in := interiorOf(s)
	var processes []topProcess
	for _, pid := range pids {
		if p, ok := in.look(pid); ok { // else it has ended meanwhile
			processes = append(processes, p)
		}
	}
	slices.SortFunc(processes, func(a, b topProcess) int { return cmp.Compare(a.own(), b.own()) })
	lines := [][]string{nil}
	for _, c := range chosen {
		lines[0] = append(lines[0], c.title)
	}
	for i := range processes {
		var line []string
		for _, c := range chosen {
			line = append(line, hint.Clean(c.cell(&processes[i])))
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// interior is what a container's processes share.
type interior struct {
	boot          time.Time
	users, groups ids
	pids          map[int]string // those inside, by those of the host
}

// topProcess is one process: the fields of its stat and its status (proc(5)).
type topProcess struct {
	pid    int
	in     *interior
	stat   []string
	status map[string]string
}

func interiorOf(s *storage.State) *interior {
	in := &interior{boot: bootTime(), pids: map[int]string{}}
	dir := "/proc/" + strconv.Itoa(s.Pid)
	var passwd, group []byte
	// The root file system is the container's own: what is there instead of these files is none.
	if root, err := sys.OpenRoot(dir + "/root"); err == nil {
		defer root.Close()
		passwd, _ = root.ReadFile("/etc/passwd", 8<<20)
		group, _ = root.ReadFile("/etc/group", 8<<20)
	}
	in.users = ids{readIDMap(dir + "/uid_map"), namesByID(passwd), userName}
	in.groups = ids{readIDMap(dir + "/gid_map"), namesByID(group), nameOfGroup}
	return in
}

func (in *interior) look(pid int) (topProcess, bool) {
	stat, err := sys.StatFields(pid)
	if err != nil || len(stat) < 22 {
		return topProcess{}, false
	}
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return topProcess{}, false
	}
	p := topProcess{pid, in, stat, map[string]string{}}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(line, ":")
		p.status[name] = strings.TrimSpace(value)
	}
	in.pids[pid] = p.inside("NSpid")
	return p, true
}

// number is a field as proc(5) counts them.
func (p *topProcess) number(field int) int {
	n, _ := strconv.Atoi(p.stat[field-3])
	return n
}

// inside is a process's number in its own pid namespace, the last of the line.
func (p *topProcess) inside(line string) string {
	words := strings.Fields(p.status[line])
	if len(words) == 0 {
		return "?"
	}
	return words[len(words)-1]
}

// own is its number as it sees it itself: a container's first process comes first, even where the host's numbers began again.
func (p *topProcess) own() int {
	n, _ := strconv.Atoi(p.inside("NSpid"))
	return n
}

// parent is 0 for one that was started from outside.
func (p *topProcess) parent() string {
	if inside, ok := p.in.pids[p.number(4)]; ok {
		return inside
	}
	return "0"
}

func (p *topProcess) started() time.Time {
	return p.in.boot.Add(time.Duration(p.number(22)) * time.Second / ticks)
}

func (p *topProcess) elapsed() string {
	return max(0, time.Since(p.started())).Truncate(time.Millisecond).String()
}

func (p *topProcess) used() time.Duration {
	return time.Duration(p.number(14)+p.number(15)) * time.Second / ticks
}

func (p *topProcess) percent() string {
	return strconv.FormatFloat(percent(p.used(), time.Since(p.started())), 'f', 3, 64)
}

func (p *topProcess) args() string {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(p.pid) + "/cmdline")
	if err != nil || len(b) == 0 {
		return "[" + p.status["Name"] + "]"
	}
	return strings.ReplaceAll(strings.TrimRight(string(b), "\x00"), "\x00", " ")
}

// label is that of the security module: AppArmor's profile, SELinux' context.
func (p *topProcess) label() string {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(p.pid) + "/attr/current")
	if text := strings.TrimRight(string(b), "\x00\n"); err == nil && text != "" {
		return text
	}
	return "?"
}

func (p *topProcess) seccomp() string {
	switch p.status["Seccomp"] {
	case "0":
		return "disabled"
	case "1":
		return "strict"
	case "2":
		return "filter"
	}
	return "?"
}

// id is one of a line of ids: 0 the real one, 1 the effective.
func (p *topProcess) id(line string, which int) uint32 {
	words := strings.Fields(p.status[line])
	if len(words) <= which {
		return overflowID
	}
	n, _ := strconv.ParseUint(words[which], 10, 32)
	return uint32(n)
}

func (p *topProcess) groups(name func(uint32) string) string {
	var names []string
	for _, word := range strings.Fields(p.status["Groups"]) {
		if n, err := strconv.ParseUint(word, 10, 32); err == nil {
			names = append(names, name(uint32(n)))
		}
	}
	return strings.Join(names, ",")
}

// overflowID is whom the kernel shows for one that isn't mapped (/proc/sys/kernel/overflowuid).
const overflowID = 65534

// ids are the users or the groups of a container.
type ids struct {
	ranges []idRange
	names  map[uint32]string
	host   func(uint32) string
}

type idRange struct{ inside, outside, size uint32 }

func readIDMap(file string) (all []idRange) {
	b, _ := os.ReadFile(file)
	for line := range strings.Lines(string(b)) {
		var n [3]uint32
		for i, word := range strings.Fields(line) {
			if v, err := strconv.ParseUint(word, 10, 32); err == nil && i < len(n) {
				n[i] = uint32(v)
			}
		}
		all = append(all, idRange{n[0], n[1], n[2]})
	}
	return all
}

// inside names an id of ours as the container does.
func (i ids) inside(id uint32) string {
	own := uint32(overflowID)
	for _, r := range i.ranges {
		if id >= r.outside && id-r.outside < r.size {
			own = r.inside + id - r.outside
		}
	}
	if name := i.names[own]; name != "" {
		return name
	}
	return strconv.FormatUint(uint64(own), 10)
}

// outside names it as the host does.
func (i ids) outside(id uint32) string { return i.host(id) }

// namesByID reads lines NAME:PASSWORD:ID:…; of several names the first counts.
func namesByID(database []byte) map[uint32]string {
	names := map[uint32]string{}
	for line := range strings.Lines(string(database)) {
		words := strings.Split(strings.TrimSpace(line), ":")
		if len(words) < 3 {
			continue
		}
		if n, err := strconv.ParseUint(words[2], 10, 32); err == nil && names[uint32(n)] == "" {
			names[uint32(n)] = words[0]
		}
	}
	return names
}

// capsText is a set in hexadecimal as podman shows it: without CAP_, none and full in a word.
func capsText(set string) string {
	bitsSet, err := strconv.ParseUint(set, 16, 64)
	if err != nil {
		return "?"
	}
	last, _ := os.ReadFile("/proc/sys/kernel/cap_last_cap")
	n, err := strconv.Atoi(strings.TrimSpace(string(last)))
	switch {
	case bitsSet == 0:
		return "none"
	case err == nil && n < 64 && bits.OnesCount64(bitsSet) == n+1:
		return "full"
	}
	names := spec.CapNames()
	var words []string
	for number := range 64 {
		switch {
		case bitsSet&(1<<number) == 0:
		case number < len(names):
			words = append(words, strings.TrimPrefix(names[number], "CAP_"))
		default:
			words = append(words, strconv.Itoa(number)) // a newer kernel's
		}
	}
	return strings.Join(words, ",")
}
