package container

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/storage"
	"github.com/rl-containers/rl/sys"
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
	for waited := time.Duration(0); waited < patience(s, err) || s.Running && waited < 10*time.Second && exiting(s.Pid); waited += 2 * time.Millisecond {
		if now, there := storage.LookAt(s.Dir); !there || lostRecord(s, &now) || now.Running != s.Running || now.Pid != s.Pid {
			return meanwhile(s, verb, there && !lostRecord(s, &now))
		}
		time.Sleep(2 * time.Millisecond)
	}
	return err
}

// exiting: the process has begun to end (PF_EXITING in its flags, proc(5)), or has ended.
func exiting(pid int) bool {
	f, err := sys.StatFields(pid)
	if err != nil {
		return true
	}
	flags, _ := strconv.ParseUint(f[6], 10, 64)
	return flags&4 != 0
}

// lostRecord: what is left of it has no record any more.
func lostRecord(s, now *storage.State) bool { return now.Image == "" && s.Image != "" }

// patience is how long a sign of the end is waited for where the error may be one, and not at all where it is of another kind.
func patience(s *storage.State, err error) time.Duration {
	for _, sign := range []error{syscall.ENOMEM, syscall.ESRCH, syscall.EPIPE, io.EOF, io.ErrUnexpectedEOF} { // clone(2) has no memory for a pid namespace that ends
		if errors.Is(err, sign) {
			return 200 * time.Millisecond
		}
	}
	var path *fs.PathError
	if errors.As(err, &path) && (strings.HasPrefix(path.Path, "/proc/") || strings.HasPrefix(path.Path, s.Dir)) {
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
