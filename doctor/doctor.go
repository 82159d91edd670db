// Package doctor looks at everything that a start needs and says, rung by rung, what is there, what rl does where it is
// not, and what to type about it.
//
// A Probe is data: a name and a function from the Host to a Result. What can be tried is tried (a namespace is made, an
// overlay is mounted, the built-in image is run), since versions and settings only suggest what the kernel will do.
package doctor

import (
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/idmap"
)

// State is how a rung is.
type State string

// The states. A Degraded rung costs a feature or speed; with a Broken one `rl run` doesn't work.
const (
	OK       State = "ok"
	Degraded State = "degraded"
	Broken   State = "broken"
)

// Result is one line of the report.
type Result struct {
	Name   string `json:"name"`
	State  State  `json:"state"`
	Detail string `json:"detail"` // what was found
	Action string `json:"action"` // what rl does about it; "" when that is nothing special
	Fix    string `json:"fix"`    // what to type; "" when nothing needs to be
}

// Probe examines one rung.
type Probe struct {
	Name string
	Run  func(*Host) Result
}

// Probes are all rungs, from the kernel up. The last ones really run a container.
func Probes() []Probe {
	return []Probe{
		{"kernel", kernel},
		{"user namespaces", userNamespaces},
		{"seccomp", seccomp},
		{"id helpers", idHelpers},
		{"subordinate ids", subordinateIDs},
		{"id map", idMap},
		{"data directory", dataDirectory},
		{"disk", disk},
		{"overlay", overlay},
		{"fuse", fuse},
		{"tun device", tun},
		{"slirp4netns", slirp4netns},
		{"pasta", pasta},
		{"cgroup", cgroups},
		{"runtime directory", runtimeDirectory},
		{"systemd session", systemdSession},
		{"logout", logout},
		{"registries", registries},
		{"run", runNone},
		{"network", runNetwork},
	}
}

// Host is the machine and the caller as the probes see them.
type Host struct {
	Root     string // is put before every path that is read; "" is the machine itself
	IDs      idmap.Source
	UID      int
	Release  string // uname -r
	Exe      string // rl's own path
	DataDir  string // rl's
	Store    string // where images are (containers/storage's graphroot)
	StoreErr error  // why the two couldn't be found out
	Getenv   func(string) string

	// Try does one of the trials of Child in namespaces of its own.
	Try func(m idmap.Map, namespaces uintptr, args ...string) error
	// Output runs a program and returns what it printed; the text of an error is its stderr.
	Output func(argv ...string) (string, error)

	overlayWorks bool // found by overlay, said by fuse
	tunWorks     bool
	userns       bool
}

// Here is the machine that this process runs on. The directories are those of rl's data and of the images, or why they
// can't be told.
func Here(dataDir, store string, storeErr error) *Host {
	h := &Host{UID: os.Getuid(), Getenv: os.Getenv, Output: output, DataDir: dataDir, Store: store, StoreErr: storeErr}
	h.Exe, _ = os.Executable()
	h.Try = h.try
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		h.Release = unix.ByteSliceToString(u.Release[:])
	}
	return h
}

// Examine runs the probes one after the other and hands each result to report as it comes.
func (h *Host) Examine(probes []Probe, report func(Result)) {
	for _, p := range probes {
		r := p.Run(h)
		r.Name = p.Name
		report(r)
	}
}

// Works is true when no rung is broken: `rl run` will work.
func Works(results []Result) bool {
	for _, r := range results {
		if r.State == Broken {
			return false
		}
	}
	return true
}

func good(detail string) Result { return Result{State: OK, Detail: detail} }

func degraded(detail, action, fix string) Result {
	return Result{State: Degraded, Detail: detail, Action: action, Fix: fix}
}

func broken(detail, action, fix string) Result {
	return Result{State: Broken, Detail: detail, Action: action, Fix: fix}
}

// read is the content of a file, trimmed; "" when there is none.
func (h *Host) read(path string) string {
	b, _ := os.ReadFile(h.Root + path)
	return strings.TrimSpace(string(b))
}

func (h *Host) exists(path string) bool {
	_, err := os.Stat(h.Root + path)
	return err == nil
}

// program is the path of a helper, looked for where rl looks: PATH may name directories that others can write.
func (h *Host) program(name string) string {
	for _, dir := range []string{"/usr/bin/", "/usr/local/bin/", "/bin/", "/usr/sbin/", "/usr/libexec/podman/"} {
		if unix.Access(h.Root+dir+name, unix.X_OK) == nil {
			return dir + name
		}
	}
	return ""
}

// install is the command that installs a package on this distribution. others are names that differ, as "fedora=shadow-utils".
func (h *Host) install(name string, others ...string) string {
	release := h.read("/etc/os-release")
	for _, d := range [][3]string{
		{"debian", "sudo apt-get install -y ", "ubuntu"},
		{"fedora", "sudo dnf install -y ", "rhel"},
		{"suse", "sudo zypper install -y ", "opensuse"},
		{"alpine", "sudo apk add ", "alpine"},
		{"arch", "sudo pacman -S ", "arch"},
	} {
		if !mentions(release, d[0]) && !mentions(release, d[2]) {
			continue
		}
		for _, o := range others {
			if pkg, ok := strings.CutPrefix(o, d[0]+"="); ok {
				return d[1] + pkg
			}
		}
		return d[1] + name
	}
	return "install the package " + name
}

// mentions looks for a distribution in the ID and ID_LIKE lines of os-release(5).
func mentions(release, id string) bool {
	for line := range strings.Lines(release) {
		if key, value, _ := strings.Cut(strings.TrimSpace(line), "="); key == "ID" || key == "ID_LIKE" {
			if strings.Contains(value, id) {
				return true
			}
		}
	}
	return false
}

// existing is the nearest directory of path that is there.
func (h *Host) existing(path string) string {
	for path != "/" && path != "." && !h.exists(path) {
		path = filepath.Dir(path)
	}
	return path
}
