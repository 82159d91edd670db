package doctor

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/cgroup"
	"github.com/rl-containers/rl/session"
)

// cgroups says which limits could be set. Nothing of a run without limits depends on it.
func cgroups(h *Host) Result {
	const root = "/sys/fs/cgroup"
	const unlimited = "containers run without limits"
	if !h.exists(root + "/cgroup.controllers") {
		kind := "version 1"
		switch {
		case h.exists(root + "/unified/cgroup.controllers"):
			kind = "hybrid: controllers are of version 1"
		case !h.exists(root+"/cgroup.procs") && !h.exists(root+"/memory") && !h.exists(root+"/pids"):
			kind = "not mounted"
		}
		return degraded("cgroup "+kind, unlimited, "boot with systemd.unified_cgroup_hierarchy=1 (kernel command line)")
	}
	if h.UID == 0 {
		return good("version 2: " + h.read(root+"/cgroup.controllers"))
	}
	dir := fmt.Sprintf("%s/user.slice/user-%d.slice/user@%d.service", root, h.UID, h.UID)
	if unix.Access(h.Root+dir, unix.W_OK) != nil {
		dir = root + h.ownCgroup()
	}
	if unix.Access(h.Root+dir+"/cgroup.procs", unix.W_OK) != nil {
		return degraded("cgroup version 2, nothing delegated to you", unlimited, "log in by ssh or a console on a machine with systemd (or: machinectl shell "+h.login()+"@)")
	}
	return h.delegated(dir)
}

// ownCgroup is the caller's place in the version 2 tree.
func (h *Host) ownCgroup() string {
	for line := range strings.Lines(h.read("/proc/self/cgroup")) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			return path
		}
	}
	return ""
}

func (h *Host) delegated(dir string) Result {
	have := strings.Fields(h.read(dir + "/cgroup.controllers"))
	var missing []string
	for _, want := range []string{"cpu", "memory", "pids"} {
		if !strings.Contains(" "+strings.Join(have, " ")+" ", " "+want+" ") {
			missing = append(missing, want)
		}
	}
	detail := "version 2, delegated to you: " + strings.Join(have, " ")
	if len(missing) == 0 {
		return good(detail)
	}
	return degraded(detail+"; missing: "+strings.Join(missing, " "), "these limits can't be set",
		cgroup.DelegateAll)
}

// runtimeDirectory judges $XDG_RUNTIME_DIR as the XDG base directory specification does: the caller's own, mode 0700.
func runtimeDirectory(h *Host) Result {
	dir := h.Getenv("XDG_RUNTIME_DIR")
	const own = "rl needs none: what lives only as long as a container is kept beside it"
	if dir == "" {
		if standard := fmt.Sprintf("/run/user/%d", h.UID); h.badRuntime(standard) == "" {
			return Result{State: OK, Detail: "XDG_RUNTIME_DIR is not set, though " + standard + " is there", Action: own}
		}
		return Result{State: OK, Detail: "XDG_RUNTIME_DIR is not set", Action: own}
	}
	if why := h.badRuntime(dir); why != "" {
		return degraded("XDG_RUNTIME_DIR: "+why, own, "unset XDG_RUNTIME_DIR   (or log in afresh; su and sudo keep the variable of another user)")
	}
	return good(dir)
}

func (h *Host) badRuntime(dir string) string {
	var st unix.Stat_t
	err := unix.Lstat(h.Root+dir, &st)
	switch {
	case err != nil:
		return (&os.PathError{Op: "stat", Path: dir, Err: err}).Error()
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return dir + " is not a directory"
	case int(st.Uid) != h.UID:
		return fmt.Sprintf("%s belongs to uid %d", dir, st.Uid)
	case st.Mode&0o077 != 0:
		return fmt.Sprintf("%s is open to others (mode %#o)", dir, st.Mode&0o777)
	}
	return ""
}

// systemdSession looks for the user's manager, and whether it outlives the last logout (loginctl(1), "enable-linger").
func systemdSession(h *Host) Result {
	if !h.exists("/run/systemd/system") {
		return Result{State: OK, Detail: "systemd doesn't run here", Action: "not needed"}
	}
	if h.UID == 0 {
		return Result{State: OK, Detail: "systemd runs", Action: "root needs no session"}
	}
	name := h.login()
	linger := h.exists("/var/lib/systemd/linger/" + name)
	dir := h.Getenv("XDG_RUNTIME_DIR")
	if dir == "" {
		dir = fmt.Sprintf("/run/user/%d", h.UID)
	}
	switch manager := h.socket(dir+"/systemd/private") || h.socket(dir+"/bus"); {
	case !manager:
		return degraded("no manager for you (no socket in "+dir+")", "limits need one; the rest works", "sudo loginctl enable-linger "+name+"   (or log in by ssh or a console)")
	case !linger:
		return Result{State: OK, Detail: "manager runs; no linger: it ends with your last session"}
	}
	return good("manager runs, linger is on")
}

// logout says whether a container that is left alone outlives the login that this process is part of.
func logout(h *Host) Result {
	login := &session.Host{Root: h.Root, UID: h.UID, Getenv: h.Getenv}
	place := login.Place()
	if why, fix := login.Doom(place); why != "" {
		return degraded("containers of rl run -d end when you log out: "+why, "they are stopped in order", strings.Replace(fix, "--lifetime", "rl run -d --lifetime", 1))
	}
	if place.Kind == session.Free {
		return good("containers of rl run -d stay: they start outside of any login session of systemd's")
	}
	return good("containers of rl run -d stay when you log out")
}

func (h *Host) socket(path string) bool {
	st, err := os.Stat(h.Root + path)
	return err == nil && st.Mode()&os.ModeSocket != 0
}
