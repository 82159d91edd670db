package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rl-containers/rl/seccomp/internal/filter"
)

// As the builder: go list finds x/sys in the module cache.
func TestHouseUpToDate(t *testing.T) {
	for _, step := range []func() (map[string][]byte, error){tables, programs} {
		files, err := step()
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range files {
			got, err := os.ReadFile(filepath.Join("../..", name))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s is out of date (%v); type: go generate ./seccomp", name, err)
			}
		}
	}
}

// moby's own profile compiles too, as users give it to --security-opt.
func TestMobyCompiles(t *testing.T) {
	p, err := fromMoby()
	if err != nil {
		t.Fatal(err)
	}
	for _, abi := range []filter.ABI{filter.AMD64, filter.ARM64, filter.RISCV64} {
		program, err := compile(p, filter.Machine{ABI: abi, Kernel: kernel})
		if err != nil || len(program)/8 > 500 {
			t.Errorf("%s: %d instructions, %v", abi.GOARCH(), len(program)/8, err)
		}
	}
}

// A new release of moby's profile may name calls that rl's table doesn't have yet, or that need a decision here.
func TestProfileNamesKnown(t *testing.T) {
	p, err := profile()
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, abi := range []filter.ABI{filter.AMD64, filter.X86, filter.ARM64, filter.ARM, filter.RISCV64} {
		for _, name := range filter.Names(abi) {
			known[name] = true
		}
	}
	foreign := []string{"swapcontext", "sync_file_range2"} // of ppc, s390
	for _, e := range p.Syscalls {
		for _, name := range e.Names {
			if !known[name] && !strings.HasPrefix(name, "s390_") && !slices.Contains(foreign, name) {
				t.Errorf("%s is in no column of syscalls.txt", name)
			}
		}
	}
}

// What must not be let through by any profile of ours, whatever moby's says.
func TestProfileNever(t *testing.T) {
	p, err := profile()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range p.Syscalls {
		for _, name := range e.Names {
			switch name {
			case "keyctl", "add_key", "request_key", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register",
				"kexec_load", "kexec_file_load", "swapon", "swapoff":
				if e.Action == "SCMP_ACT_ALLOW" {
					t.Errorf("%s is allowed by %v", name, e)
				}
			case "unshare", "mount", "setns", "pivot_root", "bpf", "perf_event_open", "open_by_handle_at", "init_module",
				"open_tree_attr", "fsopen", "clone3", "reboot":
				if e.Action == "SCMP_ACT_ALLOW" && e.Includes == nil && len(e.Args) == 0 {
					t.Errorf("%s is allowed without a capability", name)
				}
			}
		}
	}
}
