package filter

import (
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
)

// rule is one line of a profile for one system call: what is returned if all conditions hold.
type rule struct {
	conditions []specs.LinuxSeccompArg
	ret        uint32
}

const retENOSYS = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)

// permissive: the call is made.
func permissive(ret uint32) bool {
	switch ret & unix.SECCOMP_RET_ACTION_FULL {
	case unix.SECCOMP_RET_ALLOW, unix.SECCOMP_RET_LOG, unix.SECCOMP_RET_TRACE:
		return true
	}
	return false
}

// action is the return value of a program for an action of the runtime spec. errno, EPERM if nil, belongs to SCMP_ACT_ERRNO
// and SCMP_ACT_TRACE only (runtime-spec, config-linux.md, "errnoRet").
func action(name specs.LinuxSeccompAction, errno *uint) (uint32, error) {
	switch name {
	case specs.ActErrno:
		return withErrno(unix.SECCOMP_RET_ERRNO, errno, 4095) // MAX_ERRNO
	case specs.ActTrace:
		return withErrno(unix.SECCOMP_RET_TRACE, errno, unix.SECCOMP_RET_DATA)
	}
	ret, ok := plainAction(name)
	if !ok {
		return 0, hint.Errorf("the actions are SCMP_ACT_ALLOW, _ERRNO, _KILL, _KILL_PROCESS, _KILL_THREAD, _LOG, _NOTIFY, _TRACE and _TRAP",
			"unknown action %q", name)
	}
	if errno != nil {
		return 0, hint.Errorf("use SCMP_ACT_ERRNO, or leave errnoRet out", "%s takes no errnoRet", name)
	}
	return ret, nil
}

func withErrno(ret uint32, errno *uint, limit uint) (uint32, error) {
	if errno == nil {
		return ret | uint32(unix.EPERM), nil
	}
	if *errno > limit {
		return 0, fmt.Errorf("errnoRet %d is more than %d", *errno, limit)
	}
	return ret | uint32(*errno), nil
}

func plainAction(name specs.LinuxSeccompAction) (uint32, bool) {
	switch name {
	case specs.ActAllow:
		return unix.SECCOMP_RET_ALLOW, true
	case specs.ActLog:
		return unix.SECCOMP_RET_LOG, true
	case specs.ActKill, specs.ActKillThread:
		return unix.SECCOMP_RET_KILL_THREAD, true
	case specs.ActKillProcess:
		return unix.SECCOMP_RET_KILL_PROCESS, true
	case specs.ActTrap:
		return unix.SECCOMP_RET_TRAP, true
	case specs.ActNotify:
		return unix.SECCOMP_RET_USER_NOTIF, true
	}
	return 0, false
}

// rules of one entry of a profile. Two conditions on the same argument can't both be meant (libseccomp refuses them): runc
// and crun take each condition of such an entry for an entry of its own, and profiles rely on that.
func rules(s specs.LinuxSyscall) ([]rule, error) {
	ret, err := action(s.Action, s.ErrnoRet)
	if err != nil {
		return nil, err
	}
	seen, repeated := [6]bool{}, false
	for _, c := range s.Args {
		if err := checkCondition(c); err != nil {
			return nil, err
		}
		repeated = repeated || seen[c.Index]
		seen[c.Index] = true
	}
	if !repeated {
		return []rule{{s.Args, ret}}, nil
	}
	var all []rule
	for i := range s.Args {
		all = append(all, rule{s.Args[i : i+1], ret})
	}
	return all, nil
}

func checkCondition(c specs.LinuxSeccompArg) error {
	if c.Index > 5 {
		return fmt.Errorf("argument index %d: system calls have arguments 0 to 5", c.Index)
	}
	switch c.Op {
	case specs.OpEqualTo, specs.OpNotEqual, specs.OpLessThan, specs.OpLessEqual, specs.OpGreaterEqual, specs.OpGreaterThan, specs.OpMaskedEqual:
		return nil
	}
	return hint.Errorf("the operators are SCMP_CMP_EQ, _NE, _LT, _LE, _GE, _GT and _MASKED_EQ", "unknown operator %q", c.Op)
}

// condition goes on at yes if it holds, else at no. It loads the accumulator anew.
func (a *asm) condition(c specs.LinuxSeccompArg, wide bool, yes, no label) label {
	arg := offArgs + 8*uint32(c.Index)
	switch c.Op {
	case specs.OpEqualTo:
		return a.masked(arg, ^uint64(0), c.Value, wide, yes, no)
	case specs.OpNotEqual:
		return a.masked(arg, ^uint64(0), c.Value, wide, no, yes)
	case specs.OpMaskedEqual:
		return a.masked(arg, c.Value, c.ValueTwo, wide, yes, no)
	case specs.OpGreaterThan:
		return a.ordered(opJgt, arg, c.Value, wide, yes, no)
	case specs.OpGreaterEqual:
		return a.ordered(opJge, arg, c.Value, wide, yes, no)
	case specs.OpLessEqual:
		return a.ordered(opJgt, arg, c.Value, wide, no, yes)
	}
	return a.ordered(opJge, arg, c.Value, wide, no, yes) // SCMP_CMP_LT; checkCondition has refused what isn't here
}

// masked: argument & mask == value. The machines of rl are little-endian: the lower half comes first.
func (a *asm) masked(arg uint32, mask, value uint64, wide bool, yes, no label) label {
	l := a.half(arg, uint32(mask), uint32(value), yes, no)
	if wide {
		l = a.half(arg+4, uint32(mask>>32), uint32(value>>32), l, no)
	}
	return l
}

func (a *asm) half(offset, mask, value uint32, yes, no label) label {
	switch {
	case mask&value != value:
		return no
	case mask == 0:
		return yes
	}
	l := a.branch(opJeq, value, yes, no)
	if mask != ^uint32(0) {
		l = a.then(opAnd, mask, l)
	}
	return a.then(opLoad, offset, l)
}

// ordered: argument > value, or >= value, unsigned.
func (a *asm) ordered(op uint16, arg uint32, value uint64, wide bool, yes, no label) label {
	l := a.then(opLoad, arg, a.branch(op, uint32(value), yes, no))
	if !wide {
		return l
	}
	high := uint32(value >> 32)
	l = a.branch(opJgt, high, yes, a.branch(opJeq, high, l, no))
	return a.then(opLoad, arg+4, l)
}
