package filter

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// MaxInstructions is the longest program that the kernel takes (BPF_MAXINSNS).
const MaxInstructions = unix.BPF_MAXINSNS

// Offsets in struct seccomp_data.
const (
	offNr   = 0
	offArch = 4
	offArgs = 16
)

const (
	opLoad = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	opRet  = unix.BPF_RET | unix.BPF_K
	opJa   = unix.BPF_JMP | unix.BPF_JA
	opJeq  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	opJgt  = unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K
	opJge  = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
	opAnd  = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
)

// reach is how far a conditional jump may go: 255 less what the jumps that bring its two targets near take.
const reach = 250

// label is an instruction that has been written.
type label int

// asm writes a program from its end: jumps only go forward, so that all targets are known when a jump is written.
type asm struct {
	reversed []unix.SockFilter
	returns  map[uint32]label
}

func (a *asm) add(op uint16, k uint32) label {
	a.reversed = append(a.reversed, unix.SockFilter{Code: op, K: k})
	return label(len(a.reversed) - 1)
}

// distance is the jump offset from the next instruction to be written.
func (a *asm) distance(l label) int { return len(a.reversed) - int(l) - 1 }

// ret returns an instruction that ends the program with k: one that is in reach, or a new one.
func (a *asm) ret(k uint32) label {
	if l, ok := a.returns[k]; ok && a.distance(l) < reach {
		return l
	}
	a.returns[k] = a.add(opRet, k)
	return a.returns[k]
}

// near returns l, or an instruction in reach that has the same effect.
func (a *asm) near(l label) label {
	if a.distance(l) < reach {
		return l
	}
	if i := a.reversed[l]; i.Code == opRet {
		return a.ret(i.K)
	}
	return a.add(opJa, uint32(a.distance(l)))
}

// branch goes on at yes if the comparison of the accumulator with k holds, else at no.
func (a *asm) branch(op uint16, k uint32, yes, no label) label {
	if yes == no {
		return yes
	}
	yes = a.near(yes)
	no = a.near(no)
	l := a.add(op, k)
	a.reversed[l].Jt = uint8(int(l) - int(yes) - 1)
	a.reversed[l].Jf = uint8(int(l) - int(no) - 1)
	return l
}

// then is an instruction that next follows.
func (a *asm) then(op uint16, k uint32, next label) label {
	if d := a.distance(next); d > 0 {
		a.add(opJa, uint32(d))
	}
	return a.add(op, k)
}

// bytes is the program from start, as an array of struct sock_filter.
func (a *asm) bytes(start label) []byte {
	b := make([]byte, 0, 8*(start+1))
	for i := start; i >= 0; i-- {
		s := a.reversed[i]
		b = binary.NativeEndian.AppendUint16(b, s.Code)
		b = append(b, s.Jt, s.Jf)
		b = binary.NativeEndian.AppendUint32(b, s.K)
	}
	return b
}
