// Package seccomp makes the seccomp filters of a container: classic BPF programs, as bytes of an array of struct sock_filter
// (seccomp(2), linux/filter.h), which package enter installs before execve.
//
// The default profile is moby's, stricter where docs/seccomp.md says so; its programs for the usual capabilities are made at
// build time, so that a start pays nothing for them. All others, and the user's own profiles, are compiled here, without
// libseccomp. How a profile is read:
//
//   - For one system call, the entries with args are tried in the order of the profile; if none fits, the first entry
//     without args decides; if there is none, defaultAction does. Two args of one entry with the same index are
//     alternatives, as in runc (opencontainers/runc#2735).
//   - A system call that is newer than all that the profile names gets ENOSYS where defaultAction doesn't allow it
//     (opencontainers/runc#2750).
//   - Calls by an ABI that the profile doesn't list, and all by x32, get ENOSYS. An ABI of the profile that the machine
//     doesn't have, and system calls that aren't known here, change nothing.
//   - On i386, socketcall(2) and ipc(2) follow the rules of the calls that they stand for, unless the profile names them.
package seccomp

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/seccomp/internal/filter"
)

//go:generate go run ./internal/gen
//go:generate go run ./internal/gen

// defaultProfile can also be given to Load, docker and podman.
//
//go:embed default.json
var defaultProfile []byte

// maxProfile is how many bytes a profile may have. moby's has 18,000.
const maxProfile = 1 << 20

// Default is the program of the default profile for a bounding set of capabilities ("CAP_SYS_ADMIN"). It takes no calls but
// those of this program's own ABI.
func Default(caps []string) ([]byte, error) {
	if program := prepared(caps); program != "" {
		return []byte(program), nil
	}
	return compileDefault(caps, false)
}

// Compat is Default for images of the 32-bit architecture that this machine also runs: linux/386 on amd64, linux/arm on arm64.
// It costs a millisecond, and opens more of the kernel: socketcall(2) hides the address family from a filter.
func Compat(caps []string) ([]byte, error) { return compileDefault(caps, true) }

// prepared is a program made at build time, or "".
func prepared(caps []string) string {
	chroot := false
	for _, c := range caps {
		switch c {
		case "CAP_SYS_CHROOT":
			chroot = true
		case "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_SETFCAP", "CAP_SETGID",
			"CAP_SETPCAP", "CAP_SETUID", "CAP_AUDIT_WRITE", "CAP_MKNOD":
			// The profile doesn't ask for these.
		default:
			return ""
		}
	}
	if chroot {
		return chrootProgram
	}
	return nocapsProgram
}

func compileDefault(caps []string, compat bool) ([]byte, error) {
	p, err := filter.Parse(defaultProfile)
	if err != nil {
		return nil, fmt.Errorf("seccomp: default profile: %w", err)
	}
	if compat {
		native, err := filter.Native(runtime.GOARCH)
		if err != nil {
			return nil, err
		}
		if other, ok := native.Compat(); ok {
			p.Architectures = []specs.Arch{other.OCI()}
		}
	}
	program, err := compile(p, caps)
	if err != nil {
		return nil, fmt.Errorf("seccomp: default profile: %w", err)
	}
	return program, nil
}

// Load is the program of a profile in docker's, podman's or the runtime spec's form (JSON) for a bounding set of capabilities.
func Load(path string, caps []string) ([]byte, error) {
	program, err := load(path, caps)
	if err != nil {
		return nil, fmt.Errorf("seccomp profile %q: %w", path, err)
	}
	return program, nil
}

func load(path string, caps []string) ([]byte, error) {
	text, err := read(path)
	if err != nil {
		return nil, err
	}
	p, err := filter.Parse(text)
	if err != nil {
		return nil, err
	}
	return compile(p, caps)
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		var cause *fs.PathError
		if errors.As(err, &cause) {
			err = cause.Err // the caller names the file
		}
		return nil, hint.With(fmt.Errorf("open: %w", err), "--security-opt seccomp=FILE takes a profile in JSON, or the word unconfined")
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxProfile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxProfile {
		return nil, fmt.Errorf("it has more than %d bytes", maxProfile)
	}
	return text, nil
}

// FromSpec is the program of linux.seccomp in a runtime configuration, with the flags of seccomp(2) for it; notifies tells that
// it asks an agent (SCMP_ACT_NOTIFY). TSYNC has no meaning for a container, which gets its filter while it has one thread.
func FromSpec(s *specs.LinuxSeccomp) (program []byte, flags uint, notifies bool, err error) {
	notifies = s.DefaultAction == specs.ActNotify
	for _, e := range s.Syscalls {
		notifies = notifies || e.Action == specs.ActNotify
	}
	for _, f := range s.Flags {
		bit, ok := map[specs.LinuxSeccompFlag]uint{specs.LinuxSeccompFlagLog: unix.SECCOMP_FILTER_FLAG_LOG, "SECCOMP_FILTER_FLAG_TSYNC": 0,
			specs.LinuxSeccompFlagSpecAllow: unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW, specs.LinuxSeccompFlagWaitKillableRecv: unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV}[f]
		if !ok {
			return nil, 0, false, fmt.Errorf("unknown flag %q", f)
		}
		flags |= bit
	}
	if flags&unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV != 0 && !notifies {
		return nil, 0, false, fmt.Errorf("flag %s is for profiles with SCMP_ACT_NOTIFY", specs.LinuxSeccompFlagWaitKillableRecv)
	}
	native, err := filter.Native(runtime.GOARCH)
	if err != nil {
		return nil, 0, false, err
	}
	program, err = filter.Compile(s, native)
	return program, flags, notifies, err
}

func compile(p *filter.Profile, caps []string) ([]byte, error) {
	m := filter.Machine{Caps: caps}
	var err error
	if m.ABI, err = filter.Native(runtime.GOARCH); err != nil {
		return nil, err
	}
	if m.Kernel, err = filter.HostKernel(); err != nil {
		return nil, err
	}
	r, err := p.Resolve(m)
	if err != nil {
		return nil, err
	}
	return filter.Compile(r, m.ABI)
}

// FakeRoot is one more filter for a user namespace with a single id, where the kernel refuses every other: changes of a
// file's owner (chown and its variants) and of the process's own ids (setgroups, setuid and its variants) do nothing and
// say that they were done, so that dpkg, rpm, apk and useradd go on. All of them, since an owner that is outside of the
// namespace can't be told from one inside. No wall depends on it: there is only the one id before and after.
//
// mknod is not among them: it makes no devices in any user namespace, and a file that isn't there helps nobody. setfsuid never
// fails. On a machine without a system call table the program allows everything.
func FakeRoot() []byte {
	if fakerootProgram != "" {
		return []byte(fakerootProgram)
	}
	return filter.FakeRoot(runtime.GOARCH)
}
