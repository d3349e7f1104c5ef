package vm

import (
	"sync/atomic"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/mem"
)

// wide marks the 64-bit form of an atomic operation in op.imm.
const wideAtomic = 1 << 32

// atomicOp performs the read-modify-write operation in the low half of in.imm on an address
// that was checked (RFC 9669, section 5.3). 32-bit results are zero-extended.
func atomicOp(r *[16]uint64, in *op, addr uint64) {
	src := r[in.src&15]
	var old uint64
	if in.imm&wideAtomic != 0 {
		old = atomic64(r, uint32(in.imm), addr, src)
	} else {
		old = uint64(atomic32(r, uint32(in.imm), addr, uint32(src)))
	}
	switch {
	case uint32(in.imm) == isa.AtomicCMPXCHG:
		r[0] = old
	case in.imm&isa.AtomicFetch != 0:
		r[in.src&15] = old
	}
}

func atomic64(r *[16]uint64, kind uint32, addr, v uint64) uint64 {
	w := mem.Word64(addr)
	switch kind {
	case isa.AtomicXCHG:
		return atomic.SwapUint64(w, v)
	case isa.AtomicCMPXCHG:
		return mem.CmpXchg64(addr, r[0], v)
	}
	switch kind &^ isa.AtomicFetch {
	case isa.AtomicADD:
		return atomic.AddUint64(w, v) - v
	case isa.AtomicOR:
		return atomic.OrUint64(w, v)
	case isa.AtomicAND:
		return atomic.AndUint64(w, v)
	}
	return mem.Xor64(addr, v)
}

func atomic32(r *[16]uint64, kind uint32, addr uint64, v uint32) uint32 {
	w := mem.Word32(addr)
	switch kind {
	case isa.AtomicXCHG:
		return atomic.SwapUint32(w, v)
	case isa.AtomicCMPXCHG:
		return mem.CmpXchg32(addr, uint32(r[0]), v)
	}
	switch kind &^ isa.AtomicFetch {
	case isa.AtomicADD:
		return atomic.AddUint32(w, v) - v
	case isa.AtomicOR:
		return atomic.OrUint32(w, v)
	case isa.AtomicAND:
		return atomic.AndUint32(w, v)
	}
	return mem.Xor32(addr, v)
}

// validAtomic reports whether imm names a read-modify-write operation.
func validAtomic(imm int32) bool {
	switch imm {
	case isa.AtomicADD, isa.AtomicOR, isa.AtomicAND, isa.AtomicXOR,
		isa.AtomicADD | isa.AtomicFetch, isa.AtomicOR | isa.AtomicFetch, isa.AtomicAND | isa.AtomicFetch,
		isa.AtomicXOR | isa.AtomicFetch, isa.AtomicXCHG, isa.AtomicCMPXCHG:
		return true
	}
	return false
}

// atomicSlow checks an atomic operation whose window is not known yet.
func (c *CPU) atomicSlow(p *Program, st *state, pc int, addr uint64) bool {
	k := 2
	if p.ops[pc].imm&wideAtomic != 0 {
		k = 3
	}
	return c.ordered(p, st, pc, addr, k, mem.PermRW)
}

// ordered checks an access that must be aligned.
func (c *CPU) ordered(p *Program, st *state, pc int, addr uint64, k int, perm mem.Perm) bool {
	if addr&(1<<k-1) != 0 {
		c.fault(p, pc, ErrMisaligned, "address %#x is not a multiple of %d", addr, 1<<k)
		return false
	}
	if _, ok := c.window(st, pc, addr, k, perm); !ok {
		c.accessFault(p, pc, addr, 1<<k, perm)
		return false
	}
	return true
}
