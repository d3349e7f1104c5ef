package vm

import (
	"fmt"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/mem"
)

// Offsets of the fields of a thread block, in bytes. Every virtual CPU has one, outside the Go
// heap: native code finds there what it needs and leaves there what Go needs. All fields have 64
// bits.
const (
	ThreadR0         = 0                // R0 to R10 while native code is left
	ThreadR10        = ThreadR0 + 8*10  //
	ThreadBudget     = ThreadR10 + 8    // instructions left << BudgetShift | tail calls left
	ThreadGoSP       = ThreadBudget + 8 // Go's stack pointer while native code runs
	ThreadNativeSP   = ThreadGoSP + 8   // the native stack pointer while it does not
	ThreadEntry      = ThreadNativeSP + 8
	ThreadExit       = ThreadEntry + 8      // why native code is left: code, instruction << ExitShift
	ThreadProg       = ThreadExit + 8       // index of the program that left
	ThreadDesc       = ThreadProg + 8       // descriptor of the target of a hop
	ThreadLeave      = ThreadDesc + 8       // address to call to leave native code
	ThreadHandler    = ThreadLeave + 8      // address in enter that serves who leaves
	ThreadPacketData = ThreadHandler + 8    // address of the packet's first byte
	ThreadPacketEnd  = ThreadPacketData + 8 // address past its last byte
	ThreadPacketMeta = ThreadPacketEnd + 8  // address of the metadata before the packet
	ThreadHidden     = ThreadPacketMeta + 8 // bytes of the packet that len counts and pointers do not reach
	ThreadCPU        = ThreadHidden + 8     // number of the virtual CPU
	ThreadSites      = ThreadCPU + 8        // table of counters by program index, 0 when hops are not counted
	ThreadMisses     = ThreadSites + 8      // tail calls not taken
	ThreadFlag       = ThreadMisses + 8     // answer of an exit, see the exit codes
	ThreadGoBP       = ThreadFlag + 8       // Go's frame pointer while native code runs, for debuggers
	ThreadContext    = ThreadGoBP + 8       // bytes of the context
	threadSize       = ThreadContext + 8
)

// BudgetShift is how far the instructions are shifted in the budget word. Below them are the tail
// calls that are left.
const BudgetShift = 8

// ExitShift is how far the instruction is shifted in ThreadExit.
const ExitShift = 8

// Exit codes: why native code leaves. All of them continue behind the place that left.
const (
	ExitHelper = iota + 1 // call of a helper; R0 is its result
	ExitBudget            // the budget is negative
	ExitHop               // a hop to ThreadDesc, which has no native code: run it in this frame; R0 is its result
	ExitAccess            // a load, store or atomic operation that Go must check
	ExitPacket            // LD_ABS or LD_IND; ThreadFlag is 1 when the function ends with R0 = 0
	ExitCount             // a hop to ThreadDesc was taken: count it
	ExitMiss              // a hop was not taken: count why
	ExitRefuse            // a hop to ThreadProg was made, which needs a longer context: run it as ExitHop does
	ExitBad               // an instruction that makes no sense
)

const (
	nativeGuard = mem.ChunkSize
	nativeStack = mem.ChunkSize
	// nativeSlack stays zero above the first native frame, where an unwinder may look.
	nativeSlack = 256
)

// Native is the machine code of a program.
type Native struct {
	Code  *mem.Exec
	Entry uint64         // address of the program's first instruction
	Funcs map[int]uint64 // addresses of the functions that can be callbacks, by first instruction
	// Context is how many bytes of a context without a table of fields the program may touch.
	Context uint32
	Sites   []NativeSite // by number of the tail-call site
	Lines   []NativeLine // where the code of each instruction begins, by offset
}

// NativeLine says which instruction the code from an offset on belongs to, -1 for code behind all
// of them that is rarely run.
type NativeLine struct{ Offset, Insn int }

// NativeSite is what machine code knows of a tail call, and does not keep in registers.
type NativeSite struct {
	Map      uint64 // address of the PROG_ARRAY's descriptor, 0 when it is in R2
	Index    uint32 // of the slot, if Constant; else it is in R3
	Constant bool
}

// SetStub gives m the native code that serves hops to programs without native code: it is what their
// descriptors have as entry. Programs made before have none, so it precedes all programs.
func (m *Machine) SetStub(stub *mem.Exec) {
	m.stub = stub
}

