package container

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/rl-containers/rl/enter"
	"github.com/rl-containers/rl/plan"
	"github.com/rl-containers/rl/slirp"
	"github.com/rl-containers/rl/storage"
	"github.com/rl-containers/rl/sys"
	"github.com/rl-containers/rl/userns"
)

// start starts the program, by the next rung of the root file system where the first is refused.
func (r *run) start() error {
	r.plan.Process.Detached = r.front == nil
	if r.Rootfs == "" {
		r.plan.Root.Dir = r.dir.Dir
		if err := r.reuse(); err != nil {
			return err
		}
	}
	if err := r.mountVolumes(); err != nil {
		return err
	}
	if err := r.openGroup(); err != nil {
		return err
	}
	err := r.try()
	if r.fallBack(err) {
		err = r.try()
	}
	// Not before: a second child needs the same files, and signals wait for it.
	r.io.Started()
	close(r.running)
	return r.starved(err)
}

// try is a start from clone to the program's first instruction.
func (r *run) try() (err error) {
	sys.EmptyKeyring()
	config := userns.Config{Namespaces: plan.NamespaceFlags(r.spec.Spec), Map: r.ids, Stdio: r.io.Files(), Args: r.tap(), Detached: r.front == nil}
	if err := r.join(&config); err != nil {
		return err
	}
	if err := r.preserve(&config); err != nil {
		return err
	}
	if config.Cgroup, err = r.cloneInto(); err != nil {
		return err
	}
	restore, err := r.scoreOOM()
	if err != nil {
		return err
	}
	r.tellStart(&config)
	r.proc, err = userns.Start(config)
	restore()
	for _, f := range slices.Concat(config.Join, config.Extra, []*os.File{config.Cgroup}) {
		f.Close()
	}
	if err != nil {
		return r.explainJoin(err)
	}
	if err := r.launch(); err != nil {
		r.proc.Abort()
		return r.fuseSaid(r.explainJoin(err))
	}
	return nil
}

// launch carries the child over the two steps of the protocol: the plan, and the word to go.
func (r *run) launch() error {
	err := r.proc.Send(func(w io.Writer) error { return enter.WritePlan(w, r.plan) })
	if err != nil {
		return err
	}
	if r.caught == nil && r.front != nil {
		r.caught = catchSignals(r)
	}
	if len(r.tap()) > 0 {
		if _, _, err := r.proc.Next(); err != nil {
			return fmt.Errorf("start container: %w", err)
		}
	}
	if !r.Options.SharedNetwork {
		if r.net, err = slirp.Start(r.mode, r.ports, r.proc.Pid, r.dir.Dir); err != nil {
			return err
		}
	}
	if err := r.born(); err != nil {
		return err
	}
	step("process %d: is on record", r.proc.Pid)
	if r.plan.Root.Kind == enter.Fuse || r.plan.Process.Terminal {
		if err := r.takeDescriptors(); err != nil {
			return err
		}
	}
	if err := r.net.Ready(10 * time.Second); err != nil {
		return r.firstFailure(err)
	}
	step("network: up")
	r.sayPorts()
	if r.caught != nil {
		<-r.caught
	}
	return r.letGo()
}

// letGo lets the program start, and waits for that.
func (r *run) letGo() error {
	r.going.Store(true)
	if err := r.proc.Go(); err != nil {
		return err
	}
	if _, _, err := r.proc.Next(); err != io.EOF {
		return err
	}
	step("process %d: the program runs", r.proc.Pid)
	return nil
}

// firstFailure prefers the child's own failure over the helper's, which may be its consequence.
func (r *run) firstFailure(helper error) error {
	if r.proc.Failed() {
		if _, _, err := r.proc.Next(); err != nil && err != io.EOF {
			return err
		}
	}
	return helper
}

// takeDescriptors receives what the child opens for the outside: the FUSE device, then the terminal.
func (r *run) takeDescriptors() error {
	want := 0
	if r.plan.Root.Kind == enter.Fuse {
		want++
	}
	if r.plan.Process.Terminal {
		want++
	}
	for range want {
		letter, f, err := r.proc.Next()
		if err == io.EOF {
			return errors.New("start container: the child died without a word")
		}
		if err != nil {
			return err
		}
		switch letter {
		case 'f':
			r.fuse, err = serveFuse(f, r)
			f.Close()
		case 't':
			err = r.io.Attach(f)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// born writes down whose process it is, so that any other rl can find it, and end what a killed one left.
func (r *run) born() error {
	start, err := sys.StartTime(r.proc.Pid)
	if err != nil {
		return err
	}
	r.life = storage.Life{Pid: r.proc.Pid, Start: start, BootID: sys.BootID(), Started: time.Now(), Detached: r.front == nil, Restarts: r.life.Restarts, Cgroup: r.group.Dir()}
	for _, p := range r.net.Ports() {
		r.life.Ports = append(r.life.Ports, p.Shown())
	}
	if err := r.dir.WriteLife(&r.life); err != nil {
		return err
	}
	if r.MonitorPidFile != "" {
		if err := sys.WritePidFile(r.MonitorPidFile, os.Getpid()); err != nil {
			return err
		}
	}
	return sys.WritePidFile(r.PidFile, r.proc.Pid)
}

// fallBack takes the next rung of the root file system when the kernel or the file system of the store refused the first.
func (r *run) fallBack(err error) bool {
	var refused *userns.Refused
	if !errors.As(err, &refused) || r.plan.Root.Kind != enter.Overlay || r.StorageDriver == "overlay" {
		return false
	}
	if _, missing := hostProgram("fuse-overlayfs"); missing != nil {
		return false
	}
	r.say("note: native overlay is refused here, fuse-overlayfs serves the root file system (rl doctor tells why)")
	r.plan.Root.Kind = enter.Fuse
	if r.net != nil {
		r.net.Close()
	}
	return true
}
