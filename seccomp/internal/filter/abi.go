// Package filter turns a seccomp profile into a classic BPF program: the core of package seccomp, for any of the
// architectures of its table, whichever this machine is (the generator and the tests need them all).
package filter

import (
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
)

// ABI is one way to call the kernel: a column of syscalls.txt.
type ABI uint8

// The columns of syscalls.txt, in their order.
const (
	AMD64 ABI = iota
	X86
	ARM64
	ARM
	RISCV64
	abis
)

// x32Bit marks a system call of the x32 ABI, which shares AUDIT_ARCH_X86_64 with amd64 (asm/unistd.h, __X32_SYSCALL_BIT).
// No table for it: it is refused, even if a profile lists it (Debian's kernels have it off too).
const x32Bit = 0x40000000

// facts of an ABI.
type facts struct {
	goarch  string
	profile string     // in a profile's includes and excludes
	oci     specs.Arch // in its architectures and archMap
	audit   uint32     // in seccomp_data.arch
	wide    bool       // arguments have 64 bits; those of the others are compared by their lower 32, as libseccomp does
}

func (a ABI) facts() facts {
	return [...]facts{
		AMD64:   {"amd64", "amd64", specs.ArchX86_64, unix.AUDIT_ARCH_X86_64, true},
		X86:     {"386", "x86", specs.ArchX86, unix.AUDIT_ARCH_I386, false},
		ARM64:   {"arm64", "arm64", specs.ArchAARCH64, unix.AUDIT_ARCH_AARCH64, true},
		ARM:     {"arm", "arm", specs.ArchARM, unix.AUDIT_ARCH_ARM, false},
		RISCV64: {"riscv64", "riscv64", specs.ArchRISCV64, unix.AUDIT_ARCH_RISCV64, true},
	}[a]
}

// Native is the ABI of a GOARCH.
func Native(goarch string) (ABI, error) {
	for a := range abis {
		if a.facts().goarch == goarch {
			return a, nil
		}
	}
	return 0, hint.Errorf("--security-opt seccomp=unconfined runs without a filter", "seccomp: no system call table for %s", goarch)
}

// Compat is the 32-bit ABI that a 64-bit kernel usually has too.
func (a ABI) Compat() (ABI, bool) {
	switch a {
	case AMD64:
		return X86, true
	case ARM64:
		return ARM, true
	}
	return 0, false
}

// GOARCH is the name of the ABI's architecture in Go.
func (a ABI) GOARCH() string { return a.facts().goarch }

// OCI is its name in the runtime spec.
func (a ABI) OCI() specs.Arch { return a.facts().oci }

// selected are the ABIs that the program decides about, the native one first; all others are refused as a whole.
func selected(names []specs.Arch, native ABI) ([]ABI, error) {
	all := []ABI{native}
	for _, name := range names {
		abi, known, err := archABI(name)
		if err != nil {
			return nil, err
		}
		if known && !slices.Contains(all, abi) {
			all = append(all, abi)
		}
	}
	return all, nil
}

// archABI knows the ABIs of the table. The other architectures of the runtime spec are not let through: no error, known is
// false for them.
func archABI(name specs.Arch) (abi ABI, known bool, err error) {
	for a := range abis {
		if a.OCI() == name {
			return a, true, nil
		}
	}
	switch name {
	case "SCMP_ARCH_NATIVE", specs.ArchX32, specs.ArchMIPS, specs.ArchMIPS64, specs.ArchMIPS64N32, specs.ArchMIPSEL,
		specs.ArchMIPSEL64, specs.ArchMIPSEL64N32, specs.ArchPPC, specs.ArchPPC64, specs.ArchPPC64LE, specs.ArchS390, specs.ArchS390X,
		specs.ArchPARISC, specs.ArchPARISC64, specs.ArchLOONGARCH64, specs.ArchM68K, specs.ArchSH, specs.ArchSHEB:
		return 0, false, nil
	}
	return 0, false, hint.Errorf("the names are those of the runtime spec: SCMP_ARCH_X86_64, SCMP_ARCH_AARCH64, …",
		"unknown architecture %q", name)
}
