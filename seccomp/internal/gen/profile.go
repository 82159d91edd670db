package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	moby "github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/seccomp/internal/filter"
)

// kernel is the oldest that rl runs on: the programs made here have to do on all.
var kernel = [2]int{5, 11}

// programs is the default profile, and what it compiles to where capabilities are the default ones or none.
func programs() (map[string][]byte, error) {
	p, err := profile()
	if err != nil {
		return nil, err
	}
	text, err := encode(p)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{"default.json": text}
	for _, abi := range []filter.ABI{filter.AMD64, filter.ARM64} {
		for name, caps := range map[string][]string{"chroot": {"CAP_SYS_CHROOT"}, "nocaps": nil} {
			b, err := compile(p, filter.Machine{ABI: abi, Kernel: kernel, Caps: caps})
			if err != nil {
				return nil, err
			}
			files[name+"_"+abi.GOARCH()+".bpf"] = b
		}
		files["fakeroot_"+abi.GOARCH()+".bpf"] = filter.FakeRoot(abi.GOARCH())
	}
	return files, nil
}

func compile(p *filter.Profile, m filter.Machine) ([]byte, error) {
	r, err := p.Resolve(m)
	if err != nil {
		return nil, err
	}
	return filter.Compile(r, m.ABI)
}

// encode writes an entry a line.
func encode(p *filter.Profile) ([]byte, error) {
	head := *p
	head.Syscalls = nil
	b, err := json.Marshal(head)
	if err != nil {
		return nil, err
	}
	w := bytes.NewBuffer(bytes.TrimSuffix(b, []byte("}")))
	for i, e := range p.Syscalls {
		sep := ",\n"
		if i == 0 {
			sep = ",\"syscalls\":[\n"
		}
		b, err := json.Marshal(e)
		if err != nil {
			return nil, err
		}
		w.WriteString(sep + string(b))
	}
	w.WriteString("\n]}\n")
	return w.Bytes(), nil
}

// profile is moby's with rl's changes. docs/seccomp.md tells them to users.
func profile() (*filter.Profile, error) {
	p, err := fromMoby()
	if err != nil {
		return nil, err
	}
	p.DefaultErrnoRet = errno(unix.ENOSYS) // programs take it for "do it another way", EPERM for a failure
	p.ArchMap = nil                        // the native ABI only
	p.Syscalls = slices.DeleteFunc(p.Syscalls, func(e filter.Entry) bool { return slices.Contains(e.Names, "socket") })
	without(p, "socketpair", "lsm_get_self_attr", "lsm_list_modules", "lsm_set_self_attr")
	p.Syscalls = append(p.Syscalls, newCalls(), admin())
	p.Syscalls = append(p.Syscalls, sockets()...)
	p.Syscalls = append(p.Syscalls, filter.Entry{Names: []string{"unshare"}, Action: specs.ActAllow,
		Args:    []specs.LinuxSeccompArg{{Index: 0, Op: specs.OpMaskedEqual, Value: ^uint64(harmlessUnshare)}},
		Comment: "no namespace"})
	p.Syscalls = append(p.Syscalls, privileged(p))
	return p, nil
}

func fromMoby() (*filter.Profile, error) {
	text, err := json.Marshal(moby.DefaultProfile())
	if err != nil {
		return nil, fmt.Errorf("encode moby's profile: %w", err)
	}
	p, err := filter.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("parse moby's profile: %w", err)
	}
	return p, nil
}

func errno(e unix.Errno) *uint {
	n := uint(e)
	return &n
}

func without(p *filter.Profile, names ...string) {
	for i := range p.Syscalls {
		p.Syscalls[i].Names = slices.DeleteFunc(p.Syscalls[i].Names, func(n string) bool { return slices.Contains(names, n) })
	}
}

// newCalls are younger than moby's list, and reach nothing that an old call doesn't.
func newCalls() filter.Entry {
	return filter.Entry{Action: specs.ActAllow, Comment: "Linux 6.8 to 7.0", Names: []string{
		"file_getattr", "file_setattr", // ioctl FS_IOC_FSGETXATTR and FS_IOC_FSSETXATTR
		"lsm_get_self_attr", "lsm_list_modules", // /proc/self/attr
		"rseq_slice_yield", // sched_yield
		"uprobe",           // only comes from a trampoline that the kernel placed, like uretprobe
	}}
}

