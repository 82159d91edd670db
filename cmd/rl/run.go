package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/rl-containers/rl/cmd/verbs"
	"github.com/rl-containers/rl/container"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/logs"
	"github.com/rl-containers/rl/spec"
)

// RunCmd is `rl run`: docker's and podman's flags, with their meaning.
type RunCmd struct {
	Detach      bool     `short:"d" help:"Run it in the background and print its id."`
	Attach      []string `short:"a" sep:"none" placeholder:"stdin|stdout|stderr" help:"Only this stream; of those that are left out nothing is shown, with stdin alone the container's id."`
	PreserveFds uint     `placeholder:"N" help:"Pass N descriptors after stdio to the program."`
	Rmi         bool     `name:"rmi" help:"Remove the container when it ends, and then the image, unless another container uses it."`
	SigProxy    bool     `default:"true" negatable:"" help:"Pass signals to the program (default)."`
	DetachKeys  *string  `placeholder:"KEYS" help:"With -it: keys, as ctrl-p,ctrl-q, that leave the container running in the background. Without it, it ends with rl."`
	CreateFlags
}

// CreateCmd is `rl create`.
type CreateCmd struct{ CreateFlags }

// CreateFlags say what a container is.
type CreateFlags struct {
	Interactive bool     `short:"i" help:"Keep stdin open: what is typed or piped reaches the program."`
	TTY         bool     `short:"t" name:"tty" help:"Give the program a terminal."`
	Rm          bool     `name:"rm" help:"Remove the container when it ends."`
	Name        string   `placeholder:"NAME" help:"Name of the container."`
	Env         []string `short:"e" sep:"none" placeholder:"KEY[=VALUE]" help:"Set a variable; without a value the caller's."`
	EnvFile     []string `sep:"none" placeholder:"FILE" help:"Read variables from a file, one a line."`
	EnvMerge    []string `sep:"none" placeholder:"KEY=VALUE" help:"Make a variable of rl's own or the image's anew, of what those are: PATH=/mine:$${PATH}."`
	UnsetEnv    []string `name:"unsetenv" sep:"none" placeholder:"KEY" help:"Leave out a variable of rl's own or of the image."`
	UnsetEnvAll bool     `name:"unsetenv-all" help:"Leave out all of those."`
	HTTPProxy   bool     `name:"http-proxy" help:"Set the caller's http_proxy, https_proxy, ftp_proxy and no_proxy."`
	EnvHost     bool     `help:"Set all of the caller's variables."`
	Workdir     string   `short:"w" placeholder:"DIR" help:"Working directory inside the container."`
	User        string   `short:"u" placeholder:"USER[:GROUP]" help:"Who the program runs as, by name or number."`
	Entrypoint  *string  `placeholder:"WORD" help:"Program instead of the image's entrypoint; a JSON array gives it arguments."`
	Hostname    string   `placeholder:"NAME" short:"h" help:"Host name inside; the short container id without it."`
	Domainname  string   `placeholder:"NAME" help:"Domain of its host name."`
	GroupAdd    []string `sep:"none" placeholder:"GROUP" help:"Further group of the program; keep-groups keeps the caller's."`
	Umask       string   `placeholder:"MODE" help:"Bits that its new files don't get: 0027 (0022)."`
	TZ          string   `name:"tz" placeholder:"ZONE|local" help:"Time zone: one of this machine, as Europe/Berlin, is its /etc/localtime; local: this machine's."`
	Annotation  []string `sep:"none" placeholder:"KEY=VALUE" help:"Annotation in its OCI runtime spec."`
	Label       []string `short:"l" sep:"none" placeholder:"KEY[=VALUE]" help:"Label of the container."`
	LabelFile   []string `sep:"none" placeholder:"FILE" help:"Read labels from a file, one a line."`
	CIDFile     string   `name:"cidfile" placeholder:"FILE" help:"Write the container id to a new file."`
	Pidfile     string   `placeholder:"FILE" help:"Write the number of its first process to a file, at each start."`
	ConmonPID   string   `name:"conmon-pidfile" placeholder:"FILE" help:"Write the number of the process that stays with it to a file, for a service manager."`
	StopSignal  string   `placeholder:"SIGNAL" help:"Signal that stops the program."`
	StopTimeout int      `default:"10" placeholder:"SECONDS" help:"How long a stop waits before it kills (${default})."`
	Timeout     int      `placeholder:"SECONDS" help:"Kill it when it has run for so long, at each start anew; its exit code is 255 then."`
	Restart     string   `default:"no" placeholder:"POLICY" help:"Start it again when it ends: no, on-failure[:N], always, unless-stopped."`
	Sdnotify    string   `placeholder:"ignore|conmon" help:"conmon: tell the service manager when the program has started (Type=notify)."`
	Lifetime    string   `placeholder:"session|user" help:"Detached: whether it ends with your login session, or stays where the system lets it (default)."`
	Replace     bool     `help:"Remove a container that has the name already."`
	LogDriver   string   `default:"k8s-file" placeholder:"DRIVER" help:"How its output is kept: k8s-file, json-file (docker's), journald or none."`
	LogOpt      []string `sep:"none" placeholder:"KEY=VALUE" help:"max-size=10m (the next file begins), max-file=3 (so many are kept), path=FILE, tag=TEXT."`

	Volume      []string `short:"v" sep:"none" group:"Files" placeholder:"SRC:DST[:OPTIONS]" help:"Show a directory or file of the host, a volume (NAME:DST), or a new volume (DST): ro, z, exec, dev, suid, rslave; of a volume nocopy, U…"`
	Mount       []string `sep:"none" group:"Files" placeholder:"type=…,…" help:"The same in words: type=bind,src=,dst=[,ro], type=volume,src=,dst= or type=tmpfs,dst=."`
	VolumesFrom []string `sep:"none" group:"Files" placeholder:"CONTAINER[:ro]" help:"Show the volumes and directories that another container has."`
	ImageVolume string   `default:"anonymous" group:"Files" placeholder:"KIND" help:"What stands for a VOLUME of the image: anonymous (a volume), tmpfs or ignore."`
	Tmpfs       []string `sep:"none" group:"Files" placeholder:"PATH[:OPTIONS]" help:"Empty file system in memory: size=, mode=…"`
	ReadOnly    bool     `group:"Files" help:"Make the root file system read-only; /tmp, /run and /var/tmp are tmpfs."`
	Writable    bool     `name:"read-only-tmpfs" default:"true" negatable:"" group:"Files" help:"With --read-only: the three tmpfs (default)."`
	Device      []string `sep:"none" group:"Files" placeholder:"SRC[:DST]" help:"Show a device of the host."`
	ShmSize     string   `group:"Files" placeholder:"SIZE" help:"Size of /dev/shm (64m)."`
	Rootfs      bool     `group:"Files" help:"IMAGE is a directory with a root file system; it is written to."`
	Storage     string   `name:"storage-driver" env:"RL_ROOTFS_DRIVER" group:"Files" placeholder:"DRIVER" help:"overlay or fuse-overlayfs; without it overlay, and fuse-overlayfs where the kernel refuses."`

	Network    string   `group:"Network" name:"network" aliases:"net" placeholder:"MODE" help:"slirp4netns[:OPTIONS], pasta[:OPTIONS], none, host or container:NAME; without it the first that is installed."`
	Publish    []string `short:"p" sep:"none" group:"Network" placeholder:"[IP:]HOST:CONTAINER[/udp]" help:"Publish a port or a range of ports."`
	PublishAll bool     `short:"P" group:"Network" help:"Publish all ports that the image or --expose names, each at one of the host that the kernel chooses: rl port tells."`
	Expose     []string `sep:"none" group:"Network" placeholder:"PORT[-PORT][/udp]" help:"A port for -P, beside those of the image."`
	DNS        []string `name:"dns" sep:"none" group:"Network" placeholder:"IP" help:"Name server instead of the host's."`
	DNSSearch  []string `name:"dns-search" sep:"none" group:"Network" placeholder:"DOMAIN" help:"Search domain; . for none."`
	DNSOption  []string `name:"dns-option" aliases:"dns-opt" sep:"none" group:"Network" placeholder:"OPTION" help:"Option of resolv.conf."`
	AddHost    []string `sep:"none" group:"Network" placeholder:"NAME:IP" help:"Line of /etc/hosts; host-gateway stands for the host."`
	NoHosts    bool     `group:"Network" help:"Leave /etc/hosts as the image has it."`

	CapAdd      []string `sep:"none" group:"Rights" placeholder:"CAP" help:"Add a capability, or ALL."`
	CapDrop     []string `sep:"none" group:"Rights" placeholder:"CAP" help:"Drop a capability, or ALL."`
	SecurityOpt []string `sep:"none" group:"Rights" placeholder:"OPTION" help:"seccomp=FILE|unconfined, no-new-privileges=false, mask=PATHS, unmask=PATHS|ALL."`
	Privileged  bool     `group:"Rights" help:"All capabilities, no filter, nothing masked: as far as a user namespace goes."`
	Userns      string   `group:"Rights" name:"userns" placeholder:"MODE" help:"keep-id[:uid=N,gid=N], host or nomap; without it root inside is you."`
	Ulimit      []string `sep:"none" group:"Rights" placeholder:"NAME=SOFT[:HARD]" help:"Resource limit of the program."`
	Sysctl      []string `sep:"none" group:"Rights" placeholder:"KEY=VALUE" help:"Kernel setting of the container's own namespaces."`
	PID         string   `name:"pid" group:"Rights" placeholder:"MODE" help:"private, host or container:NAME: whose processes it sees."`
	IPC         string   `name:"ipc" group:"Rights" placeholder:"MODE" help:"shareable, private (nobody joins it), none (no /dev/shm), host or container:NAME: whose shared memory it has."`
	UTS         string   `name:"uts" group:"Rights" placeholder:"MODE" help:"private, host or container:NAME: whose host name it has."`
	OOMScoreAdj string   `name:"oom-score-adj" group:"Rights" placeholder:"N" help:"The kernel's choice when the machine is out of memory: -1000 (never) to 1000."`
	Init        bool     `group:"Rights" help:"Start a small init as PID 1, which reaps orphans and passes signals."`

	HealthCmd           string `group:"Health" placeholder:"COMMAND" help:"Check that the container is well: a line for its shell, a JSON array of words, or none."`
	HealthInterval      string `group:"Health" placeholder:"TIME" help:"From a check to the next (30s); disable: only when rl healthcheck run asks."`
	HealthTimeout       string `group:"Health" placeholder:"TIME" help:"How long a check may take (30s)."`
	HealthRetries       *int   `group:"Health" placeholder:"N" help:"So many failures in a row make it unhealthy (3)."`
	HealthStartPeriod   string `group:"Health" placeholder:"TIME" help:"Failures don't count for so long after the start, until a check goes well (0s)."`
	HealthStartInterval string `group:"Health" placeholder:"TIME" help:"From a check to the next in the start period; without it as ever."`
	HealthOnFailure     string `group:"Health" placeholder:"ACTION" help:"When it is unhealthy: none, kill, restart or stop."`
	NoHealthcheck       bool   `group:"Health" help:"No check, though the image has one."`

	LimitFlags
	PidsLimit    string   `group:"Limits" placeholder:"N" help:"Most processes and threads; -1: no limit. Where it has a cgroup 2048 without it."`
	CgroupConf   []string `sep:"none" group:"Limits" placeholder:"FILE=VALUE" help:"A file of the cgroup: memory.high=1073741824."`
	OOMKill      bool     `name:"oom-kill-disable" hidden:""`
	Systemd      string   `group:"Limits" placeholder:"true|always|false" help:"Prepare it for a systemd as PID 1: true, as without it, when the program is one."`
	Cgroupns     string   `group:"Limits" placeholder:"private|host" help:"host: show the host's tree of cgroups."`
	CgroupParent string   `group:"Limits" placeholder:"PATH|NAME.slice" help:"Make the cgroup there."`
	Cgroups      string   `group:"Limits" placeholder:"MODE" help:"enabled: have a cgroup even without limits; disabled: none; split: below the caller's own; no-conmon: as enabled."`
	Limits       string   `group:"Limits" placeholder:"strict|best-effort" help:"When a limit can't be enforced: fail (strict, as without it), or warn and go on."`

	Pull           string `group:"Image" placeholder:"WHEN" default:"missing" help:"always, newer, missing or never (${default})."`
	verbs.Platform `embed:""`
	verbs.Registry `embed:""`
	Quiet          bool `short:"q" group:"Image" help:"No progress of a pull, no notes."`

	Command []string `arg:"" optional:"" passthrough:"" name:"image [command…]" help:"Image, and the program with its arguments."`
}

