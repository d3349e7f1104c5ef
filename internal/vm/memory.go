package vm

import (
	"encoding/binary"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/mem"
)

// window finds the window that an access of 1<<k bytes at addr fits and, where that window will
// still be good next time, remembers it for the instruction.
func (c *CPU) window(st *state, pc int, addr uint64, k int, perm mem.Perm) (*window, bool) {
	w, keep := c.find(addr, perm)
	if w == nil || !w.fits(addr, uint64(k)) {
		return nil, false
	}
	if st != nil && keep != keepNot {
		s := &st.sites[pc]
		if keep == keepShared {
			s.w = w
			return w, true
		}
		if s.own == nil {
			s.own = new(window)
		}
		*s.own = *w
		s.w = s.own
	}
	return w, true
}

type keeping uint8

const (
	keepNot    keeping = iota // the window may close before the run ends
	keepShared                // the window is kept up to date where it is
	keepCopy                  // the window stays as it is
)

// find returns the window around addr for perm, nil where there is none.
func (c *CPU) find(addr uint64, perm mem.Perm) (*window, keeping) {
	r := c.machine.Space.Find(addr)
	if r == nil {
		return nil, keepNot
	}
	switch r.Kind {
	case mem.KindMapValue, mem.KindRunMemory:
		if r.Kind == mem.KindRunMemory && r.Owner != c {
			return nil, keepNot // of another virtual CPU
		}
		lo, n := r.Window(addr, perm)
		if n == 0 {
			return nil, keepNot
		}
		if r.Stride&(r.Stride-1) == 0 {
			c.found.setElements(r.Base+r.ValueOff, r.Layout.Size-r.ValueOff, r.Stride-1, n)
		} else {
			c.found.set(lo, n)
		}
		return &c.found, keepCopy
	case mem.KindPacket:
		if r != c.packet {
			return nil, keepNot
		}
		if perm&mem.PermWrite != 0 {
			return &c.pktW, keepShared
		}
		return &c.pkt, keepShared
	case mem.KindStack:
		if r != c.stack || int((addr-r.Base)/frameStride) > c.depth {
			return nil, keepNot
		}
		lo, n := r.Window(addr, perm)
		c.found.set(lo, n)
		return &c.found, keepCopy
	case mem.KindContext:
		if r != c.ctx {
			return nil, keepNot
		}
		if perm&mem.PermWrite != 0 {
			return &c.ctxWinW, keepShared
		}
		return &c.ctxWin, keepShared
	case mem.KindRingbuf:
		for _, rec := range c.records {
			if addr-rec.lo < rec.n {
				c.found.set(rec.lo, rec.n)
				return &c.found, keepNot
			}
		}
	}
	return nil, keepNot
}

// loadSlow serves a load of 1<<k bytes that the remembered window did not hold.
func (c *CPU) loadSlow(p *Program, st *state, pc int, addr uint64, k int) (uint64, bool) {
	if off := addr - c.ctxAddr; c.ctxFields != nil && off < uint64(c.ctxSize) {
		if k == 2 {
			switch c.ctxFields.PacketPointer(uint32(off)) {
			case linux.FieldPacketData:
				return c.packetData, true
			case linux.FieldPacketEnd:
				return c.pkt.lo + c.pkt.n, true
			}
		}
		return c.loadContext(p, pc, uint32(off), k)
	}
	if _, ok := c.window(st, pc, addr, k, mem.PermRead); !ok {
		c.accessFault(p, pc, addr, 1<<k, mem.PermRead)
		return 0, false
	}
	switch k {
	case 0:
		return uint64(mem.Load8(addr)), true
	case 1:
		return uint64(mem.Load16(addr)), true
	case 2:
		return uint64(mem.Load32(addr)), true
	}
	return mem.Load64(addr), true
}

// storeSlow serves a store of 1<<k bytes that the remembered window did not hold.
func (c *CPU) storeSlow(p *Program, st *state, pc int, addr uint64, k int, v uint64) bool {
	if off := addr - c.ctxAddr; c.ctxFields != nil && off < uint64(c.ctxSize) {
		return c.storeContext(p, pc, uint32(off), k, v)
	}
	if _, ok := c.window(st, pc, addr, k, mem.PermWrite); !ok {
		c.accessFault(p, pc, addr, 1<<k, mem.PermWrite)
		return false
	}
	switch k {
	case 0:
		mem.Store8(addr, uint8(v))
	case 1:
		mem.Store16(addr, uint16(v))
	case 2:
		mem.Store32(addr, uint32(v))
	default:
		mem.Store64(addr, v)
	}
	return true
}

