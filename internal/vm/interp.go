package vm

import (
	"math/bits"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/mem"
)

// exec interprets from an instruction of p until the frame at depth floor exits, and returns R0.
// c.stop says whether it ended otherwise. Registers live in a local array; what changes with a
// hop (ops, sites, st) is reloaded there and nowhere else.
func (c *CPU) exec(p *Program, entry int, r1, r2 uint64, floor int) uint64 {
	var r [16]uint64
	r[1], r[2], r[10] = r1, r2, c.frameBase(floor)+frameSize
	return c.interpret(p, entry, &r, floor)
}

// interpret is the dispatch loop.
//
// Fuel is counted where control is transferred: each jump, call, hop and exit subtracts the
// length of the straight run that it ends, so the count is exact and straight code pays nothing.
func (c *CPU) interpret(prog *Program, pc int, regs *[16]uint64, floor int) uint64 {
	var (
		r     = *regs
		st    = c.stateOf(prog.index)
		ops   = prog.ops
		sites = st.sites
		fuel  = c.fuel
		start = pc
		loops = uint32(linux.MaxLoops)
	)
	for {
		in := &ops[pc]
		pc++
	stepped:
		switch in.code {
		case opAdd64I:
			r[in.dst&15] += in.imm
		case opSub64I:
			r[in.dst&15] -= in.imm
		case opMul64I:
			r[in.dst&15] *= in.imm
		case opDiv64I:
			r[in.dst&15] = div64(r[in.dst&15], in.imm)
		case opOr64I:
			r[in.dst&15] |= in.imm
		case opAnd64I:
			r[in.dst&15] &= in.imm
		case opLsh64I:
			r[in.dst&15] <<= in.imm & 63
		case opRsh64I:
			r[in.dst&15] >>= in.imm & 63
		case opMod64I:
			r[in.dst&15] = mod64(r[in.dst&15], in.imm)
		case opXor64I:
			r[in.dst&15] ^= in.imm
		case opMov64I:
			r[in.dst&15] = in.imm
		case opArsh64I:
			r[in.dst&15] = uint64(int64(r[in.dst&15]) >> (in.imm & 63))
		case opSDiv64I:
			r[in.dst&15] = sdiv64(r[in.dst&15], in.imm)
		case opSMod64I:
			r[in.dst&15] = smod64(r[in.dst&15], in.imm)
		case opAdd64R:
			r[in.dst&15] += r[in.src&15]
		case opSub64R:
			r[in.dst&15] -= r[in.src&15]
		case opMul64R:
			r[in.dst&15] *= r[in.src&15]
		case opDiv64R:
			r[in.dst&15] = div64(r[in.dst&15], r[in.src&15])
		case opOr64R:
			r[in.dst&15] |= r[in.src&15]
		case opAnd64R:
			r[in.dst&15] &= r[in.src&15]
		case opLsh64R:
			r[in.dst&15] <<= r[in.src&15] & 63
		case opRsh64R:
			r[in.dst&15] >>= r[in.src&15] & 63
		case opMod64R:
			r[in.dst&15] = mod64(r[in.dst&15], r[in.src&15])
		case opXor64R:
			r[in.dst&15] ^= r[in.src&15]
		case opMov64R:
			r[in.dst&15] = r[in.src&15]
		case opArsh64R:
			r[in.dst&15] = uint64(int64(r[in.dst&15]) >> (r[in.src&15] & 63))
		case opSDiv64R:
			r[in.dst&15] = sdiv64(r[in.dst&15], r[in.src&15])
		case opSMod64R:
			r[in.dst&15] = smod64(r[in.dst&15], r[in.src&15])
		case opNeg64:
			r[in.dst&15] = -r[in.dst&15]
		case opAdd32I:
			r[in.dst&15] = uint64(uint32(r[in.dst&15]) + uint32(in.imm))
		case opSub32I:
			r[in.dst&15] = uint64(uint32(r[in.dst&15]) - uint32(in.imm))
		case opMul32I:
			r[in.dst&15] = uint64(uint32(r[in.dst&15]) * uint32(in.imm))
		case opDiv32I:
			r[in.dst&15] = uint64(div32(uint32(r[in.dst&15]), uint32(in.imm)))
		case opOr32I:
			r[in.dst&15] = uint64(uint32(r[in.dst&15]) | uint32(in.imm))
		case opAnd32I:
			r[in.dst&15] = uint64(uint32(r[in.dst&15]) & uint32(in.imm))
		case opLsh32I:
			r[in.dst&15] = uint64(uint32(r[in.dst&15]) << (uint32(in.imm) & 31))
		case opRsh32I:
			r[in.dst&15] = uint64(uint32(r[in.dst&15]) >> (uint32(in.imm) & 31))
		case opMod32I:
			r[in.dst&15] = uint64(mod32(uint32(r[in.dst&15]), uint32(in.imm)))
		case opXor32I:
			r[in.dst&15] = uint64(uint32(r[in.dst&15]) ^ uint32(in.imm))
		case opMov32I:
			r[in.dst&15] = uint64(uint32(in.imm))
		case opArsh32I:
			r[in.dst&15] = uint64(uint32(int32(uint32(r[in.dst&15])) >> (uint32(in.imm) & 31)))
		case opSDiv32I:
			r[in.dst&15] = uint64(sdiv32(uint32(r[in.dst&15]), uint32(in.imm)))
		case opSMod32I:
			r[in.dst&15] = uint64(smod32(uint32(r[in.dst&15]), uint32(in.imm)))
		case opAdd32R:
			r[in.dst&15] = uint64(uint32(r[in.dst&15]) + uint32(r[in.src&15]))
		case opSub32R:
			r[in.dst&15] = uint64(uint32(r[in.dst&15]) - uint32(r[in.src&15]))
		case opMul32R:
			r[in.dst&15] = uint64(uint32(r[in.dst&15]) * uint32(r[in.src&15]))
		case opDiv32R:
			r[in.dst&15] = uint64(div32(uint32(r[in.dst&15]), uint32(r[in.src&15])))
		case opOr32R:
			r[in.dst&15] = uint64(uint32(r[in.dst&15]) | uint32(r[in.src&15]))
		case opAnd32R:
			r[in.dst&15] = uint64(uint32(r[in.dst&15]) & uint32(r[in.src&15]))
		case opLsh32R:
			r[in.dst&15] = uint64(uint32(r[in.dst&15]) << (uint32(r[in.src&15]) & 31))
		case opRsh32R:
			r[in.dst&15] = uint64(uint32(r[in.dst&15]) >> (uint32(r[in.src&15]) & 31))
		case opMod32R:
			r[in.dst&15] = uint64(mod32(uint32(r[in.dst&15]), uint32(r[in.src&15])))
		case opXor32R:
			r[in.dst&15] = uint64(uint32(r[in.dst&15]) ^ uint32(r[in.src&15]))
		case opMov32R:
			r[in.dst&15] = uint64(uint32(r[in.src&15]))
		case opArsh32R:
			r[in.dst&15] = uint64(uint32(int32(uint32(r[in.dst&15])) >> (uint32(r[in.src&15]) & 31)))
		case opSDiv32R:
			r[in.dst&15] = uint64(sdiv32(uint32(r[in.dst&15]), uint32(r[in.src&15])))
		case opSMod32R:
			r[in.dst&15] = uint64(smod32(uint32(r[in.dst&15]), uint32(r[in.src&15])))
		case opNeg32:
			r[in.dst&15] = uint64(-uint32(r[in.dst&15]))
		case opMovSX8:
			r[in.dst&15] = uint64(int64(int8(r[in.src&15])))
		case opMovSX16:
			r[in.dst&15] = uint64(int64(int16(r[in.src&15])))
		case opMovSX32:
			r[in.dst&15] = uint64(int64(int32(r[in.src&15])))
		case opMovSX8W:
			r[in.dst&15] = uint64(uint32(int32(int8(r[in.src&15]))))
		case opMovSX16W:
			r[in.dst&15] = uint64(uint32(int32(int16(r[in.src&15]))))
		case opLE16:
			r[in.dst&15] = uint64(uint16(r[in.dst&15]))
		case opLE32:
			r[in.dst&15] = uint64(uint32(r[in.dst&15]))
		case opNop:

		case opSwap16:
			r[in.dst&15] = uint64(bits.ReverseBytes16(uint16(r[in.dst&15])))
		case opSwap32:
			r[in.dst&15] = uint64(bits.ReverseBytes32(uint32(r[in.dst&15])))
		case opSwap64:
			r[in.dst&15] = bits.ReverseBytes64(r[in.dst&15])
		case opLddw:
			r[in.dst&15] = in.imm
			pc++
			start++ // one instruction of two slots
		case opJEq64I:
			if r[in.dst&15] == in.imm {
				goto jump
			}
		case opJNe64I:
			if r[in.dst&15] != in.imm {
				goto jump
			}
		case opJGt64I:
			if r[in.dst&15] > in.imm {
				goto jump
			}
		case opJGe64I:
			if r[in.dst&15] >= in.imm {
				goto jump
			}
		case opJLt64I:
			if r[in.dst&15] < in.imm {
				goto jump
			}
		case opJLe64I:
			if r[in.dst&15] <= in.imm {
				goto jump
			}
		case opJSet64I:
			if r[in.dst&15]&in.imm != 0 {
				goto jump
			}
		case opJSGt64I:
			if int64(r[in.dst&15]) > int64(in.imm) {
				goto jump
			}
		case opJSGe64I:
			if int64(r[in.dst&15]) >= int64(in.imm) {
				goto jump
			}
		case opJSLt64I:
			if int64(r[in.dst&15]) < int64(in.imm) {
				goto jump
			}
		case opJSLe64I:
			if int64(r[in.dst&15]) <= int64(in.imm) {
				goto jump
			}
		case opJEq64R:
			if r[in.dst&15] == r[in.src&15] {
				goto jump
			}
		case opJNe64R:
			if r[in.dst&15] != r[in.src&15] {
				goto jump
			}
		case opJGt64R:
			if r[in.dst&15] > r[in.src&15] {
				goto jump
			}
		case opJGe64R:
			if r[in.dst&15] >= r[in.src&15] {
				goto jump
			}
		case opJLt64R:
			if r[in.dst&15] < r[in.src&15] {
				goto jump
			}
		case opJLe64R:
			if r[in.dst&15] <= r[in.src&15] {
				goto jump
			}
		case opJSet64R:
			if r[in.dst&15]&r[in.src&15] != 0 {
				goto jump
			}
		case opJSGt64R:
			if int64(r[in.dst&15]) > int64(r[in.src&15]) {
				goto jump
			}
		case opJSGe64R:
			if int64(r[in.dst&15]) >= int64(r[in.src&15]) {
				goto jump
			}
		case opJSLt64R:
			if int64(r[in.dst&15]) < int64(r[in.src&15]) {
				goto jump
			}
		case opJSLe64R:
			if int64(r[in.dst&15]) <= int64(r[in.src&15]) {
				goto jump
			}
		case opJEq32I:
			if uint32(r[in.dst&15]) == uint32(in.imm) {
				goto jump
			}
		case opJNe32I:
			if uint32(r[in.dst&15]) != uint32(in.imm) {
				goto jump
			}
		case opJGt32I:
			if uint32(r[in.dst&15]) > uint32(in.imm) {
				goto jump
			}
		case opJGe32I:
			if uint32(r[in.dst&15]) >= uint32(in.imm) {
				goto jump
			}
		case opJLt32I:
			if uint32(r[in.dst&15]) < uint32(in.imm) {
				goto jump
			}
		case opJLe32I:
			if uint32(r[in.dst&15]) <= uint32(in.imm) {
				goto jump
			}
		case opJSet32I:
			if uint32(r[in.dst&15])&uint32(in.imm) != 0 {
				goto jump
			}
		case opJSGt32I:
			if int32(uint32(r[in.dst&15])) > int32(uint32(in.imm)) {
				goto jump
			}
		case opJSGe32I:
			if int32(uint32(r[in.dst&15])) >= int32(uint32(in.imm)) {
				goto jump
			}
		case opJSLt32I:
			if int32(uint32(r[in.dst&15])) < int32(uint32(in.imm)) {
				goto jump
			}
		case opJSLe32I:
			if int32(uint32(r[in.dst&15])) <= int32(uint32(in.imm)) {
				goto jump
			}
		case opJEq32R:
			if uint32(r[in.dst&15]) == uint32(r[in.src&15]) {
				goto jump
			}
		case opJNe32R:
			if uint32(r[in.dst&15]) != uint32(r[in.src&15]) {
				goto jump
			}
		case opJGt32R:
			if uint32(r[in.dst&15]) > uint32(r[in.src&15]) {
				goto jump
			}
		case opJGe32R:
			if uint32(r[in.dst&15]) >= uint32(r[in.src&15]) {
				goto jump
			}
		case opJLt32R:
			if uint32(r[in.dst&15]) < uint32(r[in.src&15]) {
				goto jump
			}
		case opJLe32R:
			if uint32(r[in.dst&15]) <= uint32(r[in.src&15]) {
				goto jump
			}
		case opJSet32R:
			if uint32(r[in.dst&15])&uint32(r[in.src&15]) != 0 {
				goto jump
			}
		case opJSGt32R:
			if int32(uint32(r[in.dst&15])) > int32(uint32(r[in.src&15])) {
				goto jump
			}
		case opJSGe32R:
			if int32(uint32(r[in.dst&15])) >= int32(uint32(r[in.src&15])) {
				goto jump
			}
		case opJSLt32R:
			if int32(uint32(r[in.dst&15])) < int32(uint32(r[in.src&15])) {
				goto jump
			}
		case opJSLe32R:
			if int32(uint32(r[in.dst&15])) <= int32(uint32(r[in.src&15])) {
				goto jump
			}
		case opJa:
			goto jump
		case opMayGoto:
			if loops == 0 {
				goto jump
			}
			loops--
		case opLdxB:
			addr := r[in.src&15] + uint64(int64(in.off))
			if w := sites[pc-1].w; w.fits(addr, 0) {
				r[in.dst&15] = uint64(mem.Load8(addr))
			} else if v, ok := c.loadSlow(prog, st, pc-1, addr, 0); ok {
				r[in.dst&15] = v
			} else {
				goto stop
			}
		case opLdxSB:
			addr := r[in.src&15] + uint64(int64(in.off))
			if w := sites[pc-1].w; w.fits(addr, 0) {
				r[in.dst&15] = uint64(int64(int8(mem.Load8(addr))))
			} else if v, ok := c.loadSlow(prog, st, pc-1, addr, 0); ok {
				r[in.dst&15] = uint64(int64(int8(v)))
			} else {
				goto stop
			}
		case opLdxFB:
			r[in.dst&15] = uint64(mem.Load8(r[10] + uint64(int64(in.off))))
		case opStB:
			addr := r[in.dst&15] + uint64(int64(in.off))
			if w := sites[pc-1].w; w.fits(addr, 0) {
				mem.Store8(addr, uint8(in.imm))
			} else if !c.storeSlow(prog, st, pc-1, addr, 0, in.imm) {
				goto stop
			}
		case opStFB:
			mem.Store8(r[10]+uint64(int64(in.off)), uint8(in.imm))
		case opStxB:
			addr := r[in.dst&15] + uint64(int64(in.off))
			if w := sites[pc-1].w; w.fits(addr, 0) {
				mem.Store8(addr, uint8(r[in.src&15]))
			} else if !c.storeSlow(prog, st, pc-1, addr, 0, r[in.src&15]) {
				goto stop
			}
		case opStxFB:
			mem.Store8(r[10]+uint64(int64(in.off)), uint8(r[in.src&15]))
		case opLdxH:
			addr := r[in.src&15] + uint64(int64(in.off))
			if w := sites[pc-1].w; w.fits(addr, 1) {
				r[in.dst&15] = uint64(mem.Load16(addr))
			} else if v, ok := c.loadSlow(prog, st, pc-1, addr, 1); ok {
				r[in.dst&15] = v
			} else {
				goto stop
			}
		case opLdxSH:
			addr := r[in.src&15] + uint64(int64(in.off))
			if w := sites[pc-1].w; w.fits(addr, 1) {
				r[in.dst&15] = uint64(int64(int16(mem.Load16(addr))))
			} else if v, ok := c.loadSlow(prog, st, pc-1, addr, 1); ok {
				r[in.dst&15] = uint64(int64(int16(v)))
			} else {
				goto stop
			}
		case opLdxFH:
			r[in.dst&15] = uint64(mem.Load16(r[10] + uint64(int64(in.off))))
		case opStH:
			addr := r[in.dst&15] + uint64(int64(in.off))
			if w := sites[pc-1].w; w.fits(addr, 1) {
				mem.Store16(addr, uint16(in.imm))
			} else if !c.storeSlow(prog, st, pc-1, addr, 1, in.imm) {
				goto stop
			}
		case opStFH:
			mem.Store16(r[10]+uint64(int64(in.off)), uint16(in.imm))
		case opStxH:
			addr := r[in.dst&15] + uint64(int64(in.off))
			if w := sites[pc-1].w; w.fits(addr, 1) {
				mem.Store16(addr, uint16(r[in.src&15]))
			} else if !c.storeSlow(prog, st, pc-1, addr, 1, r[in.src&15]) {
				goto stop
			}
		case opStxFH:
			mem.Store16(r[10]+uint64(int64(in.off)), uint16(r[in.src&15]))
		case opLdxW:
			addr := r[in.src&15] + uint64(int64(in.off))
			if w := sites[pc-1].w; w.fits(addr, 2) {
				r[in.dst&15] = uint64(mem.Load32(addr))
			} else if v, ok := c.loadSlow(prog, st, pc-1, addr, 2); ok {
				r[in.dst&15] = v
			} else {
				goto stop
			}
		case opLdxSW:
			addr := r[in.src&15] + uint64(int64(in.off))
			if w := sites[pc-1].w; w.fits(addr, 2) {
				r[in.dst&15] = uint64(int64(int32(mem.Load32(addr))))
			} else if v, ok := c.loadSlow(prog, st, pc-1, addr, 2); ok {
				r[in.dst&15] = uint64(int64(int32(v)))
			} else {
				goto stop
			}
		case opLdxFW:
			r[in.dst&15] = uint64(mem.Load32(r[10] + uint64(int64(in.off))))
		case opStW:
			addr := r[in.dst&15] + uint64(int64(in.off))
			if w := sites[pc-1].w; w.fits(addr, 2) {
				mem.Store32(addr, uint32(in.imm))
			} else if !c.storeSlow(prog, st, pc-1, addr, 2, in.imm) {
				goto stop
			}
		case opStFW:
			mem.Store32(r[10]+uint64(int64(in.off)), uint32(in.imm))
		case opStxW:
			addr := r[in.dst&15] + uint64(int64(in.off))
			if w := sites[pc-1].w; w.fits(addr, 2) {
				mem.Store32(addr, uint32(r[in.src&15]))
			} else if !c.storeSlow(prog, st, pc-1, addr, 2, r[in.src&15]) {
				goto stop
			}
		case opStxFW:
			mem.Store32(r[10]+uint64(int64(in.off)), uint32(r[in.src&15]))
		case opLdxDW:
			addr := r[in.src&15] + uint64(int64(in.off))
			if w := sites[pc-1].w; w.fits(addr, 3) {
				r[in.dst&15] = mem.Load64(addr)
			} else if v, ok := c.loadSlow(prog, st, pc-1, addr, 3); ok {
				r[in.dst&15] = v
			} else {
				goto stop
			}
		case opLdxFDW:
			r[in.dst&15] = mem.Load64(r[10] + uint64(int64(in.off)))
		case opStDW:
			addr := r[in.dst&15] + uint64(int64(in.off))
			if w := sites[pc-1].w; w.fits(addr, 3) {
				mem.Store64(addr, in.imm)
			} else if !c.storeSlow(prog, st, pc-1, addr, 3, in.imm) {
				goto stop
			}
		case opStFDW:
			mem.Store64(r[10]+uint64(int64(in.off)), in.imm)
		case opStxDW:
			addr := r[in.dst&15] + uint64(int64(in.off))
			if w := sites[pc-1].w; w.fits(addr, 3) {
				mem.Store64(addr, r[in.src&15])
			} else if !c.storeSlow(prog, st, pc-1, addr, 3, r[in.src&15]) {
				goto stop
			}
		case opStxFDW:
			mem.Store64(r[10]+uint64(int64(in.off)), r[in.src&15])
		case opAtomic:
			addr := r[in.dst&15] + uint64(int64(in.off))
			if w := sites[pc-1].w; !(w.fits(addr, 2+in.imm>>32&1) && addr&(3|in.imm>>30&4) == 0) && !c.atomicSlow(prog, st, pc-1, addr) {
				goto stop
			}
			atomicOp(&r, in, addr)
		case opLoadAcq:
			addr := r[in.src&15] + uint64(int64(in.off))
			if w := sites[pc-1].w; !(w.fits(addr, in.imm&3) && addr&(1<<(in.imm&3)-1) == 0) && !c.ordered(prog, st, pc-1, addr, int(in.imm&3), mem.PermRead) {
				goto stop
			}
			r[in.dst&15] = mem.LoadAcquire(addr, int(in.imm&3))
		case opStoreRel:
			addr := r[in.dst&15] + uint64(int64(in.off))
			if w := sites[pc-1].w; !(w.fits(addr, in.imm&3) && addr&(1<<(in.imm&3)-1) == 0) && !c.ordered(prog, st, pc-1, addr, int(in.imm&3), mem.PermWrite) {
				goto stop
			}
			mem.StoreRelease(addr, int(in.imm&3), r[in.src&15])
		case opLdAbs:
			v, ok := c.loadPacket(prog, pc-1, int64(int32(in.imm)), int(in.off))
			if !ok {
				r[0] = 0
				goto exit
			}
			r[0] = v
		case opLdInd:
			v, ok := c.loadPacket(prog, pc-1, int64(int32(uint32(in.imm)+uint32(r[in.src&15]))), int(in.off))
			if !ok {
				r[0] = 0
				goto exit
			}
			r[0] = v
		case opCall:
			if !c.push(prog, st, pc, &r, loops) {
				goto stop
			}
			fuel -= int64(pc - start)
			r[10] += frameStride
			pc = int(in.imm)
			start = pc
			loops = linux.MaxLoops
			if fuel < 0 {
				goto refuel
			}
		case opHelper:
			h := prog.calls[in.imm]
			c.call.begin(prog, pc-1, &r)
			c.fuel = fuel
			r[0] = h.Func(&c.call)
			fuel = c.fuel
			if c.stop != running || h.UnwindOnZero {
				if h.UnwindOnZero && r[0] == 0 && c.stop == running {
					c.unwind(h)
				}
				if c.stop != running {
					goto stopped
				}
			}
		case opCallReg:
			fuel -= int64(pc - start)
			start = pc
			c.fuel = fuel
			target, ok := c.callReg(prog, st, pc, in, &r, loops)
			fuel = c.fuel
			if !ok {
				goto stopped
			}
			if target >= 0 {
				r[10] += frameStride
				pc, start = target, target
				loops = linux.MaxLoops
				if fuel < 0 {
					goto refuel
				}
			}
		case opTailCall:
			var target *state
			h := &st.hops[in.imm]
			if h.target != nil && r[2] == h.mapPtr && uint32(r[3]) == h.index && c.tailCalls < linux.MaxTailCalls && !c.seesHops &&
				mem.AtomicLoad64(h.slot) == h.desc {
				target = h.target
				c.tailCalls++
				if h.count != 0 {
					mem.Store64(h.count, mem.Load64(h.count)+1)
				}
			}
			if target == nil {
				if target = c.tailCall(prog, st, pc-1, int(in.imm), r[2], uint32(r[3])); target == nil {
					if c.stop != running {
						goto stop
					}
					continue
				}
			}
			fuel -= int64(pc - start)
			st, prog = target, target.prog
			ops, sites = prog.ops, st.sites
			pc, start = 0, 0
			loops = linux.MaxLoops
			c.base = c.depth
			if fuel < 0 {
				goto refuel
			}
		case opExit:
			goto exit
		case opBad:
			c.badOp(prog, pc-1)
			goto stop
		case opEnd:
			c.fault(prog, len(prog.Insns)-1, ErrBadJump, "control runs past the last instruction")
			goto stop
		case opBadJump:
			c.fault(prog, int(in.imm), ErrBadJump, "the target is not an instruction of this program")
			goto stop
		case opStep:
			c.step(prog, pc-1, r)
			in = &ops[len(ops)/2+pc-1]
			goto stepped
		}
		continue

	jump:
		fuel -= int64(pc - start)
		pc += int(in.off)
		start = pc
		if fuel >= 0 {
			continue
		}

	refuel:
		c.fuel = fuel
		if !c.refuel(prog, min(pc, len(prog.Insns)-1)) {
			return 0
		}
		fuel = c.fuel
		continue

	exit:
		fuel -= int64(pc - start)
		if c.depth == floor {
			c.fuel = fuel
			return r[0]
		}
		c.depth--
		{
			f := &c.frames[c.depth]
			prog, st, pc, loops, c.base = f.prog, f.st, f.pc, f.loops, f.base
			r[6], r[7], r[8], r[9] = f.r6, f.r7, f.r8, f.r9
		}
		ops, sites = prog.ops, st.sites
		start = pc
		r[10] = c.frameBase(c.depth) + frameSize
		continue

	stopped:
		if c.stop == stopThrow && c.throwBase >= floor {
			// bpf_throw leaves the program, not the run: on with the caller of its entry frame.
			c.stop = running
			c.depth = c.throwBase
			r[0] = c.throwR0
			goto exit
		}

	stop:
		c.fuel = fuel - int64(pc-start)
		return 0
	}
}
