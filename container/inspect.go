package container

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/rl-containers/rl/cgroup"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/spec"
	"github.com/rl-containers/rl/storage"
)

// Inspected is what `rl inspect` shows of a container, by the names of docker inspect(1) and podman inspect(1). What rl doesn't know
// is not in it.
type Inspected struct {
	Id              string
	Name            string
	Created         time.Time
	Path            string
	Args            []string
	State           InspectedState
	Image           string // the id
	ImageName       string
	ImageDigest     string
	Rootfs          string // of --rootfs
	RestartCount    int
	LogPath         string // "" where no file is written
	PidFile         string `json:",omitempty"` // of --pidfile
	ConmonPidFile   string `json:",omitempty"` // of --conmon-pidfile
	SizeRw          *int64 `json:",omitempty"` // with --size
	SizeRootFs      *int64 `json:",omitempty"`
	Driver          string
	GraphDriver     *GraphDriver
	Mounts          []InspectedMount
	Config          InspectedConfig
	HostConfig      HostConfig
	NetworkSettings NetworkSettings
}

// ID is Id by its name in Go.
func (i *Inspected) ID() string { return i.Id }

// InspectedState is what became of it. The times are zero (year 1) for what didn't happen.
type InspectedState struct {
	Status     string
	Running    bool
	Paused     bool
	Restarting bool
	OOMKilled  bool
	Dead       bool
	Pid        int
	ExitCode   int
	Error      string
	StartedAt  time.Time
	FinishedAt time.Time
	// CgroupPath is below /sys/fs/cgroup.
	CgroupPath string `json:",omitempty"`
	// Limits are the files of its cgroup that keep limits, and what they say while it runs.
	Limits map[string]string `json:",omitempty"`
	// Health is docker's and podman's name, Healthcheck podman's older one; nil: it has no health check, or never ran.
	Health      *InspectedHealth `json:",omitempty"`
	Healthcheck *InspectedHealth `json:",omitempty"`
}

// InspectedHealth is what its health checks found, the newest at the end.
type InspectedHealth struct {
	Status        string
	FailingStreak int
	Log           []storage.Check
}

// GraphDriver says where the layers lie. The whole is mounted in the container's own mount namespace alone.
type GraphDriver struct {
	Name string
	Data map[string]string
}

// InspectedMount is one of the user's mounts, of an image's VOLUME or of a volume.
type InspectedMount struct {
	Type        string
	Name        string `json:",omitempty"`
	Source      string
	Destination string
	Driver      string `json:",omitempty"`
	Mode        string
	Options     []string
	RW          bool
	Propagation string
}

// InspectedConfig is what runs inside.
type InspectedConfig struct {
	Hostname    string
	Domainname  string
	User        string
	Tty         bool
	OpenStdin   bool
	Env         []string
	Entrypoint  []string
	Cmd         []string
	Image       string
	WorkingDir  string
	Labels      map[string]string
	StopSignal  string
	StopTimeout int
	// ExposedPorts are those of the image, of --expose and of -p; the values are empty.
	ExposedPorts map[string]struct{} `json:",omitempty"`
	// Timeout is that of --timeout, 0 for none.
	Timeout int
	Umask   string // four octal digits
	// Timezone is that of --tz.
	Timezone string `json:",omitempty"`
	// Healthcheck is its health check; the times are in nanoseconds.
	Healthcheck                *spec.Health `json:",omitempty"`
	HealthcheckOnFailureAction string       `json:",omitempty"`
	// CreateCommand is what was typed.
	CreateCommand []string `json:",omitempty"`
	// Annotations are those of --annotation: podman's place for them. Docker's is HostConfig.
	Annotations map[string]string `json:",omitempty"`
}

