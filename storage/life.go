package storage

import (
	"syscall"
	"time"

	"github.com/rl-containers/rl/sys"
)

// Life is what became of a container: state.json in its directory, written only by whoever holds the directory's lock.
type Life struct {
	// Pid and Start (clock ticks after boot, proc(5) stat field 22) name the first process beyond doubt, within the boot
	// BootID. Pid 0: none was started.
	Pid     int       `json:",omitempty"`
	Start   uint64    `json:",omitempty"`
	BootID  string    `json:",omitempty"`
	Started time.Time `json:",omitzero"`
	// Detached: it lives on when its monitor is killed.
	Detached bool `json:",omitempty"`
	// Ports are the published ports, as podman shows them.
	Ports []string `json:",omitempty"`
	// Cgroup is the directory below /sys/fs/cgroup, "" for none of its own.
	Cgroup string `json:",omitempty"`
	// Restarts counts those by the restart policy; Restarting: the next is near.
	Restarts   int  `json:",omitempty"`
	Restarting bool `json:",omitempty"`
	// Finished is zero while it runs. ExitCode is the program's own, 128+n for signal n.
	Finished  time.Time `json:",omitzero"`
	ExitCode  int       `json:",omitempty"`
	OOMKilled bool      `json:",omitempty"`
	// Error says why the start failed, or what is unknown.
	Error string `json:",omitempty"`
}

// ReadLife reads the life of the container in dir. A container that never ran has none.
func ReadLife(dir string) (*Life, error) {
	l := new(Life)
	text, err := readFile(dir, stateFile)
	if err == nil {
		err = broken(dir, stateFile, parseLife(text, l))
	}
	return l, err
}

// WriteLife replaces it.
func (c *Container) WriteLife(l *Life) error { return c.Write(stateFile, l) }

// Process is the container's first process, if it is alive.
func (l *Life) Process() (*sys.Process, error) {
	if l.Pid <= 1 || !l.Finished.IsZero() || l.BootID != sys.BootID() {
		return nil, syscall.ESRCH
	}
	return sys.FindProcess(l.Pid, l.Start)
}

// alive tells whether the process that the life names is there; a zombie isn't. still: it stands still after SIGSTOP.
func (l *Life) alive(boot string) (alive, still bool) {
	if l.Pid <= 1 || !l.Finished.IsZero() || l.BootID != boot {
		return false, false
	}
	state, start, err := sys.Stat(l.Pid)
	return err == nil && start == l.Start && state != 'Z' && state != 'X', state == 'T'
}

// kill ends the process and waits for that.
func (l *Life) kill() {
	p, err := l.Process()
	if err != nil {
		return
	}
	defer p.Close()
	p.Kill()
	p.Ended(2000)
}

// What a state is called, as docker and podman do.
const (
	Created    = "created"
	Running    = "running"
	Restarting = "restarting"
	Exited     = "exited"
)

// unknownCode is the exit code of a container whose end nobody saw: docker's, after a crash of its daemon.
const unknownCode = 255

const lostMonitor = "nobody saw it end: its monitor was killed"

// judge derives what is from what was written and what the kernel says. Most containers need not be asked whether somebody watches
// them: one that has ended, and one whose process lives.
func (s *State) judge(boot string, monitored func() bool) {
	alive := false
	switch {
	case !s.Finished.IsZero() && s.Restarting && monitored():
		s.Status = Restarting
	case !s.Finished.IsZero():
		s.Status = Exited
	case s.Pid == 0:
		s.Status = Created
	default:
		if alive, s.Still = s.alive(boot); alive || s.BootID == boot && monitored() {
			s.Status = Running
			break
		}
		s.Status, s.ExitCode, s.Finished = Exited, unknownCode, s.Started
		s.Error = lostMonitor
		if s.BootID != boot {
			s.Error = "the machine went down while it ran"
		}
	}
	s.Running = s.Status == Running
	if s.Running && len(s.Ports) > 0 && !monitored() {
		s.Ports = nil // who published them is dead
	}
}

// doubtful: nobody seems to have seen the end, or to make the restart. Where the life was read before the lock was asked for, a
// monitor may have written the end, and gone, in between. look asks in the other order, in which what is read is final.
func (s *State) doubtful() bool {
	return s.Status == Exited && (s.Error == lostMonitor || s.Restarting)
}