// HasNative reports whether the machine can run native code.
func (m *Machine) HasNative() bool { return m.stub != nil }

// SetNative gives a program its native code, which it then owns. No run may know the program yet.
func (p *Program) SetNative(n *Native) {
	p.native = n
	mem.AtomicStore64(p.Desc+mem.ProgEntry, n.Entry)
	p.machine.Progs.Publish()
}

// Native returns the native code of a program, nil when it has none.
func (p *Program) Native() *Native { return p.native }

// Index is the index of the program in the machine's table.
func (p *Program) Index() uint32 { return p.index }

// Machine returns the machine that the program belongs to.
func (p *Program) Machine() *Machine { return p.machine }

// FuncPointer is what a register holds that points at a function of the program.
func (p *Program) FuncPointer(insn int) uint64 { return p.funcPointer(insn) }

// newThread makes the thread block and the native stack below it.
func (c *CPU) newThread() error {
	r, err := c.machine.Space.Alloc(mem.Layout{Name: "native stack", Owner: c, Size: nativeGuard + nativeStack + threadSize})
	if err != nil {
		return fmt.Errorf("native stack: %w", err)
	}
	r.Guard(nativeGuard)
	c.threadRegion = r
	c.thread = r.Base + nativeGuard + nativeStack
	mem.Store64(c.thread+ThreadCPU, uint64(c.ID))
	initThread(c, c.thread)
	return nil
}

// word returns a field of the thread block.
func (c *CPU) word(off uint64) uint64 { return mem.Load64(c.thread + off) }

// setWord sets a field of the thread block.
func (c *CPU) setWord(off, v uint64) { mem.Store64(c.thread+off, v) }

// publishPacket tells native code where the packet is.
func (c *CPU) publishPacket() {
	c.setWord(ThreadPacketData, c.packetData)
	c.setWord(ThreadPacketEnd, c.pkt.lo+c.pkt.n)
	c.setWord(ThreadPacketMeta, c.meta)
}

// canRunNative reports whether this run of p can be native. Native code looks at the budget in loops
// only, so a small budget is for the interpreter, which counts every instruction.
func (c *CPU) canRunNative(p *Program) bool {
	n := p.native
	return n != nil && c.thread != 0 && !c.blind && c.fuel >= fuelSlice && (c.ctxFields != nil || n.Context <= c.ctxSize)
}

// runNative is exec for programs with native code.
func (c *CPU) runNative(p *Program, r1, r2 uint64) uint64 {
	c.publishPacket()
	t := c.thread
	mem.Store64(t+ThreadHidden, uint64(c.Packet.Hidden))
	mem.Store64(t+ThreadContext, uint64(c.ctxSize))
	mem.Store64(t+ThreadR0+8, r1)
	mem.Store64(t+ThreadR0+16, r2)
	mem.Store64(t+ThreadR10, c.frameBase(0)+frameSize)
	mem.Store64(t+ThreadNativeSP, t-nativeSlack)
	mem.Store64(t+ThreadEntry, p.native.Entry)
	mem.Store64(t+ThreadMisses, 0)
	c.toNative()
	enter(c, t)
	c.toGo()
	c.misses += int(mem.Load64(t + ThreadMisses))
	return mem.Load64(t + ThreadR0)
}

// toNative hands the run's budgets over to native code.
func (c *CPU) toNative() {
	c.setWord(ThreadBudget, uint64(c.fuel)<<BudgetShift|uint64(linux.MaxTailCalls-c.tailCalls))
	c.inNative = true
}

// toGo takes the run's budgets back.
func (c *CPU) toGo() {
	budget := c.word(ThreadBudget)
	c.fuel = int64(budget) >> BudgetShift
	c.tailCalls = linux.MaxTailCalls - int(budget&(1<<BudgetShift-1))
	c.inNative = false
}

// What nativeExit returns.
const (
	goOn   = 0 // continue in native code
	endRun = 1 // the run has ended
)

// nativeExit serves native code that has left. It runs on the Go stack above enter.
func nativeExit(c *CPU) uint64 {
	exit := c.word(ThreadExit)
	insn := int(exit >> ExitShift)
	c.depth = int((c.word(ThreadR10) - c.stack.Base) / frameStride)
	if exit&(1<<ExitShift-1) == ExitHop {
		return c.interpretHop(c.stateOf(mem.Load32(c.word(ThreadDesc) + mem.ProgIndex)).prog)
	}
	p := c.stateOf(uint32(c.word(ThreadProg))).prog
	if exit&(1<<ExitShift-1) == ExitHelper {
		return c.helperExit(p, insn)
	}
	return c.rareExit(p, exit&(1<<ExitShift-1), insn)
}

