package seccomp

import (
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/seccomp/internal/filter"
)

// flagTsync has no constant in the Go types of the runtime spec.
const flagTsync specs.LinuxSeccompFlag = "SECCOMP_FILTER_FLAG_TSYNC"

// Archs are the architectures whose system calls are known here.
func Archs() []specs.Arch { return filter.Archs() }

// Actions are those that a container's profile may name.
func Actions() []specs.LinuxSeccompAction {
	return []specs.LinuxSeccompAction{specs.ActAllow, specs.ActErrno, specs.ActKill, specs.ActKillProcess, specs.ActKillThread,
		specs.ActLog, specs.ActNotify, specs.ActTrace, specs.ActTrap}
}

// Operators compare an argument of a system call.
func Operators() []specs.LinuxSeccompOperator {
	return []specs.LinuxSeccompOperator{specs.OpEqualTo, specs.OpGreaterEqual, specs.OpGreaterThan, specs.OpLessEqual, specs.OpLessThan,
		specs.OpMaskedEqual, specs.OpNotEqual}
}

// Flags are the flags of seccomp(2) that a profile may name.
func Flags() []specs.LinuxSeccompFlag {
	return []specs.LinuxSeccompFlag{flagTsync, specs.LinuxSeccompFlagSpecAllow, specs.LinuxSeccompFlagLog, specs.LinuxSeccompFlagWaitKillableRecv}
}

// SupportedFlags are those of Flags that this kernel takes.
func SupportedFlags() []specs.LinuxSeccompFlag {
	var all []specs.LinuxSeccompFlag
	for _, f := range Flags() {
		if taken(flagBits(f)) {
			all = append(all, f)
		}
	}
	return all
}

func flagBits(f specs.LinuxSeccompFlag) uintptr {
	switch f {
	case flagTsync:
		return unix.SECCOMP_FILTER_FLAG_TSYNC
	case specs.LinuxSeccompFlagSpecAllow:
		return unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW
	case specs.LinuxSeccompFlagLog:
		return unix.SECCOMP_FILTER_FLAG_LOG
	case specs.LinuxSeccompFlagWaitKillableRecv:
		// Linux 5.19 takes it together with a listener only.
		return unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV | unix.SECCOMP_FILTER_FLAG_NEW_LISTENER
	}
	return 0
}

// taken asks by a program at address 0: a kernel that knows the flags gets as far as reading it (seccomp(2), EFAULT).
func taken(bits uintptr) bool {
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, bits, 0)
	return errno == unix.EFAULT
}
