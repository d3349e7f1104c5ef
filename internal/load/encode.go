// Package load turns specs into linked programs: it applies CO-RE relocations, resolves maps,
// global data, externs and functions, and gathers source positions.
package load

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/cilium/ebpf/asm"
)

// nativeHelper is the part of a helper id below cilium/ebpf's platform tag.
const nativeHelper = 1<<28 - 1

// encode gives the instruction slots of ins, whose references are not resolved. Calls of helpers
// are encoded by hand, because Marshal takes those of the running platform only.
func encode(ins asm.Instruction) ([]isa.Insn, error) {
	if ins.IsBuiltinCall() {
		id := ins.Constant
		if id >= 0 {
			id &= nativeHelper
		}
		return []isa.Insn{{Op: uint8(ins.OpCode), Dst: uint8(ins.Dst), Off: ins.Offset, Imm: int32(id)}}, nil
	}
	if op := ins.OpCode.AtomicOp(); op != asm.InvalidAtomic && ins.Constant == 0 {
		// Marshal loses the operation of instructions that were not read from an object.
		ins.Constant = int64(op >> 8)
	}
	var b bytes.Buffer
	if _, err := ins.Marshal(&b, binary.LittleEndian); err != nil {
		return nil, fmt.Errorf("%v: %w", ins, err)
	}
	return isa.Decode(b.Bytes())
}
