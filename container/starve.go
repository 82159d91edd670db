package container

import (
	"os"
	"sync/atomic"

	"github.com/rl-containers/rl/cgroup"
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
