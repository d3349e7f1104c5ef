package jit

import (
	"errors"

	"golang.org/x/sys/cpu"

	"github.com/carom-bpf/carom/internal/jit/amd64"
	"github.com/carom-bpf/carom/internal/jit/arm64"
	features "github.com/carom-bpf/carom/internal/jit/cpu"
)

// reg is a BPF register.
type reg uint8

const (
	r0 reg = iota
	r1
	r2
	r3
	r4
	r5
	r6
	r7
	r8
	r9
	r10
)

// width is that of an operation: 32 bits clear the upper half of the destination.
type width bool

const (
	w32 width = false
	w64 width = true
)

// operation is an operation of the ALU.
type operation uint8

const (
	opAdd operation = iota
	opSub
	opMul
	opOr
	opAnd
	opXor
	opLsh
	opRsh
	opArsh
	opDiv
	opMod
	opSDiv
	opSMod
)

// condition is what a jump compares.
type condition uint8

const (
	condEQ condition = iota
	condNE
	condGT
	condGE
	condLT
	condLE
	condSGT
	condSGE
	condSLT
	condSLE
	condSET
)

// label is a place in the code.
type label int32

// address is a base register and a displacement.
type address struct {
	base reg
	off  int32
}

// loop is a place that jumps go back to.
type loop struct {
	insn int
	cost int // instructions of one round
}

// site is a tail call.
type site struct {
	insn   int
	number int // of the program's sites
	// mapPtr is the address of the PROG_ARRAY's descriptor, 0 when only R2 knows it; slot is the
	// address of the slot, 0 when only R3 knows the index.
	mapPtr, slot uint64
	key          uint32
}

// array is a lookup in an ARRAY or PERCPU_ARRAY.
type array struct {
	data      uint64
	entries   uint32
	stride    uint32
	cpuStride uint64
	constant  bool // the key is a constant inside the array
	key       uint32
	// What only a fuser looks at: the key is at R10 + keyOff, and where to go instead of NULL, with
	// R0 = 0; 0 for nowhere.
	onStack bool
	keyOff  int32
	null    label
}

// backend writes machine code. Registers are BPF's; scratch registers are its own affair. Jumps
// to labels that are bound later are resolved by finish.
type backend interface {
	newLabel() label
	bind(label)
	offset(label) int // after finish
	finish() ([]byte, error)

	move(w width, dst, src reg)
	moveImm(dst reg, v uint64)
	moveSX(bits int, w width, dst, src reg)
	zeroExtend(bits int, dst reg)
	swap(bits int, dst reg)
	neg(w width, dst reg)
	alu(op operation, w width, dst, src reg)
	aluImm(op operation, w width, dst reg, v int32)

	load(size int, signed bool, dst reg, from address)
	store(size int, to address, src reg)
	storeImm(size int, to address, v int32)
	store16in32(to address, src reg)         // the low 16 bits, zero-extended to 32
	loadThread(size int, dst reg, off int32) // a field of the thread block
	packetLen(bits, shift int, dst reg)      // part of the packet's length
	atomic(op int32, w width, to address, src reg)
	loadAcquire(size int, dst reg, from address)
	storeRelease(size int, to address, src reg)

	jump(to label)
	jumpIf(c condition, w width, dst, src reg, to label)
	jumpIfImm(c condition, w width, dst reg, v int32, to label)
	startLoops(n uint32)             // at the start of a function with may_goto
	mayGoto(to label)                // jumps when no iteration is left
	loopHead(l loop, program uint32) // takes the cost off the budget; leaves when it is used up
	call(to label, saved []reg)
	ret()

	// exit leaves to Go and comes back; all registers are kept, but for what Go sets.
	exit(code int, insn int, program uint32)
	retIfFlag() // returns from the function when the last exit left a flag
	tailCall(s *site, program uint32)
	lookup(a *array)
	cpuID()
	hopStub() // the entry of programs without native code
}

// newBackend returns the backend for an architecture by its name in Go, nil where there is none.
func newBackend(arch string) backend {
	switch arch {
	case "amd64":
		return &amd64Backend{a: new(amd64.Assembler), bmi2: features.AMD64().Has(amd64.BMI2)}
	case "arm64":
		return newArm64(arm64.Near, cpu.ARM64.HasATOMICS)
	}
	return nil
}

// build assembles a program, a second time with branches that reach further where that is needed.
func build(in *Input, arch string) (*image, error) {
	img, err := assemble(in, newBackend(arch))
	if _, ok := errors.AsType[*arm64.RangeError](err); ok {
		return assemble(in, newArm64(arm64.Far, cpu.ARM64.HasATOMICS))
	}
	return img, err
}