// admin is what else a container of containers needs.
func admin() filter.Entry {
	return filter.Entry{Names: []string{"pivot_root", "open_tree_attr", "listns", "lsm_set_self_attr"}, Action: specs.ActAllow,
		Includes: &filter.Conditions{Caps: []string{"CAP_SYS_ADMIN"}}}
}

// harmlessUnshare is what one thread may stop to share with the others: samba does so.
const harmlessUnshare = unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SYSVSEM | unix.CLONE_THREAD | unix.CLONE_SIGHAND | unix.CLONE_VM

// sockets of few families: each of the others is rarely used kernel code (CVE-2026-31431 was AF_ALG's, CVE-2017-2636 and
// the like those of modules that a socket call loads). The errors are those of a kernel without them.
func sockets() []filter.Entry {
	allow := func(cap, comment string, args ...uint64) filter.Entry {
		e := filter.Entry{Names: []string{"socket"}, Action: specs.ActAllow, Comment: comment,
			Args: []specs.LinuxSeccompArg{{Index: 0, Op: specs.OpEqualTo, Value: args[0]}}}
		if len(args) > 1 {
			e.Args = append(e.Args, specs.LinuxSeccompArg{Index: 2, Op: specs.OpEqualTo, Value: args[1]})
		}
		if cap != "" {
			e.Includes = &filter.Conditions{Caps: []string{cap}}
		}
		return e
	}
	deny := filter.Entry{Names: []string{"socket", "socketpair"}, Action: specs.ActErrno, ErrnoRet: errno(unix.EAFNOSUPPORT)}
	netlink := allow("", "", unix.AF_NETLINK)
	netlink.Action, netlink.ErrnoRet = specs.ActErrno, errno(unix.EPROTONOSUPPORT)
	pair := allow("", "", unix.AF_UNIX)
	pair.Names = []string{"socketpair"}
	return []filter.Entry{
		allow("", "AF_UNIX", unix.AF_UNIX), allow("", "AF_INET", unix.AF_INET), allow("", "AF_INET6", unix.AF_INET6),
		allow("CAP_NET_RAW", "AF_PACKET", unix.AF_PACKET),
		allow("", "NETLINK_ROUTE", unix.AF_NETLINK, unix.NETLINK_ROUTE),
		allow("", "NETLINK_SOCK_DIAG", unix.AF_NETLINK, unix.NETLINK_SOCK_DIAG),
		allow("", "NETLINK_KOBJECT_UEVENT", unix.AF_NETLINK, unix.NETLINK_KOBJECT_UEVENT),
		allow("", "NETLINK_GENERIC", unix.AF_NETLINK, unix.NETLINK_GENERIC),
		allow("CAP_NET_ADMIN", "NETLINK_XFRM", unix.AF_NETLINK, unix.NETLINK_XFRM),
		allow("CAP_NET_ADMIN", "NETLINK_NETFILTER", unix.AF_NETLINK, unix.NETLINK_NETFILTER),
		netlink, pair, deny,
	}
}

// privileged calls fail with EPERM, as they do for a user: what a capability would open, and some that none does. The first
// entry without args that fits decides, so that this last one holds where no capability opened the call.
func privileged(p *filter.Profile) filter.Entry {
	e := filter.Entry{Action: specs.ActErrno, ErrnoRet: errno(unix.EPERM), Names: []string{
		"kexec_file_load", "kexec_load", "migrate_pages", "move_pages", "personality", "swapoff", "swapon", "userfaultfd"}}
	for _, s := range p.Syscalls {
		if s.Includes != nil && len(s.Includes.Caps) > 0 && s.Action == specs.ActAllow && s.Names[0] != "socket" {
			e.Names = append(e.Names, s.Names...)
		}
	}
	e.Names = slices.DeleteFunc(e.Names, func(n string) bool { return n == "clone3" || n == "listns" })
	slices.Sort(e.Names)
	e.Names = slices.Compact(e.Names)
	return e
}
