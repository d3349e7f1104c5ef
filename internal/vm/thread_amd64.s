#include "go_asm.h"
#include "funcdata.h"
#include "textflag.h"

// Native code runs on a stack of its own, with the thread block in R12 and the budget in R9. While
// it does, the goroutine's stack ends in the frame of enter. Native code that needs Go calls what
// ThreadLeave points at; the handler in enter then calls nativeExit on the goroutine's stack, and
// native code goes on where it left.
//
// Functions that run on the native stack are marked TOPFRAME, so that an unwinder that interrupts
// them does not look any further.

// func enter(c *CPU, thread uint64)
//
// enter runs native code from ThreadEntry until that returns, or until nativeExit ends the run. The
// first call for a thread block only notes the address of the handler there.
TEXT ·enter(SB), 0, $32-16
	NO_LOCAL_POINTERS
	MOVQ thread+8(FP), R12
	CMPQ const_ThreadHandler(R12), $0
	JNE  run
	CALL note<>(SB)

	// The handler. SP is that of this frame; with ThreadExit 0, nothing is left to do.
	CMPQ const_ThreadExit(R12), $0
	JEQ  done
	LEAQ 32(SP), BP // of this frame, for who follows frame pointers
	MOVQ c+0(FP), AX
	MOVQ AX, 0(SP)
	MOVQ R12, 16(SP)
	CALL ·nativeExit(SB)
	MOVQ 16(SP), R12
	CMPQ 8(SP), $0
	JNE  done
	MOVQ SP, const_ThreadGoSP(R12) // the stack may have moved
	JMP  resume<>(SB)

run:
	MOVQ SP, const_ThreadGoSP(R12)
	JMP  start<>(SB)

done:
	RET

// note stores its return address as the handler.
TEXT note<>(SB), NOSPLIT|NOFRAME, $0-0
	MOVQ 0(SP), R11
	MOVQ R11, const_ThreadHandler(R12)
	MOVQ $leave<>(SB), R11
	MOVQ R11, const_ThreadLeave(R12)
	MOVQ $0, const_ThreadExit(R12)
	RET

// start calls native code.
TEXT start<>(SB), NOSPLIT|NOFRAME|TOPFRAME, $0-0
	MOVQ BP, const_ThreadGoBP(R12)
	MOVQ const_ThreadNativeSP(R12), SP
	MOVQ const_ThreadEntry(R12), R11
	MOVQ (const_ThreadR0+8)(R12), DI
	MOVQ (const_ThreadR0+16)(R12), SI
	MOVQ (const_ThreadR0+24)(R12), DX
	MOVQ (const_ThreadR0+32)(R12), CX
	MOVQ (const_ThreadR0+40)(R12), R8
	MOVQ const_ThreadR10(R12), BP
	MOVQ const_ThreadBudget(R12), R9
	CALL R11
	MOVQ AX, const_ThreadR0(R12)
	MOVQ R9, const_ThreadBudget(R12)
	MOVQ $0, const_ThreadExit(R12)
	MOVQ const_ThreadGoSP(R12), SP
	JMP  const_ThreadHandler(R12)

// leave is called by native code that needs Go. All registers come back, R0 as Go has set it.
TEXT leave<>(SB), NOSPLIT|NOFRAME|TOPFRAME, $0-0
	MOVQ AX, (const_ThreadR0+0)(R12)
	MOVQ DI, (const_ThreadR0+8)(R12)
	MOVQ SI, (const_ThreadR0+16)(R12)
	MOVQ DX, (const_ThreadR0+24)(R12)
	MOVQ CX, (const_ThreadR0+32)(R12)
	MOVQ R8, (const_ThreadR0+40)(R12)
	MOVQ BX, (const_ThreadR0+48)(R12)
	MOVQ R13, (const_ThreadR0+56)(R12)
	MOVQ R14, (const_ThreadR0+64)(R12)
	MOVQ R15, (const_ThreadR0+72)(R12)
	MOVQ BP, (const_ThreadR0+80)(R12)
	MOVQ R9, const_ThreadBudget(R12)
	MOVQ SP, const_ThreadNativeSP(R12)
	MOVQ const_ThreadGoSP(R12), SP
	JMP  const_ThreadHandler(R12)

// resume returns to where leave was called.
TEXT resume<>(SB), NOSPLIT|NOFRAME|TOPFRAME, $0-0
	MOVQ BP, const_ThreadGoBP(R12)
	MOVQ const_ThreadNativeSP(R12), SP
	MOVQ const_ThreadBudget(R12), R9
	MOVQ (const_ThreadR0+0)(R12), AX
	MOVQ (const_ThreadR0+8)(R12), DI
	MOVQ (const_ThreadR0+16)(R12), SI
	MOVQ (const_ThreadR0+24)(R12), DX
	MOVQ (const_ThreadR0+32)(R12), CX
	MOVQ (const_ThreadR0+40)(R12), R8
	MOVQ (const_ThreadR0+48)(R12), BX
	MOVQ (const_ThreadR0+56)(R12), R13
	MOVQ (const_ThreadR0+64)(R12), R14
	MOVQ (const_ThreadR0+72)(R12), R15
	MOVQ (const_ThreadR0+80)(R12), BP
	RET
