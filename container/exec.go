package container

import (
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/rl-containers/rl/enter"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/idmap"
	"github.com/rl-containers/rl/spec"
	"github.com/rl-containers/rl/stdio"
	"github.com/rl-containers/rl/storage"
	"github.com/rl-containers/rl/userns"
)

// ExecRequest is `rl exec` as typed.
type ExecRequest struct {
	Container   string
	Interactive bool
	Detached    bool
	DetachKeys  string
	// PreserveFds are so many descriptors from 3 on that the process gets.
	PreserveFds int
	Options     spec.ExecOptions
	// into takes what the process writes, instead of the caller's own outputs; then it reads nothing.
	into *os.File
}

// Exec runs a further process in a running container and stays with it, unless it is detached. The result is a *hint.Exit with
// the process's own exit code, or what failed. The process dies with the caller.
func Exec(req ExecRequest) error {
	runtime.LockOSThread()
	s, err := Find(req.Container)
	if err != nil {
		return err
	}
	if err := mustGo(s, "exec in"); err != nil {
		return err
	}
	r := &run{running: make(chan struct{})}
	if r.detach, err = stdio.ParseDetachKeys(req.DetachKeys); err != nil {
		return err
	}
	if err := r.startExec(s, &req); err != nil {
		return gone(s, "exec in", err)
	}
	told := make(chan struct{})
	go func() { happened(s, "exec"); close(told) }()
	if req.Detached {
		<-told
		return nil
	}
	code, err := r.stayExec()
	r.front.Restore()
	<-told
	if why := killedInside(s, r.killsBefore, code); why != "" {
		r.say(why)
	}
	if err != nil {
		return err
	}
	tell(s.Dir, endOf(&s.Record, "exec_died", code))
	return &hint.Exit{Code: code}
}

// planExec reads the container's configuration and compiles the process.
func (r *run) planExec(dir string, req *ExecRequest) error {
	c, err := ReadConfig(dir)
	if err != nil {
		return err
	}
	r.Request, r.SigProxy = c.Request, true
	if r.spec, err = c.Spec.ForExec(req.Options); err != nil {
		return err
	}
	if r.ids, err = idmap.Mine(r.Options.Userns); err != nil {
		return err
	}
	whole, err := compilePlan(r.spec, r.ids)
	if err != nil {
		return err
	}
	r.plan = &enter.Plan{Enter: true, Owner: whole.Owner, Process: whole.Process}
	r.plan.Process.Env = hostnameEnv(r.plan.Process.Env, r.spec.Spec.Hostname)
	r.plan.Process.Detached = req.Detached
	for fd := range req.PreserveFds {
		r.plan.Process.Preserve = append(r.plan.Process.Preserve, enter.FirstExtra+fd)
	}
	return nil
}

// startExec starts the process in the namespaces of the container's first one, and plans it while it boots.
func (r *run) startExec(s *storage.State, req *ExecRequest) error {
	config := userns.Config{Same: true, Detached: req.Detached}
	first, err := s.Process()
	if err != nil {
		return mustRun(&storage.State{Record: s.Record, Status: storage.Exited}, "exec in")
	}
	defer first.Close()
	config.Join, err = userns.OfProcess(s.Pid)
	if first.Ended(0) { // its number may be another's by now
		return mustRun(&storage.State{Record: s.Record, Status: storage.Exited}, "exec in")
	}
	if err != nil {
		return err
	}
	if s.Cgroup != "" {
		if config.Cgroup, err = r.joinGroup(s); err != nil {
			return err
		}
	}
	if err := r.openExec(req); err != nil {
		return err
	}
	for fd := range req.PreserveFds {
		config.Extra = append(config.Extra, os.NewFile(uintptr(3+fd), "preserved"))
	}
	config.Stdio = r.front.Files()
	r.proc, err = userns.Start(config)
	r.front.Started()
	for _, f := range append(config.Join, config.Cgroup) {
		f.Close()
	}
	if err != nil {
		return err
	}
	if err = r.planExec(s.Dir, req); err == nil {
		err = r.launchExec(req)
	}
	if err != nil {
		r.front.Restore()
		r.proc.Abort()
		return fmt.Errorf("exec in container %s: %w", s.Name, err)
	}
	return nil
}

func (r *run) openExec(req *ExecRequest) (err error) {
	switch {
	case req.Detached:
		r.front, err = stdio.Null()
	case req.into != nil:
		r.front, err = stdio.Into(req.into)
	default:
		r.front, err = stdio.Open(stdio.Wants{Stdin: req.Interactive, Stdout: true, Stderr: true}, req.Options.TTY, nil)
	}
	if err != nil {
		return err
	}
	r.io = r.front
	r.tellKeys("this process ends with rl exec; rl exec -d runs one that goes on")
	return nil
}

func (r *run) launchExec(req *ExecRequest) error {
	if err := r.proc.Send(func(w io.Writer) error { return enter.WritePlan(w, r.plan) }); err != nil {
		return err
	}
	if !req.Detached {
		r.caught = catchSignals(r)
	}
	if r.plan.Process.Terminal {
		if err := r.takeDescriptors(); err != nil {
			return err
		}
	}
	if r.caught != nil {
		<-r.caught
	}
	defer close(r.running)
	return r.letGo()
}

func (r *run) stayExec() (int, error) {
	r.front.Pump()
	status, err := r.proc.Wait()
	if err != nil {
		return 0, fmt.Errorf("wait for process: %w", err)
	}
	r.front.Drain()
	return exitCode(status), nil
}
