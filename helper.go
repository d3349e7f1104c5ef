package carom

import (
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/vm"
)

// Helper is a helper function of the embedder's own, or one that replaces a built-in one.
// Programs call it by its ID, or, when it is meant as a kfunc, by its Name with ID 0.
//
// When UnwindOnZero is set and Func returns 0, the run ends at once, from any depth of calls,
// with R0 = 0, and Result.UnwoundBy holds the name; any other value is returned to the program.
type Helper = vm.Helper

// Proto is what a Helper looks like to a program: number, name, arguments and result.
type Proto = linux.Proto

// Call is one call of a Helper: its arguments and checked access to the program's memory. It is
// valid until Func returns.
type Call = vm.Call

// ArgType is what a helper takes in one register (enum bpf_arg_type of Linux).
type ArgType = linux.ArgType

// Values of Proto.Args. A register behind the last argument has ArgNone.
const (
	ArgNone        = linux.ArgNone
	ArgAnything    = linux.ArgAnything                                         // any initialised value
	ArgCtx         = linux.ArgPtrToCtx                                         // the context pointer
	ArgMapPtr      = linux.ArgConstMapPtr                                      // a map
	ArgMapKey      = linux.ArgPtrToMapKey                                      // key of the map in an earlier argument
	ArgMapValue    = linux.ArgPtrToMapValue                                    // value of that map, to read
	ArgMapValueOut = linux.ArgPtrToMapValue | linux.MemUninit | linux.MemWrite // value of that map, to write
	ArgMem         = linux.ArgPtrToMem | linux.MemRdonly                       // memory to read; the next argument is its size
	ArgMemOut      = linux.ArgPtrToUninitMem                                   // memory to write; the next argument is its size
	ArgMemOrNull   = linux.ArgPtrToMemOrNull | linux.MemRdonly                 // as ArgMem, or NULL
	ArgSize        = linux.ArgConstSize                                        // size of the memory before it, at least 1
	ArgSizeOrZero  = linux.ArgConstSizeOrZero                                  // size of the memory before it
)

// RetType is what a helper leaves in R0 (enum bpf_return_type of Linux).
type RetType = linux.RetType

// Values of Proto.Ret.
const (
	RetInteger        = linux.RetInteger
	RetVoid           = linux.RetVoid
	RetMapValueOrNull = linux.RetPtrToMapValueOrNull
	RetMemOrNull      = linux.RetPtrToMemOrNull
)
