package kernel

import (
	"strings"
	"time"

	"github.com/carom-bpf/carom/kernel/tracefs"
)

// Printed is one call of bpf_trace_printk. Program is the name of the program that made it, empty
// where that cannot be told because the kernel gave no stack.
type Printed struct {
	tracefs.Entry
	Program string
}

// function is where the JIT put a function of a program.
type function struct {
	start, end uint64
	program    string
}

func find(functions []function, addr uint64) (string, bool) {
	for _, f := range functions {
		// A return address may be that behind the last instruction.
		if addr > f.start && addr <= f.end {
			return f.program, true
		}
	}
	return "", false
}

// origin finds the program that printed, the innermost one on the stack. When that is none of the
// functions, other is its symbol. Both are empty when the stack shows no program.
func origin(functions []function, stack []tracefs.Frame) (program, other string) {
	for _, f := range stack {
		if name, ok := find(functions, f.Addr); ok {
			return name, ""
		}
		if strings.HasPrefix(f.Symbol, "bpf_prog_") {
			return "", f.Symbol
		}
	}
	return "", ""
}

// refresh is how long a program is held for a foreign one before the slots are looked at again.
const refresh = time.Second
