package vm

import (
	"context"

	"github.com/carom-bpf/carom/internal/mem"
)

// Result is what a run left behind.
type Result struct {
	R0           uint64
	TailCalls    int   // taken
	Misses       int   // not taken
	Instructions int64 // executed, a wide load counted as one; 0 of native code
	Unwound      *Helper
}

// Busy reports whether a run is under way on this virtual CPU.
func (c *CPU) Busy() bool { return c.running }

// Begin starts a run: packet, context and memory may be set up after it. End must follow.
func (c *CPU) Begin(ctx context.Context) *Error {
	if c.running {
		return &Error{Code: ErrBusy, Program: c.entry.Name, Reason: "a helper tried to run a program on the virtual CPU that is running it"}
	}
	c.running = true
	c.machine.Epochs.Enter(c.reader)
	c.checkHints()
	c.goctx = ctx
	return nil
}

// Again is End and Begin with the same context.
func (c *CPU) Again() {
	c.freeMemory()
	c.machine.Epochs.Again(c.reader)
	c.checkHints()
}

func (c *CPU) checkHints() {
	if g := c.machine.Epochs.Generation(); g != c.gen {
		c.gen = g
		c.dropHints()
	}
}

// freeMemory frees the memory that only the last run had.
func (c *CPU) freeMemory() {
	for i, r := range c.runMem {
		r.Free()
		c.runMem[i] = nil
	}
	c.runMem = c.runMem[:0]
}

// End finishes a run.
func (c *CPU) End() {
	c.goctx = nil
	c.running = false
	c.freeMemory()
	c.machine.Epochs.Leave(c.reader)
}

// Run executes p between Begin and End. R1 and R2 are what the program starts with. It may be
// called again before End, for repeated runs.
func (c *CPU) Run(p *Program, r1, r2 uint64, limits Limits, res *Result) error {
	*res = Result{}
	c.stop, c.err, c.unwound = running, nil, nil
	c.tailCalls, c.misses, c.depth, c.base = 0, 0, 0, 0
	c.records = c.records[:0]
	c.Redirect = Redirect{}
	c.scratchNext = 0
	c.entry = p
	c.executed = 0
	c.budget = limits.Budget
	if c.budget == 0 {
		c.budget = DefaultBudget
	}
	c.fuel = 0
	if !c.refuel(p, 0) {
		return c.err
	}
	var r0 uint64
	native := c.canRunNative(p)
	if native {
		r0 = c.runNative(p, r1, r2)
	} else {
		r0 = c.exec(p, 0, r1, r2, 0)
	}
	if c.stop == running && len(c.records) > 0 {
		c.fault(p, 0, ErrLeak, "the program ended with %d ring buffer record(s) or lock(s) held; release each on every path", len(c.records))
	}
	res.TailCalls, res.Misses = c.tailCalls, c.misses
	if !native { // which counts rounds of loops only
		res.Instructions = c.executed - c.fuel
	}
	res.Unwound = c.unwound
	c.dropRecords()
	switch c.stop {
	case stopError:
		return c.err
	case stopUnwind:
		r0 = 0
	}
	res.R0 = r0
	return nil
}

// refuel takes the next slice of the instruction budget, or ends the run. It also keeps the
// overdraft of the last slice.
func (c *CPU) refuel(p *Program, insn int) bool {
	if c.goctx != nil {
		if err := c.goctx.Err(); err != nil {
			c.fault(p, insn, ErrCanceled, "").Err = err
			return false
		}
	}
	if c.budget <= 0 {
		c.fault(p, insn, ErrBudget, "the program ran %d instructions without ending; raise the budget if that is intended", c.executed-c.fuel)
		return false
	}
	n := min(c.budget, fuelSlice)
	c.budget -= n
	c.executed += n
	c.fuel += n
	return c.fuel >= 0 || c.refuel(p, insn)
}

// UseContext sets the context block of the run: with fields, accesses go through their table;
// without, the block is plain bytes of the given size.
func (c *CPU) UseContext(p *Program, size uint32) {
	if l := p.Context; l != nil && len(l.Fields) > 0 {
		if c.ctxFields == nil {
			c.ctxWin, c.ctxWinW = window{}, window{}
		}
		c.ctxFields, c.ctxSize = l, l.Size
		return
	}
	c.ctxFields, c.ctxSize = nil, size
	c.ctxWin.set(c.ctx.Base, uint64(size))
	c.ctxWinW = window{}
	if p.Context == nil || p.Context.Writable {
		c.ctxWinW = c.ctxWin
	}
	c.Packet = Packet{} // of an earlier run
	c.MovePacket(0, 0, 0)
}

// ContextAddr is what R1 holds when a program starts.
func (c *CPU) ContextAddr() uint64 { return c.ctxAddr }

// ContextBytes is the backing block of the context.
func (c *CPU) ContextBytes() []byte { return c.ctx.Bytes() }

// SetPacket places data in the packet buffer with the usual headroom.
func (c *CPU) SetPacket(data []byte, p Packet) {
	start := c.packet.Base + PacketHeadroom
	copy(mem.Bytes(start, uint64(len(data))), data)
	c.Packet = p
	c.MovePacket(start, start, start+uint64(len(data)))
}

// MovePacket sets where metadata and packet start and where the packet ends.
func (c *CPU) MovePacket(meta, data, end uint64) {
	c.meta, c.packetData = meta, data
	if c.pkt.lo != meta || c.pkt.n != end-meta {
		c.pkt.set(meta, end-meta)
		c.pktW = window{}
	}
	switch {
	case !c.Packet.Writable:
		c.pktW = window{}
	case c.pktW.n != c.pkt.n:
		c.pktW = c.pkt
	}
	if c.thread != 0 {
		c.publishPacket()
	}
}

// PacketBounds returns where metadata and packet start and where the packet ends.
func (c *CPU) PacketBounds() (meta, data, end uint64) {
	return c.meta, c.packetData, c.pkt.lo + c.pkt.n
}

// PacketBytes returns the packet as it is now. The slice is valid until the next run.
func (c *CPU) PacketBytes() []byte {
	_, data, end := c.PacketBounds()
	return mem.Bytes(data, end-data)
}

// PacketBuffer returns the first usable and the end address of the packet buffer.
func (c *CPU) PacketBuffer() (lo, hi uint64) {
	return c.packet.Base, c.packet.Base + c.packet.Layout.Size
}

// AddMemory gives the run n bytes of memory of its own and returns its address. It is freed
// when the run ends.
func (c *CPU) AddMemory(name string, data []byte, perm mem.Perm) (uint64, error) {
	r, err := c.machine.Space.Alloc(mem.Layout{
		Kind: mem.KindRunMemory, Name: name, Owner: c, Size: uint64(max(len(data), 1)), Perm: perm,
	})
	if err != nil {
		return 0, err
	}
	copy(r.Bytes(), data)
	c.runMem = append(c.runMem, r)
	return r.Base, nil
}

// Scratch returns the address of n zeroed bytes that live until the run ends, 0 when there is
// no room.
func (c *CPU) Scratch(n uint64) uint64 {
	n = (n + 7) &^ 7
	if c.scratchNext+n > scratchMax {
		return 0
	}
	addr := c.scratch.Base + c.scratchNext
	c.scratchNext += n
	clear(mem.Bytes(addr, n))
	return addr
}
