package filter

import (
	"encoding/binary"
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// call is struct seccomp_data, less the instruction pointer.
type call struct {
	nr, arch uint32
	args     [6]uint64
}

func (c call) load(offset uint32) uint32 {
	b := binary.LittleEndian.AppendUint32(nil, c.nr)
	b = binary.LittleEndian.AppendUint32(b, c.arch)
	b = binary.LittleEndian.AppendUint64(b, 0)
	for _, a := range c.args {
		b = binary.LittleEndian.AppendUint64(b, a)
	}
	return binary.LittleEndian.Uint32(b[offset:])
}

func decode(program []byte) []unix.SockFilter {
	var all []unix.SockFilter
	for i := 0; i+8 <= len(program); i += 8 {
		all = append(all, unix.SockFilter{Code: binary.LittleEndian.Uint16(program[i:]), Jt: program[i+2], Jf: program[i+3],
			K: binary.LittleEndian.Uint32(program[i+4:])})
	}
	return all
}

// verify is the kernel's bpf_check_classic and seccomp_check_filter, for what this compiler writes.
func verify(program []byte) error {
	all := decode(program)
	if len(program)%8 != 0 || len(all) == 0 || len(all) > MaxInstructions {
		return fmt.Errorf("%d bytes", len(program))
	}
	for i, s := range all {
		far := i + 1
		switch s.Code {
		case opLoad:
			if s.K%4 != 0 || s.K >= 64 {
				return fmt.Errorf("instruction %d loads from %d", i, s.K)
			}
		case opJa:
			far += int(s.K)
		case opJeq, opJgt, opJge:
			far += int(max(s.Jt, s.Jf))
		case opRet, opAnd:
		default:
			return fmt.Errorf("instruction %d has code %#x", i, s.Code)
		}
		if far >= len(all) && s.Code != opRet {
			return fmt.Errorf("instruction %d goes to %d of %d", i, far, len(all))
		}
	}
	return nil
}

// run executes a verified program, and says how many instructions that took.
func run(all []unix.SockFilter, c call) (ret uint32, steps int) {
	var acc uint32
	for pc := 0; ; pc++ {
		s := all[pc]
		steps++
		holds := false
		switch s.Code {
		case opLoad:
			acc = c.load(s.K)
			continue
		case opAnd:
			acc &= s.K
			continue
		case opRet:
			return s.K, steps
		case opJa:
			pc += int(s.K)
			continue
		case opJeq:
			holds = acc == s.K
		case opJgt:
			holds = acc > s.K
		case opJge:
			holds = acc >= s.K
		}
		if holds {
			pc += int(s.Jt)
		} else {
			pc += int(s.Jf)
		}
	}
}

// naive decides about a call by walking the profile, as the documentation of package seccomp says.
type naive struct {
	p     *specs.LinuxSeccomp
	deny  uint32
	abis  map[uint32]ABI // by audit number
	names map[ABI]map[uint32]string
	end   map[ABI]uint32
	has   map[string][]specs.LinuxSyscall
	muxed map[string]bool // socketcall or ipc has rules of what it stands for
}

func newNaive(p *specs.LinuxSeccomp, native ABI) *naive {
	n := &naive{p: p, abis: map[uint32]ABI{}, names: map[ABI]map[uint32]string{}, end: map[ABI]uint32{}, has: map[string][]specs.LinuxSyscall{}, muxed: map[string]bool{}}
	n.deny, _ = action(p.DefaultAction, p.DefaultErrnoRet)
	for _, s := range p.Syscalls {
		for _, name := range s.Names {
			n.has[name] = append(n.has[name], s)
		}
	}
	for name, at := range muxed() {
		if n.standIn(name) != nil {
			n.muxed[at.mux] = true
		}
	}
	for abi := range abis {
		if abi != native && !contains(p.Architectures, abi.OCI()) {
			continue
		}
		n.abis[abi.facts().audit] = abi
		n.names[abi] = Names(abi)
		for nr, name := range n.names[abi] {
			if n.has[name] != nil && nr < 0xf0000 {
				n.end[abi] = max(n.end[abi], nr+1)
			}
		}
	}
	return n
}

func contains(all []specs.Arch, a specs.Arch) bool {
	for _, b := range all {
		if a == b {
			return true
		}
	}
	return false
}

func (n *naive) decide(c call) uint32 {
	abi, ok := n.abis[c.arch]
	if !ok || abi == AMD64 && c.nr >= 0x40000000 {
		return retENOSYS
	}
	name := n.names[abi][c.nr]
	if name != "" && n.has[name] != nil {
		return n.rules(name, c, abi)
	}
	if abi == X86 && n.muxed[name] {
		return n.mux(name, c)
	}
	if c.nr >= n.end[abi] && n.end[abi] > 0 && !permissive(n.deny) {
		return retENOSYS
	}
	return n.deny
}

func (n *naive) rules(name string, c call, abi ABI) uint32 {
	ret, found := n.deny, false
	for _, s := range n.has[name] {
		r, _ := action(s.Action, s.ErrnoRet)
		if len(s.Args) > 0 && n.fits(s.Args, c, abi) {
			return r
		}
		if len(s.Args) == 0 && !found {
			ret, found = r, true
		}
	}
	return ret
}

func (n *naive) fits(args []specs.LinuxSeccompArg, c call, abi ABI) bool {
	seen, repeated, count := [6]bool{}, false, 0
	for _, a := range args {
		repeated = repeated || seen[a.Index]
		seen[a.Index] = true
		v, want, want2 := c.args[a.Index], a.Value, a.ValueTwo
		if !abi.facts().wide {
			v, want, want2 = v&0xffffffff, want&0xffffffff, want2&0xffffffff
		}
		if compare(a.Op, v, want, want2) {
			count++
		}
	}
	return count == len(args) || repeated && count > 0
}

func compare(op specs.LinuxSeccompOperator, v, want, want2 uint64) bool {
	switch op {
	case specs.OpEqualTo:
		return v == want
	case specs.OpNotEqual:
		return v != want
	case specs.OpLessThan:
		return v < want
	case specs.OpLessEqual:
		return v <= want
	case specs.OpGreaterEqual:
		return v >= want
	case specs.OpGreaterThan:
		return v > want
	}
	return v&want == want2
}

// standIn is the first rule of name that can be asked of socketcall and ipc.
func (n *naive) standIn(name string) *uint32 {
	for _, s := range n.has[name] {
		if r, _ := action(s.Action, s.ErrnoRet); len(s.Args) == 0 || !permissive(r) {
			return &r
		}
	}
	return nil
}

// mux: the rules of what socketcall and ipc stand for, by the first argument.
func (n *naive) mux(mux string, c call) uint32 {
	for name, at := range muxed() {
		if at.mux == mux && c.args[0]&0xffff == at.number {
			if r := n.standIn(name); r != nil {
				return *r
			}
		}
	}
	return n.deny
}
