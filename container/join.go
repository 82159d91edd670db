package container

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/storage"
	"github.com/rl-containers/rl/userns"
)

// joined is another container of which a namespace is shared (--network=container:NAME).
type joined struct {
	state  *storage.State
	config *Config
}

// joins are the flags that can name a container, and the file of the namespace in /proc/PID/ns.
func (r *run) joins() []struct{ flag, value, file string } {
	return []struct{ flag, value, file string }{{"--network", r.Network, "net"}, {"--pid", r.Options.PID, "pid"}, {"--uts", r.Options.UTS, "uts"}}
}

// findJoined looks the containers up. Their user namespace is joined, too: it owns the others (user_namespaces(7)), so it is
// one for all, and its ids are the container's.
func (r *run) findJoined() error {
	r.network, r.joined = r.Network, map[string]*joined{}
	var owner *joined
	for _, j := range r.joins() {
		kind, word, _ := strings.Cut(j.value, ":")
		if kind != "container" {
			continue
		}
		one, err := r.findOne(j.flag, word)
		if err != nil {
			return err
		}
		if owner != nil && owner.state.ID != one.state.ID {
			return hint.Errorf("name the same container in all of them", "%s container:%s: another one is joined already, with a user namespace of its own", j.flag, word)
		}
		owner, r.joined[j.flag] = one, one
	}
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

func (r *run) findOne(flag, word string) (*joined, error) {
	s, err := lookup(r.store, word)
	if err != nil {
		return nil, fmt.Errorf("%s container:%s: %w", flag, word, err)
	}
	if err := mustRun(s, "join"); err != nil {
		return nil, fmt.Errorf("%s container:%s: %w", flag, word, err)
	}
	c, err := ReadConfig(s.Dir)
	if err != nil {
		return nil, hint.With(err, "it is just being started: try again")
	}
	return &joined{s, c}, nil
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
	if strings.HasPrefix(other.config.Request.Network, "container:") {
		return hint.Errorf("join the one that it has joined itself", "--network %s: it has no network of its own", r.Network)
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
	var files []string
	var state *storage.State
	for _, j := range r.joins() {
		if one := r.joined[j.flag]; one != nil {
			files, state = append(files, j.file), one.state
		}
	}
	if state == nil {
		return nil
	}
	process, err := state.Process() // no other has its number from here on
	if err != nil {
		return fmt.Errorf("join container %s: it has ended", state.Name)
	}
	defer process.Close()
	c.Same = true
	for _, name := range slices.Concat([]string{"user"}, files) {
		f, err := os.Open("/proc/" + strconv.Itoa(state.Pid) + "/ns/" + name)
		if err != nil {
			return fmt.Errorf("join container %s: %w", state.Name, err)
		}
		c.Join = append(c.Join, f)
	}
	return nil
}
