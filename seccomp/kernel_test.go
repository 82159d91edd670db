//go:build amd64 || arm64

package seccomp

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/sys"
)

// This test binary is also the program under the filter: with this variable it reads an order from its standard input.
const childEnv = "RL_SECCOMP_TEST_CHILD"

// order is what the child does on a thread with no_new_privs and the filters.
type order struct {
	Filters [][]byte
	Calls   []kcall
	Exec    []string // instead of calls
}

// kcall is a system call by number; Int80 says by the i386 ABI.
type kcall struct {
	NR    uintptr
	Args  [6]uintptr
	Int80 bool
}

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) == "" {
		os.Exit(m.Run())
	}
	runtime.LockOSThread()
	if err := child(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func child() error {
	var o order
	if err := json.NewDecoder(os.Stdin).Decode(&o); err != nil {
		return err
	}
	os.Unsetenv(childEnv)
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	for _, f := range o.Filters {
		if _, err := sys.InstallFilter(f, 0); err != nil {
			return err
		}
	}
	if len(o.Exec) > 0 {
		return unix.Exec(o.Exec[0], o.Exec, os.Environ())
	}
	errnos := make([]unix.Errno, len(o.Calls))
	for i, c := range o.Calls {
		errnos[i] = c.do()
	}
	return json.NewEncoder(os.Stdout).Encode(errnos)
}

func (c kcall) do() unix.Errno {
	if c.Int80 {
		return do80(c)
	}
	_, _, e := unix.RawSyscall6(c.NR, c.Args[0], c.Args[1], c.Args[2], c.Args[3], c.Args[4], c.Args[5])
	return e
}

// command runs the child; its output ends up in the error.
func command(t *testing.T, o order) ([]byte, error) {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childEnv+"=1")
	cmd.Stdin = strings.NewReader(string(text))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%w: %s%s", err, out, stderr.String())
	}
	return out, err
}

func call(t *testing.T, calls []kcall, filters ...[]byte) []unix.Errno {
	t.Helper()
	out, err := command(t, order{Filters: filters, Calls: calls})
	if err != nil {
		t.Fatal(err)
	}
	var errnos []unix.Errno
	if err := json.Unmarshal(out, &errnos); err != nil || len(errnos) != len(calls) {
		t.Fatalf("%v: %s", err, out)
	}
	return errnos
}

// passes: the kernel answers as it does without a filter.
const passes = unix.Errno(0xffff)

// unchanged: ENOSYS that this kernel may say by itself too.
const unchanged = unix.Errno(0xfffe)

type probe struct {
	what string
	kcall
	want unix.Errno
}

// check makes the calls with the filters and without. A refusal only counts if the kernel alone says something else: the
// arguments are such that it refuses them, for another reason than missing rights, and nothing happens.
func check(t *testing.T, probes []probe, filters ...[]byte) {
	t.Helper()
	calls := make([]kcall, len(probes))
	for i, p := range probes {
		calls[i] = p.kcall
	}
	bare, got := call(t, calls), call(t, calls, filters...)
	for i, p := range probes {
		want := p.want
		switch {
		case want == passes:
			want = bare[i]
		case want == unchanged:
			want = unix.ENOSYS
		case want == bare[i]:
			t.Logf("%s: proves nothing here: the kernel says %v too", p.what, want)
		}
		if got[i] != want {
			t.Errorf("%s: %v, want %v (without a filter %v)", p.what, got[i], want, bare[i])
		}
	}
}

func nr(n uintptr, args ...uintptr) kcall {
	c := kcall{NR: n}
	copy(c.Args[:], args)
	return c
}

const bad = ^uintptr(0) // a pointer or descriptor

// clone flags that the kernel refuses by EINVAL: CLONE_SIGHAND needs CLONE_VM.
const noClone = unix.CLONE_SIGHAND

