package filter

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
)

// Profile is a seccomp profile as docker and podman read it: the runtime spec's form with conditions on the entries. It has
// all fields of both; any other is an error, since what it restricts would be lost.
type Profile struct {
	DefaultAction    specs.LinuxSeccompAction `json:"defaultAction,omitempty"`
	DefaultErrnoRet  *uint                    `json:"defaultErrnoRet,omitempty"`
	DefaultErrno     string                   `json:"defaultErrno,omitempty"` // podman's: a name
	Architectures    []specs.Arch             `json:"architectures,omitempty"`
	ArchMap          []ArchMap                `json:"archMap,omitempty"`
	Flags            []specs.LinuxSeccompFlag `json:"flags,omitempty"`
	ListenerPath     string                   `json:"listenerPath,omitempty"`
	ListenerMetadata string                   `json:"listenerMetadata,omitempty"`
	Syscalls         []Entry                  `json:"syscalls,omitempty"`
}

// ArchMap names the other ABIs that a machine of Architecture has.
type ArchMap struct {
	Architecture     specs.Arch   `json:"architecture"`
	SubArchitectures []specs.Arch `json:"subArchitectures"`
}

// Entry is a rule for some system calls.
type Entry struct {
	Names    []string                 `json:"names,omitempty"`
	Name     string                   `json:"name,omitempty"` // docker's before 1.12
	Action   specs.LinuxSeccompAction `json:"action,omitempty"`
	ErrnoRet *uint                    `json:"errnoRet,omitempty"`
	Errno    string                   `json:"errno,omitempty"` // podman's: a name
	Args     []specs.LinuxSeccompArg  `json:"args,omitempty"`
	Comment  string                   `json:"comment,omitempty"`
	Includes *Conditions              `json:"includes,omitempty"`
	Excludes *Conditions              `json:"excludes,omitempty"`
}

// Conditions say whether an entry is used. Capabilities are those of the bounding set; of includes all must be there, of
// excludes one is enough.
type Conditions struct {
	Caps      []string `json:"caps,omitempty"`
	Arches    []string `json:"arches,omitempty"`
	MinKernel string   `json:"minKernel,omitempty"`
}

// Machine is what the conditions are about.
type Machine struct {
	ABI    ABI
	Kernel [2]int // version and patch level: 6, 12
	Caps   []string
}

// HostKernel is the version of the running kernel.
func HostKernel() (v [2]int, err error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return v, fmt.Errorf("kernel version: uname: %w", err)
	}
	return kernelVersion(unix.ByteSliceToString(u.Release[:]))
}

func kernelVersion(s string) (v [2]int, err error) {
	if _, err := fmt.Sscanf(s, "%d.%d", &v[0], &v[1]); err != nil {
		return v, fmt.Errorf("kernel version %q: %w", s, err)
	}
	return v, nil
}

// Parse reads a profile strictly.
func Parse(data []byte) (*Profile, error) {
	var p Profile
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		var at *json.SyntaxError
		if errors.As(err, &at) {
			return nil, fmt.Errorf("line %d: %w", 1+bytes.Count(data[:at.Offset], []byte("\n")), err)
		}
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more text after the profile")
	}
	return &p, nil
}

// Resolve is the profile without its conditions.
func (p *Profile) Resolve(m Machine) (*specs.LinuxSeccomp, error) {
	if err := p.refuse(); err != nil {
		return nil, err
	}
	errno, err := errnoOf(p.DefaultErrnoRet, p.DefaultErrno)
	if err != nil {
		return nil, fmt.Errorf("defaultErrno: %w", err)
	}
	r := &specs.LinuxSeccomp{DefaultAction: p.DefaultAction, DefaultErrnoRet: errno, Architectures: p.arches(m.ABI)}
	for i, e := range p.Syscalls {
		s, use, err := e.resolve(m)
		if err != nil {
			return nil, fmt.Errorf("entry %d of syscalls (%s): %w", i+1, e.title(), err)
		}
		if use {
			r.Syscalls = append(r.Syscalls, s)
		}
	}
	return r, nil
}

