package spec

import (
	"encoding/json"
	"fmt"
	"path"
	"runtime"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/rl-containers/rl/hint"
)

// Image is what a start needs of an image's config, in the JSON of image-spec config.md. It is not that module's own type,
// which brings a compiler of regular expressions to each start.
type Image struct {
	Architecture string      `json:"architecture"`
	OS           string      `json:"os"`
	Variant      string      `json:"variant,omitempty"`
	Config       ImageConfig `json:"config"`
}

// ImageConfig is image-spec's "config" property.
type ImageConfig struct {
	User       string            `json:",omitempty"`
	Env        []string          `json:",omitempty"`
	Entrypoint []string          `json:",omitempty"`
	Cmd        []string          `json:",omitempty"`
	WorkingDir string            `json:",omitempty"`
	Labels     map[string]string `json:",omitempty"`
	StopSignal string            `json:",omitempty"`
	// Volumes are the paths of VOLUME; the values are empty.
	Volumes map[string]struct{} `json:",omitempty"`
	// ExposedPorts are PORT/PROTOCOL of EXPOSE; the values are empty. They change nothing by themselves.
	ExposedPorts map[string]struct{} `json:",omitempty"`
	// Healthcheck is docker's HEALTHCHECK.
	Healthcheck *Health `json:",omitempty"`
}

// maker puts one Container together from the image's config and the flags.
type maker struct {
	img Image
	o   *Options
	c   *Container
	s   *specs.Spec
}

// FromImage joins what the image says (image-spec config.md, "Properties") and what the user typed, which wins. The zero
// Image stands for a root file system without one. Errors name the flag.
func FromImage(img Image, o Options) (*Container, error) {
	s := &specs.Spec{Version: specs.Version, Root: &specs.Root{Path: "rootfs", Readonly: o.ReadOnly},
		Process: &specs.Process{Terminal: o.TTY}, Linux: &specs.Linux{}}
	m := &maker{img: img, o: &o, c: &Container{Spec: s, Init: o.Init, AllDevices: o.Privileged}, s: s}
	for _, step := range []func() error{m.security, m.namespaces, m.args, m.systemd, m.env, m.workdir, m.user, m.umask, m.capabilities, m.limits, m.resources,
		m.sysctls, m.mounts, m.labels, m.annotations, m.stopSignal, m.health, m.platform, m.clean} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return m.c, nil
}

func (m *maker) warn(format string, args ...any) {
	m.c.Warnings = append(m.c.Warnings, fmt.Sprintf(format, args...))
}

// args follows docker: an entrypoint of the user's drops both of the image's, arguments drop its Cmd only.
func (m *maker) args() error {
	entrypoint, cmd := m.img.Config.Entrypoint, m.img.Config.Cmd
	if m.o.Entrypoint != nil {
		cmd = nil
		var err error
		if entrypoint, err = parseEntrypoint(*m.o.Entrypoint); err != nil {
			return err
		}
	}
	if len(m.o.Args) > 0 {
		cmd = m.o.Args
	}
	m.s.Process.Args = append(append([]string{}, entrypoint...), cmd...)
	if len(m.s.Process.Args) == 0 {
		return hint.Errorf("name one: rl run … IMAGE sh", "no command: neither the image nor the command line has one")
	}
	return nil
}

// parseEntrypoint reads a word, or a JSON array of words, as podman does.
func parseEntrypoint(s string) ([]string, error) {
	if s == "" {
		return nil, nil
	}
	if !strings.HasPrefix(s, "[") {
		return []string{s}, nil
	}
	var words []string
	if err := json.Unmarshal([]byte(s), &words); err != nil {
		return nil, fmt.Errorf("--entrypoint %s: not a JSON array of strings: %w", s, err)
	}
	return words, nil
}

func (m *maker) workdir() error {
	dir := m.o.Workdir
	if dir != "" && !path.IsAbs(dir) {
		return hint.Errorf("-w /"+dir, "-w %s: the working directory is a path inside the container and must be absolute", dir)
	}
	if dir == "" {
		dir = m.img.Config.WorkingDir
	}
	m.s.Process.Cwd = path.Join("/", dir)
	return nil
}

