package doctor

import (
	"errors"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// tun makes an interface in a network namespace of its own, as slirp4netns and pasta do.
func tun(h *Host) Result {
	if !h.userns {
		return broken("not tried: no user namespace", "", "")
	}
	err := h.Try(h.simple(), unix.CLONE_NEWNET|unix.CLONE_NEWNS, "tun")
	if err == nil {
		h.tunWorks = true
		return good("made an interface with /dev/net/tun")
	}
	fix := "sudo modprobe tun"
	if errors.Is(h.mayOpen("/dev/net/tun"), syscall.EACCES) {
		fix = "sudo chmod 666 /dev/net/tun"
	}
	return degraded(err.Error(), noNetwork, fix)
}

const noNetwork = "containers have no network but their loopback; --network=host still works"

func slirp4netns(h *Host) Result {
	r, ok := h.helper("slirp4netns", "slirp4netns")
	if ok {
		return r
	}
	if h.program("pasta") != "" {
		r.Action = "pasta makes the network"
	}
	return r
}

func pasta(h *Host) Result {
	r, ok := h.helper("pasta", "passt")
	if ok || h.program("slirp4netns") == "" {
		return r
	}
	return Result{State: OK, Detail: r.Detail, Action: "not needed, slirp4netns makes the network"}
}

// helper looks for a network helper and asks for its version.
func (h *Host) helper(name, pkg string) (r Result, ok bool) {
	path := h.program(name)
	if path == "" {
		return degraded(name+" is not installed", noNetwork, h.install(pkg)), false
	}
	out, err := h.Output(path, "--version")
	if err != nil {
		return degraded(join(path, err.Error()), noNetwork, path+" --version"), false
	}
	// "slirp4netns version 1.2.0", "pasta 0.0~git20230309.7c7625d-1"; Debian's pasta says "pasta unknown"
	words := strings.Fields(strings.Replace(firstLine(out), " version ", " ", 1))
	if len(words) < 2 || words[1] == "unknown" {
		return good(versioned(path, "")), true
	}
	return good(versioned(path, words[1])), true
}

func versioned(path, version string) string {
	if version == "" {
		return path + " (version unknown)"
	}
	return path + " " + version
}
