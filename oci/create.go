package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/cgroup"
	"github.com/rl-containers/rl/enter"
	"github.com/rl-containers/rl/plan"
	"github.com/rl-containers/rl/sys"
	"github.com/rl-containers/rl/userns"
)

// creation is one container being made.
type creation struct {
	*Runtime
	CreateOptions
	bundle  *bundle
	dir     *dir
	rec     record
	plan    *enter.Plan
	config  userns.Config
	group   *cgroup.Group
	proc    *userns.Process
	console *console
	filter  <-chan filter
	// caught is closed when signals go to whoever waits for the end; nil when nobody does.
	caught <-chan struct{}
	// gated: the process waits at the gate for start, instead of at the caller's socket.
	gated bool
	// attached: the caller stays until the end.
	attached bool
	files    []*os.File // to be closed when the process has them
}

// Create makes the container and returns when its process waits for Start.
func (r *Runtime) Create(o CreateOptions) error {
	c := &creation{Runtime: r, CreateOptions: o, gated: true}
	err := c.make()
	if err != nil {
		c.destroy()
		return err
	}
	return c.dir.Close()
}

// make is creation from top to bottom; destroy takes back whatever it did.
func (c *creation) make() error {
	for _, step := range []func() error{c.load, c.compile, c.openDir, c.openCgroup, c.openExtras, c.start, c.ready, c.write, c.release} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (c *creation) load() (err error) {
	if err := checkID(c.ID); err != nil {
		return err
	}
	if c.bundle, err = loadBundle(c.Bundle, c.Config); err != nil {
		return err
	}
	c.filter = compileFilter(c.bundle.spec.Linux.Seccomp)
	if c.bundle.spec.Process.Terminal {
		c.console, err = newConsole(c.ConsoleSocket, c.attached)
		return err
	}
	if c.ConsoleSocket != "" {
		return errors.New("--console-socket: the process has no terminal (process.terminal)")
	}
	return nil
}

// compile makes the plan; nothing is made yet.
func (c *creation) compile() (err error) {
	s := c.bundle.spec
	if err := isolate(&c.config, s); err != nil {
		return err
	}
	c.config.Detached = true
	if c.plan, err = plan.Compile(s, c.config.Map, plan.Options{Exact: true, Bundle: c.bundle.dir}); err != nil {
		return err
	}
	root := &c.plan.Root
	root.Kind, root.Devices, root.NoPivot, root.Cut = enter.Bind, true, c.NoPivot, c.config.Same
	if root.Dir = s.Root.Path; !filepath.IsAbs(root.Dir) {
		root.Dir = filepath.Join(c.bundle.dir, root.Dir)
	}
	if root.Dir, err = filepath.EvalSymlinks(root.Dir); err != nil {
		return fmt.Errorf("root file system: %w", err)
	}
	root.Propagation, err = plan.Propagation(s.Linux.RootfsPropagation)
	if err != nil {
		return err
	}
	if s.Hooks != nil {
		c.plan.Process.StartHooks = plan.Hooks(s.Hooks.StartContainer)
		for i, h := range s.Hooks.StartContainer {
			c.plan.Process.StartHooks[i].Env = h.Env // nil: the program's, which is whole inside
		}
	}
	for _, name := range notAmbient(s.Process.Capabilities) {
		c.say("can't raise ambient capability " + name + ": it is not among the inheritable and the permitted ones")
	}
	c.plan.NewTime, c.plan.TimeOffsets = plan.HasNew(s, specs.TimeNamespace), timeOffsets(s)
	policy, err := memoryPolicyOf(c.bundle.text)
	if err != nil {
		return err
	}
	noGroups := setgroupsDenied("self") || !c.config.Same && c.config.Map.NoGroups()
	if err := complete(&c.plan.Process, s.Process, s, noGroups); err != nil {
		return err
	}
	c.plan.Process.Scheduling.Memory = policy
	return nil
}

func (c *creation) openDir() (err error) {
	if c.caught != nil {
		<-c.caught // from here on, a signal that ended this process would leave something behind
	}
	c.dir, err = c.newDir(c.ID)
	return err
}

func (c *creation) openCgroup() (err error) {
	if c.CgroupManager == "disabled" {
		return nil
	}
	l := c.bundle.spec.Linux
	if c.group, err = cgroup.Open(l.CgroupsPath, c.ID, l.Resources, c.say); err != nil {
		return err
	}
	if c.group == nil && !hasNamespace(c.bundle.spec, specs.PIDNamespace) {
		c.say("without a pid namespace of its own and without a cgroup, kill and delete can't find all processes of the container. Such configuration is strongly discouraged")
	}
	fd, err := c.group.Fd()
	if err != nil || fd < 0 {
		return err
	}
	c.config.Cgroup = os.NewFile(uintptr(fd), "cgroup")
	c.files = append(c.files, c.config.Cgroup)
	return nil
}

// openExtras are the process's descriptors beside stdio: the gate, the seccomp agent, those to be preserved.
func (c *creation) openExtras() error {
	p := &c.plan.Process
	if c.gated {
		gate, err := sys.Listen(filepath.Join(c.dir.Name(), gateFile))
		if err != nil {
			return err
		}
		p.Gate = c.give(gate)
	}
	return c.giveProcess(p, c.bundle.spec, c.PreserveFds+c.listenFds(p))
}

// give adds a file to the child's descriptors and returns its number there.
func (c *creation) give(f *os.File) int {
	c.files = append(c.files, f)
	c.config.Extra = append(c.config.Extra, f)
	return enter.Sock + len(c.config.Extra)
}

// listenFds is how many sockets a service manager has passed (sd_listen_fds(3)), and passes the news on.
func (c *creation) listenFds(p *enter.Process) int {
	n, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if err != nil || n <= 0 || n > c.Inherited {
		return 0
	}
	p.Env = append(slices.Clip(p.Env), "LISTEN_FDS="+strconv.Itoa(n), "LISTEN_PID=1")
	return n
}

func (c *creation) giveProcess(p *enter.Process, s *specs.Spec, preserve int) error {
	if p.Notify != 0 {
		agent, err := sys.Dial(s.Linux.Seccomp.ListenerPath)
		if err != nil {
			return fmt.Errorf("failed to connect with seccomp agent %s: %w", s.Linux.Seccomp.ListenerPath, err)
		}
		p.Notify = c.give(agent)
	}
	if preserve > c.Inherited {
		return fmt.Errorf("--preserve-fds and LISTEN_FDS: %d descriptors to pass, %d are open from 3 on", preserve, c.Inherited)
	}
	for fd := range preserve {
		dup, err := unix.FcntlInt(uintptr(3+fd), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return fmt.Errorf("--preserve-fds %d: descriptor %d: %w", preserve, 3+fd, err)
		}
		p.Preserve = append(p.Preserve, c.give(os.NewFile(uintptr(dup), "preserved")))
	}
	return nil
}

// start makes the process and gives it its plan.
func (c *creation) start() error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	c.files = append(c.files, null)
	c.config.Stdio = [3]*os.File{os.Stdin, os.Stdout, os.Stderr}
	if c.plan.Process.Terminal {
		c.config.Stdio = [3]*os.File{null, null, null}
	}
	if !c.NoNewKeyring {
		sys.EmptyKeyring()
	}
	if err := setOOMScore(c.bundle.spec.Process); err != nil {
		return err
	}
	c.proc, err = userns.Start(c.config)
	for _, f := range append(c.files, c.config.Join...) {
		f.Close()
	}
	c.files, c.config.Join = nil, nil
	if err != nil {
		return err
	}
	return c.send()
}