func (m *maker) user() error {
	m.c.User = m.img.Config.User
	if m.o.User != "" {
		m.c.User = m.o.User
	}
	for _, g := range m.o.GroupAdd {
		switch g {
		case "":
			return hint.Errorf("--group-add takes a name of /etc/group of the image, or a number", "--group-add: the group is empty")
		case "keep-groups":
			m.c.KeepGroups = true
		default:
			m.c.Groups = append(m.c.Groups, g)
		}
	}
	if m.c.KeepGroups && len(m.c.Groups) > 0 {
		return hint.Errorf("use one or the other", "--group-add keep-groups keeps the caller's groups, which can't be added to: %s", m.c.Groups[0])
	}
	return nil
}

func (m *maker) labels() error {
	m.c.Labels = map[string]string{}
	for k, v := range m.img.Config.Labels {
		m.c.Labels[k] = v
	}
	for _, file := range m.o.LabelFiles {
		if err := readPairs("--label-file", file, m.label); err != nil {
			return err
		}
	}
	for _, l := range m.o.Labels {
		if err := m.label(l); err != nil {
			return fmt.Errorf("--label %w", err)
		}
	}
	return nil
}

func (m *maker) label(l string) error {
	k, v, _ := strings.Cut(l, "=")
	if k == "" {
		return hint.Errorf("--label KEY=VALUE", "%q: no key", l)
	}
	m.c.Labels[k] = v
	return nil
}

// annotations mean nothing to rl: they are for who reads the spec (config.md, "Annotations").
func (m *maker) annotations() error {
	for _, a := range m.o.Annotations {
		k, v, ok := strings.Cut(a, "=")
		if !ok || k == "" {
			return hint.Errorf("--annotation KEY=VALUE", "--annotation %q: not KEY=VALUE", a)
		}
		if m.s.Annotations == nil {
			m.s.Annotations = map[string]string{}
		}
		m.s.Annotations[k] = v
	}
	return nil
}

// stopSignal refuses a bad one of the user's; an image's own mistake must not keep it from running.
func (m *maker) stopSignal() error {
	m.c.StopSignal = m.o.StopSignal
	if m.c.StopSignal == "" && m.c.Systemd {
		m.c.StopSignal = "SIGRTMIN+3" // systemd(1): halt
	}
	if m.c.StopSignal != "" {
		if !knownSignal(m.c.StopSignal) {
			return hint.Errorf("a name such as SIGTERM, or a number from 1 to 64: kill -l", "--stop-signal %s: no such signal", m.c.StopSignal)
		}
		return nil
	}
	if s := m.img.Config.StopSignal; knownSignal(s) {
		m.c.StopSignal = s
	}
	return nil
}

func knownSignal(s string) bool {
	n, err := Signal(s)
	return err == nil && n > 0
}

// platform says before the kernel does ("exec format error") that the image is for another machine. It is no error: a
// translator may be registered (binfmt_misc).
func (m *maker) platform() error {
	arch, here := m.img.Architecture, runtime.GOARCH
	m.c.Compat = arch == "386" && here == "amd64" || arch == "arm" && here == "arm64"
	if arch == "" || arch == here || m.c.Compat {
		return nil
	}
	m.warn("the image is for linux/%s, this machine is linux/%s: without a translator (apt-get install qemu-user-static) its programs can't be executed", arch, here)
	return nil
}

// clean refuses what execve(2) would cut: a NUL can come from an image's config only.
func (m *maker) clean() error {
	lists := [][]string{m.s.Process.Args, m.s.Process.Env, {m.s.Process.Cwd, m.c.User}}
	if m.c.Health != nil {
		lists = append(lists, m.c.Health.Test)
	}
	for _, list := range lists {
		for _, s := range list {
			if strings.ContainsRune(s, 0) {
				return fmt.Errorf("image config: %q holds a NUL character", s)
			}
		}
	}
	return nil
}