// HostConfig is how it is tied to the host, as it was asked for.
type HostConfig struct {
	Binds          []string
	NetworkMode    string
	PortBindings   map[string][]PortBinding
	RestartPolicy  RestartPolicy
	AutoRemove     bool
	VolumesFrom    []string
	CapAdd         []string
	CapDrop        []string
	Dns            []string
	DnsOptions     []string
	DnsSearch      []string
	ExtraHosts     []string
	GroupAdd       []string
	IpcMode        string
	PidMode        string
	UTSMode        string
	UsernsMode     string
	Privileged     bool
	ReadonlyRootfs bool
	SecurityOpt    []string
	Tmpfs          map[string]string
	Init           bool
	Sysctls        map[string]string
	ShmSize        int64 // bytes
	Ulimits        []Ulimit
	Devices        []Device
	LogConfig      LogConfig
	OomScoreAdj    int
	Cgroups        string
	CgroupMode     string
	CgroupParent   string
	// The limits as they were asked for, in docker's units: bytes, shares of version 1, billionths of a processor, microseconds.
	Memory            int64
	MemorySwap        int64
	MemoryReservation int64
	NanoCpus          int64
	CpuShares         uint64
	CpuPeriod         uint64
	CpuQuota          int64
	CpusetCpus        string
	CpusetMems        string
	PidsLimit         int64
	BlkioWeight       uint16
	Annotations       map[string]string

	AutoRemoveImage bool // --rmi
	PublishAllPorts bool // -P
}

// PortBinding is a place on the host. HostIp "" is every address, HostPort "" one that the kernel chooses.
type PortBinding struct {
	HostIp   string
	HostPort string
}

// RestartPolicy is that of --restart.
type RestartPolicy struct {
	Name              string
	MaximumRetryCount int
}

// NetworkSettings are those of now, empty while it doesn't run.
type NetworkSettings struct {
	Ports     map[string][]PortBinding
	IPAddress string
	Networks  map[string]InspectedNetwork
}

// InspectedNetwork is the one that there is, by its mode.
type InspectedNetwork struct{ IPAddress string }

// Inspect finds a container and tells all of it.
func Inspect(word string) (*Inspected, error) {
	s, c, err := findConfig(word)
	if err != nil {
		return nil, err
	}
	store, err := storage.Open()
	if err != nil {
		return nil, err
	}
	if c.Spec.Spec == nil || c.Spec.Spec.Process == nil || len(c.Spec.Spec.Process.Args) == 0 {
		return nil, hint.Errorf("rl rm -f "+s.Name+" removes it", "inspect container %s: its configuration has no command", s.Name)
	}
	args := c.Spec.Spec.Process.Args
	i := &Inspected{
		Id: s.ID, Name: s.Name, Created: s.Created, Image: s.ImageID, ImageName: s.Image, ImageDigest: c.Image.Digest, Rootfs: c.Request.Rootfs,
		RestartCount: s.Restarts, LogPath: logPath(s, &c.Request.Log), PidFile: c.Request.PidFile, ConmonPidFile: c.Request.MonitorPidFile, Path: args[0], Args: args[1:], State: inspectState(s), Mounts: inspectMounts(store, c.Spec),
		Config: inspectConfig(s, c), HostConfig: inspectHost(s, c), NetworkSettings: inspectNetwork(s, c.Spec.Exposed),
	}
	if i.Rootfs == "" {
		i.GraphDriver = graphDriver(s, c)
		i.Driver = i.GraphDriver.Name
	}
	return i, nil
}

func inspectState(s *storage.State) InspectedState {
	i := InspectedState{Status: s.Status, Running: s.Running, Paused: s.Status == Paused, Restarting: s.Status == storage.Restarting,
		OOMKilled: s.OOMKilled, ExitCode: s.ExitCode, Error: s.Error, StartedAt: s.Started, FinishedAt: s.Finished}
	if s.Running {
		i.Pid, i.CgroupPath = s.Pid, strings.TrimPrefix(s.Cgroup, "/sys/fs/cgroup")
		g := cgroup.Reopen(s.Cgroup)
		defer g.Close()
		i.Limits = g.Limits()
	}
	if h := s.Health(); h != nil {
		i.Health = &InspectedHealth{h.Status, h.FailingStreak, append([]storage.Check{}, h.Log...)}
		i.Healthcheck = i.Health
	}
	return i
}

func graphDriver(s *storage.State, c *Config) *GraphDriver {
	name := c.Request.StorageDriver
	if name == "" {
		name = "overlay"
	}
	var lower []string
	for _, l := range c.Image.Layers {
		if !filepath.IsAbs(l) {
			l = filepath.Join(c.Image.Base, l)
		}
		lower = append(lower, l)
	}
	return &GraphDriver{Name: name, Data: map[string]string{
		"LowerDir": strings.Join(lower, ":"), "UpperDir": filepath.Join(s.Dir, "upper"), "WorkDir": filepath.Join(s.Dir, "work"),
	}}
}

