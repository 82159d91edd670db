package idmap

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Source is where the facts come from. The zero value is this machine and this process.
type Source struct {
	// Root is put before every path that is read (/etc/subuid, /proc/self/uid_map, /usr/bin/newuidmap, …).
	Root string
	// As, if not nil, stands for the calling process.
	As *Caller
	// Tools, if not nil, are taken for the state of newuidmap and newgidmap.
	Tools *Helpers
}

// Caller is what counts of the calling process.
type Caller struct {
	UID, GID    uint32
	Caps        uint64 // effective set, a bit a capability
	Bounding    bool   // CAP_SETUID and CAP_SETGID are in the bounding set, so that setuid programs get them
	NoNewPrivs  bool
	User, Paths string // $USER and $PATH
}

// Map is the mapping of the caller for a --userns mode; see Mine.
func (s Source) Map(userns string) (Map, error) {
	m, err := parseMode(userns)
	if err != nil {
		return Map{}, err
	}
	f, err := s.facts()
	if err != nil {
		return Map{}, err
	}
	return climb(m, f)
}

func (s Source) facts() (facts, error) {
	c := s.caller()
	f := facts{uid: c.UID, gid: c.GID, root: c.UID == 0}
	f.privileged = f.root && c.Caps&wantCaps == wantCaps
	var err error
	if f.ownUIDs, err = s.own("/proc/self/uid_map"); err != nil {
		return f, err
	}
	if f.ownGIDs, err = s.own("/proc/self/gid_map"); err != nil {
		return f, err
	}
	if initial := (span{0, maxID}); len(f.ownGIDs) != 1 || f.ownGIDs[0] != initial {
		word, _ := s.read("/proc/self/setgroups")
		f.noGroups = strings.TrimSpace(word) == "deny"
	}
	if f.root {
		return f, nil
	}
	if h := s.helpers(c); h.Why != "" {
		f.broken, f.fix = h.Why, h.Fix
	} else {
		f.newuidmap, f.newgidmap = h.UID, h.GID
	}
	s.subids(c, &f)
	return f, nil
}

// wantCaps are the capabilities that the kernel asks of a writer of arbitrary maps.
const wantCaps = 1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID

// subids fills in the caller's name and ranges.
func (s Source) subids(c Caller, f *facts) {
	number := strconv.FormatUint(uint64(c.UID), 10)
	name, group := s.login(c.UID)
	if name == "" {
		name = s.foreignLogin(number, c.User)
	} else if group != c.GID && f.broken == "" && !s.auxGroups() {
		f.broken = fmt.Sprintf("newuidmap refuses callers whose current group (%d) is not their login group (%d)", c.GID, group)
		f.fix = "start rl from a fresh login shell, not below newgrp or sg"
	}
	if f.name = name; name == "" {
		f.name = "uid " + number
	}
	if s.subidSource() != "files" {
		f.subUIDs, f.subGIDs = s.getsubids(name)
		return
	}
	uids, _ := s.read("/etc/subuid")
	gids, _ := s.read("/etc/subgid")
	f.subUIDs, f.subGIDs = owned(uids, name, number), owned(gids, name, number)
	if f.fix == "" && (len(f.subUIDs) == 0 || len(f.subGIDs) == 0) {
		f.fix = AddRanges(name, uids, gids)
	}
}

// login looks uid up in /etc/passwd.
func (s Source) login(uid uint32) (name string, gid uint32) {
	data, _ := s.read("/etc/passwd")
	number := strconv.FormatUint(uint64(uid), 10)
	for line := range strings.SplitSeq(data, "\n") {
		user, rest, _ := strings.Cut(line, ":")
		_, rest, _ = strings.Cut(rest, ":")
		if id, rest, _ := strings.Cut(rest, ":"); id == number {
			group, _, _ := strings.Cut(rest, ":")
			n, _ := strconv.ParseUint(group, 10, 32)
			return user, uint32(n)
		}
	}
	return "", 0
}

