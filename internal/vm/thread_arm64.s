#include "go_asm.h"
#include "funcdata.h"
#include "textflag.h"

// Native code runs on a stack of its own, with the thread block in R26 and the budget in R27. While
// it does, the goroutine's stack ends in the frame of enter. Native code that needs Go calls what
// ThreadLeave points at; the handler in enter then calls nativeExit on the goroutine's stack, and
// native code goes on where it left.
//
// R18 (the platform's), R28 (g) and R29 (Go's frame pointer) are never changed: signal handlers
// find the goroutine, and enter finds its frame pointer as it was.
//
// Functions that run on the native stack are marked TOPFRAME, so that an unwinder that interrupts
// them does not look any further.

// func enter(c *CPU, thread uint64)
//
// enter runs native code from ThreadEntry until that returns, or until nativeExit ends the run. The
// first call for a thread block only notes the address of the handler there.
TEXT ·enter(SB), 0, $32-16
	NO_LOCAL_POINTERS
	MOVD thread+8(FP), R26
	MOVD const_ThreadHandler(R26), R16
	CBNZ R16, run
	CALL note<>(SB)

	// The handler. RSP is that of this frame; with ThreadExit 0, nothing is left to do.
	MOVD const_ThreadExit(R26), R16
	CBZ  R16, done
	MOVD c+0(FP), R0
	MOVD R0, 8(RSP)
	MOVD R26, 24(RSP)
	CALL ·nativeExit(SB)
	MOVD 24(RSP), R26
	MOVD 16(RSP), R0
	CBNZ R0, done
	MOVD RSP, R16                  // the stack may have moved
	MOVD R16, const_ThreadGoSP(R26)
	JMP  resume<>(SB)

run:
	MOVD RSP, R16
	MOVD R16, const_ThreadGoSP(R26)
	JMP  start<>(SB)

done:
	RET

// note stores its return address as the handler.
TEXT note<>(SB), NOSPLIT|NOFRAME, $0-0
	MOVD R30, const_ThreadHandler(R26)
	MOVD $leave<>(SB), R16
	MOVD R16, const_ThreadLeave(R26)
	MOVD ZR, const_ThreadExit(R26)
	RET

// start calls native code.
TEXT start<>(SB), NOSPLIT|NOFRAME|TOPFRAME, $0-0
	MOVD R29, const_ThreadGoBP(R26)
	MOVD const_ThreadNativeSP(R26), R16
	MOVD R16, RSP
	MOVD const_ThreadEntry(R26), R16
	LDP  (const_ThreadR0+8)(R26), (R0, R1)
	LDP  (const_ThreadR0+24)(R26), (R2, R3)
	MOVD (const_ThreadR0+40)(R26), R4
	LDP  const_ThreadR10(R26), (R25, R27) // and ThreadBudget
	CALL (R16)
	MOVD R7, const_ThreadR0(R26)
	MOVD R27, const_ThreadBudget(R26)
	MOVD ZR, const_ThreadExit(R26)
	MOVD const_ThreadGoSP(R26), R16
	MOVD R16, RSP
	MOVD const_ThreadHandler(R26), R16
	JMP  (R16)

// leave is called by native code that needs Go. R17 holds what R30 must be when native code goes on,
// which is the return address of the BPF function that runs. All BPF registers come back, R0 as Go
// has set it.
TEXT leave<>(SB), NOSPLIT|NOFRAME|TOPFRAME, $0-0
	STP   (R7, R0), (const_ThreadR0+0)(R26)
	STP   (R1, R2), (const_ThreadR0+16)(R26)
	STP   (R3, R4), (const_ThreadR0+32)(R26)
	STP   (R19, R20), (const_ThreadR0+48)(R26)
	STP   (R21, R22), (const_ThreadR0+64)(R26)
	STP   (R25, R27), const_ThreadR10(R26) // and ThreadBudget
	STP.W (R30, R17), -16(RSP)
	MOVD  RSP, R16
	MOVD  R16, const_ThreadNativeSP(R26)
	MOVD  const_ThreadGoSP(R26), R16
	MOVD  R16, RSP
	MOVD  const_ThreadHandler(R26), R16
	JMP   (R16)

// resume returns to where leave was called.
TEXT resume<>(SB), NOSPLIT|NOFRAME|TOPFRAME, $0-0
	MOVD  R29, const_ThreadGoBP(R26)
	MOVD  const_ThreadNativeSP(R26), R16
	MOVD  R16, RSP
	LDP   (const_ThreadR0+0)(R26), (R7, R0)
	LDP   (const_ThreadR0+16)(R26), (R1, R2)
	LDP   (const_ThreadR0+32)(R26), (R3, R4)
	LDP   (const_ThreadR0+48)(R26), (R19, R20)
	LDP   (const_ThreadR0+64)(R26), (R21, R22)
	LDP   const_ThreadR10(R26), (R25, R27) // and ThreadBudget
	LDP.P 16(RSP), (R16, R30)
	RET   R16