func inspectMounts(store *storage.Store, c *spec.Container) []InspectedMount {
	all := []InspectedMount{}
	for _, m := range c.Spec.Mounts {
		one := InspectedMount{Type: "bind", Source: m.Source, Destination: m.Destination, RW: !slices.Contains(m.Options, "ro"), Options: m.Options}
		one.Propagation = propagation(m)
		at := slices.IndexFunc(c.Volumes, func(v spec.Volume) bool { return m.Type == spec.VolumeType && v.Destination == m.Destination })
		switch {
		case at >= 0:
			one.Type, one.Driver, one.Name = "volume", "local", c.Volumes[at].Name
			one.Source = store.Mountpoint(one.Name)
		case !slices.Contains(c.Binds, m.Destination):
			continue // one that every container has
		}
		all = append(all, one)
	}
	return all
}

func propagation(m specs.Mount) string {
	for _, word := range m.Options {
		switch word {
		case "private", "rprivate", "shared", "rshared", "slave", "rslave":
			return word
		}
	}
	return ""
}

func inspectConfig(s *storage.State, c *Config) InspectedConfig {
	p, o := c.Spec.Spec.Process, &c.Request.Options
	i := InspectedConfig{Hostname: c.Spec.Spec.Hostname, Domainname: c.Spec.Spec.Domainname, User: c.Spec.User, Tty: o.TTY, OpenStdin: o.Interactive,
		Env: p.Env, Entrypoint: []string{}, Cmd: p.Args, Image: s.Image, WorkingDir: p.Cwd, Labels: map[string]string{}, StopSignal: s.StopSignal, StopTimeout: s.StopTimeout, Timeout: c.Request.Timeout,
		Annotations: c.Spec.Spec.Annotations, CreateCommand: createCommand(c)}
	if i.Healthcheck = c.Spec.Health; i.Healthcheck != nil {
		i.HealthcheckOnFailureAction = cmp.Or(c.Spec.HealthOnFailure, "none")
	}
	if i.StopSignal == "" {
		i.StopSignal = "SIGTERM"
	}
	if s.Labels != nil {
		i.Labels = s.Labels
	}
	for _, port := range append(oneByOne(c.Spec.Exposed), exposed(c.Request.Ports)...) {
		if i.ExposedPorts == nil {
			i.ExposedPorts = map[string]struct{}{}
		}
		i.ExposedPorts[port] = struct{}{}
	}
	mask := uint32(spec.DefaultUmask)
	if p.User.Umask != nil {
		mask = *p.User.Umask
	}
	i.Umask, i.Timezone = fmt.Sprintf("%04o", mask), c.Request.TimeZone
	// What was typed after the image is the end of what runs; before it is the entrypoint.
	if n := len(p.Args) - len(o.Args); len(o.Args) > 0 && n > 0 && slices.Equal(p.Args[n:], o.Args) {
		i.Entrypoint, i.Cmd = p.Args[:n], p.Args[n:]
	}
	return i
}

func createCommand(c *Config) []string {
	if c.Request.Typed == nil {
		return nil
	}
	return append([]string{"rl", "run"}, c.Request.Typed...)
}

func inspectHost(s *storage.State, c *Config) HostConfig {
	r, o := &c.Request, &c.Request.Options
	kind, times, _ := restartPolicy(s.Restart)
	if kind == "" {
		kind = "no"
	}
	h := HostConfig{
		Binds: list(o.Volumes), NetworkMode: NetworkMode(s), PortBindings: bindings(published(r.Ports)), RestartPolicy: RestartPolicy{kind, times},
		AutoRemove: s.Remove, VolumesFrom: list(r.VolumesFrom), CapAdd: list(o.CapAdd), CapDrop: list(o.CapDrop), Dns: list(r.DNS),
		DnsOptions: list(r.DNSOptions), DnsSearch: list(r.DNSSearch), ExtraHosts: list(r.AddHosts), GroupAdd: list(o.GroupAdd),
		IpcMode: cmp.Or(o.IPC, "shareable"), PidMode: private(o.PID), UTSMode: private(o.UTS), UsernsMode: o.Userns, Privileged: o.Privileged,
		ReadonlyRootfs: o.ReadOnly, SecurityOpt: list(o.SecurityOpt), Tmpfs: pairs(o.Tmpfs, ":"), Init: o.Init, Sysctls: pairs(o.Sysctls, "="),
		ShmSize: shmSize(c.Spec.Spec.Mounts), Ulimits: inspectUlimits(c.Spec.Spec.Process.Rlimits), Devices: inspectDevices(o.Devices), LogConfig: inspectLog(s, &r.Log),
		Cgroups:    cmp.Or(r.Cgroups, "default"),
		CgroupMode: private(o.Cgroupns), CgroupParent: r.CgroupParent,
		Annotations: pairs(o.Annotations, "="), AutoRemoveImage: r.RemoveImage, PublishAllPorts: r.PublishAll,
	}
	if n := c.Spec.Spec.Process.OOMScoreAdj; n != nil {
		h.OomScoreAdj = *n
	}
	if res, err := o.Limits.Resources(); err == nil && res != nil {
		h.limits(res)
	}
	return h
}

