package kernel

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// block is a piece of code with jumps inside.
type block struct {
	insns  asm.Instructions
	labels map[string]int // index of the instruction behind the label
	jumps  map[int]string
}

func (b *block) add(insns ...asm.Instruction) { b.insns = append(b.insns, insns...) }

func (b *block) label(name string) {
	if b.labels == nil {
		b.labels = map[string]int{}
	}
	b.labels[name] = len(b.insns)
}

func (b *block) jump(ins asm.Instruction, label string) {
	if b.jumps == nil {
		b.jumps = map[int]string{}
	}
	b.jumps[len(b.insns)] = label
	b.add(ins.WithReference(""))
}

// finish sets the offsets of jumps.
func (b *block) finish() asm.Instructions {
	raw := rawOffsets(b.insns)
	for i, label := range b.jumps {
		b.insns[i].Offset = int16(raw[b.labels[label]] - raw[i] - 1)
	}
	return b.insns
}

// rawOffsets gives the place of each instruction in units of 8 bytes, and the length of all.
func rawOffsets(insns asm.Instructions) []int {
	raw := make([]int, len(insns)+1)
	for i := range insns {
		raw[i+1] = raw[i] + int(insns[i].Width())
	}
	return raw
}

// rewriter copies a program with additions and keeps jumps as they were.
type rewriter struct {
	old    asm.Instructions
	out    asm.Instructions
	target []int // by old index, where jumps to it lead now
	place  []int // by old index, where it is now
}

func newRewriter(old asm.Instructions) *rewriter {
	return &rewriter{old: old, target: make([]int, len(old)+1), place: make([]int, len(old))}
}

func (r *rewriter) keep(i int, ins asm.Instruction) {
	r.target[i], r.place[i] = len(r.out), len(r.out)
	r.out = append(r.out, ins)
}

// prologue puts code in front of the program. Loops back to the first instruction do not run it
// again.
func (r *rewriter) prologue(code asm.Instructions, first asm.Instruction) {
	// The start of a function needs its name, its BTF and a source line.
	start := code[0].WithSymbol(first.Symbol()).WithSource(first.Source())
	code[0] = btf.WithFuncMetadata(start, btf.FuncMetadata(&first))
	r.after(code)
	r.keep(0, btf.WithFuncMetadata(first.WithSymbol(""), nil))
}

// before puts code in front of instruction i, which jumps to i reach as well.
func (r *rewriter) before(i int, code asm.Instructions, ins asm.Instruction) {
	at := len(r.out)
	code[0] = code[0].WithSymbol(ins.Symbol()).WithSource(ins.Source())
	if fn := btf.FuncMetadata(&ins); fn != nil {
		code[0] = btf.WithFuncMetadata(code[0], fn)
		ins = btf.WithFuncMetadata(ins, nil)
	}
	r.after(code)
	r.keep(i, ins.WithSymbol(""))
	r.target[i] = at
}

func (r *rewriter) after(code asm.Instructions) { r.out = append(r.out, code...) }

// isJump reports whether control may go elsewhere by an offset.
func isJump(ins *asm.Instruction) bool {
	if !ins.OpCode.Class().IsJump() {
		return false
	}
	op := ins.OpCode.JumpOp()
	return op != asm.Call && op != asm.Exit
}

// jumpTargets are the indexes of instructions that are reached otherwise than from the one before.
func jumpTargets(insns asm.Instructions) map[int]bool {
	raw := rawOffsets(insns)
	targets := map[int]bool{}
	for i := range insns {
		ins := &insns[i]
		if ins.Symbol() != "" {
			targets[i] = true
		}
		if !isJump(ins) {
			continue
		}
		offset := int(ins.Offset)
		if isLongJump(ins) {
			offset = int(ins.Constant)
		}
		if to, ok := slices.BinarySearch(raw, raw[i]+1+offset); ok {
			targets[to] = true
		}
		if ins.OpCode.JumpOp() == asm.Ja {
			targets[i+1] = true
		}
	}
	return targets
}

// isLongJump: the offset is in the constant (gotol).
func isLongJump(ins *asm.Instruction) bool {
	return ins.OpCode.Class() == asm.Jump32Class && ins.OpCode.JumpOp() == asm.Ja
}

