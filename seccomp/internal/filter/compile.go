package filter

import (
	"fmt"
	"maps"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/rl-containers/rl/hint"
)

// span is the numbers from start up to the next span's: conditional rules, in order, and what holds if none of them does.
type span struct {
	start       uint32
	conditional []rule
	ret         uint32
}

func (s span) plain() bool { return len(s.conditional) == 0 }

func (s span) like(t span) bool { return s.plain() && t.plain() && s.ret == t.ret }

// Compile returns the program of a profile for a machine whose own ABI is native, as bytes of an array of struct
// sock_filter. What the profile says about several entries for one system call, see package seccomp.
func Compile(p *specs.LinuxSeccomp, native ABI) ([]byte, error) {
	deny, err := defaultReturn(p)
	if err != nil {
		return nil, err
	}
	all, err := selected(p.Architectures, native)
	if err != nil {
		return nil, err
	}
	byName, err := collect(p.Syscalls)
	if err != nil {
		return nil, err
	}
	t := table()
	a := &asm{returns: map[uint32]label{}}
	b := a.program(all, func(abi ABI) []span { return spans(abi, t, byName, deny) })
	if n := len(b) / 8; n > MaxInstructions {
		return nil, hint.Errorf("fewer entries with args make it shorter", "the program takes %d instructions, the kernel's limit is %d", n, MaxInstructions)
	}
	return b, nil
}

func defaultReturn(p *specs.LinuxSeccomp) (uint32, error) {
	if p.DefaultAction == "" {
		return 0, hint.Errorf(`add "defaultAction": "SCMP_ACT_ERRNO"`, "the profile has no defaultAction")
	}
	ret, err := action(p.DefaultAction, p.DefaultErrnoRet)
	if err != nil {
		return 0, fmt.Errorf("defaultAction: %w", err)
	}
	return ret, nil
}

// maxRules is far above what fits into a program, and far below what a small file can be made to ask for.
const maxRules = 16 * MaxInstructions

// collect gathers the rules of each name, in the order of the profile.
func collect(entries []specs.LinuxSyscall) (map[string][]rule, error) {
	all, n := map[string][]rule{}, 0
	for _, e := range entries {
		r, err := rules(e)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", e.Names, err)
		}
		for _, name := range e.Names {
			if n += len(r); n > maxRules {
				return nil, fmt.Errorf("more than %d rules", maxRules)
			}
			all[name] = join(all[name], r)
		}
	}
	return all, nil
}

// join appends more, which nobody changes: where it is all there is, it stays where it is.
func join(rules, more []rule) []rule {
	if rules == nil {
		return slices.Clip(more)
	}
	return append(rules, more...)
}

// spans covers all numbers of an ABI.
func spans(abi ABI, t map[string]numbers, byName map[string][]rule, deny uint32) []span {
	calls, end := numbered(abi, t, byName)
	all := append(make([]span, 0, 2*len(calls)+1), span{start: 0, ret: deny})
	add := func(s span) {
		switch prev := &all[len(all)-1]; {
		case prev.start == s.start:
			*prev = s
		case !prev.like(s):
			all = append(all, s)
		}
	}
	for _, nr := range slices.Sorted(maps.Keys(calls)) {
		add(decide(nr, calls[nr], deny))
		add(span{start: nr + 1, ret: gap(nr+1, end, deny)})
	}
	return merge(all)
}

// merge joins neighbours that became alike.
func merge(all []span) []span {
	return slices.CompactFunc(all, func(s, t span) bool { return s.like(t) })
}

// gap is what holds for a number that no entry names. One above all that are named is of a system call that the author of a
// profile that refuses by default couldn't know: programs take ENOSYS for "do it the old way", anything else for a failure
// (runc does the same, opencontainers/runc#2750).
func gap(nr, end, deny uint32) uint32 {
	if nr >= end && end > 0 && !permissive(deny) {
		return retENOSYS
	}
	return deny
}

