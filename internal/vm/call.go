package vm

import (
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/carom-bpf/carom/trace"
)

// Call is one call of a helper. It is reused: a helper must not keep it. Its methods are the
// helper's only way to memory, and they check as the interpreter does.
type Call struct {
	CPU  *CPU
	Args [5]uint64 // R1 to R5
	// Buf is room for a key that a helper builds; one on the Go stack would escape.
	Buf [8]byte

	prog *Program
	pc   int
}

func (k *Call) begin(p *Program, pc int, r *[16]uint64) {
	k.prog, k.pc = p, pc
	// One by one: a composite literal is built aside and copied in wider pieces, which stalls.
	k.Args[0], k.Args[1], k.Args[2], k.Args[3], k.Args[4] = r[1], r[2], r[3], r[4], r[5]
}

// Program returns the program that makes the call.
func (k *Call) Program() *Program { return k.prog }

// Insn returns the call instruction.
func (k *Call) Insn() int { return k.pc }

// Bytes returns n bytes of program memory to read. When the program may not read all of them the
// run ends with an error after the helper returns, and ok is false.
func (k *Call) Bytes(addr, n uint64) (b []byte, ok bool) { return k.view(addr, n, mem.PermRead) }

// Buffer is Bytes for memory to write.
func (k *Call) Buffer(addr, n uint64) (b []byte, ok bool) { return k.view(addr, n, mem.PermWrite) }

func (k *Call) view(addr, n uint64, perm mem.Perm) ([]byte, bool) {
	if n > 1<<32 || !k.CPU.Check(addr, n, perm) {
		k.CPU.accessFault(k.prog, k.pc, addr, int(n), perm)
		return nil, false
	}
	return mem.Bytes(addr, n), true
}

// Try is Bytes for helpers that return an error to the program instead of ending the run, as
// the probe_read family does.
func (k *Call) Try(addr, n uint64) (b []byte, ok bool) {
	if n > 1<<32 || !k.CPU.Check(addr, n, mem.PermRead) {
		return nil, false
	}
	return mem.Bytes(addr, n), true
}

// TryString returns the bytes at addr up to, not including, the first zero byte, at most limit.
// It is not ok when memory ends before either.
func (k *Call) TryString(addr, limit uint64) (b []byte, ok bool) {
	n := k.CPU.Readable(addr, limit)
	b = mem.Bytes(addr, n)
	for i, c := range b {
		if c == 0 {
			return b[:i], true
		}
	}
	return b, n == limit
}

// Map returns the object behind a map pointer, nil when addr is none.
func (k *Call) Map(addr uint64) any { return k.CPU.machine.Maps.Lookup(addr) }

// Fail ends the run with an error that says what is wrong with the call. It returns 0 for the
// helper to return.
func (k *Call) Fail(reason string, args ...any) uint64 {
	k.CPU.fault(k.prog, k.pc, ErrHelper, reason, args...)
	return 0
}

// FailMap is Fail for an argument that is no map, or a map of the wrong type.
func (k *Call) FailMap(arg int, want string) uint64 {
	k.CPU.fault(k.prog, k.pc, ErrBadMap, "R%d = %#x is not %s", arg+1, k.Args[arg], want)
	return 0
}

// Stopped reports whether the run has ended, by an error or an unwind in a callback.
func (k *Call) Stopped() bool { return k.CPU.stop != running }

