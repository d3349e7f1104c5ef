package amd64

// lockable tells which operations write memory.
func (a *Assembler) lockable(op ALU) bool {
	if op >= Cmp {
		return a.fail(BadOperation)
	}
	return true
}

// LockOpMR is memory = memory op src, atomically. Cmp and Test have no such form.
func (a *Assembler) LockOpMR(op ALU, w Width, m Mem, src Reg) {
	if !a.lockable(op) {
		return
	}
	if o, ok := a.aluOpcode(op, w); ok {
		a.rm(o.sized(w)|locked, w, src, m, 0)
	}
}

// LockOpMI is memory = memory op v, atomically, with v as in OpRI.
func (a *Assembler) LockOpMI(op ALU, w Width, m Mem, v int32) {
	if a.lockable(op) {
		a.opMI(op, w, m, v, locked)
	}
}

// LockUnaryM applies Not, Neg, Inc or Dec to memory, atomically.
func (a *Assembler) LockUnaryM(op Unary, w Width, m Mem) {
	if op >= Mul && op <= Idiv {
		a.fail(BadOperation)
		return
	}
	if o, ext, ok := a.unary(op, w); ok {
		a.rm(o&^byteReg|locked, w, ext, m, 0)
	}
}

// LockXadd adds a register to memory atomically and gives the register the old value.
func (a *Assembler) LockXadd(w Width, m Mem, r Reg) {
	if a.width(w, anyWidth) {
		a.rm((map0F|0xC0).sized(w)|locked, w, r, m, 0)
	}
}

// LockCmpxchg compares RAX with memory atomically: if equal, it stores r and sets ZF, else it
// loads RAX from memory. W32 clears the upper half of RAX only when they differ.
func (a *Assembler) LockCmpxchg(w Width, m Mem, r Reg) {
	if a.width(w, anyWidth) {
		a.rm((map0F|0xB0).sized(w)|locked, w, r, m, 0)
	}
}

// XchgMR swaps a register with memory. It is atomic without a prefix.
func (a *Assembler) XchgMR(w Width, m Mem, r Reg) {
	if a.width(w, anyWidth) {
		a.rm(opcode(0x86).sized(w), w, r, m, 0)
	}
}

// XchgRR swaps two registers. Widths: W32 (clears both upper halves), W64.
func (a *Assembler) XchgRR(w Width, x, y Reg) {
	if !a.width(w, wide) {
		return
	}
	switch {
	case x == RAX && y == RAX && w == W32: // 90 is nop, which keeps the upper half
		a.rr(0x87, w, x, y)
	case x == RAX:
		a.plus(0x90, w, y)
	case y == RAX:
		a.plus(0x90, w, x)
	default:
		a.rr(0x87, w, x, y)
	}
}

// Mfence orders all loads and stores before it against those after it.
func (a *Assembler) Mfence() { a.buf = append(a.buf, 0x0F, 0xAE, 0xF0) }

// Lfence waits for all earlier instructions, which orders Rdtsc.
func (a *Assembler) Lfence() { a.buf = append(a.buf, 0x0F, 0xAE, 0xE8) }

// Pause tells the processor that this is a spinning loop.
func (a *Assembler) Pause() { a.buf = append(a.buf, 0xF3, 0x90) }
