package unit

// kind is how the value of a key becomes flags.
type kind int

const (
	value   kind = iota // the last one counts, --flag value
	list                // each is one --flag value; an empty one forgets those before
	words               // the same, several in a line
	toggle              // yes or no: --flag=true
	option              // value, behind an = of a flag that takes OPTION=VALUE
	path                // list, relative to the file
	refused             // it can't be honoured; flag says why
)

type key struct {
	kind kind
	flag string
}

// keys are those of [Container] in podman-systemd.unit(5) that are flags of run, by its names. Image, Rootfs, Exec, User, Group and
// others that are more than a flag are elsewhere.
func keys() map[string]key {
	const pods, labels = "rl has no pods", "rl sets no SELinux label"
	return map[string]key{
		"AddCapability": {words, "cap-add"}, "AddHost": {list, "add-host"}, "Annotation": {words, "annotation"},
		"AutoUpdate": {refused, "rl updates no images by itself"}, "CgroupsMode": {value, "cgroups"}, "ContainersConfModule": {refused, "rl reads no containers.conf"},
		"DNS": {list, "dns"}, "DNSOption": {list, "dns-option"}, "DNSSearch": {list, "dns-search"}, "DropCapability": {words, "cap-drop"},
		"Entrypoint": {value, "entrypoint"}, "Environment": {words, "env"}, "EnvironmentFile": {path, "env-file"}, "EnvironmentHost": {toggle, "env-host"},
		"ExposeHostPort": {list, "expose"}, "GIDMap": {list, "gidmap"}, "GlobalArgs": {refused, "rl has no flags before its commands"},
		"GroupAdd": {list, "group-add"}, "HealthCmd": {value, "health-cmd"}, "HealthInterval": {value, "health-interval"},
		"HealthLogDestination": {value, "health-log-destination"}, "HealthMaxLogCount": {value, "health-max-log-count"},
		"HealthMaxLogSize": {value, "health-max-log-size"}, "HealthOnFailure": {value, "health-on-failure"}, "HealthRetries": {value, "health-retries"},
		"HealthStartPeriod": {value, "health-start-period"}, "HealthStartupCmd": {value, "health-startup-cmd"},
		"HealthStartupInterval": {value, "health-startup-interval"}, "HealthStartupRetries": {value, "health-startup-retries"},
		"HealthStartupSuccess": {value, "health-startup-success"}, "HealthStartupTimeout": {value, "health-startup-timeout"},
		"HealthTimeout": {value, "health-timeout"}, "HostName": {value, "hostname"}, "IP": {value, "ip"}, "IP6": {value, "ip6"}, "Label": {words, "label"},
		"LogDriver": {value, "log-driver"}, "LogOpt": {list, "log-opt"}, "Mask": {option, "security-opt=mask"}, "Memory": {value, "memory"},
		"Mount": {list, "mount"}, "Network": {list, "network"}, "NetworkAlias": {list, "network-alias"}, "NoNewPrivileges": {option, "security-opt=no-new-privileges"},
		"PidsLimit": {value, "pids-limit"}, "Pod": {refused, pods}, "PublishPort": {list, "publish"},
		"Pull": {value, "pull"}, "ReadOnly": {toggle, "read-only"}, "ReadOnlyTmpfs": {toggle, "read-only-tmpfs"}, "Retry": {value, "retry"},
		"RetryDelay": {value, "retry-delay"}, "RunInit": {toggle, "init"}, "SeccompProfile": {option, "security-opt=seccomp"},
		"Secret": {refused, "rl keeps no secrets: Volume= of a file that only you can read, or EnvironmentFile="}, "SecurityLabelDisable": {refused, labels}, "SecurityLabelFileType": {refused, labels},
		"SecurityLabelLevel": {refused, labels}, "SecurityLabelNested": {refused, labels}, "SecurityLabelType": {refused, labels}, "ShmSize": {value, "shm-size"},
		"StartWithPod": {refused, pods}, "StopSignal": {value, "stop-signal"}, "StopTimeout": {value, "stop-timeout"}, "SubGIDMap": {value, "subgidname"},
		"SubUIDMap": {value, "subuidname"}, "Sysctl": {words, "sysctl"}, "Timezone": {value, "tz"}, "Tmpfs": {list, "tmpfs"}, "UIDMap": {list, "uidmap"},
		"Ulimit": {list, "ulimit"}, "Unmask": {option, "security-opt=unmask"}, "UserNS": {value, "userns"}, "WorkingDir": {value, "workdir"},
	}
}

// others are keys of [Container] that are more than a flag.
func others() []string {
	return []string{"AddDevice", "ContainerName", "Exec", "Group", "Image", "Notify", "PodmanArgs", "ReloadCmd", "ReloadSignal", "Rootfs", "ServiceName", "User", "Volume"}
}
