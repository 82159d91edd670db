package filter

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func resolved(t *testing.T, text string, m Machine) *specs.LinuxSeccomp {
	t.Helper()
	p, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Resolve(m)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestResolveConditions(t *testing.T) {
	m := Machine{ABI: AMD64, Kernel: [2]int{6, 1}, Caps: []string{"CAP_KILL", "CAP_CHOWN"}}
	for condition, want := range map[string]bool{
		`{}`:                               true,
		`"includes":{"caps":["CAP_KILL"]}`: true,
		`"includes":{"caps":["CAP_KILL","CAP_CHOWN"]}`:                     true,
		`"includes":{"caps":["CAP_KILL","CAP_BPF"]}`:                       false,
		`"includes":{"arches":["arm64","amd64"]}`:                          true,
		`"includes":{"arches":["x86"]}`:                                    false,
		`"includes":{"minKernel":"6.1"}`:                                   true,
		`"includes":{"minKernel":"5.19"}`:                                  true,
		`"includes":{"minKernel":"6.2"}`:                                   false,
		`"includes":{"minKernel":"10.0"}`:                                  false,
		`"excludes":{"caps":["CAP_BPF","CAP_KILL"]}`:                       false,
		`"excludes":{"caps":["CAP_BPF"]}`:                                  true,
		`"excludes":{"arches":["amd64"]}`:                                  false,
		`"excludes":{"minKernel":"6.1"}`:                                   false,
		`"excludes":{"minKernel":"6.2"}`:                                   true,
		`"includes":{"caps":["CAP_KILL"]},"excludes":{"arches":["amd64"]}`: false,
		`"includes":{"caps":["CAP_KILL"]},"excludes":{"arches":["s390x"]}`: true,
		`"includes":{},"excludes":{},"comment":"as in podman's","args":[]`: true,
		`"includes":{"caps":["CAP_KILL"],"minKernel":"6.2","arches":null}`: false,
		`"includes":null,"excludes":{"caps":null,"arches":[]},"args":null`: true,
	} {
		if condition == `{}` {
			condition = `"comment":""`
		}
		text := `{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW",` + condition + `}]}`
		if got := len(resolved(t, text, m).Syscalls) == 1; got != want {
			t.Errorf("%s: used %v, want %v", condition, got, want)
		}
	}
}

func TestResolveArchitectures(t *testing.T) {
	text := `{"defaultAction":"SCMP_ACT_ALLOW","archMap":[{"architecture":"SCMP_ARCH_X86_64","subArchitectures":["SCMP_ARCH_X86","SCMP_ARCH_X32"]},
		{"architecture":"SCMP_ARCH_S390X","subArchitectures":["SCMP_ARCH_S390"]}]}`
	p := resolved(t, text, Machine{ABI: AMD64})
	program, err := Compile(p, AMD64)
	if err != nil {
		t.Fatal(err)
	}
	for c, want := range map[call]uint32{
		{nr: 1, arch: unix.AUDIT_ARCH_X86_64}:          unix.SECCOMP_RET_ALLOW,
		{nr: 1, arch: unix.AUDIT_ARCH_I386}:            unix.SECCOMP_RET_ALLOW,
		{nr: x32Bit | 1, arch: unix.AUDIT_ARCH_X86_64}: retENOSYS,
		{nr: 1, arch: unix.AUDIT_ARCH_S390}:            retENOSYS,
	} {
		if got, _ := run(decode(program), c); got != want {
			t.Errorf("%#x %#x: %#x, want %#x", c.arch, c.nr, got, want)
		}
	}
	if got := resolved(t, text, Machine{ABI: ARM64}).Architectures; len(got) != 0 {
		t.Errorf("arm64: %v", got)
	}
}

func TestResolveErrno(t *testing.T) {
	p := resolved(t, `{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":1,"defaultErrno":"ENOSYS","syscalls":[
		{"name":"read","action":"SCMP_ACT_ERRNO","errno":"EINVAL"},
		{"names":["write"],"action":"SCMP_ACT_ERRNO","errnoRet":5},
		{"names":["open"],"action":"SCMP_ACT_ERRNO"}]}`, Machine{ABI: AMD64})
	program, err := Compile(p, AMD64)
	if err != nil {
		t.Fatal(err)
	}
	for nr, want := range map[uint32]unix.Errno{0: unix.EINVAL, 1: unix.EIO, 2: unix.EPERM, 3: unix.ENOSYS, 500: unix.ENOSYS} {
		if got, _ := run(decode(program), call{nr: nr, arch: unix.AUDIT_ARCH_X86_64}); got != unix.SECCOMP_RET_ERRNO|uint32(want) {
			t.Errorf("%d: %#x, want %v", nr, got, want)
		}
	}
}

// Newer calls than the profile names get ENOSYS, calls amid those that it names the default.
func TestCompileGap(t *testing.T) {
	for action, want := range map[string][3]uint32{
		"SCMP_ACT_ERRNO":        {unix.SECCOMP_RET_ALLOW, unix.SECCOMP_RET_ERRNO | 1, retENOSYS},
		"SCMP_ACT_KILL_PROCESS": {unix.SECCOMP_RET_ALLOW, unix.SECCOMP_RET_KILL_PROCESS, retENOSYS},
		"SCMP_ACT_LOG":          {unix.SECCOMP_RET_ALLOW, unix.SECCOMP_RET_LOG, unix.SECCOMP_RET_LOG},
	} {
		p := resolved(t, `{"defaultAction":"`+action+`","syscalls":[{"names":["openat2"],"action":"SCMP_ACT_ALLOW"}]}`, Machine{ABI: AMD64})
		program, err := Compile(p, AMD64)
		if err != nil {
			t.Fatal(err)
		}
		for i, nr := range []uint32{437, 436, 438} {
			if got, _ := run(decode(program), call{nr: nr, arch: unix.AUDIT_ARCH_X86_64}); got != want[i] {
				t.Errorf("%s, %d: %#x, want %#x", action, nr, got, want[i])
			}
		}
	}
}

// build is all that Load does with a file's text.
func build(text []byte, m Machine) (*specs.LinuxSeccomp, []byte, error) {
	p, err := Parse(text)
	if err != nil {
		return nil, nil, err
	}
	r, err := p.Resolve(m)
	if err != nil {
		return nil, nil, err
	}
	program, err := Compile(r, m.ABI)
	return r, program, err
}

func TestBadProfiles(t *testing.T) {
	entry := func(s string) string { return `{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[` + s + `]}` }
	args := func(s string) string {
		return entry(`{"names":["read"],"action":"SCMP_ACT_ALLOW","args":[` + s + `]}`)
	}
	for text, want := range map[string]string{
		"":                                     "EOF",
		"{":                                    "unexpected EOF",
		"[]":                                   "cannot unmarshal array",
		"{\n\"defaultAction\":\n!":             "line 3",
		`{}`:                                   "no defaultAction",
		`{"defaultAction":"SCMP_ACT_ALLOW"} x`: "more text",
		`{"defaultAction":"SCMP_ACT_ALLOW"}{}`: "more text",
		`{"defaultAction":"ALLOW"}`:            `defaultAction: unknown action "ALLOW"`,
		`{"defaultAction":"SCMP_ACT_NOTIFY"}`:  "no supervisor",
		`{"defaultAction":"SCMP_ACT_ALLOW","defaultErrnoRet":1}`:                                                            "takes no errnoRet",
		`{"defaultAction":"SCMP_ACT_ERRNO","defaultErrno":"EFOO"}`:                                                          `unknown errno "EFOO"`,
		`{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":5000}`:                                                         "more than 4095",
		`{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":-1}`:                                                           "cannot unmarshal number",
		`{"defaultAction":"SCMP_ACT_ERRNO","syscals":[]}`:                                                                   `unknown field "syscals"`,
		`{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_VAX"]}`:                                              `unknown architecture "SCMP_ARCH_VAX"`,
		`{"defaultAction":"SCMP_ACT_ERRNO","listenerPath":"/x"}`:                                                            "listenerPath",
		`{"defaultAction":"SCMP_ACT_ERRNO","flags":["SECCOMP_FILTER_FLAG_LOG"]}`:                                            "SECCOMP_FILTER_FLAG_LOG",
		`{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X86"],"archMap":[{"architecture":"SCMP_ARCH_X86"}]}`: "both architectures and archMap",
		entry(`{"names":["read"]}`):                                                                                         `entry 1 of syscalls (read): unknown action ""`,
		entry(`{"names":["read","write"],"action":"SCMP_ACT_NO"}`):                                                          `(read, …): unknown action "SCMP_ACT_NO"`,
		entry(`{"action":"SCMP_ACT_ALLOW"}`):                                                                                "entry 1 of syscalls (no names)",
		entry(`{"name":"read","names":["write"],"action":"SCMP_ACT_ALLOW"}`):                                                "both name and names",
		entry(`{"names":["read"],"action":"SCMP_ACT_ALLOW","arg":[]}`):                                                      `unknown field "arg"`,
		entry(`{"names":["read"],"action":"SCMP_ACT_NOTIFY"}`):                                                              "no supervisor",
		entry(`{"names":["read"],"action":"SCMP_ACT_ALLOW","errnoRet":1}`):                                                  "takes no errnoRet",
		entry(`{"names":["read"],"action":"SCMP_ACT_ALLOW","includes":{"cap":["CAP_KILL"]}}`):                               `unknown field "cap"`,
		entry(`{"names":["read"],"action":"SCMP_ACT_ALLOW","includes":{"minKernel":"new"}}`):                                `minKernel: kernel version "new"`,
		entry(`{"names":["read"],"action":"SCMP_ACT_NO","excludes":{"arches":["amd64"]}}`):                                  "unknown action",
		args(`{"index":6,"value":0,"op":"SCMP_CMP_EQ"}`):                                                                    "argument index 6",
		args(`{"index":0,"value":0,"op":"SCMP_CMP_GTE"}`):                                                                   `unknown operator "SCMP_CMP_GTE"`,
		args(`{"index":0,"value":0}`):                                                                                       `unknown operator ""`,
		args(`{"index":0,"value":"0","op":"SCMP_CMP_EQ"}`):                                                                  "cannot unmarshal string",
		args(`{"index":0,"value":18446744073709551616,"op":"SCMP_CMP_EQ"}`):                                                 "cannot unmarshal number",
	} {
		if _, _, err := build([]byte(text), Machine{ABI: AMD64, Kernel: [2]int{6, 12}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n\terror %v, want %s", text, err, want)
		}
	}
}

func TestUnknownNamesIgnored(t *testing.T) {
	text := `{"defaultAction":"SCMP_ACT_ERRNO","flags":["SECCOMP_FILTER_FLAG_SPEC_ALLOW"],"syscalls":[{"names":["read","frobnicate","chown32"],"action":"SCMP_ACT_ALLOW"}]}`
	_, program, err := build([]byte(text), Machine{ABI: AMD64})
	if err != nil {
		t.Fatal(err)
	}
	all := decode(program)
	if got, _ := run(all, call{nr: 0, arch: unix.AUDIT_ARCH_X86_64}); got != unix.SECCOMP_RET_ALLOW {
		t.Errorf("read: %#x", got)
	}
	if got, _ := run(all, call{nr: 212, arch: unix.AUDIT_ARCH_X86_64}); got != retENOSYS {
		t.Errorf("212, which is chown32 on i386: %#x", got)
	}
}

// FuzzLoad: no text makes a program that the kernel wouldn't take, or that says something else than its profile.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(`{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X86"],"syscalls":[{"names":["clone","socket"],"action":"SCMP_ACT_ALLOW",
		"args":[{"index":0,"value":2114060288,"valueTwo":0,"op":"SCMP_CMP_MASKED_EQ"}],"excludes":{"caps":["CAP_SYS_ADMIN"]}}]}`), uint8(0), uint64(1))
	f.Add([]byte(`{"defaultAction":"SCMP_ACT_KILL","syscalls":[{"name":"read","action":"SCMP_ACT_LOG","args":[
		{"index":1,"value":1,"op":"SCMP_CMP_GT"},{"index":1,"value":4294967296,"op":"SCMP_CMP_LE"}]}]}`), uint8(2), uint64(2))
	f.Add([]byte(`{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":[""],"action":"SCMP_ACT_ALLOW"}]}`), uint8(0), uint64(0))
	f.Fuzz(func(t *testing.T, text []byte, abi uint8, seed uint64) {
		m := Machine{ABI: ABI(abi) % abis, Kernel: [2]int{6, 12}, Caps: []string{"CAP_KILL"}}
		p, program, err := build(text, m)
		if err != nil {
			return
		}
		if err := verify(program); err != nil {
			t.Fatal(err)
		}
		all, n, values := decode(program), newNaive(p, m.ABI), interesting(p)
		random := rand.New(rand.NewPCG(seed, 0))
		for range 500 {
			c := call{nr: random.Uint32N(600), arch: (abis - 1 - ABI(random.IntN(int(abis)))).facts().audit}
			for i := range c.args {
				c.args[i] = values[random.IntN(len(values))]
			}
			got, _ := run(all, c)
			if want := n.decide(c); got != want {
				t.Fatalf("%+v: program says %#x, profile %#x", c, got, want)
			}
		}
	})
}

func TestBytesNative(t *testing.T) {
	a := &asm{}
	b := a.bytes(a.add(opRet, 0x01020304))
	want := binary.NativeEndian.AppendUint32(binary.NativeEndian.AppendUint32(nil, 0), 0x01020304)
	binary.NativeEndian.PutUint16(want, opRet)
	if !slices.Equal(b, want) {
		t.Errorf("%x, want %x", b, want)
	}
}