// LimitFlags are the limits that rl update changes, too.
type LimitFlags struct {
	Memory            string   `short:"m" group:"Limits" placeholder:"SIZE" help:"Most memory: 512m, 2g."`
	MemorySwap        string   `group:"Limits" placeholder:"SIZE" help:"Memory and swap together; -1: all swap that there is. Twice the memory without it."`
	MemoryReservation string   `group:"Limits" placeholder:"SIZE" help:"Memory that is taken from it last."`
	MemorySwappiness  string   `group:"Limits" placeholder:"N" hidden:""`
	CPUs              string   `name:"cpus" group:"Limits" placeholder:"N" help:"Processor time: 0.5, 2."`
	CPUShares         string   `short:"c" name:"cpu-shares" group:"Limits" placeholder:"N" help:"Its share where others want the processors, too (1024)."`
	CPUPeriod         string   `name:"cpu-period" group:"Limits" placeholder:"MICROSECONDS" help:"The time that --cpu-quota is a part of (100000)."`
	CPUQuota          string   `name:"cpu-quota" group:"Limits" placeholder:"MICROSECONDS" help:"Processor time in each period; -1: no limit."`
	CpusetCPUs        string   `name:"cpuset-cpus" group:"Limits" placeholder:"LIST" help:"Processors that it may use: 0-2,4."`
	CpusetMems        string   `name:"cpuset-mems" group:"Limits" placeholder:"LIST" help:"Memory nodes that it may use."`
	BlkioWeight       string   `group:"Limits" placeholder:"N" help:"Its share of block devices, 10 to 1000."`
	BlkioWeightDevice []string `sep:"none" group:"Limits" placeholder:"DEVICE:N" help:"The same of one device."`
	DeviceReadBps     []string `sep:"none" name:"device-read-bps" group:"Limits" placeholder:"DEVICE:SIZE" help:"Bytes a second that it may read."`
	DeviceWriteBps    []string `sep:"none" name:"device-write-bps" group:"Limits" placeholder:"DEVICE:SIZE" help:"Bytes a second that it may write."`
	DeviceReadIops    []string `sep:"none" name:"device-read-iops" group:"Limits" placeholder:"DEVICE:N" help:"Reads a second."`
	DeviceWriteIops   []string `sep:"none" name:"device-write-iops" group:"Limits" placeholder:"DEVICE:N" help:"Writes a second."`
}

