package oci

import (
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/runtime-spec/specs-go/features"

	"github.com/rl-containers/rl/seccomp"
	"github.com/rl-containers/rl/spec"
)

// versionMin is the oldest ociVersion of a config.json that is understood.
const versionMin = "1.0.0"

// versionKey is the annotation that tells rl's version.
const versionKey = "io.github.rl-containers.rl.version"

// mountOptions are the options of mounts that aren't a file system's own (runtime-spec config.md, "Linux mount options"). Of
// those of the spec, idmap and ridmap are missing, which need privileges on the source's file system, remount, since each mount
// is made once, and acl, noacl, iversion and noiversion, which are for the file system to know.
const mountOptions = "async atime bind defaults dev diratime dirsync exec lazytime loud mand noatime nodev nodiratime noexec " +
	"nolazytime nomand norelatime nostrictatime nosuid nosymfollow private ratime rbind rdev rdiratime relatime rexec " +
	"rnoatime rnodev rnodiratime rnoexec rnorelatime rnostrictatime rnosuid rnosymfollow ro rprivate rrelatime rro rrw rshared rslave rstrictatime rsuid rsymfollow runbindable rw shared silent " +
	"slave strictatime suid symfollow sync tmpcopyup unbindable"

// Features is what `features` prints (runtime-spec features.md): what this program can do, not what this machine lets it do.
func Features(version string) *features.Features {
	return &features.Features{
		OCIVersionMin: versionMin,
		OCIVersionMax: specs.Version,
		Hooks:         []string{"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"},
		MountOptions:  strings.Fields(mountOptions),
		Linux: &features.Linux{
			Namespaces: texts([]specs.LinuxNamespaceType{specs.CgroupNamespace, specs.IPCNamespace, specs.MountNamespace, specs.NetworkNamespace,
				specs.PIDNamespace, specs.TimeNamespace, specs.UserNamespace, specs.UTSNamespace}),
			Capabilities:    spec.CapNames(),
			Cgroup:          &features.Cgroup{V1: new(false), V2: new(true), Systemd: new(false), SystemdUser: new(false), Rdma: new(false)},
			Seccomp:         seccompFeatures(),
			Apparmor:        &features.Apparmor{Enabled: new(true)},
			Selinux:         &features.Selinux{Enabled: new(true)},
			IntelRdt:        &features.IntelRdt{Enabled: new(false)},
			MountExtensions: &features.MountExtensions{IDMap: &features.IDMap{Enabled: new(false)}},
			NetDevices:      &features.NetDevices{Enabled: new(false)},
		},
		Annotations: map[string]string{versionKey: version},
	}
}

func seccompFeatures() *features.Seccomp {
	return &features.Seccomp{
		Enabled:        new(true),
		Actions:        texts(seccomp.Actions()),
		Operators:      texts(seccomp.Operators()),
		Archs:          texts(seccomp.Archs()),
		KnownFlags:     texts(seccomp.Flags()),
		SupportedFlags: texts(seccomp.SupportedFlags()),
	}
}

func texts[T ~string](list []T) []string {
	all := make([]string, len(list))
	for i, s := range list {
		all[i] = string(s)
	}
	return all
}
