#include "textflag.h"

// func Call(nr, a, b, c, d, e uint32) int32
// The kernel may clear R8 to R11; ABI0 lets a function clobber all but SP, and its wrapper restores R14 and X15.
TEXT ·Call(SB), NOSPLIT, $0-28
	MOVL nr+0(FP), AX
	MOVL a+4(FP), BX
	MOVL b+8(FP), CX
	MOVL c+12(FP), DX
	MOVL d+16(FP), SI
	MOVL e+20(FP), DI
	INT  $0x80
	MOVL AX, ret+24(FP)
	RET