func (h *HostConfig) limits(res *specs.LinuxResources) {
	if m := res.Memory; m != nil {
		h.Memory, h.MemorySwap, h.MemoryReservation = known(m.Limit), known(m.Swap), known(m.Reservation)
	}
	if c := res.CPU; c != nil {
		h.CpuShares, h.CpuPeriod, h.CpuQuota, h.CpusetCpus, h.CpusetMems = known(c.Shares), known(c.Period), known(c.Quota), c.Cpus, c.Mems
		if h.CpuPeriod > 0 && h.CpuQuota > 0 {
			h.NanoCpus = h.CpuQuota * 1e9 / int64(h.CpuPeriod)
		}
	}
	if res.Pids != nil {
		h.PidsLimit = known(res.Pids.Limit)
	}
	if res.BlockIO != nil {
		h.BlkioWeight = known(res.BlockIO.Weight)
	}
}

// known is a number that may be missing.
func known[N any](p *N) (n N) {
	if p != nil {
		n = *p
	}
	return n
}

// list is never null in JSON.
func list(words []string) []string { return append([]string{}, words...) }

func private(mode string) string {
	if mode == "" {
		return "private"
	}
	return mode
}

func pairs(words []string, between string) map[string]string {
	all := map[string]string{}
	for _, w := range words {
		key, value, _ := strings.Cut(w, between)
		all[key] = value
	}
	return all
}

// bindings are docker's form of published ports: one by one, by the container's.
func bindings(ports []Published) map[string][]PortBinding {
	all := map[string][]PortBinding{}
	for _, p := range ports {
		for n := range p.Range {
			b := PortBinding{HostIp: p.HostIP}
			if p.HostPort != 0 {
				b.HostPort = strconv.Itoa(p.HostPort + n)
			}
			key := strconv.Itoa(p.ContainerPort+n) + "/" + p.Protocol
			all[key] = append(all[key], b)
		}
	}
	return all
}

// inspectNetwork has the ports that are exposed and not published, too: with null, as docker and podman show them.
func inspectNetwork(s *storage.State, exposed []string) NetworkSettings {
	n := NetworkSettings{Ports: bindings(PublishedPorts(s)), Networks: map[string]InspectedNetwork{}}
	if s.Running {
		if mode, _, _ := strings.Cut(s.Network, ":"); mode != "none" && mode != "host" && mode != "container" {
			for _, port := range oneByOne(exposed) {
				n.Ports[port] = append(n.Ports[port], []PortBinding(nil)...)
			}
		}
		n.IPAddress = address(s.Pid)
		n.Networks[NetworkMode(s)] = InspectedNetwork{n.IPAddress}
	}
	return n
}

// address is the first IPv4 address of a process's network namespace beside loopback's, as the kernel says (proc(5),
// /proc/PID/net/fib_trie: an address, then the line of its route, /32 host LOCAL); "" on the host's network.
func address(pid int) string {
	proc := "/proc/" + strconv.Itoa(pid)
	its, err := os.Readlink(proc + "/ns/net")
	if own, _ := os.Readlink("/proc/self/ns/net"); err != nil || its == own {
		return ""
	}
	b, err := os.ReadFile(proc + "/net/fib_trie")
	if err != nil {
		return ""
	}
	last := ""
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if _, a, ok := strings.Cut(line, "|-- "); ok {
			last = a
		} else if line == "/32 host LOCAL" && !strings.HasPrefix(last, "127.") {
			return last
		}
	}
	return ""
}
