package amd64

func (a *Assembler) cond(c Cond) bool {
	if c > CondG {
		return a.fail(BadCondition)
	}
	return true
}

// Setcc sets the low byte of a register to 1 or 0 and keeps the rest.
func (a *Assembler) Setcc(c Cond, r Reg) {
	if a.cond(c) {
		a.rr(map0F|byteRM|0x90|opcode(c), W32, 0, r)
	}
}

// SetccM sets a byte of memory to 1 or 0.
func (a *Assembler) SetccM(c Cond, m Mem) {
	if a.cond(c) {
		a.rm(map0F|0x90|opcode(c), W32, 0, m, 0)
	}
}

// CmovccRR copies src to dst if the condition holds. W32 clears the upper half of dst in either
// case. Widths: W16, W32, W64.
func (a *Assembler) CmovccRR(c Cond, w Width, dst, src Reg) {
	if a.cond(c) && a.width(w, notByte) {
		a.rr(map0F|0x40|opcode(c), w, dst, src)
	}
}

// CmovccRM loads memory in any case, and copies it to dst if the condition holds. Widths: W16,
// W32, W64.
func (a *Assembler) CmovccRM(c Cond, w Width, dst Reg, m Mem) {
	if a.cond(c) && a.width(w, notByte) {
		a.rm(map0F|0x40|opcode(c), w, dst, m, 0)
	}
}

// Jmp jumps to a label, which may be bound later. It takes 2 or 5 bytes.
func (a *Assembler) Jmp(l Label) { a.insert(item{kind: jumpItem, label: l}) }

// Jcc jumps to a label if the condition holds. It takes 2 or 6 bytes.
func (a *Assembler) Jcc(c Cond, l Label) {
	if a.cond(c) {
		a.insert(item{kind: condItem, cond: c, label: l})
	}
}

// Call calls a label.
func (a *Assembler) Call(l Label) { a.insert(item{kind: callItem, label: l}) }

// JmpR jumps to the address in a register.
func (a *Assembler) JmpR(r Reg) { a.rr(0xFF, W32, 4, r) }

// JmpM jumps to the address in memory.
func (a *Assembler) JmpM(m Mem) { a.rm(0xFF, W32, 4, m, 0) }

// CallR calls the address in a register.
func (a *Assembler) CallR(r Reg) { a.rr(0xFF, W32, 2, r) }

// CallM calls the address in memory.
func (a *Assembler) CallM(m Mem) { a.rm(0xFF, W32, 2, m, 0) }

// Ret returns.
func (a *Assembler) Ret() { a.buf = append(a.buf, 0xC3) }

// Int3 traps to a debugger.
func (a *Assembler) Int3() { a.buf = append(a.buf, 0xCC) }

// Ud2 raises an undefined-instruction exception.
func (a *Assembler) Ud2() { a.buf = append(a.buf, 0x0F, 0x0B) }

// Rdtsc reads the time-stamp counter to EDX:EAX and clears both upper halves. It is not ordered
// against other instructions.
func (a *Assembler) Rdtsc() { a.buf = append(a.buf, 0x0F, 0x31) }

// Rdtscp is Rdtsc after all earlier instructions; ECX gets the processor's number as the
// operating system has set it.
func (a *Assembler) Rdtscp() { a.buf = append(a.buf, 0x0F, 0x01, 0xF9) }
