package arm64

import (
	"encoding/binary"
	"fmt"
)

// Label is a place in the code. The zero value is not a label; get one from [Assembler.NewLabel].
type Label int32

// Reach chooses the form of conditional branches to labels.
type Reach uint8

const (
	// Near uses one instruction: b.cond, cbz and cbnz reach 1 MiB, tbz and tbnz 32 KiB.
	Near Reach = iota
	// Far uses the inverted branch around an unconditional one (128 MiB) wherever the label is
	// not yet bound or is too far back.
	Far
)

const unbound = -1

// Assembler collects instructions. It is not safe for use by several goroutines. The zero value is
// an empty assembler with near branches.
type Assembler struct {
	code   []uint32
	labels []int32 // word offset, or unbound
	fixups []fixup
	reach  Reach
	err    error
}

// New makes an empty assembler.
func New(reach Reach) *Assembler { return &Assembler{reach: reach} }

// Reset empties the assembler and keeps its memory. Labels made before are void.
func (a *Assembler) Reset(reach Reach) {
	a.code, a.labels, a.fixups = a.code[:0], a.labels[:0], a.fixups[:0]
	a.reach, a.err = reach, nil
}

// Len is the number of bytes emitted so far.
func (a *Assembler) Len() int { return 4 * len(a.code) }

// NewLabel makes a label that is not bound yet.
func (a *Assembler) NewLabel() Label {
	a.labels = append(a.labels, unbound)
	return Label(len(a.labels))
}

// Bind puts a label at the current end of the code.
func (a *Assembler) Bind(l Label) {
	p, ok := a.place(l)
	switch {
	case !ok:
		a.setErr(&LabelError{l, "not a label of this assembler"})
	case p != unbound:
		a.setErr(&LabelError{l, "bound twice"})
	default:
		a.labels[l-1] = int32(len(a.code))
	}
}

// Here makes a label at the current end of the code.
func (a *Assembler) Here() Label {
	l := a.NewLabel()
	a.Bind(l)
	return l
}

// LabelOffset is the offset in bytes at which a label is bound; false when it is not.
func (a *Assembler) LabelOffset(l Label) (int, bool) {
	p, ok := a.place(l)
	if !ok || p == unbound {
		return 0, false
	}
	return 4 * int(p), true
}

// Finish gives the machine code with all labels resolved, or the first mistake: an [*OperandError],
// [*RangeError] or [*LabelError]. The code is position independent as long as Adrp is not used.
func (a *Assembler) Finish() ([]byte, error) {
	if a.err != nil {
		return nil, a.err
	}
	out := make([]byte, 0, a.Len())
	for _, w := range a.code {
		out = binary.LittleEndian.AppendUint32(out, w)
	}
	for _, f := range a.fixups {
		w, err := a.resolve(f)
		if err != nil {
			return nil, err
		}
		binary.LittleEndian.PutUint32(out[4*f.at:], w)
	}
	return out, nil
}

// Align fills with nop up to a multiple of n bytes, a power of two of at least 4.
func (a *Assembler) Align(n int) {
	if n < 4 || n&(n-1) != 0 {
		a.fail("align", "%d is not a power of two of at least 4", n)
		return
	}
	for a.Len()&(n-1) != 0 {
		a.Nop()
	}
}

// Word32 puts 4 bytes of data into the code.
func (a *Assembler) Word32(v uint32) { a.emit(v) }

// Word64 puts 8 bytes of data into the code, low half first. Align first where it matters.
func (a *Assembler) Word64(v uint64) { a.emit(uint32(v)); a.emit(uint32(v >> 32)) }

func (a *Assembler) place(l Label) (int32, bool) {
	if l < 1 || int(l) > len(a.labels) {
		return unbound, false
	}
	return a.labels[l-1], true
}

func (a *Assembler) emit(w uint32) { a.code = append(a.code, w) }

func (a *Assembler) setErr(err error) {
	if a.err == nil {
		a.err = err
	}
}

func (a *Assembler) fail(insn, format string, args ...any) {
	if a.err == nil {
		a.err = &OperandError{insn, a.Len(), fmt.Sprintf(format, args...)}
	}
}

// gp encodes a register where 31 means XZR.
func (a *Assembler) gp(insn string, r Reg) uint32 {
	if r > XZR {
		a.fail(insn, "%v is not possible here", r)
	}
	return uint32(r) & 31
}

// gpSP encodes a register where 31 means SP.
func (a *Assembler) gpSP(insn string, r Reg) uint32 {
	if r == SP {
		return 31
	}
	if r > X30 {
		a.fail(insn, "%v is not possible here", r)
	}
	return uint32(r) & 31
}

func (a *Assembler) vec(insn string, v VReg) uint32 {
	if v > 31 {
		a.fail(insn, "there is no %v", v)
	}
	return uint32(v) & 31
}

func (a *Assembler) cond(insn string, c Cond) uint32 {
	if !c.valid() {
		a.fail(insn, "there is no %v", c)
	}
	return uint32(c) & 15
}

// width checks that the width is one of the two.
func (a *Assembler) width(insn string, w Width) uint32 {
	if w > W64 {
		a.fail(insn, "there is no width %d", w)
	}
	return w.sf()
}

// size encodes an access size in the two top bits.
func (a *Assembler) size(insn string, s Size) uint32 {
	if s > Size64 {
		a.fail(insn, "there is no size %d", s)
	}
	return uint32(s) << 30
}
