package doctor

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/idmap"
)

// version are the first two numbers of a kernel's release.
func version(release string) (major, minor int) {
	a, rest, _ := strings.Cut(release, ".")
	digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
	major, _ = strconv.Atoi(a)
	minor, _ = strconv.Atoi(rest[:digits])
	return major, minor
}

func kernel(h *Host) Result {
	major, minor := version(h.Release)
	detail := "Linux " + h.Release
	switch {
	case major < 5 || major == 5 && minor < 11:
		return broken(detail+", older than 5.11", "overlays for ordinary users and openat2 are missing: rl run may fail", "install a newer kernel")
	case major == 5 && minor == 11:
		return degraded(detail, "a read-only bind leaves the mounts below it writable (mount_setattr is of 5.12)", "install a newer kernel")
	}
	return good(detail)
}

// userNamespaces makes one, with all the other namespaces of a container.
func userNamespaces(h *Host) Result {
	const all = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS
	err := h.Try(h.simple(), all, "nothing")
	if h.userns = err == nil; h.userns {
		return good("made one, with mount, pid, net, ipc and uts namespaces; up to " + h.read("/proc/sys/user/max_user_namespaces") + " allowed")
	}
	why, fix := h.whyNoUserns()
	if fix == "" {
		fix = strings.Join(hint.Of(err), "; ")
	}
	return broken(join(err.Error(), why), "no container can start", fix)
}

// simple is the mapping that the kernel grants to everybody.
func (h *Host) simple() idmap.Map {
	s := h.IDs
	s.Tools = &idmap.Helpers{Why: "not needed"}
	m, err := s.Map("")
	if err != nil {
		return idmap.Map{Rung: idmap.Single}
	}
	return m
}

// whyNoUserns looks for the switch that turned user namespaces off.
func (h *Host) whyNoUserns() (why, fix string) {
	for _, kind := range []string{"user", "mnt", "pid", "net", "ipc", "uts"} {
		name := "max_" + kind + "_namespaces"
		if h.read("/proc/sys/user/"+name) == "0" {
			return "user." + name + " is 0", persist("user."+name, "15000")
		}
	}
	switch {
	case !h.exists("/proc/self/ns/user"):
		return "this kernel has no user namespaces (CONFIG_USER_NS)", "install a kernel with CONFIG_USER_NS"
	case h.UID != 0 && h.read("/proc/sys/kernel/unprivileged_userns_clone") == "0":
		return "kernel.unprivileged_userns_clone is 0", persist("kernel.unprivileged_userns_clone", "1")
	case h.UID != 0 && h.read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1":
		return "AppArmor takes the capabilities away (kernel.apparmor_restrict_unprivileged_userns is 1)", appArmorProfile(h.Exe)
	case strings.Contains(h.read("/proc/self/status"), "\nSeccomp:\t2"):
		return "a seccomp filter is active: rl runs in a container or sandbox", "start the outer container with --security-opt seccomp=unconfined"
	case strings.Contains(h.read("/sys/kernel/security/lsm"), "selinux"):
		return "SELinux may forbid it", "sudo ausearch -m avc -ts recent"
	}
	return "", ""
}

// persist sets a sysctl now and for the next boots.
func persist(name, value string) string {
	return fmt.Sprintf("echo %s=%s | sudo tee /etc/sysctl.d/99-rl.conf && sudo sysctl -p /etc/sysctl.d/99-rl.conf", name, value)
}

// appArmorProfile is Ubuntu's way to let one program make user namespaces (apparmor.d(5), "userns").
func appArmorProfile(exe string) string {
	if strings.ContainsAny(exe, "'\"\\\n*?[]{}^%") || exe == "" {
		return "install rl under a plain path (make install PREFIX=/usr/local) and run rl doctor again"
	}
	return `printf 'abi <abi/4.0>,\ninclude <tunables/global>\nprofile rl "` + exe + `" flags=(unconfined) {\n  userns,\n}\n'` +
		` | sudo tee /etc/apparmor.d/rl && sudo apparmor_parser -r /etc/apparmor.d/rl`
}

func seccomp(h *Host) Result {
	actions := " " + h.read("/proc/sys/kernel/seccomp/actions_avail") + " "
	if !strings.Contains(actions, " errno ") {
		return broken("this kernel has no seccomp filters (CONFIG_SECCOMP_FILTER)",
			"rl run refuses to start without its filter", "rl run --security-opt seccomp=unconfined …, or a kernel with CONFIG_SECCOMP_FILTER")
	}
	return good("filters: " + strings.Join(strings.Fields(actions), " "))
}

// join puts two parts of a sentence together, the second of which may be missing.
func join(a, b string) string {
	if b == "" {
		return a
	}
	return a + ": " + b
}
