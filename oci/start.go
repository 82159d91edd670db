package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/plan"
	"github.com/rl-containers/rl/sys"
	"github.com/rl-containers/rl/userns"
)

// Start lets the process of a created container execute the user's program.
func (r *Runtime) Start(id string) error {
	d, rec, err := r.get(id)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.lock(); err != nil {
		return err
	}
	if status := d.status(rec); status != specs.StateCreated {
		return fmt.Errorf("cannot start a container in the %s state", status)
	}
	hooks, err := d.hooks()
	if err != nil {
		return err
	}
	conn, err := sys.Dial(filepath.Join(d.Name(), gateFile))
	if err != nil {
		return fmt.Errorf("start container %s: its process doesn't listen: %w", id, err)
	}
	p := userns.Resume(conn)
	defer conn.Close()
	if err := p.Go(); err != nil {
		return err
	}
	if _, _, err := p.Next(); err != io.EOF {
		return err
	}
	os.Remove(filepath.Join(d.Name(), gateFile))
	return r.poststart(d, rec, hooks)
}

// poststart runs the hooks; when one fails the container is stopped (runtime-spec runtime.md, "Lifecycle", 9).
func (r *Runtime) poststart(d *dir, rec *record, hooks *specs.Hooks) error {
	if hooks == nil || len(hooks.Poststart) == 0 {
		return nil
	}
	state, err := json.Marshal(rec.state(specs.StateRunning))
	if err == nil {
		err = sys.RunHooks("poststart", plan.Hooks(hooks.Poststart), state)
	}
	if err == nil {
		return nil
	}
	if p, gone := rec.process(); gone == nil {
		p.Kill()
		p.Ended(-1)
		p.Close()
	}
	return errors.Join(err, r.remove(d, rec))
}

// Run is Create and Start, and unless detach waits for the end and deletes (unless keep): the program's exit code.
func (r *Runtime) Run(o CreateOptions, detach, keep bool) (code int, err error) {
	c := &creation{Runtime: r, CreateOptions: o, attached: !detach}
	signals := make(chan os.Signal, 64)
	if !detach {
		c.caught = catch(signals)
	}
	if err := c.make(); err != nil {
		c.destroy()
		return 0, err
	}
	defer c.dir.Close()
	err = c.proc.Go()
	if err == nil {
		_, _, err = c.proc.Next()
	}
	if err != io.EOF {
		c.destroy()
		return 0, err
	}
	if err := r.poststart(c.dir, &c.rec, c.bundle.spec.Hooks); err != nil || detach {
		return 0, err
	}
	code, err = c.wait(signals)
	if keep || err != nil {
		return code, err
	}
	return code, r.remove(c.dir, &c.rec)
}

// catch lets all signals go to c, beside the reading of the bundle: each one costs the Go runtime a round between its threads.
func catch(c chan<- os.Signal) <-chan struct{} {
	caught := make(chan struct{})
	go func() {
		signal.Notify(c)
		close(caught)
	}()
	return caught
}

// wait passes signals and bytes until the process ends.
func (c *creation) wait(signals <-chan os.Signal) (int, error) {
	return attend(c.proc, c.console, signals)
}

func attend(p *userns.Process, console *console, signals <-chan os.Signal) (int, error) {
	console.pump()
	go pass(p.Process, signals)
	status, err := p.Wait()
	if err != nil {
		return 0, fmt.Errorf("wait for container: %w", err)
	}
	console.finish()
	return exitCode(status), nil
}

func pass(p *sys.Process, signals <-chan os.Signal) {
	for s := range signals {
		switch s {
		case unix.SIGCHLD, unix.SIGURG, unix.SIGWINCH, unix.SIGPIPE: // of this process, not for the program
		default:
			p.Signal(s.(syscall.Signal))
		}
	}
}