// Invoke runs a callback on the same virtual CPU: fn is the function pointer that the program
// passed. It is not ok when the run ended inside.
func (k *Call) Invoke(fn uint64, args ...uint64) (r0 uint64, ok bool) {
	c := k.CPU
	p, insn, valid := c.machine.funcOf(fn)
	if !valid || p != k.prog {
		c.fault(k.prog, k.pc, ErrBadCall, "%#x is not a callback of this program", fn)
		return 0, false
	}
	saved, base := *k, c.base
	if c.inNative {
		if r0, ok = c.invokeFromNative(p, k.pc, insn, args); ok {
			*k = saved
			c.depth = int((k.CPU.word(ThreadR10) - c.stack.Base) / frameStride)
		}
		return r0, ok
	}
	if c.depth+1-c.base >= linux.MaxFrames || c.depth+1 > maxDepth {
		c.fault(p, k.pc, ErrCallDepth, "the call stack of %d frames is too deep", c.depth+2-c.base)
		return 0, false
	}
	c.depth++
	floor := c.depth
	var r [16]uint64
	copy(r[1:6], args)
	r[10] = c.frameBase(floor) + frameSize
	r0 = c.interpret(p, insn, &r, floor)
	*k = saved
	c.base = base
	if c.stop != running {
		return 0, false
	}
	c.depth = floor - 1
	// A callback without a jump looks at the budget nowhere else.
	if c.fuel < 0 && !c.refuel(p, k.pc) {
		return 0, false
	}
	return r0, true
}

// Throw is bpf_throw: it leaves the current program, from any depth, with R0 = cookie.
func (k *Call) Throw(cookie uint64) uint64 {
	c := k.CPU
	base := c.base
	if cb := k.prog.ExceptionCallback; cb > 0 {
		r0, ok := k.Invoke(k.prog.funcPointer(cb), cookie)
		if !ok {
			return 0
		}
		cookie = r0
	}
	c.throwBase, c.throwR0 = base, cookie
	c.stop = stopThrow
	return 0
}

// Unwind ends the run as a helper marked UnwindOnZero does.
func (c *CPU) unwind(h *Helper) {
	c.unwound = h
	c.stop = stopUnwind
}

// Print sends a line that the program printed to the sink.
func (k *Call) Print(text []byte) {
	c := k.CPU
	if c.sink == nil {
		return
	}
	c.event = trace.Event{Kind: trace.Printk, Text: text}
	c.Emit(k.prog, k.pc, &c.event)
}

// Rand returns the next number of the virtual CPU's generator.
func (c *CPU) Rand() uint64 { return c.rng.Uint64() }

// Hold lets the program touch a record that it reserved; ring identifies where to return it.
func (c *CPU) Hold(addr, n uint64, ring any) {
	c.records = append(c.records, record{addr, n, ring})
}

// Release takes a record back that Hold gave out.
func (c *CPU) Release(addr uint64) (ring any, ok bool) {
	for i, r := range c.records {
		if r.lo == addr {
			c.records = append(c.records[:i], c.records[i+1:]...)
			return r.ring, true
		}
	}
	return nil, false
}

// Discarder is a ring that takes back records which a failed run left behind.
type Discarder interface{ Discard(addr, flags uint64) }

func (c *CPU) dropRecords() {
	for _, r := range c.records {
		if d, ok := r.ring.(Discarder); ok {
			d.Discard(r.lo, 0)
		}
	}
	c.records = c.records[:0]
}

// callReg is a call by register (opcode 0x8d): of a helper by id, or of a subprogram through a
// function pointer. target is the subprogram's first instruction, -1 after a helper. It takes
// nothing but r by address: what the dispatch loop counts with must stay in registers.
func (c *CPU) callReg(p *Program, st *state, pc int, in *op, r *[16]uint64, loops uint32) (target int, ok bool) {
	v := r[in.dst&15]
	if q, insn, ok := c.machine.funcOf(v); ok && q == p {
		return insn, c.push(p, st, pc, r, loops)
	}
	var h *Helper
	if p.ByID != nil && v <= 1<<32-1 {
		h = p.ByID(uint32(v))
	}
	if h == nil || h.ID == tailCallID {
		c.fault(p, pc-1, ErrBadCall, "R%d = %#x is neither a helper nor a function", in.dst, v)
		return -1, false
	}
	c.call.begin(p, pc-1, r)
	r[0] = h.Func(&c.call)
	if h.UnwindOnZero && r[0] == 0 && c.stop == running {
		c.unwind(h)
	}
	return -1, c.stop == running
}

func (c *CPU) badOp(p *Program, insn int) {
	i := p.Insns[insn]
	c.fault(p, insn, ErrBadOpcode, "opcode %#02x dst r%d src r%d off %d imm %d%s", i.Op, i.Dst, i.Src, i.Off, i.Imm, whyBad(i))
}
