package kernel

import (
	"math/bits"

	"github.com/cilium/ebpf/asm"
)

// The code that counts. It uses R0 to R5, as every call does, and the stack where it says so.

func mapValue(dst asm.Register, name string, offset uint32) asm.Instruction {
	return asm.LoadMapValue(dst, 0, offset).WithReference(name)
}

func storeZero(at asm.Register, offset int16) asm.Instruction {
	return asm.Instruction{OpCode: asm.StoreImmOp(asm.DWord), Dst: at, Offset: offset}
}

func addOne(counterAt asm.Register) asm.Instructions {
	return asm.Instructions{
		asm.Mov.Imm(asm.R5, 1),
		asm.AddAtomic.Mem(counterAt, asm.R5, asm.DWord, 0),
	}
}

// seek looks for the frame of the run and jumps to found with it in R1. When there is none it goes
// on, with the last frame in R1 and the key in R2. loadContext puts the context into R2.
func (p *plan) seek(b *block, loadContext asm.Instruction, found string) {
	b.add(
		asm.FnGetSmpProcessorId.Call(),
		asm.And.Imm32(asm.R0, int32(p.cells()-1)),
		asm.LSh.Imm(asm.R0, int32(bits.TrailingZeros(cellStride))),
		mapValue(asm.R4, cellsName, 0),
		loadContext,
		asm.Sub.Reg(asm.R2, asm.R4), // a number: pointers cannot be compared with what is in a map
		asm.Mov.Reg(asm.R1, asm.R4),
		asm.Add.Reg(asm.R1, asm.R0),
	)
	for i := range frames {
		if i > 0 {
			b.add(asm.Add.Imm(asm.R1, frameSize))
		}
		b.add(asm.LoadMem(asm.R3, asm.R1, frameKey, asm.DWord))
		b.jump(asm.JEq.Reg(asm.R3, asm.R2, ""), found)
	}
}

// take gives the run of the key in R2 a frame, behind seek, and puts it into R1. What was in it is
// of a run that is over, most likely; its edge stays there.
func (p *plan) take(b *block) {
	b.add(
		asm.Add.Imm(asm.R1, -(frames-1)*frameSize),
		asm.LoadMem(asm.R3, asm.R1, cellHand, asm.DWord),
		asm.Mov.Reg(asm.R5, asm.R3),
		asm.Add.Imm(asm.R5, 1),
		asm.StoreMem(asm.R1, cellHand, asm.R5, asm.DWord),
		asm.And.Imm(asm.R3, frames-1),
		asm.LSh.Imm(asm.R3, int32(bits.TrailingZeros(frameSize))),
		asm.Add.Reg(asm.R1, asm.R3),
		asm.StoreMem(asm.R1, frameKey, asm.R2, asm.DWord),
		storeZero(asm.R1, frameHops),
	)
}

// hop adds one to the hops of the frame in R1.
func hop(b *block) {
	b.add(
		asm.LoadMem(asm.R3, asm.R1, frameHops, asm.DWord),
		asm.Add.Imm(asm.R3, 1),
		asm.StoreMem(asm.R1, frameHops, asm.R3, asm.DWord),
	)
}

// pending loads the edge of the frame in R1 into R2 and jumps to none when there is none.
func pending(b *block, none string) {
	b.add(asm.LoadMem(asm.R2, asm.R1, frameEdge, asm.DWord))
	b.jump(asm.JEq.Imm(asm.R2, 0, ""), none)
}

// count counts the edge of R2 in a row, and keeps R1. It jumps to skip when R2 is no edge.
func (p *plan) count(b *block, row uint32, skip string) {
	b.add(mapValue(asm.R4, countsName, row))
	p.countAt(b, skip)
}

// countAt is count for the row that R4 points to.
func (p *plan) countAt(b *block, skip string) {
	b.add(asm.Add.Imm(asm.R2, -1))
	b.jump(asm.JGE.Imm(asm.R2, int32(p.edges), ""), skip)
	b.add(asm.LSh.Imm(asm.R2, 3), asm.Add.Reg(asm.R4, asm.R2))
	b.add(addOne(asm.R4)...)
}

