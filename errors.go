package carom

import (
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/load"
	"github.com/carom-bpf/carom/internal/maps"
	"github.com/carom-bpf/carom/internal/userspace"
	"github.com/carom-bpf/carom/internal/vm"
)

// Errno is an error number of Linux, with the values of x86-64 and arm64 on every system:
// errors.Is(err, carom.Errno(22)) is true for what Linux refuses with EINVAL.
type Errno = linux.Errno

// LinkError says which instruction of which program cannot be loaded, and why.
type LinkError = load.Error

// MapCreateError says why a map cannot be made or filled.
type MapCreateError = maps.Error

// OwnerError says in which fields a program differs from the owner of a PROG_ARRAY, the first
// program that used it.
type OwnerError = maps.OwnerError

// OwnerDiff is one field of an OwnerError.
type OwnerDiff = linux.FieldDiff

// InputError says why a program cannot run on an Input.
type InputError = userspace.InputError

// ErrorCode is the kind of a RuntimeError.
type ErrorCode = vm.ErrorCode

// Values of RuntimeError.Code.
const (
	CodeAccess        = vm.ErrAccess        // memory that the program may not touch
	CodeContextAccess = vm.ErrContextAccess // no such context field, or not writable
	CodeMisaligned    = vm.ErrMisaligned    // an atomic operation on an unaligned address
	CodeBadOpcode     = vm.ErrBadOpcode     // not an instruction
	CodeBadJump       = vm.ErrBadJump       // a jump or fall-through to where no instruction is
	CodeCallDepth     = vm.ErrCallDepth     // more than 8 frames
	CodeBudget        = vm.ErrBudget        // the instruction budget is used up
	CodeCanceled      = vm.ErrCanceled      // the context of the run ended
	CodeBadCall       = vm.ErrBadCall       // call of something that cannot be called
	CodeBadMap        = vm.ErrBadMap        // a register holds no map of the type needed
	CodeHelper        = vm.ErrHelper        // a helper refused its arguments
	CodeBusy          = vm.ErrBusy          // the virtual CPU is in the middle of a run
	CodeLeak          = vm.ErrLeak          // a reserved ring buffer record was not released
)
