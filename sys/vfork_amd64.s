#include "textflag.h"

// func vfork(nr, a, b, c uintptr) (result, errno uintptr)
//
// The child uses the same stack: what it calls overwrites the return address of this function, which the parent needs
// afterwards. It stays in a register meanwhile, and those the kernel keeps apart.
TEXT ·vfork(SB),NOSPLIT,$0-48
	MOVQ nr+0(FP), AX
	MOVQ a+8(FP), DI
	MOVQ b+16(FP), SI
	MOVQ c+24(FP), DX
	XORL R10, R10
	XORL R8, R8
	XORL R9, R9
	POPQ R12
	SYSCALL
	PUSHQ R12
	MOVQ $0, errno+40(FP)
	CMPQ AX, $-4095
	JCS  done
	NEGQ AX
	MOVQ AX, errno+40(FP)
	MOVQ $-1, AX
done:
	MOVQ AX, result+32(FP)
	RET
