// Package facts holds what the verifier proves of a program and the JIT relies on.
//
// A fact is the join over all paths that were explored, pruned ones included: it rests on types
// of pointers, which pruning compares exactly, and on numbers that were marked precise. A fact
// that was not established has its zero value, which promises nothing.
package facts

// Program is what is known of one verified program.
type Program struct {
	Insns []Insn // by instruction slot
	// MaxContext is the number of bytes of the context that the program may access: a run with
	// a shorter one must be refused.
	MaxContext int
	// Frame is the number of bytes of stack that each function uses, by subprogram.
	Frame []int
	// TailCalls says that the program contains a tail call that may be executed.
	TailCalls bool
}

// Pointer is the kind of memory that a load or store accesses, on all paths.
type Pointer uint8

// Kinds of memory.
const (
	Unknown Pointer = iota // several kinds, or one that must be checked while the program runs
	Stack
	Context // through the table of context fields
	MapValue
	Packet
	Memory // of known size: records of ring buffers, results of helpers, arguments of functions
	Socket // fields of struct bpf_sock and its relatives
	Kernel // a structure that BTF describes; a read of an invalid address gives 0
)

// Insn is what is known of one instruction.
type Insn struct {
	Seen   bool    // some path executes it; what is not seen is dead code
	Access Pointer // of loads, stores and atomic operations
	// Taken and Fallen say which ways of a conditional jump are possible. Both are false for
	// other instructions.
	Taken, Fallen bool
	// Map is 1 + the index in the program's maps of the map that a helper call or tail call
	// uses, on all paths; 0 where it differs.
	Map int32
	// HasKey says that Key is the constant index of a tail call, or of a lookup in an array, and
	// that it lies inside the map.
	HasKey bool
	Key    uint32
}
