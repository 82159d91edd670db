package oci

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/rl-containers/rl/cgroup"
	"github.com/rl-containers/rl/enter"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/lazyjson"
	"github.com/rl-containers/rl/plan"
	"github.com/rl-containers/rl/sys"
	"github.com/rl-containers/rl/userns"
)

// Exec runs a further process in a container: its exit code, or 0 when detached.
func (r *Runtime) Exec(o ExecOptions) (code int, err error) {
	d, rec, err := r.get(o.ID)
	if err != nil {
		return 0, err
	}
	defer d.Close()
	if err := executable(d.status(rec), o.IgnorePaused); err != nil {
		return 0, err
	}
	text, err := d.read(configFile)
	if err != nil {
		return 0, err
	}
	s := new(specs.Spec)
	if err := lazyjson.Unmarshal(text, s); err != nil {
		return 0, fmt.Errorf("configuration of container %s: %w", o.ID, err)
	}
	c := &creation{Runtime: r, bundle: &bundle{spec: s, text: text}, attached: !o.Detach, filter: compileFilter(s.Linux.Seccomp)}
	if s.Process, err = o.process(s.Process); err != nil {
		return 0, err
	}
	signals := make(chan os.Signal, 64)
	if !o.Detach {
		c.caught = catch(signals)
	}
	if err := c.exec(o, rec); err != nil {
		c.destroy()
		return 0, err
	}
	if err := sys.WritePidFile(o.PidFile, c.proc.Pid); err != nil || o.Detach {
		return 0, err
	}
	return c.wait(signals)
}

func executable(status specs.ContainerState, ignorePaused bool) error {
	switch {
	case status == "paused" && !ignorePaused:
		return hint.Errorf("resume it, or --ignore-paused", "cannot exec in a paused container")
	case status == specs.StateStopped:
		return fmt.Errorf("cannot exec in a stopped container: container not running")
	}
	return nil
}

// exec is Exec up to the program's start.
func (c *creation) exec(o ExecOptions, rec *record) (err error) {
	s := c.bundle.spec
	if s.Process.Terminal {
		if c.console, err = newConsole(o.ConsoleSocket, c.attached); err != nil {
			return err
		}
	}
	process, err := rec.process()
	if err != nil {
		return err
	}
	defer process.Close()
	if c.config.Join, err = userns.OfProcess(rec.Pid); err != nil {
		return err
	}
	c.config.Same, c.config.Detached = true, true
	p, err := plan.Process(s.Process)
	if err != nil {
		return err
	}
	c.plan = &enter.Plan{Enter: true, Process: p}
	if err := complete(&c.plan.Process, s.Process, s, setgroupsDenied(strconv.Itoa(rec.Pid))); err != nil {
		return err
	}
	if err := c.affinity(s.Process); err != nil {
		return err
	}
	if c.plan.Process.Scheduling.Memory, err = memoryPolicyOf(c.bundle.text); err != nil {
		return err
	}
	if err := c.joinCgroup(rec, o.Cgroup); err != nil {
		return err
	}
	if err := c.giveProcess(&c.plan.Process, s, o.PreserveFds+c.listenFds(&c.plan.Process)); err != nil {
		return err
	}
	c.rec = *rec
	if c.caught != nil {
		<-c.caught // from here on, a signal is for the program
	}
	if err := c.start(); err != nil {
		return err
	}
	if err := c.ready(); err != nil {
		return err
	}
	if err := c.proc.Go(); err != nil {
		return err
	}
	if _, _, err := c.proc.Next(); err != io.EOF {
		return err
	}
	return nil
}

// affinity ties this process to the processors that runtime-spec wants it on until the program runs, and the program to its own.
func (c *creation) affinity(p *specs.Process) (err error) {
	if p.ExecCPUAffinity == nil {
		return nil
	}
	first, err := processors(p.ExecCPUAffinity.Initial)
	if err != nil {
		return err
	}
	if c.plan.Process.Scheduling.Affinity, err = processors(p.ExecCPUAffinity.Final); err != nil {
		return err
	}
	return sys.Affinity(first)
}

func (c *creation) joinCgroup(rec *record, below string) error {
	group := cgroup.Reopen(rec.Cgroup)
	var err error
	if below != "" {
		group, err = group.Below(below)
	} else {
		group, err = group.ForExec(rec.Pid)
	}
	if err != nil {
		return err
	}
	fd, err := group.Fd()
	if err != nil || fd < 0 {
		return err
	}
	c.config.Cgroup = os.NewFile(uintptr(fd), "cgroup")
	c.files = append(c.files, c.config.Cgroup)
	return nil
}

// process is that of --process, or the container's own, changed by the flags.
func (o *ExecOptions) process(own *specs.Process) (*specs.Process, error) {
	if o.Process != nil {
		return o.Process, CheckProcess(o.Process)
	}
	p := *own
	p.Args, p.Terminal = o.Args, o.TTY
	p.Env = override(p.Env, o.Env)
	if o.Cwd != "" {
		p.Cwd = o.Cwd
	}
	if o.ProcessLabel != "" {
		p.SelinuxLabel = o.ProcessLabel
	}
	if o.Apparmor != "" {
		p.ApparmorProfile = o.Apparmor
	}
	p.NoNewPrivileges = p.NoNewPrivileges || o.NoNewPrivs
	if len(o.Caps) > 0 {
		p.Capabilities = addCaps(p.Capabilities, o.Caps)
	}
	if err := setUser(&p, o.User); err != nil {
		return nil, err
	}
	p.User.AdditionalGids = slices.Concat(p.User.AdditionalGids, o.AdditionalGids)
	return &p, CheckProcess(&p)
}

// override lets the later value of a name win: getenv(3) finds the first.
func override(env, more []string) []string {
	named := func(entry string) func(string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return func(other string) bool { return strings.HasPrefix(other, name+"=") }
	}
	env = slices.Clone(env)
	for _, entry := range more {
		env = append(slices.DeleteFunc(env, named(entry)), entry)
	}
	return env
}

func setUser(p *specs.Process, user string) error {
	if user == "" {
		return nil
	}
	uid, gid, two := strings.Cut(user, ":")
	u, err := strconv.ParseUint(uid, 10, 32)
	g := uint64(0)
	if two && err == nil {
		g, err = strconv.ParseUint(gid, 10, 32)
	}
	if err != nil {
		return fmt.Errorf("--user %s: not UID[:GID] in numbers", user)
	}
	p.User.UID = uint32(u)
	if two {
		p.User.GID = uint32(g)
	}
	return nil
}

// addCaps gives the capabilities to the sets that an execve passes on. Inheritable ones are only as many as the container
// has (CVE-2022-29162).
func addCaps(c *specs.LinuxCapabilities, more []string) *specs.LinuxCapabilities {
	if c == nil {
		c = &specs.LinuxCapabilities{}
	}
	out := *c
	for _, set := range []*[]string{&out.Bounding, &out.Effective, &out.Permitted, &out.Ambient} {
		*set = slices.Concat(*set, more)
	}
	return &out
}