// plain probes of the default profile without capabilities.
func plain() []probe {
	return []probe{
		{"getppid", nr(unix.SYS_GETPPID), passes},
		{"openat", nr(unix.SYS_OPENAT, bad, 0), passes},
		{"openat2", nr(unix.SYS_OPENAT2, bad, 0), passes},
		{"futex_waitv", nr(unix.SYS_FUTEX_WAITV, 0, 0, 1), passes},
		{"cachestat", nr(unix.SYS_CACHESTAT, bad), passes},
		{"mseal", nr(unix.SYS_MSEAL, 1), passes},
		{"statmount", nr(unix.SYS_STATMOUNT, bad), passes},
		{"listmount", nr(unix.SYS_LISTMOUNT, bad), passes},
		{"ptrace", nr(unix.SYS_PTRACE, 9999, 9999999), passes},
		{"seccomp", nr(unix.SYS_SECCOMP, 99), passes},
		{"setresuid to the same", nr(unix.SYS_SETRESUID, bad, bad, bad), passes},

		{"mount", nr(unix.SYS_MOUNT, bad, bad, bad), unix.EPERM},
		{"umount2", nr(unix.SYS_UMOUNT2, bad, bad), unix.EPERM},
		{"pivot_root", nr(unix.SYS_PIVOT_ROOT, bad, bad), unix.EPERM},
		{"open_tree", nr(unix.SYS_OPEN_TREE, bad, bad, bad), unix.EPERM},
		{"fsopen", nr(unix.SYS_FSOPEN, bad, bad), unix.EPERM},
		{"setns", nr(unix.SYS_SETNS, bad), unix.EPERM},
		{"bpf", nr(unix.SYS_BPF, 9999, 0, 0), unix.EPERM},
		{"userfaultfd", nr(unix.SYS_USERFAULTFD, 0xffff), unix.EPERM},
		{"perf_event_open", nr(unix.SYS_PERF_EVENT_OPEN, bad), unix.EPERM},
		{"kexec_load", nr(unix.SYS_KEXEC_LOAD, 0, 99, 0, 0xff), unix.EPERM},
		{"init_module", nr(unix.SYS_INIT_MODULE), unix.EPERM},
		{"open_by_handle_at", nr(unix.SYS_OPEN_BY_HANDLE_AT, bad, bad), unix.EPERM},
		{"chroot", nr(unix.SYS_CHROOT, bad), unix.EPERM},
		{"move_pages", nr(unix.SYS_MOVE_PAGES, 0, 0, 0, 0, 0, 0xff), unix.EPERM},

		{"keyctl", nr(unix.SYS_KEYCTL, 9999), unix.ENOSYS},
		{"add_key", nr(unix.SYS_ADD_KEY, bad), unix.ENOSYS},
		{"request_key", nr(unix.SYS_REQUEST_KEY, bad), unix.ENOSYS},
		{"io_uring_setup", nr(unix.SYS_IO_URING_SETUP, 0, bad), unix.ENOSYS},
		{"io_uring_enter", nr(unix.SYS_IO_URING_ENTER, bad), unix.ENOSYS},
		{"clone3", nr(unix.SYS_CLONE3, 0, 0), unix.ENOSYS},
		{"600", nr(600), unchanged},
		{"999", nr(999), unchanged},
		{"-1", nr(0xffffffff), unchanged},
	}
}