// atStart begins a run. R1 is the context; the registers from R6 are unused here. What is pending
// in the frame is of a run that ended in a foreign program.
func (p *plan) atStart() asm.Instructions {
	b := &block{}
	b.add(asm.Mov.Reg(asm.R6, asm.R1))
	p.seek(b, asm.Mov.Reg(asm.R2, asm.R6), "frame")
	p.take(b)
	b.label("frame")
	b.add(storeZero(asm.R1, frameHops))
	pending(b, "end")
	b.add(storeZero(asm.R1, frameEdge))
	p.count(b, p.foreignRow(), "end")
	b.label("end")
	b.add(asm.Mov.Reg(asm.R1, asm.R6))
	return b.finish()
}

// atTarget counts a hop to program n. Without a frame, programs that do not count came before.
func (p *plan) atTarget(n int) asm.Instructions {
	b := &block{}
	b.add(asm.Mov.Reg(asm.R6, asm.R1))
	p.seek(b, asm.Mov.Reg(asm.R2, asm.R6), "run")
	p.take(b)
	pending(b, "end")
	b.add(storeZero(asm.R1, frameEdge))
	p.count(b, p.foreignRow(), "end")
	b.jump(asm.Ja.Label(""), "end")
	b.label("run")
	pending(b, "end")
	b.add(storeZero(asm.R1, frameEdge))
	hop(b)
	p.count(b, p.row(n), "end")
	b.label("end")
	b.add(asm.Mov.Reg(asm.R1, asm.R6))
	return b.finish()
}

// beforeCall makes the edge pending. R1 and R3, the arguments of the call, are kept on the stack
// below what the function uses; R2 is loaded again.
func (p *plan) beforeCall(no, depth int) asm.Instructions {
	s := &p.sites[no]
	keepR1, keepR3 := int16(-depth-8), int16(-depth-16)
	b := &block{}
	b.add(asm.StoreMem(asm.R10, keepR1, asm.R1, asm.DWord), asm.StoreMem(asm.R10, keepR3, asm.R3, asm.DWord))
	p.seek(b, asm.LoadMem(asm.R2, asm.R10, keepR1, asm.DWord), "run")
	p.take(b)
	pending(b, "note")
	b.jump(asm.Ja.Label(""), "foreign")
	b.label("run")
	pending(b, "note")
	hop(b)
	b.label("foreign")
	p.count(b, p.foreignRow(), "note")
	b.label("note")
	b.add(asm.LoadMem(asm.R3, asm.R10, keepR3, asm.DWord))
	b.add(asm.Mov.Reg32(asm.R5, asm.R3))
	b.jump(asm.JGE.Imm32(asm.R5, int32(s.slots), ""), "past")
	b.add(asm.Add.Imm(asm.R5, int32(s.first+1)), asm.StoreMem(asm.R1, frameEdge, asm.R5, asm.DWord))
	b.jump(asm.Ja.Label(""), "end")
	b.label("past")
	b.add(storeZero(asm.R1, frameEdge))
	b.add(mapValue(asm.R4, countsName, p.past(no)), asm.StoreMem(asm.R4, counter, asm.R5, asm.DWord))
	b.add(addOne(asm.R4)...)
	b.label("end")
	b.add(asm.LoadMem(asm.R1, asm.R10, keepR1, asm.DWord))
	b.add(asm.LoadMapPtr(asm.R2, 0).WithReference(s.array))
	return b.finish()
}

// behindCall counts a miss. R0 to R5 are unreadable behind a call; the context is on the stack.
func (p *plan) behindCall(depth int) asm.Instructions {
	b := &block{}
	p.seek(b, asm.LoadMem(asm.R2, asm.R10, int16(-depth-8), asm.DWord), "run")
	b.jump(asm.Ja.Label(""), "end")
	b.label("run")
	pending(b, "end")
	b.add(storeZero(asm.R1, frameEdge))
	b.add(asm.LoadMem(asm.R3, asm.R1, frameHops, asm.DWord))
	b.add(mapValue(asm.R4, countsName, p.emptyRow()))
	b.jump(asm.JLT.Imm(asm.R3, maxHops, ""), "count")
	b.add(mapValue(asm.R4, countsName, p.limitRow()))
	b.label("count")
	p.countAt(b, "end")
	b.label("end")
	return b.finish()
}
