#include "textflag.h"

// func cacheType() uint64
TEXT ·cacheType(SB), NOSPLIT, $0-8
	MRS  CTR_EL0, R0
	MOVD R0, ret+0(FP)
	RET

// func syncLines(lo, hi, dline, iline uint64)
TEXT ·syncLines(SB), NOSPLIT, $0-32
	MOVD lo+0(FP), R0
	MOVD hi+8(FP), R1
	MOVD dline+16(FP), R2
	MOVD iline+24(FP), R3
	SUB  $1, R2, R4
	BIC  R4, R0, R5

clean:
	DC   CVAU, R5 // to the point of unification
	ADD  R2, R5
	CMP  R1, R5
	BLO  clean
	DSB  $11      // inner shareable
	SUB  $1, R3, R4
	BIC  R4, R0, R5

invalidate:
	WORD $0xd50b7525 // ic ivau, x5
	ADD  R3, R5
	CMP  R1, R5
	BLO  invalidate
	DSB  $11
	ISB  $15
	RET
