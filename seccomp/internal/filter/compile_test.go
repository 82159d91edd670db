package filter

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// interesting arguments for the rules that a profile has.
func interesting(p *specs.LinuxSeccomp) []uint64 {
	all := map[uint64]bool{0: true, 1: true, ^uint64(0): true, 1 << 32: true}
	for _, s := range p.Syscalls {
		for _, a := range s.Args {
			for _, v := range []uint64{a.Value, a.ValueTwo} {
				for _, d := range []uint64{v, v + 1, v - 1, v | 1<<32, v ^ 1<<63, v & 0xffffffff, ^v} {
					all[d] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// compareAll runs a program and the naive reading of its profile on all numbers that matter, for all ABIs.
func compareAll(t *testing.T, p *specs.LinuxSeccomp, native ABI, program []byte, random *rand.Rand) (longest int) {
	t.Helper()
	if err := verify(program); err != nil {
		t.Fatal(err)
	}
	all, n, values := decode(program), newNaive(p, native), interesting(p)
	check := func(c call) {
		got, steps := run(all, c)
		longest = max(longest, steps)
		if want := n.decide(c); got != want {
			t.Fatalf("arch %#x, call %d %x: program says %#x, profile %#x", c.arch, c.nr, c.args, got, want)
		}
	}
	numbers := []uint32{999, 5000, 0xf0001, 0xf0002, 0xf0005, 0xf0006, 0x3fffffff, 0x40000000, 0x40000000 | 41, 0x80000000, 0xffffffff}
	for nr := range uint32(601) {
		numbers = append(numbers, nr)
	}
	for abi := range abis {
		for _, nr := range numbers {
			c := call{nr: nr, arch: abi.facts().audit}
			check(c)
			for range 24 {
				for i := range c.args {
					c.args[i] = values[random.IntN(len(values))]
				}
				if random.IntN(2) == 0 {
					c.args[0] = uint64(random.IntN(48)) // families, and what socketcall and ipc stand for
				}
				check(c)
			}
		}
	}
	check(call{nr: 0, arch: 0xdeadbeef})
	return longest
}

func seeded() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

// defaultProfile is the one that package seccomp embeds.
func defaultProfile(t testing.TB) *Profile {
	t.Helper()
	text, err := os.ReadFile("../../default.json")
	if err != nil {
		t.Fatal(err)
	}
	p, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestDefaultAgainstNaive(t *testing.T) {
	for abi := range abis {
		for name, caps := range map[string][]string{"none": nil, "chroot": {"CAP_SYS_CHROOT"}, "admin": {"CAP_SYS_ADMIN", "CAP_NET_ADMIN"}} {
			for _, compat := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/%v", abi.GOARCH(), name, compat), func(t *testing.T) {
					p := defaultProfile(t)
					if other, ok := abi.Compat(); ok && compat {
						p.Architectures = []specs.Arch{other.OCI()}
					}
					r, err := p.Resolve(Machine{ABI: abi, Kernel: [2]int{6, 12}, Caps: caps})
					if err != nil {
						t.Fatal(err)
					}
					program, err := Compile(r, abi)
					if err != nil {
						t.Fatal(err)
					}
					longest := compareAll(t, r, abi, program, seeded())
					t.Logf("%d instructions, at most %d in a call", len(program)/8, longest)
					if len(program)/8 >= 500 {
						t.Errorf("%d instructions", len(program)/8)
					}
				})
			}
		}
	}
}

// randomProfile has n entries, of which many are about arguments, so that jumps get long.
func randomProfile(r *rand.Rand, n int, names []string) *specs.LinuxSeccomp {
	actions := []specs.LinuxSeccompAction{specs.ActAllow, specs.ActErrno, specs.ActKill, specs.ActLog, specs.ActTrap, specs.ActTrace, specs.ActKillProcess}
	ops := []specs.LinuxSeccompOperator{specs.OpEqualTo, specs.OpNotEqual, specs.OpLessThan, specs.OpLessEqual, specs.OpGreaterEqual,
		specs.OpGreaterThan, specs.OpMaskedEqual}
	values := []uint64{0, 1, 7, 0xffff, 1 << 31, 1<<32 - 1, 1 << 32, 1<<32 + 7, 1<<63 + 1, ^uint64(0)}
	pick := func() specs.LinuxSeccompAction { return actions[r.IntN(len(actions))] }
	p := &specs.LinuxSeccomp{DefaultAction: pick(), Architectures: []specs.Arch{specs.ArchX86, specs.ArchX32, specs.ArchARM}}
	for range n {
		s := specs.LinuxSyscall{Action: pick()}
		for range 1 + r.IntN(3) {
			s.Names = append(s.Names, names[r.IntN(len(names))])
		}
		for range r.IntN(4) {
			s.Args = append(s.Args, specs.LinuxSeccompArg{Index: uint(r.IntN(6)), Op: ops[r.IntN(len(ops))],
				Value: values[r.IntN(len(values))], ValueTwo: values[r.IntN(len(values))]})
		}
		p.Syscalls = append(p.Syscalls, s)
	}
	return p
}

func TestRandomAgainstNaive(t *testing.T) {
	names := slices.Sorted(maps.Keys(table()))
	random := seeded()
	for i := range 40 {
		p := randomProfile(random, []int{1, 5, 30, 150}[i%4], names)
		native := ABI(i % int(abis))
		program, err := Compile(p, native)
		if err != nil {
			if strings.Contains(err.Error(), "instructions") {
				t.Logf("profile %d: %v", i, err)
				continue
			}
			t.Fatal(err)
		}
		compareAll(t, p, native, program, random)
	}
}

func TestFakeRoot(t *testing.T) {
	changes := map[string]bool{}
	for name := range strings.FieldsSeq("chown fchown lchown fchownat setgroups setuid setreuid setresuid setgid setregid setresgid") {
		changes[name] = true
	}
	for abi := range abis {
		all := decode(FakeRoot(abi.GOARCH()))
		other := abi
		if compat, ok := abi.Compat(); ok {
			other = compat
		}
		for _, a := range []ABI{abi, other} {
			for nr, name := range Names(a) {
				want := uint32(unix.SECCOMP_RET_ALLOW)
				if changes[strings.TrimSuffix(name, "32")] {
					want = unix.SECCOMP_RET_ERRNO
				}
				if got, _ := run(all, call{nr: nr, arch: a.facts().audit}); got != want {
					t.Errorf("%s on %s: %#x, want %#x", name, a.GOARCH(), got, want)
				}
			}
		}
	}
	if got, _ := run(decode(FakeRoot("m68k")), call{}); got != unix.SECCOMP_RET_ALLOW {
		t.Errorf("a machine without a table: %#x", got)
	}
}

func TestTableNamesOnce(t *testing.T) {
	for abi := range abis {
		names := Names(abi)
		for name, n := range table() {
			if n[abi] != missing && names[n[abi]] != name {
				t.Errorf("%s: %d is %s and %s", abi.GOARCH(), n[abi], name, names[n[abi]])
			}
		}
	}
	for name, want := range map[string]numbers{
		"read":    {0, 3, 63, 3, 63},
		"openat2": {437, 437, 437, 437, 437},
		"chown32": {missing, 212, missing, 212, missing},
	} {
		if got := table()[name]; got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// The order of compilation must not leak a map's into the programs, or they never are up to date.
func TestCompileStable(t *testing.T) {
	p, err := defaultProfile(t).Resolve(Machine{ABI: AMD64, Kernel: [2]int{6, 12}})
	if err != nil {
		t.Fatal(err)
	}
	first, err := Compile(p, AMD64)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if again, _ := Compile(p, AMD64); !slices.Equal(first, again) {
			t.Fatal("two programs of one profile")
		}
	}
}

func TestCompileTooLong(t *testing.T) {
	p := &specs.LinuxSeccomp{DefaultAction: specs.ActErrno}
	s := specs.LinuxSyscall{Names: []string{"read"}, Action: specs.ActAllow}
	for i := range uint64(MaxInstructions) {
		s.Args = append(s.Args, specs.LinuxSeccompArg{Op: specs.OpEqualTo, Value: i})
	}
	p.Syscalls = []specs.LinuxSyscall{s}
	if _, err := Compile(p, AMD64); err == nil || !strings.Contains(err.Error(), "the kernel's limit is 4096") {
		t.Error(err)
	}
	p.Syscalls[0].Names = slices.Repeat([]string{"read"}, 1000)
	if _, err := Compile(p, AMD64); err == nil || !strings.Contains(err.Error(), "rules") {
		t.Error(err)
	}
}

func BenchmarkParseAndCompile(b *testing.B) {
	text, err := os.ReadFile("../../default.json")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		p, err := Parse(text)
		if err != nil {
			b.Fatal(err)
		}
		r, err := p.Resolve(Machine{ABI: AMD64, Kernel: [2]int{6, 12}, Caps: []string{"CAP_SYS_ADMIN"}})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := Compile(r, AMD64); err != nil {
			b.Fatal(err)
		}
	}
}