func (f *LimitFlags) options() spec.LimitOptions {
	return spec.LimitOptions{Memory: f.Memory, MemorySwap: f.MemorySwap, MemoryReservation: f.MemoryReservation, MemorySwappiness: f.MemorySwappiness,
		CPUs: f.CPUs, CPUShares: f.CPUShares, CPUPeriod: f.CPUPeriod, CPUQuota: f.CPUQuota, CpusetCPUs: f.CpusetCPUs, CpusetMems: f.CpusetMems,
		BlkioWeight: f.BlkioWeight, BlkioWeightDevice: f.BlkioWeightDevice, ReadBps: f.DeviceReadBps, WriteBps: f.DeviceWriteBps,
		ReadIOps: f.DeviceReadIops, WriteIOps: f.DeviceWriteIops}
}

// Help is the text below the flags.
func (*RunCmd) Help() string {
	return `Flags end at IMAGE. Exit code: that of the program, 128+n when signal n ended it; 125 rl failed, 126 the program can't be executed, 127 it was not found.

The image "tiny" (a shell and the usual small tools) is built in: rl run --rm -it tiny`
}

// Run starts the container, and stays with it unless it is to be left alone.
func (c *RunCmd) Run() error {
	req, err := c.request("run")
	if err != nil {
		return err
	}
	req.DetachKeys, req.SigProxy = "ctrl-p,ctrl-q", c.SigProxy
	req.RemoveImage, req.Remove = c.Rmi, c.Rm || c.Rmi
	req.PreserveFds = int(c.PreserveFds)
	req.Attach, req.Alone = c.Attach, func(id string) { fmt.Println(id) }
	if c.DetachKeys != nil {
		req.DetachKeys, req.Leave = *c.DetachKeys, *c.DetachKeys != "" && c.Interactive && c.TTY
	}
	switch {
	case int(c.PreserveFds) > inherited:
		return hint.Errorf("rl run --preserve-fds 1 … 3<FILE", "run: --preserve-fds %d: %d are open from 3 on", c.PreserveFds, inherited)
	case c.Detach:
		id, err := container.RunDetached(req)
		if id != "" && err == nil {
			fmt.Println(id)
		}
		return ownFailure(err)
	case c.Lifetime != "" && c.Restart == "no" && !req.Leave:
		return hint.Errorf("rl run -d, or leave it out", "run: --lifetime is of detached containers; this one ends with rl")
	case c.TTY && c.Interactive && !isTerminal(os.Stdin):
		return hint.Errorf("leave -t out: rl run -i …", "run: -t gives the program a terminal, but stdin is none")
	}
	return ownFailure(container.Run(req))
}