func (c *CPU) helperExit(p *Program, insn int) uint64 {
	h := p.calls[insn]
	k, t := &c.call, c.thread
	k.prog, k.pc = p, insn
	k.Args[0] = mem.Load64(t + ThreadR0 + 8)
	k.Args[1] = mem.Load64(t + ThreadR0 + 16)
	k.Args[2] = mem.Load64(t + ThreadR0 + 24)
	k.Args[3] = mem.Load64(t + ThreadR0 + 32)
	k.Args[4] = mem.Load64(t + ThreadR0 + 40)
	r0 := h.Func(k)
	if c.stop != running || h.UnwindOnZero && r0 == 0 {
		if c.stop == running {
			c.unwind(h)
		}
		return endRun
	}
	mem.Store64(t+ThreadR0, r0)
	mem.Store64(t+ThreadHidden, uint64(c.Packet.Hidden))
	return goOn
}

func (c *CPU) rareExit(p *Program, code uint64, insn int) uint64 {
	switch code {
	case ExitBudget:
		c.toGo()
		if !c.refuel(p, insn) {
			return endRun
		}
		c.toNative()
	case ExitAccess:
		if !c.accessExit(p, insn) {
			return endRun
		}
	case ExitPacket:
		c.packetExit(p, insn)
	case ExitCount:
		c.countExit(p, insn)
	case ExitMiss:
		c.missExit(p, insn)
	case ExitRefuse:
		return c.interpretHop(p)
	default:
		c.badOp(p, insn)
		return endRun
	}
	return goOn
}

// interpretHop runs a program without native code, and what that hops to, in the frame of the hop.
func (c *CPU) interpretHop(target *Program) uint64 {
	saved := c.saveThread()
	base := c.base
	c.toGo()
	c.base = c.depth
	var r [16]uint64
	r[1], r[10] = saved.regs[1], saved.regs[10]
	r0 := c.interpret(target, 0, &r, c.depth)
	c.base = base
	c.toNative()
	if c.stop != running {
		return endRun
	}
	c.restoreThread(&saved)
	c.setWord(ThreadR0, r0)
	c.setWord(ThreadHidden, uint64(c.Packet.Hidden))
	return goOn
}

// threadState is what native code that is entered again overwrites.
type threadState struct {
	regs [11]uint64
	sp   uint64
}

func (c *CPU) saveThread() (s threadState) {
	for i := range s.regs {
		s.regs[i] = c.word(ThreadR0 + 8*uint64(i))
	}
	s.sp = c.word(ThreadNativeSP)
	return s
}

func (c *CPU) restoreThread(s *threadState) {
	for i, v := range s.regs {
		c.setWord(ThreadR0+8*uint64(i), v)
	}
	c.setWord(ThreadNativeSP, s.sp)
}

// invokeFromNative is Invoke for a helper that native code has called.
func (c *CPU) invokeFromNative(p *Program, call, insn int, args []uint64) (r0 uint64, ok bool) {
	entry := uint64(0)
	if p.native != nil {
		entry = p.native.Funcs[insn]
	}
	if entry == 0 {
		c.fault(p, call, ErrBadCall, "instruction %d is not a callback of this program", insn)
		return 0, false
	}
	saved := c.saveThread()
	for i, v := range args {
		c.setWord(ThreadR0+8+8*uint64(i), v)
	}
	c.setWord(ThreadR10, saved.regs[10]+frameStride)
	c.setWord(ThreadEntry, entry)
	enter(c, c.thread)
	if c.stop != running {
		return 0, false
	}
	r0 = c.word(ThreadR0)
	c.restoreThread(&saved)
	// A callback without a loop looks at the budget nowhere else.
	budget := c.word(ThreadBudget) - callbackCost<<BudgetShift
	c.setWord(ThreadBudget, budget)
	if int64(budget) < 0 {
		c.toGo()
		if !c.refuel(p, call) {
			return 0, false
		}
		c.toNative()
	}
	return r0, true
}

// callbackCost is how many instructions a callback counts for besides its loops.
const callbackCost = 16
