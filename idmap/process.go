package idmap

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// OfProcess is the mapping of the user namespace that a process is in, as the caller's namespace counts (user_namespaces(7),
// "/proc/PID/uid_map").
func OfProcess(pid int) (m Map, err error) {
	if m.UIDs, err = readMap(pid, "uid_map"); err != nil {
		return m, err
	}
	if m.GIDs, err = readMap(pid, "gid_map"); err != nil {
		return m, err
	}
	m.Rung = Subid
	if len(m.UIDs) == 1 && m.UIDs[0].Size == 1 {
		m.Rung = Single
	}
	return m, nil
}

func readMap(pid int, name string) ([]Range, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/" + name)
	if err != nil {
		return nil, fmt.Errorf("read mapping of ids: %w", err)
	}
	var all []Range
	for line := range strings.Lines(string(b)) {
		var r Range
		if _, err := fmt.Sscan(line, &r.Container, &r.Host, &r.Size); err != nil {
			return nil, fmt.Errorf("read mapping of ids: %q: %w", line, err)
		}
		all = append(all, r)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("read mapping of ids: process %d has none", pid)
	}
	return all, nil
}
