// Package spec turns flags and an image's config into one OCI runtime spec. It is pure: no file is read but those that
// the user named (--env-file), and nothing of the host is probed.
package spec

import (
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Options are what the user typed, in docker's and podman's terms, each in the form of its flag. The zero value is
// `rl run IMAGE`.
type Options struct {
	Args       []string // CMD after IMAGE; empty: the image's Cmd
	Entrypoint *string  // --entrypoint; nil: the image's; "" clears it; a JSON array is taken as one
	Env        []string // -e KEY=VALUE or -e KEY (the caller's value, dropped when unset); after EnvFiles
	EnvFiles   []string // --env-file
	EnvMerge   []string `json:",omitempty"` // --env-merge KEY=${KEY}…, of rl's own and the image's
	UnsetEnv   []string `json:",omitempty"` // --unsetenv: of rl's own and the image's
	EnvHost    bool     `json:",omitempty"` // --env-host: the caller's whole environment, before EnvFiles
	Workdir    string   // -w, absolute inside the container
	User       string   // -u name|uid[:group|gid]
	GroupAdd   []string // --group-add; "keep-groups" alone keeps the caller's supplementary groups
	Hostname   string   // --hostname
	Domainname string   `json:",omitempty"` // --domainname
	Umask      string   `json:",omitempty"` // --umask, octal; "": DefaultUmask

	Interactive bool // -i
	TTY         bool // -t
	Init        bool // --init
	ReadOnly    bool // --read-only
	NoTmpfs     bool `json:",omitempty"` // --read-only-tmpfs=false
	Privileged  bool // --privileged
	HTTPProxy   bool `json:",omitempty"` // --http-proxy: the caller's proxy variables, before the image's
	UnsetEnvAll bool `json:",omitempty"` // --unsetenv-all

	Volumes []string // -v SRC:DST[:OPTIONS], -v NAME:DST[:OPTIONS] or -v DST
	Mounts  []string // --mount type=bind,src=…
	Tmpfs   []string // --tmpfs PATH[:OPTIONS]
	Devices []string // --device SRC[:DST[:rwm]]
	ShmSize string   // --shm-size, bytes or with b, k, m, g

	// Inherited are the mounts of --volumes-from.
	Inherited []Inherited `json:",omitempty"`
	// ImageVolume is what stands for a VOLUME of the image: "", "bind" or "anonymous" (a volume), "tmpfs" or "ignore".
	ImageVolume string `json:",omitempty"`

	CapAdd      []string
	CapDrop     []string
	SecurityOpt []string // seccomp=FILE|unconfined, no-new-privileges[:bool], mask=PATHS, unmask=PATHS|ALL
	Ulimits     []string // name=soft[:hard]
	Sysctls     []string // key=value

	PID, IPC, UTS string // "", "private", "host" or "container:NAME"; IPC also "shareable" or "none"
	HostNetwork   bool   // --network host: no network namespace, /sys is the host's, no network sysctls
	SharedNetwork bool   // --network container:NAME: no new network namespace
	Userns        string // "" (automatic), "keep-id[:uid=N,gid=N]", "host", "nomap"
	Labels        []string
	LabelFiles    []string `json:",omitempty"` // --label-file, before Labels
	Annotations   []string `json:",omitempty"` // KEY=VALUE, for the spec
	StopSignal    string
	Health        HealthOptions `json:",omitzero"`

	Limits      LimitOptions `json:",omitzero"`
	OOMScoreAdj string       `json:",omitempty"`
	Systemd     string       `json:",omitempty"` // --systemd: "" and "true" (when the program is one), "always", "false"
	Cgroupns    string       `json:",omitempty"` // --cgroupns: "", "private" or "host"
}

// Container is what a start needs: one OCI runtime spec, and the few facts that the spec has no word for. It is also
// what is kept on disk (config.json beside the record).
type Container struct {
	// Spec is complete but for the id mappings (idmap decides), process.user (User is resolved inside the root) and
	// the three files of the network (/etc/hosts, /etc/resolv.conf, /etc/hostname).
	Spec *specs.Spec

	// User is the USER of -u or of the image: "", "name", "uid", "name:group", "uid:gid".
	User string
	// Groups are the further groups of --group-add, by name or number.
	Groups []string
	// KeepGroups keeps the caller's supplementary groups (--group-add keep-groups).
	KeepGroups bool

	// Seccomp is "" for the default profile, "unconfined", or the path of a profile in docker's JSON form.
	Seccomp string
	// Compat: the image's programs are 32-bit ones, the default profile must let them in.
	Compat bool
	// AllDevices shows the host's devices (--privileged).
	AllDevices bool
	// Systemd: the program is a systemd, and needs a cgroup.
	Systemd bool `json:",omitempty"`
	// Init starts rl's reaping stub as PID 1 before the program.
	Init bool
	// Volumes are what the mounts of the spec whose type is VolumeType stand for.
	Volumes []Volume `json:",omitempty"`
	// Binds are the targets of what -v and --mount bind.
	Binds []string `json:",omitempty"`
	// Exposed are the ports of the image and of --expose, in the image's form: 80/tcp, 8000-8010/udp.
	Exposed []string `json:",omitempty"`
	// Labels are those of the image and of --label.
	Labels map[string]string
	// StopSignal is the name or number that stops the program; "" is SIGTERM.
	StopSignal string
	// Health is the health check; nil: none. HealthOnFailure is what becomes of the container when it is unhealthy: "" (nothing),
	// "kill", "restart" or "stop".
	Health          *Health `json:",omitempty"`
	HealthOnFailure string  `json:",omitempty"`
	// Warnings are one line each: what was asked for and has no effect here, with the reason.
	Warnings []string
}
