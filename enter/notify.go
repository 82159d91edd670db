package enter

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/sys"
)

// agent hands the listener of a seccomp filter to whoever decides about system calls (runtime-spec config-linux.md, "The
// Container Process State"). The thread that has the filter may not even send a message any more without an answer from the
// agent; so another thread of this process, which has no filter, does it. The two speak by memory only.
type agent struct {
	conn     int
	message  []byte
	listener atomic.Int64 // of the filter, once it is installed
	outcome  atomic.Int64 // 1: sent, else an errno, negative
}

func newAgent(p *Process) *agent {
	a := &agent{conn: p.Notify, message: p.NotifyMessage}
	debug.SetGCPercent(-1) // a collection would stop the filtered thread by a signal
	runtime.GOMAXPROCS(2)  // userns gives one, and the filtered thread doesn't let go of its processor
	go a.serve()
	return a
}

func (a *agent) serve() {
	runtime.LockOSThread()
	for a.listener.Load() == 0 {
		time.Sleep(50 * time.Microsecond)
	}
	err := unix.Sendmsg(a.conn, a.message, unix.UnixRights(int(a.listener.Load())), nil, unix.MSG_NOSIGNAL)
	var errno unix.Errno
	if errors.As(err, &errno) {
		a.outcome.Store(-int64(errno))
		return
	}
	unix.Close(int(a.listener.Load()))
	a.outcome.Store(1)
}

// install loads the last filter of the process, with a listener.
func (a *agent) install(program []byte, flags uint) error {
	fd, err := sys.InstallFilter(program, flags|unix.SECCOMP_FILTER_FLAG_NEW_LISTENER)
	if err != nil {
		return err
	}
	a.listener.Store(int64(fd))
	for a.outcome.Load() == 0 { // no system call from here on
	}
	if e := a.outcome.Load(); e != 1 {
		return fmt.Errorf("send listener to seccomp agent: %w", unix.Errno(-e))
	}
	return nil
}
