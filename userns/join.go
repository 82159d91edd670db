package userns

import (
	"fmt"
	"os"
	"strconv"
)

// OfProcess are the namespaces of a process that the caller isn't in already, in the order in which they are entered: the user
// namespace gives the right to the others, the mount namespace goes last, since names are looked up in it.
func OfProcess(pid int) ([]*os.File, error) {
	var all []*os.File
	for _, name := range []string{"user", "cgroup", "ipc", "uts", "net", "pid", "time", "mnt"} {
		path := "/ns/" + name
		theirs, err := os.Readlink("/proc/" + strconv.Itoa(pid) + path)
		if os.IsNotExist(err) {
			continue // a kernel without this kind
		}
		if err != nil {
			return nil, fmt.Errorf("namespaces of process %d: %w", pid, err)
		}
		if ours, _ := os.Readlink("/proc/self" + path); ours == theirs {
			continue
		}
		f, err := os.Open("/proc/" + strconv.Itoa(pid) + path)
		if err != nil {
			return nil, fmt.Errorf("namespaces of process %d: %w", pid, err)
		}
		all = append(all, f)
	}
	return all, nil
}