// ownFailure: with run and create another container that isn't there is a failure of rl's own; 1 is the program's.
func ownFailure(err error) error {
	if errors.Is(err, container.ErrNotFound) {
		return &hint.Exit{Code: 125, Err: err}
	}
	return err
}

// Run makes the container and prints its id.
func (c *CreateCmd) Run() error {
	req, err := c.request("create")
	if err != nil {
		return err
	}
	id, err := container.Create(req)
	if err == nil {
		fmt.Println(id)
	}
	return ownFailure(err)
}

// request is what was typed.
func (c *CreateFlags) request(verb string) (req container.Request, err error) {
	words := c.Command
	switch {
	case len(words) > 0 && words[0] == "--":
		words = words[1:]
	case len(words) > 0 && strings.HasPrefix(words[0], "-"):
		return req, find(commands(), verb).unknownFlag(words[0])
	}
	if len(words) == 0 {
		return req, hint.Errorf("rl "+verb+" --rm -it tiny    (built in, needs no network)", "%s: IMAGE is missing", verb)
	}
	req = container.Request{Image: words[0], Name: c.Name, Remove: c.Rm, Pull: c.Pull, Authfile: c.Authfile, TLSVerify: c.TLSVerify, CIDFile: c.CIDFile, PidFile: c.Pidfile, MonitorPidFile: c.ConmonPID,
		Network: c.Network, Ports: c.Publish, Expose: c.Expose, PublishAll: c.PublishAll, DNS: c.DNS, DNSSearch: c.DNSSearch, DNSOptions: c.DNSOption, AddHosts: c.AddHost, NoHosts: c.NoHosts,
		Quiet: c.Quiet, StorageDriver: c.Storage, Restart: c.Restart, StopTimeout: c.StopTimeout, Timeout: c.Timeout, Replace: c.Replace,
		TimeZone: c.TZ, Lifetime: c.Lifetime, SdNotify: c.Sdnotify, VolumesFrom: c.VolumesFrom, Options: c.options(words[1:])}
	if req.Platform, err = container.Platform(c.Platform.Platform, c.OS, c.Arch, c.Variant); err != nil {
		return req, err
	}
	if req.Log, err = logs.Parse(c.LogDriver, c.LogOpt); err != nil {
		return req, err
	}
	if c.OOMKill {
		return req, hint.Errorf("--oom-score-adj N makes the kernel choose others first", "%s: --oom-kill-disable: cgroup version 2 has no such switch", verb)
	}
	req.Cgroups, req.CgroupParent, req.Limits = c.Cgroups, c.CgroupParent, c.Limits
	if c.Rootfs {
		req.Image, req.Rootfs = "", words[0]
	}
	req.Typed = typed(verb)
	req.Dir, _ = os.Getwd()
	return req, nil
}

