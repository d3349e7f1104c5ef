package amd64

import "encoding/binary"

// Label is a place in the code, made by [Assembler.NewLabel]. The zero Label is none.
type Label int32

// position is where a label is bound: after so many bytes of buf and so many items.
type position struct {
	raw, item int32
}

const unbound = -1

type itemKind uint8

const (
	jumpItem  itemKind = iota
	condItem           // jcc
	callItem           // call
	refItem            // a displacement from RIP: four bytes that are in buf already
	alignItem          // padding
	lineItem           // padding that keeps the next disp bytes in one cache line
)

// item is something whose bytes depend on where others are. It stands before buf[raw].
type item struct {
	raw   int32
	label Label
	disp  int32 // refItem: added to the address; alignItem: the alignment
	kind  itemKind
	cond  Cond
	long  bool  // a jump needs four bytes
	tail  uint8 // refItem: bytes from the displacement to the end of the instruction
}

// NewLabel makes a label that is not bound yet.
func (a *Assembler) NewLabel() Label {
	a.labels = append(a.labels, position{raw: unbound})
	return Label(len(a.labels))
}

// Bind puts a label here, before the next instruction. A label is bound once.
func (a *Assembler) Bind(l Label) {
	switch {
	case l <= 0 || int(l) > len(a.labels):
		a.failLabel(UnknownLabel, l)
	case a.labels[l-1].raw != unbound:
		a.failLabel(BoundTwice, l)
	default:
		a.labels[l-1] = position{raw: int32(len(a.buf)), item: int32(len(a.items))}
	}
}

// Here makes a label and binds it here.
func (a *Assembler) Here() Label {
	l := a.NewLabel()
	a.Bind(l)
	return l
}

// Align pads with no-operations to a multiple of n bytes from the start of the code, which must
// itself lie at such a multiple. n is a power of two up to 4096.
func (a *Assembler) Align(n int) {
	if n <= 0 || n > 4096 || n&(n-1) != 0 {
		a.fail(BadAlignment)
		return
	}
	a.items = append(a.items, item{kind: alignItem, raw: int32(len(a.buf)), disp: int32(n)})
}

// lineSize is the size of a cache line, in bytes.
const lineSize = 64

// Together pads with no-operations where the next n bytes, at most 64, would lie in two cache
// lines. Processors are slow with a comparison and its jump that do.
func (a *Assembler) Together(n int) {
	if n <= 0 || n > lineSize {
		a.fail(BadAlignment)
		return
	}
	a.items = append(a.items, item{kind: lineItem, raw: int32(len(a.buf)), disp: int32(n)})
}

// Data appends bytes as they are, for constants that instructions reach with [Rel].
func (a *Assembler) Data(b ...byte) { a.buf = append(a.buf, b...) }

// Quad appends a constant of 64 bits.
func (a *Assembler) Quad(v uint64) { a.buf = binary.LittleEndian.AppendUint64(a.buf, v) }

// insert appends an item that refers to a label.
func (a *Assembler) insert(it item) {
	if it.label <= 0 || int(it.label) > len(a.labels) {
		a.failLabel(UnknownLabel, it.label)
		return
	}
	it.raw = int32(len(a.buf))
	a.items = append(a.items, it)
}

// reference emits the displacement of a label from RIP, which Finish fills in. RIP is at the next
// instruction, so bytes of an immediate that follow count: tail is their number. Other operands
// need nothing.
func (a *Assembler) reference(m Mem, tail uint8) {
	if m.form == ripRelative {
		a.insert(item{kind: refItem, label: m.label, disp: m.disp, tail: 4 + tail})
		a.imm32(0)
	}
}

// maxCode keeps every distance well inside 32 bits.
const maxCode = 1 << 30

// Size returns the bytes of code so far if all jumps were long: never less than Finish makes.
func (a *Assembler) Size() int {
	n := len(a.buf)
	for i := range a.items {
		n += a.items[i].maxSize()
	}
	return n
}

func (it *item) maxSize() int {
	switch it.kind {
	case jumpItem, callItem:
		return 5
	case condItem:
		return 6
	case alignItem, lineItem:
		return int(it.disp) - 1
	}
	return 0
}

