package cfg

import "github.com/carom-bpf/carom/internal/verifier/reject"

// Codes of the errors of Analyze.
const (
	CodeProgramSize     reject.Code = "program-size"
	CodeCallTarget      reject.Code = "call-target-invalid"
	CodeTooManySubprogs reject.Code = "too-many-subprograms"
	CodeJumpOutOfRange  reject.Code = "jump-out-of-range"
	CodeFallThrough     reject.Code = "falls-off-end"
	CodeFuncInfo        reject.Code = "func-info-mismatch"
	CodeTailCallNoBTF   reject.Code = "tail-call-without-btf"
	CodeTailCallReturn  reject.Code = "tail-call-in-non-int-function"
	CodeLoadAbsNoBTF    reject.Code = "load-abs-without-btf"
	CodeLoadAbsReturn   reject.Code = "load-abs-in-non-int-function"
	CodeReservedField   reject.Code = "reserved-field"
	CodeWideLoad        reject.Code = "wide-load-invalid"
	CodeUnknownOpcode   reject.Code = "unknown-opcode"
	CodeUnreachable     reject.Code = "unreachable-instruction"
	CodeJumpIntoWide    reject.Code = "jump-into-wide-load"
)