// numbered are the rules by number, and the end of the ordinary numbers (0 if there are none).
func numbered(abi ABI, t map[string]numbers, byName map[string][]rule) (calls map[uint32][]rule, end uint32) {
	const armPrivate = 0xf0000 // __ARM_NR_BASE: cacheflush, set_tls and others, beside the ordinary ones
	calls = make(map[uint32][]rule, len(byName))
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		n, ok := t[name]
		if !ok || n[abi] == missing {
			continue // as runc does: a profile is for many kernels and architectures
		}
		calls[n[abi]] = join(calls[n[abi]], byName[name])
		if n[abi] < armPrivate {
			end = max(end, n[abi]+1)
		}
	}
	if abi == X86 {
		demux(t, byName, calls)
	}
	return calls, end
}

// demux lets the rules of socket(2) and the like also hold for socketcall and ipc, unless the profile names these itself.
// What a condition is about is in memory there, out of reach: such a rule refuses the whole call, or isn't used.
func demux(t map[string]numbers, byName map[string][]rule, calls map[uint32][]rule) {
	places := muxed()
	for _, name := range slices.Sorted(maps.Keys(places)) {
		at := places[name]
		if byName[name] == nil || byName[at.mux] != nil {
			continue
		}
		nr := t[at.mux][X86]
		// The upper half of ipc's first argument is a version.
		which := []specs.LinuxSeccompArg{{Index: 0, Op: specs.OpMaskedEqual, Value: 0xffff, ValueTwo: at.number}}
		for _, r := range byName[name] {
			if len(r.conditions) == 0 || !permissive(r.ret) {
				calls[nr] = append(calls[nr], rule{which, r.ret})
			}
		}
	}
}

// decide puts the rules of one call in order: those with conditions as they come, then the first without.
func decide(nr uint32, rules []rule, deny uint32) span {
	s := span{start: nr, ret: deny}
	final := false
	for _, r := range rules {
		switch {
		case len(r.conditions) > 0:
			s.conditional = append(s.conditional, r)
		case !final:
			s.ret, final = r.ret, true
		}
	}
	return s
}

// program looks at the architecture, then at the number. Foreign ABIs are refused with ENOSYS, which is what a kernel without
// them says; libseccomp kills the thread.
func (a *asm) program(all []ABI, spans func(ABI) []span) []byte {
	sections := make([]label, len(all))
	for i, abi := range slices.Backward(all) {
		sections[i] = a.section(abi, spans(abi))
	}
	start := a.ret(retENOSYS)
	for i, abi := range slices.Backward(all) {
		start = a.branch(opJeq, abi.facts().audit, sections[i], start)
	}
	return a.bytes(a.then(opLoad, offArch, start))
}

// section decides about the numbers of one ABI.
func (a *asm) section(abi ABI, s []span) label {
	l := a.tree(s, abi)
	if abi == AMD64 {
		l = a.branch(opJge, x32Bit, a.ret(retENOSYS), l)
	}
	return a.then(opLoad, offNr, l)
}

// tree is a binary search for the number in the accumulator. One number amid others that are alike takes one comparison.
func (a *asm) tree(s []span, abi ABI) label {
	if len(s) == 1 {
		return a.leaf(s[0], abi)
	}
	if len(s) == 3 && s[0].like(s[2]) && s[1].start+1 == s[2].start {
		only := a.leaf(s[1], abi)
		return a.branch(opJeq, s[1].start, only, a.leaf(s[0], abi))
	}
	mid := len(s) / 2
	high := a.tree(s[mid:], abi)
	return a.branch(opJge, s[mid].start, high, a.tree(s[:mid], abi))
}

// leaf tries the conditional rules in order.
func (a *asm) leaf(s span, abi ABI) label {
	next := a.ret(s.ret)
	for _, r := range slices.Backward(s.conditional) {
		otherwise := next
		next = a.ret(r.ret)
		for _, c := range slices.Backward(r.conditions) {
			next = a.condition(c, abi.facts().wide, next, otherwise)
		}
	}
	return next
}
