package filter

import (
	"strings"

	"golang.org/x/sys/unix"
)

// FakeRoot is the program for a GOARCH that lets changes of ownership and of ids look done.
func FakeRoot(goarch string) []byte {
	native, err := Native(goarch)
	if err != nil {
		a := &asm{}
		return a.bytes(a.add(opRet, unix.SECCOMP_RET_ALLOW))
	}
	all := []ABI{native}
	if compat, ok := native.Compat(); ok {
		all = append(all, compat)
	}
	done := []rule{{ret: unix.SECCOMP_RET_ERRNO}}
	byName := map[string][]rule{}
	for name := range strings.FieldsSeq("chown chown32 fchown fchown32 lchown lchown32 fchownat setgroups setgroups32 " +
		"setuid setuid32 setreuid setreuid32 setresuid setresuid32 setgid setgid32 setregid setregid32 setresgid setresgid32") {
		byName[name] = done
	}
	a := &asm{returns: map[uint32]label{}}
	t := table()
	return a.program(all, func(abi ABI) []span { return spans(abi, t, byName, unix.SECCOMP_RET_ALLOW) })
}
