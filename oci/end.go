package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/cgroup"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/plan"
	"github.com/rl-containers/rl/sys"
)

// Kill sends sig to the container's process, or to all of its processes.
func (r *Runtime) Kill(id string, sig syscall.Signal, all bool) error {
	d, rec, err := r.get(id)
	if err != nil {
		return err
	}
	defer d.Close()
	if all {
		return r.killAll(d, rec, sig)
	}
	p, err := rec.process()
	if err != nil {
		return err
	}
	defer p.Close()
	if err := p.Signal(sig); err != nil {
		return fmt.Errorf("kill container %s: %w", id, err)
	}
	return nil
}

// killAll reaches those that a first process leaves behind where it has no pid namespace of its own.
func (r *Runtime) killAll(d *dir, rec *record, sig syscall.Signal) error {
	group := cgroup.Reopen(rec.Cgroup)
	if sig == unix.SIGKILL && group != nil {
		return group.Kill()
	}
	pids, err := processes(rec)
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if err := unix.Kill(pid, sig); err != nil && err != unix.ESRCH {
			return fmt.Errorf("kill process %d of container %s: %w", pid, d.id, err)
		}
	}
	return nil
}

// Delete removes a stopped container; with force any, and one that doesn't exist is no error.
func (r *Runtime) Delete(id string, force bool) error {
	d, err := r.open(id)
	var gone *NotFound
	if errors.As(err, &gone) && force {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.lock(); err != nil {
		return err
	}
	rec, err := d.record()
	if !d.named() { // another delete was faster; the name may be a new container's by now
		if force {
			return nil
		}
		return &NotFound{id}
	}
	if errors.As(err, &gone) { // its maker was killed
		return sys.RemoveAll(d.Name())
	}
	if err != nil && !force {
		return err
	}
	if rec == nil { // a broken record: nothing is known of a process
		return sys.RemoveAll(d.Name())
	}
	if status := d.status(rec); status != specs.StateStopped {
		if !force {
			return hint.Errorf("kill it first, or delete --force", "cannot delete container %s that is not stopped: %s", id, status)
		}
		r.kill(d, rec)
	}
	return r.remove(d, rec)
}

// named: the name still is this directory's.
func (d *dir) named() bool {
	var at, open unix.Stat_t
	return unix.Lstat(d.Name(), &at) == nil && unix.Fstat(int(d.Fd()), &open) == nil && at.Dev == open.Dev && at.Ino == open.Ino
}

// kill ends all processes of the container and waits for it.
func (r *Runtime) kill(d *dir, rec *record) {
	p, err := rec.process()
	if err != nil {
		return
	}
	defer p.Close()
	if err := r.killAll(d, rec, unix.SIGKILL); err != nil {
		r.say(err.Error())
	}
	p.Kill()
	if !p.Ended(10000) {
		r.say("container " + d.id + ": its process doesn't end (state D in ps: it waits for a disk or a network file system)")
	}
}

// remove takes away what is left of a container whose process has ended.
func (r *Runtime) remove(d *dir, rec *record) error {
	hooks, _ := d.hooks() // those of a broken configuration are lost
	if err := r.killAll(d, rec, unix.SIGKILL); err != nil {
		r.say(err.Error())
	}
	if err := cgroup.Reopen(rec.Cgroup).Remove(); err != nil {
		return err
	}
	if err := sys.RemoveAll(d.Name()); err != nil {
		return fmt.Errorf("delete container %s: %w", d.id, err)
	}
	if len(hooks.Poststop) == 0 {
		return nil
	}
	state, err := json.Marshal(rec.state(specs.StateStopped))
	if err != nil {
		return err
	}
	for _, h := range plan.Hooks(hooks.Poststop) {
		if err := sys.RunHooks("poststop", []sys.Hook{h}, state); err != nil {
			r.say(err.Error())
		}
	}
	return nil
}

// Ps are the pids of a container's processes, as the caller's pid namespace counts them.
func (r *Runtime) Ps(id string) ([]int, error) {
	d, rec, err := r.get(id)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	if !rec.alive() {
		return nil, notRunning()
	}
	return processes(rec)
}

// processes are those of the cgroup; without one those of the pid namespace, or the first process and its children where the
// pid namespace is the caller's too.
func processes(rec *record) ([]int, error) {
	if group := cgroup.Reopen(rec.Cgroup); group != nil {
		return group.Procs()
	}
	if !rec.alive() {
		return nil, nil
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	if theirs, own := pidNamespace(rec.Pid), pidNamespace(os.Getpid()); theirs != own {
		return slices.DeleteFunc(pids, func(pid int) bool { return pidNamespace(pid) != theirs }), nil
	}
	return descendants(rec.Pid, pids), nil
}

func pidNamespace(pid int) string {
	link, _ := os.Readlink("/proc/" + strconv.Itoa(pid) + "/ns/pid")
	return link
}

func descendants(first int, pids []int) []int {
	all := []int{first}
	for i := 0; i < len(all); i++ {
		for _, pid := range pids {
			if sys.Parent(pid) == all[i] {
				all = append(all, pid)
			}
		}
	}
	return all
}

// Pause freezes all processes of a container.
func (r *Runtime) Pause(id string) error { return r.freeze(id, true) }

// Resume thaws them.
func (r *Runtime) Resume(id string) error { return r.freeze(id, false) }

func (r *Runtime) freeze(id string, on bool) error {
	d, rec, err := r.get(id)
	if err != nil {
		return err
	}
	defer d.Close()
	switch status := d.status(rec); {
	case status == specs.StateStopped:
		return notRunning()
	case !on && status != "paused":
		return errors.New("container not paused")
	}
	group := cgroup.Reopen(rec.Cgroup)
	if group == nil {
		return hint.Errorf("rl doctor shows what cgroups this machine gives to you", "container %s has no cgroup, which pause needs", id)
	}
	return group.Freeze(on)
}

// Update changes the resource limits of a running container.
func (r *Runtime) Update(id string, res *specs.LinuxResources) error {
	d, rec, err := r.get(id)
	if err != nil {
		return err
	}
	defer d.Close()
	if !rec.alive() {
		return notRunning()
	}
	return cgroup.Reopen(rec.Cgroup).Apply(res)
}

// Stats are the figures of a container's cgroup, in the shape of runc's `events --stats` ("data" property).
func (r *Runtime) Stats(id string) (any, error) {
	d, rec, err := r.get(id)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	if !rec.alive() {
		return nil, notRunning()
	}
	return cgroup.Reopen(rec.Cgroup).Stats()
}