func (c *creation) send() (err error) {
	s := c.bundle.spec
	c.rec = record{ID: c.ID, Bundle: c.bundle.dir, Rootfs: c.plan.Root.Dir, Annotations: s.Annotations, Created: time.Now().UTC(),
		Owner: os.Getuid(), Cgroup: c.group.Dir(), Pid: c.proc.Pid, BootID: sys.BootID()}
	if c.rec.Start, err = sys.StartTime(c.proc.Pid); err != nil {
		return fmt.Errorf("start container: the child died without a word: %w", err)
	}
	if err := addFilter(&c.plan.Process, c.filter); err != nil {
		return err
	}
	// "created" for the hooks before it is, as crun says and runtime-tools wants: what they look at is made.
	if c.plan.State, err = json.Marshal(c.rec.state(specs.StateCreated)); err != nil {
		return err
	}
	if c.plan.Process.NotifyMessage, err = notifyMessage(&c.plan.Process, s, c.rec.state(specs.StateCreating)); err != nil {
		return err
	}
	return c.proc.Send(func(w io.Writer) error { return enter.WritePlan(w, c.plan) })
}

// ready answers the child until it waits for the word to go.
func (c *creation) ready() error {
	waitFor := 0
	for _, has := range []bool{c.plan.HooksOutside, c.plan.Process.Terminal, c.gated} {
		if has {
			waitFor++
		}
	}
	for range waitFor {
		letter, f, err := c.proc.Next()
		if err == io.EOF {
			return errors.New("start container: the child died without a word")
		}
		if err != nil {
			return err
		}
		switch letter {
		case 'h':
			err = c.hooks()
		case 't':
			err = c.console.take(f)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// hooks runs those of the runtime's own namespaces, before the container's root is entered.
func (c *creation) hooks() error {
	h := c.bundle.spec.Hooks
	//lint:ignore SA1019 engines still write prestart hooks
	if err := sys.RunHooks("prestart", plan.Hooks(h.Prestart), c.plan.State); err != nil {
		return err
	}
	if err := sys.RunHooks("createRuntime", plan.Hooks(h.CreateRuntime), c.plan.State); err != nil {
		return err
	}
	return c.proc.Go()
}

// notAmbient are those that are asked for as ambient and can't be (capabilities(7)); package plan leaves them out.
func notAmbient(c *specs.LinuxCapabilities) (names []string) {
	if c == nil {
		return nil
	}
	for _, name := range c.Ambient {
		if !slices.Contains(c.Inheritable, name) || !slices.Contains(c.Permitted, name) {
			names = append(names, name)
		}
	}
	return names
}

// write makes the container known: from here on other commands find it.
func (c *creation) write() error {
	if err := c.dir.write(configFile, c.bundle.text); err != nil {
		return err
	}
	text, err := json.Marshal(&c.rec)
	if err != nil {
		return err
	}
	if err := sys.WritePidFile(c.PidFile, c.rec.Pid); err != nil {
		return err
	}
	return c.dir.write(recordFile, text)
}

// release lets the process, which is on record now, wait at the gate without this one.
func (c *creation) release() error {
	if !c.gated {
		return nil
	}
	return c.proc.Go()
}

// destroy takes back a container that could not be made, as delete would.
func (c *creation) destroy() {
	for _, f := range append(c.files, c.config.Join...) {
		f.Close()
	}
	if c.proc != nil {
		c.proc.Abort()
	}
	if c.group.Remove() != nil {
		c.say("cgroup " + c.group.Dir() + " is left")
	}
	if c.dir == nil {
		return
	}
	if c.proc != nil && c.bundle.spec.Hooks != nil {
		c.poststop()
	}
	sys.RemoveAll(c.dir.Name())
	c.dir.Close()
}

func (c *creation) poststop() {
	state, err := json.Marshal(c.rec.state(specs.StateStopped))
	if err == nil {
		err = sys.RunHooks("poststop", plan.Hooks(c.bundle.spec.Hooks.Poststop), state)
	}
	if err != nil {
		c.say(err.Error())
	}
}
