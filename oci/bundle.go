package oci

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/lazyjson"
	"github.com/rl-containers/rl/plan"
)

// maxConfig bounds config.json. Those of engines have some 20 KiB.
const maxConfig = 8 << 20

// bundle is a directory with a config.json (runtime-spec bundle.md).
type bundle struct {
	dir  string // absolute
	spec *specs.Spec
	text []byte // config.json as it was read
}

func loadBundle(dir, config string) (*bundle, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if config == "" {
		config = filepath.Join(dir, "config.json")
	}
	b := &bundle{dir: dir}
	if b.text, err = readLimited(config, maxConfig); err != nil {
		return nil, hint.With(fmt.Errorf("read bundle: %w", err), "rl oci spec --rootless writes a config.json; --bundle names its directory")
	}
	if b.spec, err = Parse(b.text); err != nil {
		return nil, fmt.Errorf("%s: %w", config, err)
	}
	return b, nil
}

// readLimited reads a regular file of at most limit bytes.
func readLimited(path string, limit int64) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("%s has more than %d bytes", path, limit)
	}
	return text, err
}

// Parse reads and checks a config.json. Properties that aren't known are ignored (runtime-spec config.md, "Extensibility");
// what is known and can't be done is an error.
func Parse(text []byte) (*specs.Spec, error) {
	s := new(specs.Spec)
	if err := lazyjson.Unmarshal(text, s); err != nil {
		return nil, fmt.Errorf("not a runtime configuration: %w", err)
	}
	for _, check := range []func(*specs.Spec) error{checkVersion, checkRoot, checkProcess, checkNamespaces, checkSysctl, checkRefused} {
		if err := check(s); err != nil {
			return nil, err
		}
	}
	if s.Process == nil {
		s.Process = &specs.Process{Cwd: "/"}
	}
	return s, nil
}

func checkVersion(s *specs.Spec) error {
	major, rest, ok := strings.Cut(s.Version, ".")
	if !ok || rest == "" {
		return hint.Errorf(`add "ociVersion": "`+specs.Version+`"`, "ociVersion %q is not a version", s.Version)
	}
	if major != "1" {
		return fmt.Errorf("ociVersion %s is not supported, 1.x is", s.Version)
	}
	return nil
}

func checkRoot(s *specs.Spec) error {
	if s.Linux == nil {
		return errors.New("it has no linux section: only Linux containers are supported")
	}
	if s.Root == nil || s.Root.Path == "" {
		return errors.New("root.path is missing")
	}
	return nil
}

func checkProcess(s *specs.Spec) error {
	if s.Process == nil {
		return nil // start is what fails then (runtime-spec runtime.md, "Start")
	}
	return CheckProcess(s.Process)
}

// CheckProcess checks a process of config.json or of exec.
func CheckProcess(p *specs.Process) error {
	if len(p.Args) == 0 {
		return errors.New("process.args is empty: there is nothing to execute")
	}
	if !filepath.IsAbs(p.Cwd) {
		return fmt.Errorf("process.cwd %q is not an absolute path", p.Cwd)
	}
	var seen []string
	for _, l := range p.Rlimits {
		if slices.Contains(seen, l.Type) {
			return fmt.Errorf("process.rlimits has %s twice", l.Type)
		}
		seen = append(seen, l.Type)
	}
	for _, text := range slices.Concat(p.Args, p.Env, []string{p.Cwd}) {
		if strings.ContainsRune(text, 0) {
			return fmt.Errorf("process: %q holds a NUL character", text)
		}
	}
	return nil
}

func checkNamespaces(s *specs.Spec) error {
	var seen []specs.LinuxNamespaceType
	for _, n := range s.Linux.Namespaces {
		if plan.NamespaceFlag(n.Type) == 0 {
			return fmt.Errorf("linux.namespaces: unknown type %q", n.Type)
		}
		if slices.Contains(seen, n.Type) {
			return fmt.Errorf("linux.namespaces has %s twice", n.Type)
		}
		seen = append(seen, n.Type)
	}
	switch {
	case !slices.Contains(seen, specs.MountNamespace):
		return errors.New("linux.namespaces: a mount namespace is needed")
	case s.Hostname+s.Domainname != "" && !slices.Contains(seen, specs.UTSNamespace):
		return errors.New("hostname and domainname need a uts namespace")
	case len(s.Linux.UIDMappings)+len(s.Linux.GIDMappings) > 0 && !slices.Contains(seen, specs.UserNamespace):
		return errors.New("linux.uidMappings and gidMappings need a user namespace")
	case len(s.Linux.TimeOffsets) > 0 && !plan.HasNew(s, specs.TimeNamespace):
		return errors.New("linux.timeOffsets need a new time namespace")
	}
	return nil
}

// checkSysctl refuses those of the machine: root of the host would change them for everybody.
func checkSysctl(s *specs.Spec) error {
	has := func(t specs.LinuxNamespaceType) bool {
		return slices.ContainsFunc(s.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == t })
	}
	for key := range s.Linux.Sysctl {
		key := strings.ReplaceAll(key, "/", ".")
		ok := false
		switch {
		case strings.Contains(key, ".."):
		case strings.HasPrefix(key, "net."):
			ok = has(specs.NetworkNamespace)
		case strings.HasPrefix(key, "kernel.msg"), strings.HasPrefix(key, "kernel.shm"), key == "kernel.sem", strings.HasPrefix(key, "fs.mqueue."):
			ok = has(specs.IPCNamespace)
		case key == "kernel.domainname", key == "kernel.hostname":
			ok = has(specs.UTSNamespace)
		case strings.HasPrefix(key, "user."):
			ok = has(specs.UserNamespace)
		}
		if !ok {
			return fmt.Errorf("sysctl %q is not in a separate kernel namespace of the container", key)
		}
	}
	return nil
}

// checkRefused: what would be lost without a word.
func checkRefused(s *specs.Spec) error {
	switch l := s.Linux; {
	case l.IntelRdt != nil:
		return errors.New("linux.intelRdt: an unprivileged user can't write to resctrl")
	case len(l.NetDevices) > 0:
		return errors.New("linux.netDevices: moving a network device into a container needs privileges on the host")
	}
	if _, err := plan.Propagation(s.Linux.RootfsPropagation); err != nil {
		return err
	}
	return nil
}
