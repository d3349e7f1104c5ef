package arm64

import "fmt"

// OperandError says that an instruction cannot be encoded with the operands given.
type OperandError struct {
	Insn   string // the mnemonic
	Offset int    // bytes from the start of the code
	Reason string
}

func (e *OperandError) Error() string {
	return fmt.Sprintf("arm64: %s at offset %d: %s", e.Insn, e.Offset, e.Reason)
}

// RangeError says that a label is too far away for the instruction that names it. A conditional
// branch reaches further in an assembler made with [Far].
type RangeError struct {
	Insn   string // the mnemonic
	Offset int    // of the instruction, bytes from the start of the code
	Target int    // of the label, bytes from the start of the code
	Reach  int    // bytes that the instruction reaches backward; forward it is one step less
}

func (e *RangeError) Error() string {
	advice := "assemble with far branches"
	switch e.Insn {
	case "b", "bl":
		advice = "split the code"
	case "adr", "ldr", "ldrsw":
		advice = "place the data nearer"
	}
	return fmt.Sprintf("arm64: %s at offset %d: the target at offset %d is further than %d bytes: %s",
		e.Insn, e.Offset, e.Target, e.Reach, advice)
}

// LabelError says that a label is misused: named but never bound, bound twice, or of another
// assembler.
type LabelError struct {
	Label  Label
	Reason string
}

func (e *LabelError) Error() string {
	return fmt.Sprintf("arm64: label %d: %s", int(e.Label), e.Reason)
}