// loadContext reads a context field through the table of the program's type.
func (c *CPU) loadContext(p *Program, pc int, off uint32, k int) (uint64, bool) {
	size := uint32(1) << k
	f := c.ctxFields.Field(off, size, false)
	if f == nil {
		c.contextFault(p, pc, off, size, mem.PermRead)
		return 0, false
	}
	switch f.Kind {
	case linux.FieldPacketData:
		return c.packetData, true
	case linux.FieldPacketEnd:
		return c.pkt.lo + c.pkt.n, true
	case linux.FieldPacketMeta:
		return c.meta, true
	case linux.FieldPacketLen:
		n := c.pkt.lo + c.pkt.n - c.packetData + uint64(c.Packet.Hidden)
		return n >> (f.Shift(off, size) * 8) & (1<<(8*size) - 1), true
	}
	back := c.ctxAddr + uint64(f.Back+f.Shift(off, size))
	switch k {
	case 0:
		return uint64(mem.Load8(back)), true
	case 1:
		return uint64(mem.Load16(back)), true
	case 2:
		if f.Kind == linux.FieldPointer {
			return mem.Load64(back), true
		}
		return uint64(mem.Load32(back)), true
	}
	return mem.Load64(back), true
}

// noQueue reports whether a store to queue_mapping does nothing: Linux compares a register with
// NO_QUEUE_MAPPING in 64 bits and unsigned, an immediate signed (bpf_convert_ctx_access).
func noQueue(i isa.Insn, v uint64) bool {
	const noQueueMapping = 0xffff
	if i.Op&7 == isa.ClassST {
		return i.Imm >= noQueueMapping
	}
	return v >= noQueueMapping
}

func (c *CPU) storeContext(p *Program, pc int, off uint32, k int, v uint64) bool {
	size := uint32(1) << k
	f := c.ctxFields.Field(off, size, true)
	if f == nil {
		c.contextFault(p, pc, off, size, mem.PermWrite)
		return false
	}
	switch f.Kind {
	case linux.FieldQueue:
		if noQueue(p.Insns[pc], v) {
			return true
		}
		v &= 0xffff
	case linux.FieldShort:
		v &= 0xffff
	}
	back := c.ctxAddr + uint64(f.Back+off-f.Off)
	switch k {
	case 0:
		mem.Store8(back, uint8(v))
	case 1:
		mem.Store16(back, uint16(v))
	case 2:
		mem.Store32(back, uint32(v))
	default:
		mem.Store64(back, v)
	}
	return true
}

func (c *CPU) contextFault(p *Program, pc int, off, size uint32, perm mem.Perm) {
	verb := "read"
	if perm == mem.PermWrite {
		verb = "write"
	}
	e := c.fault(p, pc, ErrContextAccess, "")
	e.Addr, e.Size, e.Access = c.ctxAddr+uint64(off), int(size), perm
	e.Region = c.ctxFields.Name
	e.Reason = c.ctxFields.Describe(off, size, verb)
}

// loadPacket is LD_ABS and LD_IND (RFC 9669, section 5.5): a load in network byte order at an
// offset from the start of the packet, or from the network or link header for the two special
// ranges of negative offsets (include/uapi/linux/filter.h). The program ends with R0 = 0 when
// the packet is too short.
func (c *CPU) loadPacket(p *Program, pc int, off int64, k int) (uint64, bool) {
	const netOff, llOff = -0x100000, -0x200000
	_, data, end := c.PacketBounds()
	start := data
	if off < 0 {
		link := data - uint64(c.Packet.LinkLen)
		net := data + uint64(c.Packet.NetOff)
		switch {
		case off >= netOff:
			start, off = net, off-netOff
		case off >= llOff:
			start, off = link, off-llOff
		default:
			return 0, false
		}
	}
	n := uint64(1) << k
	addr := start + uint64(off)
	if start == data {
		end += uint64(c.Packet.Hidden)
	}
	if lo, hi := c.PacketBuffer(); off < 0 || addr < lo || addr >= hi || addr+n > end {
		return 0, false
	}
	b := mem.Bytes(addr, n)
	switch k {
	case 0:
		return uint64(b[0]), true
	case 1:
		return uint64(binary.BigEndian.Uint16(b)), true
	}
	return uint64(binary.BigEndian.Uint32(b)), true
}

// Check returns whether the running program may access n bytes at addr with perm.
func (c *CPU) Check(addr, n uint64, perm mem.Perm) bool {
	if n == 0 {
		return true
	}
	if off := addr - c.frameBase(c.depth); off < frameSize && n <= frameSize-off {
		return true // most arguments lie in the caller's frame
	}
	w, _ := c.find(addr, perm)
	return w != nil && n <= w.room(addr)
}

// Readable returns how many bytes from addr on the program may read, up to n.
func (c *CPU) Readable(addr, n uint64) uint64 {
	w, _ := c.find(addr, mem.PermRead)
	if w == nil {
		return 0
	}
	return min(n, w.room(addr))
}
