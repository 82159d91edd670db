// Package idmap decides which user and group ids exist inside a container, and tells the kernel (user_namespaces(7)).
//
// Mine climbs down a ladder and stops at the first rung that holds:
//
//	Direct  the caller is root with CAP_SETUID and CAP_SETGID: every id that it has, under its own number
//	Subid   the ranges of /etc/subuid and /etc/subgid (subuid(5)), written by newuidmap(1) and newgidmap(1)
//	Single  one id: container root is the caller; the kernel grants this to everybody
//
// It is on the path of every start: no exec, a few small files, one stat and one statfs for each helper.
package idmap

import (
	"fmt"
	"strings"
)

// Rung says how a Map reaches the kernel.
type Rung int

// The rungs, the best first.
const (
	Direct Rung = iota
	Subid
	Single
)

func (r Rung) String() string {
	switch r {
	case Direct:
		return "direct"
	case Subid:
		return "subid"
	default:
		return "single"
	}
}

// Range is one line of /proc/PID/uid_map: Size ids from Container on, inside, are those from Host on, as the namespace of
// the caller counts them.
type Range struct {
	Container uint32 `json:"container_id"`
	Host      uint32 `json:"host_id"`
	Size      uint32 `json:"size"`
}

// Map is a whole mapping.
type Map struct {
	UIDs, GIDs []Range
	Rung       Rung
	// Note is for the user when a rung below the best is used: one line that says why and what it means; "" otherwise.
	Note string
	// Fix is the command that brings the better rung; "" when there is none.
	Fix string

	denied               bool   // setgroups(2) is denied in the caller's namespace
	newuidmap, newgidmap string // absolute paths, of the Subid rung
}

// Mine is the mapping of the calling user for a --userns mode:
//
//	"", "host"              0 is the caller, 1.. are its ranges in their order. (podman's rootless "host" is its own user
//	                        namespace, which is mapped just so.)
//	"keep-id[:uid=N,gid=N]" the caller keeps its number, or gets N; the ids around it are from the ranges
//	"nomap"                 the caller has no number; 0.. are its ranges
func Mine(mode string) (Map, error) { return Source{}.Map(mode) }

// NoGroups is true where setgroups(2) is denied inside: the kernel wants that before one gid is mapped without privilege
// (CVE-2014-8989), and namespaces inherit it.
func (m Map) NoGroups() bool { return m.Rung == Single || m.denied }

// HostUID is the caller's number of the container's uid; false where it isn't mapped.
func (m Map) HostUID(id uint32) (uint32, bool) { return toHost(m.UIDs, id) }

// HostGID is the caller's number of the container's gid; false where it isn't mapped.
func (m Map) HostGID(id uint32) (uint32, bool) { return toHost(m.GIDs, id) }

// ContainerUID is the number inside of one of the caller's uids; false where it isn't mapped.
func (m Map) ContainerUID(id uint32) (uint32, bool) { return toContainer(m.UIDs, id) }

// ContainerGID is the number inside of one of the caller's gids; false where it isn't mapped.
func (m Map) ContainerGID(id uint32) (uint32, bool) { return toContainer(m.GIDs, id) }

func toHost(rs []Range, id uint32) (uint32, bool) {
	for _, r := range rs {
		if id >= r.Container && id-r.Container < r.Size {
			return r.Host + (id - r.Container), true
		}
	}
	return 0, false
}

func toContainer(rs []Range, id uint32) (uint32, bool) {
	for _, r := range rs {
		if id >= r.Host && id-r.Host < r.Size {
			return r.Container + (id - r.Host), true
		}
	}
	return 0, false
}

// String is the mapping for people: "uids 0→1000 1→100000+65536, gids 0→1000 1→100000+65536 (subid)".
func (m Map) String() string { return m.Lines() + " (" + m.Rung.String() + ")" }

// Lines is String without the rung.
func (m Map) Lines() string { return "uids " + join(m.UIDs) + ", gids " + join(m.GIDs) }

func join(rs []Range) string {
	words := make([]string, len(rs))
	for i, r := range rs {
		words[i] = fmt.Sprintf("%d→%d", r.Container, r.Host)
		if r.Size > 1 {
			words[i] += fmt.Sprintf("+%d", r.Size)
		}
	}
	return strings.Join(words, " ")
}
