package arm64

type fixupKind uint8

const (
	fixBranch26 fixupKind = iota // b, bl
	fixImm19                     // b.cond, cbz, cbnz, literal loads
	fixImm14                     // tbz, tbnz
	fixAdr                       // adr: 21 bits of bytes
)

// fixup is an instruction at word at whose displacement to label is filled in by Finish.
type fixup struct {
	insn  string
	at    int32
	label Label
	kind  fixupKind
}

func (k fixupKind) field() (width, shift uint) {
	switch k {
	case fixBranch26:
		return 26, 0
	case fixImm19:
		return 19, 5
	case fixImm14:
		return 14, 5
	}
	return 19, 5 // adr counts words here; labels are at words
}

// reach is the distance in bytes that is reached backward.
func (k fixupKind) reach() int {
	width, _ := k.field()
	return 4 << (width - 1)
}

func (k fixupKind) fits(words int32) bool {
	width, _ := k.field()
	return words >= -(1<<(width-1)) && words < 1<<(width-1)
}

// emitTo emits an instruction whose displacement field is empty and notes the label.
func (a *Assembler) emitTo(insn string, kind fixupKind, word uint32, l Label) {
	a.fixups = append(a.fixups, fixup{insn, int32(len(a.code)), l, kind})
	a.emit(word)
}

func (a *Assembler) resolve(f fixup) (uint32, error) {
	target, ok := a.place(f.label)
	if !ok {
		return 0, &LabelError{f.label, "not a label of this assembler"}
	}
	if target == unbound {
		return 0, &LabelError{f.label, "named by " + f.insn + " but never bound"}
	}
	words := target - f.at
	if !f.kind.fits(words) {
		return 0, &RangeError{f.insn, 4 * int(f.at), 4 * int(target), f.kind.reach()}
	}
	width, shift := f.kind.field()
	return a.code[f.at] | uint32(words)&(1<<width-1)<<shift, nil
}

// inReach says whether a branch emitted now may use its short form.
func (a *Assembler) inReach(kind fixupKind, l Label) bool {
	if a.reach == Near {
		return true
	}
	target, ok := a.place(l)
	return ok && target != unbound && kind.fits(target-int32(len(a.code)))
}