// typed are the words behind the verb of this process, which may stand behind --log-level and the name of a group.
func typed(verb string) []string {
	if at := slices.Index(os.Args, verb); at > 0 {
		return os.Args[at+1:]
	}
	return nil
}

func (c *CreateFlags) options(args []string) spec.Options {
	limits := c.LimitFlags.options()
	limits.Pids, limits.Conf = c.PidsLimit, c.CgroupConf
	return spec.Options{Args: args, Entrypoint: c.Entrypoint, Env: c.Env, EnvFiles: c.EnvFile, EnvHost: c.EnvHost, EnvMerge: c.EnvMerge, HTTPProxy: c.HTTPProxy, UnsetEnv: c.UnsetEnv, UnsetEnvAll: c.UnsetEnvAll, Workdir: c.Workdir, User: c.User,
		GroupAdd: c.GroupAdd, Umask: c.Umask, Hostname: c.Hostname, Domainname: c.Domainname, Interactive: c.Interactive, TTY: c.TTY, Init: c.Init, ReadOnly: c.ReadOnly, NoTmpfs: !c.Writable,
		Privileged: c.Privileged, Volumes: c.Volume, Mounts: c.Mount, ImageVolume: c.ImageVolume, Tmpfs: c.Tmpfs, Devices: c.Device, ShmSize: c.ShmSize,
		CapAdd: c.CapAdd, CapDrop: c.CapDrop, SecurityOpt: c.SecurityOpt, Ulimits: c.Ulimit, Sysctls: c.Sysctl, PID: c.PID,
		IPC: c.IPC, UTS: c.UTS, Userns: c.Userns, Labels: c.Label, LabelFiles: c.LabelFile, Annotations: c.Annotation, StopSignal: c.StopSignal,
		Limits: limits, OOMScoreAdj: c.OOMScoreAdj, Cgroupns: c.Cgroupns, Systemd: c.Systemd,
		Health: spec.HealthOptions{Cmd: c.HealthCmd, Interval: c.HealthInterval, Timeout: c.HealthTimeout, Retries: c.HealthRetries,
			StartPeriod: c.HealthStartPeriod, StartInterval: c.HealthStartInterval, OnFailure: c.HealthOnFailure, None: c.NoHealthcheck}}
}