// byArgument are calls that are decided by what they ask for.
func byArgument() []probe {
	return []probe{
		{"clone", nr(unix.SYS_CLONE, noClone), passes},
		{"clone NEWUSER", nr(unix.SYS_CLONE, noClone|unix.CLONE_NEWUSER), unix.EPERM},
		{"clone NEWNET", nr(unix.SYS_CLONE, noClone|unix.CLONE_NEWNET), unix.EPERM},
		{"clone NEWNS and more bits", nr(unix.SYS_CLONE, 1<<40|noClone|unix.CLONE_NEWNS), unix.EPERM},
		{"unshare FILES", nr(unix.SYS_UNSHARE, unix.CLONE_FILES), passes},
		{"unshare NEWUSER", nr(unix.SYS_UNSHARE, 1<<40|unix.CLONE_NEWUSER), unix.EPERM},
		{"unshare NEWTIME", nr(unix.SYS_UNSHARE, 1<<40|unix.CLONE_NEWTIME), unix.EPERM},

		{"personality, which one", nr(unix.SYS_PERSONALITY, 0xffffffff), passes},
		{"personality LINUX", nr(unix.SYS_PERSONALITY, 0), passes},
		{"personality READ_IMPLIES_EXEC", nr(unix.SYS_PERSONALITY, 0x0400000), unix.EPERM},

		{"AF_UNIX", nr(unix.SYS_SOCKET, unix.AF_UNIX, unix.SOCK_STREAM), passes},
		{"AF_INET", nr(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_DGRAM), passes},
		{"AF_INET ping", nr(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_ICMP), passes},
		{"AF_INET6 ping", nr(unix.SYS_SOCKET, unix.AF_INET6, unix.SOCK_DGRAM, unix.IPPROTO_ICMPV6), passes},
		{"NETLINK_ROUTE", nr(unix.SYS_SOCKET, unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE), passes},
		{"NETLINK_GENERIC", nr(unix.SYS_SOCKET, unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_GENERIC), passes},
		{"NETLINK_KOBJECT_UEVENT", nr(unix.SYS_SOCKET, unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_KOBJECT_UEVENT), passes},
		{"NETLINK_SOCK_DIAG", nr(unix.SYS_SOCKET, unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_SOCK_DIAG), passes},
		// With a type that the kernel refuses first, so that no module is loaded.
		{"NETLINK_NETFILTER", nr(unix.SYS_SOCKET, unix.AF_NETLINK, 99, unix.NETLINK_NETFILTER), unix.EPROTONOSUPPORT},
		{"AF_PACKET", nr(unix.SYS_SOCKET, unix.AF_PACKET, 99), unix.EAFNOSUPPORT},
		{"AF_VSOCK", nr(unix.SYS_SOCKET, unix.AF_VSOCK, 99), unix.EAFNOSUPPORT},
		{"AF_ALG", nr(unix.SYS_SOCKET, unix.AF_ALG, 99), unix.EAFNOSUPPORT},
		{"pair of AF_UNIX", nr(unix.SYS_SOCKETPAIR, unix.AF_UNIX, unix.SOCK_STREAM, 0, bad), passes},
		{"pair of AF_TIPC", nr(unix.SYS_SOCKETPAIR, unix.AF_TIPC, 99, 0, bad), unix.EAFNOSUPPORT},
	}
}

