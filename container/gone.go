package container

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"syscall"
	"time"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/storage"
)

// gone explains what failed because the container ended, or was removed, meanwhile: what the kernel says of a process that is no more,
// or of a directory, names neither.
func gone(s *storage.State, verb string, err error) error {
	var exit *hint.Exit
	if err == nil || errors.As(err, &exit) && exit.Code != 125 {
		return err
	}
	// A first process that is being killed gives its namespaces back, and waits for those who live in them, before it counts as ended;
	// and then its monitor has the end to write down.
	for waited := time.Duration(0); waited < patience(s, err); waited += 2 * time.Millisecond {
		if now, there := storage.LookAt(s.Dir); !there || lostRecord(s, &now) || now.Running != s.Running || now.Pid != s.Pid {
			return meanwhile(s, verb, there && !lostRecord(s, &now))
		}
		time.Sleep(2 * time.Millisecond)
	}
	return err
}

// lostRecord: what is left of it has no record any more.
func lostRecord(s, now *storage.State) bool { return now.Image == "" && s.Image != "" }

// patience is how long the end is waited for: long where the error is a sure sign of it, and not at all where it is of another kind.
func patience(s *storage.State, err error) time.Duration {
	var path *fs.PathError
	switch {
	case errors.As(err, &path) && strings.HasPrefix(path.Path, "/proc/"),
		errors.Is(err, syscall.ENOMEM), // clone(2), of a pid namespace whose first process is being killed
		errors.Is(err, syscall.ESRCH):
		return 10 * time.Second
	case path != nil && strings.HasPrefix(path.Path, s.Dir), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return 200 * time.Millisecond
	}
	return 2 * time.Millisecond
}

func meanwhile(s *storage.State, verb string, there bool) error {
	if !there {
		return &hint.Exit{Code: 1, Err: fmt.Errorf("%s container %s: it was removed at this moment", verb, s.Name)}
	}
	return hint.Errorf("rl ps -a", "%s container %s: it ended or was started again at this moment", verb, s.Name)
}
