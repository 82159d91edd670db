package cgroup

import (
	"fmt"
	"path"
	"strings"
)

// wish is where a container's cgroup is to be.
type wish struct {
	names    []string // components, the last one is the container's own
	absolute bool     // below the root of the hierarchy, else below the caller's cgroup
	given    bool     // the caller chose the name: another's cgroup of that name is not ours to evade
	base     string   // the only cgroup that it may be below; "" for those that bases tells
}

// maxName leaves room below NAME_MAX for the suffix of a name that is taken.
const maxName = 240

// parsePath reads linux.cgroupsPath, which comes from a bundle. The kernel takes any name but one with a newline; what could
// mean another directory, or drive a terminal that shows it, is refused.
func parsePath(cgroupsPath, id string) (wish, error) {
	if cgroupsPath == "" {
		name := "rl-oci-" + id
		return wish{names: []string{name[:min(len(name), maxName)]}}, checkName(id)
	}
	w := wish{absolute: strings.HasPrefix(cgroupsPath, "/"), given: true}
	for _, name := range strings.Split(unscoped(cgroupsPath), "/") {
		if name == "" || name == "." {
			continue
		}
		if err := checkName(name); err != nil {
			return wish{}, fmt.Errorf("cgroupsPath %q: %w", cgroupsPath, err)
		}
		w.names = append(w.names, name)
	}
	if len(w.names) == 0 {
		return wish{}, fmt.Errorf("cgroupsPath %q names no cgroup of the container's own", cgroupsPath)
	}
	return w, nil
}

// unscoped turns systemd's form SLICE:PREFIX:NAME, which engines pass to a runtime that is to ask systemd, into the name that the
// scope would have.
func unscoped(cgroupsPath string) string {
	parts := strings.Split(cgroupsPath, ":")
	if len(parts) != 3 || strings.Contains(cgroupsPath, "/") {
		return cgroupsPath
	}
	name := parts[2]
	if parts[1] != "" {
		name = parts[1] + "-" + name
	}
	if strings.HasSuffix(name, ".slice") {
		return name
	}
	return name + ".scope"
}

func checkName(name string) error {
	switch {
	case name == "..":
		return fmt.Errorf(`".." leads out`)
	case len(name) > maxName:
		return fmt.Errorf("a name of %d bytes is too long", len(name))
	case strings.Contains(name, "/"):
		return fmt.Errorf("%q is no single name", name)
	case strings.ContainsFunc(name, func(r rune) bool { return r < 0x20 || r == 0x7f }):
		return fmt.Errorf("a name with control characters")
	}
	return nil
}

// bases are the cgroups, as paths below the mount, that the wish is tried in: the one that it says, then the caller's own and
// its ancestors (one of them may be ours and free of processes).
func (w wish) bases(own string) []string {
	if w.base != "" {
		return []string{w.base}
	}
	var all []string
	if w.absolute {
		all = append(all, "/")
	}
	for dir := own; ; dir = path.Dir(dir) {
		all = append(all, dir)
		if dir == "/" {
			return all
		}
	}
}

// shared is the closest common ancestor of two cgroups. The kernel asks for the right to write its cgroup.procs.
func shared(a, b string) string {
	for !below(b, a) {
		a = path.Dir(a)
	}
	return a
}

// below: p is dir or below it.
func below(p, dir string) bool {
	return dir == "/" || p == dir || strings.HasPrefix(p, dir+"/")
}

// ownPath is the path of /proc/PID/cgroup in the hierarchy of version 2: relative to the root of the reader's cgroup namespace,
// and "" for a process outside it ("/.."), or where there is no version 2.
func ownPath(text string) string {
	for line := range strings.Lines(text) {
		p, ok := strings.CutPrefix(strings.TrimRight(line, "\n"), "0::")
		if !ok {
			continue
		}
		if !strings.HasPrefix(p, "/") || below(p, "/..") {
			return ""
		}
		// The kernel marks a removed cgroup; its processes have no place to start from.
		return path.Clean(strings.TrimSuffix(p, " (deleted)"))
	}
	return ""
}