// auxGroups is GRANT_AUX_GROUP_SUBIDS of login.defs(5): newuidmap then takes callers below newgrp(1).
func (s Source) auxGroups() bool {
	data, _ := s.read("/etc/login.defs")
	for line := range strings.SplitSeq(data, "\n") {
		if f := strings.Fields(line); len(f) == 2 && f[0] == "GRANT_AUX_GROUP_SUBIDS" {
			return strings.EqualFold(f[1], "yes")
		}
	}
	return false
}

// foreignLogin asks NSS for a user that /etc/passwd doesn't know (LDAP, sssd); env is the fallback where there is no
// getent: a wrong name gives no ids, newuidmap checks it.
func (s Source) foreignLogin(number, env string) string {
	if s.Root == "" {
		if out, err := output(find("getent"), "passwd", number); err == nil {
			name, _, _ := strings.Cut(out, ":")
			return name
		}
	}
	return env
}

// subidSource is the word after "subid:" in nsswitch.conf(5), "files" without one. Only the first counts (libsubid).
func (s Source) subidSource() string {
	data, _ := s.read("/etc/nsswitch.conf")
	for line := range strings.SplitSeq(data, "\n") {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "subid:"); ok {
			rest, _, _ = strings.Cut(rest, "#")
			if words := strings.Fields(rest); len(words) > 0 {
				return words[0]
			}
		}
	}
	return "files"
}

// getsubids asks the library behind newuidmap, which knows the sources that are no files.
func (s Source) getsubids(name string) (uids, gids []span) {
	tool := find("getsubids")
	if u, err := output(tool, name); err == nil {
		uids = parseGetsubids(u)
	}
	if g, err := output(tool, "-g", name); err == nil {
		gids = parseGetsubids(g)
	}
	return uids, gids
}

// own reads the extents of the caller's namespace.
func (s Source) own(path string) ([]span, error) {
	data, err := s.read(path)
	if err != nil {
		return nil, err
	}
	var spans []span
	for line := range strings.Lines(data) {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		first, err1 := strconv.ParseUint(f[0], 10, 32)
		size, err2 := strconv.ParseUint(f[2], 10, 32)
		if err1 == nil && err2 == nil {
			spans = append(spans, span{uint32(first), uint32(size)})
		}
	}
	return spans, nil
}

func (s Source) caller() Caller {
	if s.As != nil {
		return *s.As
	}
	c := Caller{UID: uint32(unix.Geteuid()), GID: uint32(unix.Getegid())}
	c.User, _ = syscall.Getenv("USER")
	c.Paths, _ = syscall.Getenv("PATH")
	if c.UID == 0 {
		c.Caps = effective()
		return c
	}
	nnp, _ := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	u, _ := unix.PrctlRetInt(unix.PR_CAPBSET_READ, unix.CAP_SETUID, 0, 0, 0)
	g, _ := unix.PrctlRetInt(unix.PR_CAPBSET_READ, unix.CAP_SETGID, 0, 0, 0)
	c.NoNewPrivs, c.Bounding = nnp == 1, u == 1 && g == 1
	return c
}

func effective() uint64 {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if unix.Capget(&hdr, &data[0]) != nil {
		return 0
	}
	return uint64(data[1].Effective)<<32 | uint64(data[0].Effective)
}

// read is os.ReadFile without the poller and the stat: this runs at every start.
func (s Source) read(path string) (string, error) {
	fd, err := unix.Open(s.Root+path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", pathError("open", path, err)
	}
	defer unix.Close(fd)
	buf := make([]byte, 0, 8192)
	for {
		n, err := unix.Read(fd, buf[len(buf):cap(buf)])
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return "", pathError("read", path, err)
		case n == 0:
			return string(buf), nil
		}
		if buf = buf[:len(buf)+n]; len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
	}
}
