package container

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/rl-containers/rl/enter"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/spec"
	"github.com/rl-containers/rl/storage"
	"github.com/rl-containers/rl/userns"
)

// joined is another container of which a namespace is shared (--network=container:NAME).
type joined struct {
	state  *storage.State
	config *Config
}

// joining is a flag that can name a container: its value, what that container has itself, and the file of the namespace in
// /proc/PID/ns.
type joining struct {
	flag  string
	value *string
	its   func(*Request) string
	file  string
}

func (r *run) joinings() []joining {
	return []joining{
		{"--network", &r.Network, func(q *Request) string { return q.Network }, "net"},
		{"--pid", &r.Options.PID, func(q *Request) string { return q.Options.PID }, "pid"},
		{"--ipc", &r.Options.IPC, func(q *Request) string { return q.Options.IPC }, "ipc"},
		{"--uts", &r.Options.UTS, func(q *Request) string { return q.Options.UTS }, "uts"},
	}
}

// findJoined looks the containers up. Their user namespace is joined, too: it owns the others (user_namespaces(7)), so it is
// one for all, and its ids are the container's.
func (r *run) findJoined() error {
	r.joined = map[string]*joined{}
	var owner *joined
	for _, j := range r.joinings() {
		word, ok := strings.CutPrefix(*j.value, "container:")
		if !ok {
			continue
		}
		one, err := r.findOne(j, word)
		if err != nil {
			return fmt.Errorf("%s container:%s: %w", j.flag, word, err)
		}
		if one == nil {
			continue
		}
		if owner != nil && !sameUserns(owner.state, one.state) {
			return hint.Errorf("name the same container in all of them, or let one of the two join the other when it is made",
				"%s container:%s: container %s is joined already, and that has a user namespace of its own", j.flag, word, owner.state.Name)
		}
		owner, r.joined[j.flag] = one, one
	}
	r.network = r.Network
	if owner == nil {
		return nil
	}
	its := owner.config.Request.Options.Userns
	if r.Options.Userns != "" && r.Options.Userns != its {
		return hint.Errorf("leave --userns out", "--userns %s: the container that is joined has another user namespace", r.Options.Userns)
	}
	r.Options.Userns = its
	return r.shareNetwork()
}

// findOne finds a container to join, and names it by its id from then on, which a rename doesn't change. What that has of the host is
// taken from the host: then there is nothing to join.
func (r *run) findOne(j joining, word string) (*joined, error) {
	s, err := lookup(r.store, word)
	if err != nil {
		return nil, err
	}
	if !r.later {
		if err := mustRun(s, "join"); err != nil {
			return nil, err
		}
	}
	c, err := ReadConfig(s.Dir)
	if err != nil {
		return nil, hint.With(err, "it is just being started: try again")
	}
	its := j.its(&c.Request)
	if its == "host" {
		*j.value = its
		return nil, nil
	}
	*j.value = "container:" + s.ID
	switch {
	case j.flag == "--ipc" && (its == "private" || its == "none"):
		return nil, hint.Errorf("make that one without --ipc, or with --ipc shareable", "its IPC namespace is its own: it was made with --ipc %s", its)
	case j.flag == "--pid" && s.Running:
		err = r.unwatched(s)
	}
	return &joined{s, c}, err
}

// sameUserns: the kernel says so. Before the start of one nobody knows.
func sameUserns(a, b *storage.State) bool {
	if a.ID == b.ID || !a.Running || !b.Running {
		return true
	}
	return namespace(a, "user") == namespace(b, "user")
}

// namespace names one of a container's; "" when it has ended.
func namespace(s *storage.State, kind string) string {
	name, _ := os.Readlink("/proc/" + strconv.Itoa(s.Pid) + "/ns/" + kind)
	return name
}

