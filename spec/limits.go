package spec

import (
	"fmt"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
)

// number reads a decimal number without a sign.
func number(s string) (int, bool) {
	n, err := strconv.ParseUint(s, 10, 31)
	return int(n), err == nil
}

// limits are --ulimit, in docker's words.
func (m *maker) limits() error {
	for _, u := range m.o.Ulimits {
		l, err := parseUlimit(u)
		if err != nil {
			return err
		}
		m.s.Process.Rlimits = append(m.s.Process.Rlimits, l)
	}
	return nil
}

func parseUlimit(u string) (l specs.POSIXRlimit, err error) {
	name, value, ok := strings.Cut(u, "=")
	if !ok || !knownLimit(name) {
		return l, hint.Errorf("NAME=SOFT[:HARD], NAME one of "+strings.Join(limitNames(), " "), "--ulimit %s: not a resource limit", u)
	}
	soft, hard, two := strings.Cut(value, ":")
	if !two {
		hard = soft
	}
	l.Type = "RLIMIT_" + strings.ToUpper(name)
	if l.Soft, err = limitValue(soft); err == nil {
		l.Hard, err = limitValue(hard)
	}
	if err != nil {
		return l, fmt.Errorf("--ulimit %s: %w", u, err)
	}
	if l.Soft > l.Hard {
		return l, fmt.Errorf("--ulimit %s: the soft limit is above the hard one", u)
	}
	return l, nil
}

func limitValue(s string) (uint64, error) {
	if s == "-1" || s == "unlimited" {
		return unix.RLIM_INFINITY, nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is neither a number nor unlimited", s)
	}
	return n, nil
}

func limitNames() []string {
	return []string{"as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss",
		"rtprio", "rttime", "sigpending", "stack"}
}

func knownLimit(name string) bool {
	for _, n := range limitNames() {
		if n == name {
			return true
		}
	}
	return false
}

// sysctls takes those that belong to a namespace of the container: all others are the machine's.
func (m *maker) sysctls() error {
	for _, s := range m.o.Sysctls {
		key, value, ok := strings.Cut(s, "=")
		if !ok || key == "" {
			return hint.Errorf("--sysctl net.ipv4.ip_forward=1", "--sysctl %s: not KEY=VALUE", s)
		}
		key = strings.ReplaceAll(key, "/", ".")
		if err := m.ownSysctl(key); err != nil {
			return err
		}
		if m.s.Linux.Sysctl == nil {
			m.s.Linux.Sysctl = map[string]string{}
		}
		m.s.Linux.Sysctl[key] = value
	}
	return nil
}

func (m *maker) ownSysctl(key string) error {
	namespace, flag, shared := "", "", false
	others := func(mode string) bool { return mode == "host" || strings.HasPrefix(mode, "container:") }
	switch {
	case strings.Contains(key, ".."):
	case strings.HasPrefix(key, "net."):
		namespace, flag, shared = "network", "network", m.o.HostNetwork || m.o.SharedNetwork
	case strings.HasPrefix(key, "kernel.msg"), strings.HasPrefix(key, "kernel.shm"), key == "kernel.sem", strings.HasPrefix(key, "fs.mqueue."):
		namespace, flag, shared = "IPC", "ipc", others(m.o.IPC)
	case key == "kernel.hostname", key == "kernel.domainname":
		namespace, flag, shared = "UTS", "uts", others(m.o.UTS)
	}
	if namespace == "" {
		return hint.Errorf("net.*, kernel.msg*, kernel.shm*, kernel.sem, fs.mqueue.* are the container's own", "--sysctl %s: it is the whole machine's, not the container's", key)
	}
	if shared {
		return hint.Errorf("leave one of the two out", "--sysctl %s: with --%s host it is the machine's, with --%s container:NAME the other container's", key, flag, flag)
	}
	return nil
}