func must(t *testing.T, program []byte, err error) []byte {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

func defaultFor(t *testing.T, caps ...string) []byte {
	t.Helper()
	program, err := Default(caps)
	return must(t, program, err)
}

func TestKernelDefault(t *testing.T) {
	check(t, plain(), defaultFor(t))
	check(t, byArgument(), defaultFor(t))
}

func TestKernelCapabilities(t *testing.T) {
	check(t, []probe{
		{"chroot", nr(unix.SYS_CHROOT, bad), passes},
		{"mount", nr(unix.SYS_MOUNT, bad, bad, bad), unix.EPERM},
	}, defaultFor(t, "CAP_CHOWN", "CAP_SYS_CHROOT"))
	check(t, []probe{
		{"mount", nr(unix.SYS_MOUNT, bad, bad, bad), passes},
		{"pivot_root", nr(unix.SYS_PIVOT_ROOT, bad, bad), passes},
		{"setns", nr(unix.SYS_SETNS, bad), passes},
		{"clone NEWUSER", nr(unix.SYS_CLONE, noClone|unix.CLONE_NEWUSER), passes},
		{"unshare NEWUSER", nr(unix.SYS_UNSHARE, 1<<40|unix.CLONE_NEWUSER), passes},
		{"clone3", nr(unix.SYS_CLONE3, 0, 0), passes},
		{"chroot", nr(unix.SYS_CHROOT, bad), unix.EPERM},
		{"keyctl", nr(unix.SYS_KEYCTL, 9999), unix.ENOSYS},
		{"io_uring_setup", nr(unix.SYS_IO_URING_SETUP, 0, bad), unix.ENOSYS},
	}, defaultFor(t, "CAP_SYS_ADMIN"))
	check(t, []probe{
		{"AF_PACKET", nr(unix.SYS_SOCKET, unix.AF_PACKET, 99), passes},
		{"AF_VSOCK", nr(unix.SYS_SOCKET, unix.AF_VSOCK, 99), unix.EAFNOSUPPORT},
		{"NETLINK_NETFILTER", nr(unix.SYS_SOCKET, unix.AF_NETLINK, 99, unix.NETLINK_NETFILTER), passes},
	}, defaultFor(t, "CAP_NET_RAW", "CAP_NET_ADMIN"))
}

func TestKernelFakeRoot(t *testing.T) {
	done := unix.Errno(0)
	probes := []probe{
		{"fchown", nr(unix.SYS_FCHOWN, bad, 1, 1), done},
		{"fchownat", nr(unix.SYS_FCHOWNAT, bad, bad, 1, 1), done},
		{"setgroups", nr(unix.SYS_SETGROUPS, 1<<20, 0), done},
		{"setresuid", nr(unix.SYS_SETRESUID, 1<<31, 1<<31, 1<<31), done},
		{"setgid", nr(unix.SYS_SETGID, 0xffffffff), done},
		{"fchmod", nr(unix.SYS_FCHMOD, bad, 0o777), passes},
		{"getuid", nr(unix.SYS_GETUID), passes},
		{"keyctl", nr(unix.SYS_KEYCTL, 9999), unix.ENOSYS},
	}
	check(t, probes, defaultFor(t), FakeRoot())
	out, err := command(t, order{Filters: [][]byte{defaultFor(t), FakeRoot()}, Exec: []string{"/bin/sh", "-c",
		`cd "$1" && : > f && chown 12345:12346 f && chgrp -h 77 f && stat -c %u:%g f`, "sh", t.TempDir()}})
	if want := fmt.Sprintf("%d:%d\n", os.Getuid(), os.Getgid()); err != nil || string(out) != want {
		t.Errorf("%q, %v; want %q", out, err, want)
	}
}

// Ordinary programs work.
func TestKernelPrograms(t *testing.T) {
	out, err := command(t, order{Filters: [][]byte{defaultFor(t)}, Exec: []string{"/bin/sh", "-c",
		`cd "$1" && mkdir d && echo x | tee d/f | cat && cp -a d e && mv e/f g && ln -s g h && ls -l . >l && (sleep 0 & wait) && cat h`, "sh", t.TempDir()}})
	if err != nil || string(out) != "x\nx\n" {
		t.Errorf("%q, %v", out, err)
	}
}

func TestKernelLoad(t *testing.T) {
	file := filepath.Join(t.TempDir(), "profile.json")
	text := `{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[
		{"names":["getppid","no_such_call"],"action":"SCMP_ACT_ERRNO","errnoRet":77},
		{"names":["lseek"],"action":"SCMP_ACT_ERRNO","errno":"EXDEV","args":[
			{"index":0,"value":18446744073709551615,"op":"SCMP_CMP_EQ"},{"index":1,"value":4294967296,"op":"SCMP_CMP_GT"}]}]}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	program, err := Load(file, nil)
	check(t, []probe{
		{"getppid", nr(unix.SYS_GETPPID), 77},
		{"lseek 4G", nr(unix.SYS_LSEEK, bad, 1<<32), passes},
		{"lseek 4G + 1", nr(unix.SYS_LSEEK, bad, 1<<32+1), unix.EXDEV},
		{"lseek of another", nr(unix.SYS_LSEEK, bad-1, 1<<32+1), passes},
		{"mount", nr(unix.SYS_MOUNT, bad, bad, bad), passes},
	}, must(t, program, err))
}

func BenchmarkInstall(b *testing.B) {
	program, err := Default([]string{"CAP_SYS_CHROOT"})
	if err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	for range b.N {
		done := make(chan error)
		go func() { // a thread that ends with its filter
			runtime.LockOSThread()
			err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
			if err == nil {
				b.StartTimer()
				_, err = sys.InstallFilter(program, 0)
				b.StopTimer()
			}
			done <- err
		}()
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
}
