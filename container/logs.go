package container

import (
	"io"
	"time"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/logs"
	"github.com/rl-containers/rl/storage"
)

// who is the container for its log.
func (r *run) who() logs.Who {
	return logs.Who{ID: r.id, Name: r.Name, Image: r.Image, ImageID: r.image.ID}
}

func (r *run) openLog() (err error) {
	r.log, err = logs.Open(r.dir.Lock(), r.Log, r.who())
	return err
}

// LogsRequest is `rl logs` as typed, for one container.
type LogsRequest struct {
	Since, Until time.Time
	// Tail is how many lines, -1 all.
	Tail       int
	Follow     bool
	Timestamps bool
	// Prefix is put before each line.
	Prefix         string
	Stdout, Stderr io.Writer
}

// Logs shows what a container wrote. Following ends with the container, not with a restart by its policy.
func Logs(s *storage.State, req LogsRequest) error {
	c, err := ReadConfig(s.Dir)
	if s.Remove && (err != nil || !c.Request.Detached) {
		return hint.Errorf("rl run -d --rm keeps a log while it runs, rl run without --rm for longer",
			"logs of container %s: none is kept of a container that runs with --rm in the foreground", s.Name)
	}
	if err != nil {
		return err
	}
	return logs.Read(s.Dir, c.Request.Log, logs.Who{ID: s.ID, Name: s.Name}, logs.Options{Since: req.Since, Until: req.Until, Tail: req.Tail,
		Follow: req.Follow, Ended: func() bool { return silent(s.Dir) }, Timestamps: req.Timestamps, Prefix: req.Prefix, Stdout: req.Stdout, Stderr: req.Stderr})
}

// silent: nothing more is written to the log until somebody starts it again.
func silent(dir string) bool {
	now, there := storage.LookAt(dir)
	return !there || !now.Running && now.Status != storage.Restarting
}