// finish moves the offsets of jumps and calls that have no symbol.
func (r *rewriter) finish() (asm.Instructions, error) {
	r.target[len(r.old)] = len(r.out)
	oldRaw, newRaw := rawOffsets(r.old), rawOffsets(r.out)
	moved := func(i, offset int) (int, error) {
		to, ok := slices.BinarySearch(oldRaw, oldRaw[i]+1+offset)
		if !ok {
			return 0, fmt.Errorf("instruction %d jumps to where none begins", oldRaw[i])
		}
		return newRaw[r.target[to]] - newRaw[r.place[i]] - 1, nil
	}
	for i := range r.old {
		ins := &r.out[r.place[i]]
		relative := ins.IsFunctionReference() || isJump(ins)
		if !relative || ins.Reference() != "" && (ins.Constant == -1 || ins.Offset == -1) {
			continue // no jump, or resolved by its symbol
		}
		inConstant := ins.IsFunctionReference() || isLongJump(ins)
		if ins.IsLoadOfFunctionPointer() {
			return nil, fmt.Errorf("instruction %d loads the address of a function that has no name", oldRaw[i])
		}
		offset := int(ins.Offset)
		if inConstant {
			offset = int(ins.Constant)
		}
		offset, err := moved(i, offset)
		switch {
		case err != nil:
			return nil, err
		case inConstant:
			ins.Constant = int64(offset)
		case offset != int(int16(offset)):
			return nil, fmt.Errorf("instruction %d jumps too far with counters in between", oldRaw[i])
		default:
			ins.Offset = int16(offset)
		}
	}
	return r.out, nil
}

// maxStack is how many bytes a frame may have.
const maxStack = 512

// errStack says that nothing can be kept on the stack around a call.
var errStack = errors.New("its stack has no 16 bytes left")

// stackDepths gives, for each tail call, how many bytes below R10 its function may use. The result
// may be too high: every constant that is subtracted from a register counts.
func stackDepths(insns asm.Instructions, sites map[int]int) (map[int]int, error) {
	starts := functionStarts(insns)
	depths := map[int]int{}
	for f, start := range starts {
		end := len(insns)
		if f+1 < len(starts) {
			end = starts[f+1]
		}
		depth := frameDepth(insns[start:end])
		for at := range sites {
			if at < start || at >= end {
				continue
			}
			if depth+16 > maxStack {
				return nil, errStack
			}
			depths[at] = depth
		}
	}
	return depths, nil
}

// functionStarts lists the indexes of the first instructions of functions.
func functionStarts(insns asm.Instructions) []int {
	raw := rawOffsets(insns)
	called := map[string]bool{}
	for _, name := range insns.FunctionReferences() {
		called[name] = true
	}
	starts := []int{0}
	for i := range insns {
		ins := &insns[i]
		if called[ins.Symbol()] || btf.FuncMetadata(ins) != nil {
			starts = append(starts, i)
		}
		if ins.IsFunctionCall() && ins.Reference() == "" {
			if to, ok := slices.BinarySearch(raw, raw[i]+1+int(ins.Constant)); ok {
				starts = append(starts, to)
			}
		}
	}
	slices.Sort(starts)
	return slices.Compact(starts)
}

func frameDepth(insns asm.Instructions) int {
	direct, moved, through := 0, 0, 0
	for i := range insns {
		ins := &insns[i]
		class := ins.OpCode.Class()
		switch {
		case class.IsALU() && ins.OpCode.Source() == asm.ImmSource:
			n := ins.Constant
			if op := ins.OpCode.ALUOp(); op == asm.Add {
				n = -n
			} else if op != asm.Sub {
				continue
			}
			if n > 0 && n <= maxStack {
				moved = max(moved, int(n))
			}
		case class.IsStore(), class.IsLoad() && ins.OpCode.Mode() != asm.ImmMode:
			base := ins.Dst
			if class.IsLoad() {
				base = ins.Src
			}
			if base == asm.RFP {
				direct = max(direct, -int(ins.Offset))
			} else if ins.Offset > math.MinInt16/2 && -int(ins.Offset) <= maxStack {
				through = max(through, -int(ins.Offset))
			}
		}
	}
	return (max(direct, moved+through) + 7) &^ 7
}