// size returns the bytes that an item inserts at an offset.
func (it *item) size(offset int32) int32 {
	switch it.kind {
	case jumpItem:
		if it.long {
			return 5
		}
		return 2
	case condItem:
		if it.long {
			return 6
		}
		return 2
	case callItem:
		return 5
	case alignItem:
		return -offset & (it.disp - 1)
	case lineItem:
		if at := offset & (lineSize - 1); at+it.disp > lineSize {
			return lineSize - at
		}
	}
	return 0
}

// Finish resolves all labels, appends the code to dst and returns it. Offset answers afterwards.
func (a *Assembler) Finish(dst []byte) ([]byte, error) {
	a.check()
	if a.err != nil {
		return dst, a.err
	}
	a.relax()
	done := int32(0)
	start := len(dst)
	for i := range a.items {
		it := &a.items[i]
		dst = append(dst, a.buf[done:it.raw]...)
		done = it.raw
		dst = a.emit(dst, it, int32(len(dst)-start))
		if it.kind == refItem {
			done += 4
		}
	}
	return append(dst, a.buf[done:]...), nil
}

// check reports what only the end can tell.
func (a *Assembler) check() {
	if a.Size() > maxCode {
		a.fail(CodeTooLarge)
	}
	for i := range a.items {
		it := &a.items[i]
		if it.kind != alignItem && it.kind != lineItem && a.labels[it.label-1].raw == unbound {
			a.failLabel(UnboundLabel, it.label)
			return
		}
	}
}

// emit appends the bytes of an item that stands at an offset.
func (a *Assembler) emit(dst []byte, it *item, offset int32) []byte {
	if it.kind == alignItem || it.kind == lineItem {
		return appendNops(dst, int(it.size(offset)))
	}
	rel := a.offset(it.label) - offset - it.size(offset)
	switch it.kind {
	case refItem:
		return binary.LittleEndian.AppendUint32(dst, uint32(rel+it.disp-int32(it.tail)))
	case callItem:
		dst = append(dst, 0xE8)
	case jumpItem:
		if !it.long {
			return append(dst, 0xEB, byte(rel))
		}
		dst = append(dst, 0xE9)
	case condItem:
		if !it.long {
			return append(dst, 0x70|byte(it.cond), byte(rel))
		}
		dst = append(dst, 0x0F, 0x80|byte(it.cond))
	}
	return binary.LittleEndian.AppendUint32(dst, uint32(rel))
}

// maxPasses bounds the work of relax. Code that needs more would gain a few bytes at most.
const maxPasses = 24

// relax decides which jumps are long. All start short; a jump that does not reach becomes long
// and never short again, until a pass changes nothing.
func (a *Assembler) relax() {
	for i := range a.items {
		a.items[i].long = false
	}
	for range maxPasses {
		a.place()
		if !a.lengthen() {
			return
		}
	}
	for i := range a.items {
		a.items[i].long = true
	}
	a.place()
}

// place computes how many bytes stand before each item on account of earlier items.
func (a *Assembler) place() {
	a.shifts = append(a.shifts[:0], 0)
	shift := int32(0)
	for i := range a.items {
		shift += a.items[i].size(a.items[i].raw + shift)
		a.shifts = append(a.shifts, shift)
	}
}

// lengthen makes those short jumps long that do not reach, and tells whether there were any.
func (a *Assembler) lengthen() bool {
	changed := false
	for i := range a.items {
		it := &a.items[i]
		if it.long || it.kind != jumpItem && it.kind != condItem {
			continue
		}
		rel := a.offset(it.label) - (it.raw + a.shifts[i] + 2)
		if rel != int32(int8(rel)) {
			it.long, changed = true, true
		}
	}
	return changed
}

func (a *Assembler) offset(l Label) int32 {
	p := a.labels[l-1]
	return p.raw + a.shifts[p.item]
}

// Offset returns where a bound label is, in bytes from the start of the code. It answers after
// Finish, and only as long as nothing is added; else and for a label that is not bound it
// returns -1.
func (a *Assembler) Offset(l Label) int {
	if l <= 0 || int(l) > len(a.labels) || a.labels[l-1].raw == unbound || len(a.shifts) != len(a.items)+1 {
		return -1
	}
	return int(a.offset(l))
}
