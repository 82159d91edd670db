package storage

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// healthFile is what the checks of a life found: written by whoever made the last check.
const healthFile = "health.json"

// Health is what the health checks of one life of a container found.
type Health struct {
	// Pid, Start and BootID name the life, as in Life.
	Pid    int
	Start  uint64
	BootID string
	// Status is one of those below.
	Status        string
	FailingStreak int
	// Log has the last checks, the newest at the end.
	Log []Check
}

// Check is one health check. The ExitCode of one that took too long is -1. Output is its beginning.
type Check struct {
	Start, End time.Time
	ExitCode   int
	Output     string
}

// What a health is called, as docker and podman do. Unwatched is rl's own: nobody checks since the monitor was killed.
const (
	Starting  = "starting"
	Healthy   = "healthy"
	Unhealthy = "unhealthy"
	Stopped   = "stopped"
	Unwatched = "unwatched"
)

// Health is how the container is; nil: it has no health check, or never ran. A file that an earlier life left says nothing of this
// one, and what the last check found is no news where nobody makes the next.
func (s *State) Health() *Health {
	if !s.Healthcheck || s.Pid == 0 {
		return nil
	}
	h := s.lastHealth()
	switch {
	case !s.Running:
		h.Status = Stopped
	case !s.Monitored && !monitored(s.Dir):
		h.Status = Unwatched
	}
	return h
}

// lastHealth is what was written of this life.
func (s *State) lastHealth() *Health {
	b, _ := os.ReadFile(filepath.Join(s.Dir, healthFile))
	return s.parseHealth(b)
}

func (s *State) parseHealth(b []byte) *Health {
	h := new(Health)
	if json.Unmarshal(b, h) != nil || h.Pid != s.Pid || h.Start != s.Start || h.BootID != s.BootID {
		return &Health{Pid: s.Pid, Start: s.Start, BootID: s.BootID, Status: Starting}
	}
	return h
}

// ChangeHealth writes the result of a check; two at once come one after the other. It returns what was written. The error of a
// container that is removed meanwhile is fs.ErrNotExist.
func (s *State) ChangeHealth(change func(*Health)) (*Health, error) {
	f, err := lockFile(filepath.Join(s.Dir, healthFile))
	if err != nil {
		return nil, explainDisk("write the health of the container", err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	h := s.parseHealth(b)
	change(h)
	return h, (&Container{Dir: s.Dir}).Write(healthFile, h)
}

// lockFile opens a file that is replaced under its own lock: of two that wait, the second finds another file than it has.
func lockFile(path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		if err := flock(f, unix.LOCK_EX); err != nil {
			f.Close()
			return nil, err
		}
		mine, _ := f.Stat()
		if now, err := os.Stat(path); err == nil && os.SameFile(mine, now) {
			return f, nil
		}
		f.Close()
	}
}
