package idmap

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
)

// patience is how long newuidmap and newgidmap may take: they ask NSS, which may be a network away.
const patience = 10 * time.Second

func (r Range) line() string {
	return strconv.FormatUint(uint64(r.Container), 10) + " " + strconv.FormatUint(uint64(r.Host), 10) + " " +
		strconv.FormatUint(uint64(r.Size), 10) + "\n"
}

// Write gives the process pid its mapping. The process must be a child of the caller, in a new user namespace that the
// caller made, and not yet reaped, so that the number can't have become another process. Write is possible once.
func (m Map) Write(pid int) error {
	if m.Rung == Subid {
		return m.writeSubid(pid)
	}
	dir := "/proc/" + strconv.Itoa(pid) + "/"
	if m.Rung == Single {
		if err := put(dir+"setgroups", "deny"); err != nil {
			return m.explain(err)
		}
	}
	if err := put(dir+"uid_map", text(m.UIDs)); err != nil {
		return m.explain(err)
	}
	return m.explain(put(dir+"gid_map", text(m.GIDs)))
}

func text(rs []Range) string {
	var b strings.Builder
	for _, r := range rs {
		b.WriteString(r.line())
	}
	return b.String()
}

// put writes a file of proc in one write(2), as the maps demand.
func put(path, content string) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return pathError("open", path, err)
	}
	defer unix.Close(fd)
	if _, err := unix.Write(fd, []byte(content)); err != nil {
		return pathError("write", path, err)
	}
	return nil
}

// explain turns the errno of map_write (kernel/user_namespace.c) into advice.
func (m Map) explain(err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("map ids (%s): %w", m, err)
	if m.Rung == Direct && effective()&(1<<unix.CAP_SETFCAP) == 0 {
		return hint.With(err, "Linux 5.12 and later want CAP_SETFCAP of who maps uid 0: start the outer container with --cap-add SETFCAP, or run as an ordinary user")
	}
	return hint.With(err, "rl doctor   (tells what this kernel allows)")
}

// writeSubid runs the two helpers side by side: most of their time is their own start.
func (m Map) writeSubid(pid int) error {
	var jobs [2]*job
	for i, argv := range [2][]string{m.argv(m.newuidmap, pid, m.UIDs), m.argv(m.newgidmap, pid, m.GIDs)} {
		j, err := start(argv)
		if err != nil {
			abandon(jobs[:i])
			return hint.With(fmt.Errorf("start %s: %w", argv[0], err), "rl doctor")
		}
		jobs[i] = j
	}
	if err := finish(jobs[:], patience); err != nil {
		return err
	}
	for _, j := range jobs {
		if err := j.failure(); err != nil {
			return hint.With(err, advice(err.Error())...)
		}
	}
	return nil
}

func (m Map) argv(tool string, pid int, rs []Range) []string {
	argv := append(make([]string, 0, 2+3*len(rs)), tool, strconv.Itoa(pid))
	for _, r := range rs {
		argv = append(argv, strings.Fields(r.line())...)
	}
	return argv
}

// advice reads the message of newuidmap or newgidmap (shadow, src/newuidmap.c and lib/idmapping.c).
func advice(msg string) []string {
	switch {
	case strings.Contains(msg, "not allowed"):
		return []string{"/etc/subuid, /etc/subgid or their NSS source don't grant this range to you (anymore): rl doctor"}
	case strings.Contains(msg, "owned by a different user"):
		return []string{"your current group is not your login group (newgrp, sg): start rl from a fresh login shell"}
	case strings.Contains(msg, "_map failed: Operation not permitted"):
		return []string{"newuidmap runs without its privilege, or the range doesn't exist in this user namespace (cat /proc/self/uid_map): rl doctor"}
	case strings.Contains(msg, "_map failed: Invalid argument"):
		return []string{"two ranges overlap: rl doctor shows the lines"}
	}
	return []string{"rl doctor"}
}