// unwatched refuses a pid namespace that is shared with a program that may trace all in it: it could take over the start of this
// container, which holds files of the host until it leaves them (ptrace(2), "Ptrace access mode checking").
func (r *run) unwatched(holder *storage.State) error {
	all, err := r.store.List()
	if err != nil {
		return err
	}
	its := namespace(holder, "pid")
	for _, s := range all {
		if s.ID == r.id || !s.Running || namespace(&s, "pid") != its {
			continue
		}
		c, err := ReadConfig(s.Dir)
		if err != nil {
			return hint.With(err, "it is just being started: try again")
		}
		if caps := c.Spec.Spec.Process.Capabilities; caps != nil && slices.Contains(caps.Bounding, "CAP_SYS_PTRACE") {
			return hint.Errorf("start that one last, and let it join the others; or without --privileged and --cap-add SYS_PTRACE",
				"container %s may trace all processes there (SYS_PTRACE): it could take over this one while it is started", s.Name)
		}
	}
	return nil
}

// shareNetwork takes the network of the joined container for this one's files.
func (r *run) shareNetwork() error {
	other := r.joined["--network"]
	if other == nil {
		return nil
	}
	if len(r.Ports) > 0 {
		return hint.Errorf("publish them where the network is made: rl run -p … --name "+other.state.Name, "-p %s: the network is that of container %s", r.Ports[0], other.state.Name)
	}
	if r.PublishAll {
		return hint.Errorf("publish them where the network is made: rl run -P … --name "+other.state.Name, "-P: the network is that of container %s", other.state.Name)
	}
	if strings.HasPrefix(other.config.Request.Network, "container:") {
		return hint.Errorf("join the one that it has joined itself", "--network container:%s: it has no network of its own", other.state.Name)
	}
	r.network, r.Options.SharedNetwork = other.config.Request.Network, true
	return nil
}

// tap is the name of the network helper's device, where this container has one.
func (r *run) tap() []string {
	if r.Options.SharedNetwork {
		return nil
	}
	return r.mode.Tap()
}

// join opens the namespaces that are shared.
func (r *run) join(c *userns.Config) error {
	for _, j := range r.joinings() {
		one := r.joined[j.flag]
		if one == nil {
			continue
		}
		names := []string{j.file}
		if !c.Same {
			names = []string{"user", j.file}
		}
		files, err := one.open(names...)
		if err != nil {
			return err
		}
		c.Join, c.Same = append(c.Join, files...), true
	}
	return r.shareMemory(c)
}

// shareMemory shows the /dev/shm of the container whose IPC namespace is joined. Its file system is mounted in that container's mount
// namespace alone: the inside takes it from there.
func (r *run) shareMemory(c *userns.Config) error {
	one := r.joined["--ipc"]
	at := slices.IndexFunc(r.plan.Mounts, func(m enter.Mount) bool { return m.FS == spec.TheirsType || m.Namespace > 0 })
	if one == nil || at < 0 {
		return nil
	}
	files, err := one.open("mnt")
	if err != nil {
		return err
	}
	c.Extra = files
	m := &r.plan.Mounts[at]
	m.Kind, m.FS, m.Source, m.Namespace = enter.Bind, "", m.Target, enter.FirstExtra
	return nil
}

// open opens namespaces of the container's first process. Whether they were its own is asked when they are open: as long as its end wasn't
// noticed, nobody else has its number.
func (j *joined) open(names ...string) (files []*os.File, err error) {
	process, err := j.state.Process()
	if err != nil {
		return nil, j.ended()
	}
	defer process.Close()
	for _, name := range names {
		f, oops := os.Open("/proc/" + strconv.Itoa(j.state.Pid) + "/ns/" + name)
		if oops != nil {
			err = errors.Join(err, oops)
			continue
		}
		files = append(files, f)
	}
	if process.Ended(0) {
		return nil, j.ended()
	}
	if err != nil {
		return nil, fmt.Errorf("join container %s: %w", j.state.Name, err)
	}
	return files, nil
}

func (j *joined) ended() error {
	return hint.Errorf("rl start "+j.state.Name, "join container %s: it has ended", j.state.Name)
}

// explainJoin prefers the end of a container that is joined over what that made of the start.
func (r *run) explainJoin(err error) error {
	for _, j := range r.joined {
		process, gone := j.state.Process()
		if gone != nil {
			return j.ended()
		}
		over := process.Ended(0)
		process.Close()
		if over {
			return j.ended()
		}
	}
	return err
}