// refuse what rl doesn't do. The flags that pass are no loss: without SPEC_ALLOW the filter is stricter, and a container has
// one thread when it gets its filter.
func (p *Profile) refuse() error {
	notify := func(e Entry) bool { return e.Action == specs.ActNotify }
	if p.ListenerPath != "" || p.ListenerMetadata != "" || p.DefaultAction == specs.ActNotify || slices.ContainsFunc(p.Syscalls, notify) {
		return errors.New("listenerPath, SCMP_ACT_NOTIFY: no supervisor can be attached to a container of rl run")
	}
	if len(p.Architectures) > 0 && len(p.ArchMap) > 0 {
		return errors.New("both architectures and archMap are there; use one")
	}
	for _, f := range p.Flags {
		if f != specs.LinuxSeccompFlagSpecAllow && f != "SECCOMP_FILTER_FLAG_TSYNC" {
			return hint.Errorf("remove it from flags", "flag %q is not supported", f)
		}
	}
	return nil
}

func (p *Profile) arches(native ABI) []specs.Arch {
	for _, m := range p.ArchMap {
		if m.Architecture == native.OCI() {
			return m.SubArchitectures
		}
	}
	return p.Architectures
}

func (e *Entry) title() string {
	switch {
	case e.Name != "":
		return e.Name
	case len(e.Names) == 0:
		return "no names"
	case len(e.Names) == 1:
		return e.Names[0]
	}
	return e.Names[0] + ", …"
}

// resolve checks the whole entry, also if it isn't used here.
func (e *Entry) resolve(m Machine) (s specs.LinuxSyscall, use bool, err error) {
	s = specs.LinuxSyscall{Names: e.Names, Action: e.Action, Args: e.Args}
	if e.Name != "" {
		if len(e.Names) > 0 {
			return s, false, errors.New("both name and names are there; use one")
		}
		s.Names = []string{e.Name}
	}
	if len(s.Names) == 0 {
		return s, false, errors.New("an entry needs names")
	}
	if s.ErrnoRet, err = errnoOf(e.ErrnoRet, e.Errno); err != nil {
		return s, false, err
	}
	if _, err := rules(s); err != nil {
		return s, false, err
	}
	in, err := e.Includes.all(m)
	if err != nil {
		return s, false, err
	}
	out, err := e.Excludes.some(m)
	return s, in && !out, err
}

// all: no condition fails.
func (c *Conditions) all(m Machine) (bool, error) {
	if c == nil {
		return true, nil
	}
	ok := len(c.Arches) == 0 || slices.Contains(c.Arches, m.ABI.facts().profile)
	for _, name := range c.Caps {
		ok = ok && slices.Contains(m.Caps, name)
	}
	if c.MinKernel == "" {
		return ok, nil
	}
	since, err := c.since(m)
	return ok && since, err
}

// some: a condition holds.
func (c *Conditions) some(m Machine) (bool, error) {
	if c == nil {
		return false, nil
	}
	some := slices.Contains(c.Arches, m.ABI.facts().profile)
	for _, name := range c.Caps {
		some = some || slices.Contains(m.Caps, name)
	}
	if c.MinKernel == "" {
		return some, nil
	}
	since, err := c.since(m)
	return some || since, err
}

func (c *Conditions) since(m Machine) (bool, error) {
	v, err := kernelVersion(c.MinKernel)
	if err != nil {
		return false, hint.With(fmt.Errorf("minKernel: %w", err), `write it as "5.11"`)
	}
	return slices.Compare(m.Kernel[:], v[:]) >= 0, nil
}

// errnoOf is the number of podman's name, if there is one; it goes before errnoRet, as in podman.
func errnoOf(ret *uint, name string) (*uint, error) {
	if name == "" {
		return ret, nil
	}
	for e := uint(1); e < 256; e++ {
		if strings.EqualFold(unix.ErrnoName(unix.Errno(e)), name) {
			return &e, nil
		}
	}
	return nil, fmt.Errorf("unknown errno %q", name)
}
