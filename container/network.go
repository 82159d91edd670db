package container

import (
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/enter"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/idmap"
	"github.com/rl-containers/rl/slirp"
	"github.com/rl-containers/rl/spec"
)

// addNetworkFiles gives the container /etc/hosts, /etc/resolv.conf and /etc/hostname that agree with its network, and
// /run/.containerenv, by which programs know a container. A mount of the user's on the same place wins.
func (r *run) addNetworkFiles() error {
	files, err := r.networkFiles()
	if err != nil {
		return err
	}
	r.plan.Files = map[string][]byte{}
	for _, target := range []string{"/etc/hosts", "/etc/resolv.conf", "/etc/hostname", "/run/.containerenv"} {
		content, ok := files[target]
		taken := slices.ContainsFunc(r.plan.Mounts, func(m enter.Mount) bool { return m.Target == target })
		if !ok || taken || target == "/etc/hosts" && r.NoHosts {
			continue
		}
		m := r.addFile(target, content)
		if target == "/run/.containerenv" {
			m.Optional = "the root file system of --rootfs belongs to somebody else"
		}
	}
	return nil
}

// addFile shows content at target; the mount goes before those of the user, which may cover it.
func (r *run) addFile(target string, content []byte) *enter.Mount {
	name := strings.ReplaceAll(strings.TrimPrefix(target, "/"), "/", "-")
	r.plan.Files[name] = content
	m := enter.Mount{Kind: enter.File, Source: name, Target: target, Propagation: unix.MS_PRIVATE}
	at := slices.IndexFunc(r.plan.Mounts, func(m enter.Mount) bool { return strings.HasPrefix(m.Target, "/sys") })
	r.plan.Mounts = slices.Insert(r.plan.Mounts, at+1, m)
	return &r.plan.Mounts[at+1]
}

func (r *run) networkFiles() (map[string][]byte, error) {
	for _, s := range r.DNS {
		if _, err := netip.ParseAddr(s); err != nil {
			return nil, hint.Errorf("--dns takes the address of a name server", "--dns %s: not an IP address", s)
		}
	}
	net := r.mode.Net()
	hostname := r.spec.Spec.Hostname
	if hostname == "" {
		hostname, _ = os.Hostname()
	}
	base, _ := os.ReadFile("/etc/hosts")
	hosts, err := slirp.Hosts(net, base, r.fullName(hostname), hostname, r.Name, r.AddHosts)
	if err != nil {
		return nil, err
	}
	resolv, _ := os.ReadFile("/etc/resolv.conf")
	return map[string][]byte{
		"/etc/hosts":         hosts,
		"/etc/resolv.conf":   slirp.ResolvConf(net, resolv, r.DNS, r.DNSSearch, r.DNSOptions),
		"/etc/hostname":      []byte(hostname + "\n"),
		"/run/.containerenv": {},
	}, nil
}

// sayPorts names the ports of the host that the kernel chose: nothing else tells them.
func (r *run) sayPorts() {
	for i, p := range r.net.Ports() {
		if r.ports[i].Host == 0 && !r.Quiet {
			r.say("note: published " + p.String())
		}
	}
}

// adaptSingleID helps Debian's apt where only one id is mapped: it wants to become another user for its downloads and checks
// that it did, which no filter can pretend. The file exists only in this container.
func (r *run) adaptSingleID() {
	if r.ids.Rung == idmap.Single {
		r.addFile("/etc/apt/apt.conf.d/99-rl-single-id", []byte("APT::Sandbox::User \"root\";\n")).IfDir = true
	}
}

// keepID makes the caller's own id the default user of --userns=keep-id, as podman does.
func keepID(user string, o *spec.Options, ids idmap.Map) string {
	mode, _, _ := strings.Cut(o.Userns, ":")
	if mode != "keep-id" || o.User != "" {
		return user
	}
	return callerInside(ids)
}

// hostname is the one of a container that was given none: on the host's network it is the host's, as with docker and podman.
func (r *run) hostname() string {
	if other := r.joined["--network"]; other != nil {
		return other.config.Spec.Spec.Hostname
	}
	if name, err := os.Hostname(); r.mode.Kind == slirp.Host && err == nil {
		return name
	}
	return r.id[:12]
}

// fullName is the host name with its domain.
func (r *run) fullName(hostname string) string {
	if domain := r.spec.Spec.Domainname; domain != "" && hostname != "" {
		return hostname + "." + domain
	}
	return hostname
}

// hostnameEnv sets HOSTNAME, as docker does.
func hostnameEnv(env []string, hostname string) []string {
	if hostname == "" || slices.ContainsFunc(env, func(e string) bool { return strings.HasPrefix(e, "HOSTNAME=") }) {
		return env
	}
	return append(slices.Clip(env), "HOSTNAME="+hostname)
}

// exposed are the ports of the container that are published, as an image's config names them.
func exposed(published []string) []string {
	ports, err := slirp.ParsePorts(published)
	if err != nil {
		return nil
	}
	var all []string
	for _, p := range ports {
		for i := range p.Count {
			all = append(all, strconv.Itoa(int(p.Container)+i)+"/"+p.Proto)
		}
	}
	return all
}
