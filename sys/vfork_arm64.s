#include "textflag.h"

// func vfork(nr, a, b, c uintptr) (result, errno uintptr)
//
// The child uses the same stack; the return address is in a register, and those the kernel keeps apart.
TEXT ·vfork(SB),NOSPLIT,$0-48
	MOVD nr+0(FP), R8
	MOVD a+8(FP), R0
	MOVD b+16(FP), R1
	MOVD c+24(FP), R2
	MOVD ZR, R3
	MOVD ZR, R4
	MOVD ZR, R5
	SVC
	MOVD ZR, errno+40(FP)
	CMN  $4095, R0
	BCC  done
	NEG  R0, R0
	MOVD R0, errno+40(FP)
	MOVD $-1, R0
done:
	MOVD R0, result+32(FP)
	RET
