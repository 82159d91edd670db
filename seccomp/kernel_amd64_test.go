package seccomp

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/seccomp/internal/int80"
)

func do80(c kcall) unix.Errno {
	r := int80.Call(uint32(c.NR), uint32(c.Args[0]), uint32(c.Args[1]), uint32(c.Args[2]), uint32(c.Args[3]), uint32(c.Args[4]))
	if r < 0 && r > -4096 {
		return unix.Errno(-r)
	}
	return 0
}

// The calls of these tests on i386 (arch/x86/entry/syscalls/syscall_32.tbl).
const (
	i386Getppid    = 64
	i386Keyctl     = 288
	i386Unshare    = 310
	i386Socket     = 359
	i386Socketcall = 102
	i386Fchown32   = 207
	i386Setns      = 346
)

func i386(n uintptr, args ...uintptr) kcall {
	c := nr(n, args...)
	c.Int80 = true
	return c
}

func needI386(t *testing.T) {
	t.Helper()
	if _, err := command(t, order{Calls: []kcall{i386(i386Getppid)}}); err != nil {
		t.Skip("this kernel has no i386 ABI (CONFIG_IA32_EMULATION): ", err)
	}
}

// The i386 ABI is off as a whole.
func TestKernelInt80(t *testing.T) {
	needI386(t)
	check(t, []probe{
		{"getppid", i386(i386Getppid), unix.ENOSYS},
		{"keyctl", i386(i386Keyctl, 9999), unix.ENOSYS},
		{"unshare NEWUSER", i386(i386Unshare, unix.CLONE_NEWUSER|noClone), unix.ENOSYS},
		{"socket AF_VSOCK", i386(i386Socket, unix.AF_VSOCK, 99), unix.ENOSYS},
		{"socketcall", i386(i386Socketcall, 1, 0), unix.ENOSYS},
		{"999", i386(999), unchanged},
	}, defaultFor(t))
}

func TestKernelCompat(t *testing.T) {
	needI386(t)
	program, err := Compat(nil)
	must(t, program, err)
	check(t, append(plain(), byArgument()...), program)
	check(t, []probe{
		{"getppid", i386(i386Getppid), passes},
		{"socketcall", i386(i386Socketcall, 1, 0), passes},
		{"socket AF_INET", i386(i386Socket, unix.AF_INET, 99), passes},
		{"socket AF_VSOCK", i386(i386Socket, unix.AF_VSOCK, 99), unix.EAFNOSUPPORT},
		{"keyctl", i386(i386Keyctl, 9999), unix.ENOSYS},
		{"setns", i386(i386Setns, 0xffffffff), unix.EPERM},
		{"999", i386(999), unchanged},
	}, program)
	check(t, []probe{{"fchown32", i386(i386Fchown32, 0xffffffff, 1, 1), 0}}, program, FakeRoot())
}

// x32: Debian's kernels refuse it by themselves; that the program does is proved by the simulation.
func TestKernelX32(t *testing.T) {
	check(t, []probe{
		{"getppid", nr(0x40000000 | unix.SYS_GETPPID), unchanged},
		{"keyctl", nr(0x40000000|unix.SYS_KEYCTL, 9999), unchanged},
		{"unshare", nr(0x40000000|unix.SYS_UNSHARE, unix.CLONE_NEWUSER|noClone), unchanged},
		{"ioctl", nr(0x40000000|514, bad), unchanged},
	}, defaultFor(t))
}
