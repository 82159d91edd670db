package container

import (
	"errors"
	"os"
	"strconv"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/cgroup"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/storage"
)

// starving tells, while a container runs, of each time that the kernel kills something in it because its memory limit is reached. nil
// is a container that has none.
type starving struct {
	file  *os.File
	group *cgroup.Group
	told  atomic.Uint64
	done  chan struct{}
}

// watchMemory calls tell from a goroutine. g must stay open until end.
func watchMemory(g *cgroup.Group, tell func()) *starving {
	if g.MemoryLimit() == 0 {
		return nil
	}
	file, err := g.Watch()
	if err != nil {
		return nil // the end tells of them all the same
	}
	s := &starving{file: file, group: g, done: make(chan struct{})}
	go s.follow(tell)
	return s
}

func (s *starving) follow(tell func()) {
	defer close(s.done)
	news := make([]byte, 256) // what changed is known
	for {
		if _, err := s.file.Read(news); err != nil {
			return
		}
		if kills := s.group.OOMKills(); kills > s.told.Load() {
			s.told.Store(kills)
			tell()
		}
	}
}

// end stops that. The result is whether there were any that were not told of.
func (s *starving) end(g *cgroup.Group) (untold bool) {
	if s == nil {
		return g.OOMKills() > 0
	}
	s.file.Close()
	<-s.done
	return g.OOMKills() > s.told.Load()
}

// outOfMemory tells what the kernel killed in the container because its memory limit was reached; "" for nothing. code is its exit code.
func outOfMemory(g *cgroup.Group, code int) string {
	if g.OOMKills() == 0 {
		return ""
	}
	limit := ""
	if n := g.MemoryLimit(); n > 0 {
		limit = " (limit " + binarySize(n) + ")"
	}
	if code == 137 {
		return "killed: out of memory" + limit
	}
	return "a process of it was killed: out of memory" + limit
}

// binarySize is a size in the greatest unit that it is a whole number of.
func binarySize(n uint64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	at := 0
	for n >= 1024 && n%1024 == 0 && at < len(units)-1 {
		n /= 1024
		at++
	}
	return strconv.FormatUint(n, 10) + " " + units[at]
}

// killedInside tells of a process of rl exec that the kernel killed because the container had no memory left; kills is how many
// it had killed before.
func killedInside(s *storage.State, kills uint64, code int) string {
	if s.Cgroup == "" || code != 137 {
		return ""
	}
	g := cgroup.Reopen(s.Cgroup)
	defer g.Close()
	if g.OOMKills() == kills {
		return ""
	}
	return outOfMemory(g, code)
}

// starved explains a start that failed by the container's own limits.
func (r *run) starved(err error) error {
	switch why := outOfMemory(r.group, 137); {
	case err == nil:
	case why != "":
		return hint.Errorf("a greater --memory", "start container: %s", why)
	case r.group.ForksRefused() > 0, errors.Is(err, unix.EAGAIN) && r.group != nil:
		return hint.Errorf("a greater --pids-limit: the start itself takes about ten, for a moment", "start container: its limit of processes is reached (%w)", err)
	}
	return err
}
