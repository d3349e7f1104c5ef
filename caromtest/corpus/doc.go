// Package corpus holds the cases that every engine has to pass: the tail-call rules of Linux, row
// by row as caromtest/testdata/README.md lists them, and the instruction set of RFC 9669, opcode
// by opcode with operands at the edges.
//
// The expected values of the tail-call cases were measured on Linux 6.18; those of the instruction
// set are computed here from the RFC's wording with arithmetic on big integers. Rows that are not
// here need what Linux has and carom's user space has not (fentry, fexit, freplace, LSM programs,
// sleepable programs); Selftests lists them. Callbacks that reach a tail call are given to engines in
// user space only, never to a live kernel. docs/parity.md, which internal/cmd/genparity makes from
// Groups, says which cases run where.
package corpus

import (
	"path"

	"github.com/carom-bpf/carom/caromtest"
)

// Reasons for leaving an engine out.
const (
	onlyVerified = "only a verifier knows how far a program reads"
	twoArrays    = "counters need to know the array of each tail call, and here one call uses two"
	apart        = "programs that are loaded apart have counters apart, so their tail calls to each other are not seen"
)

// uncounted leaves out the comparison of tail-call counts.
func uncounted(c caromtest.Case, why string) caromtest.Case {
	c.Skip = map[string]string{caromtest.EdgeCounts: why}
	return c
}

// interpreter and kernel are names of engines.
const (
	interpreter = "interpreter"
	kernelName  = "kernel"
)

// tcp is the packet of most rows: 54 bytes with Ethernet, IPv4 and TCP headers.
func tcp() []byte {
	b := make([]byte, 54)
	b[12] = 0x08 // ethertype IPv4
	ip, transport := b[14:], b[34:]
	ip[0], ip[3], ip[8], ip[9] = 0x45, 40, 64, 6
	transport[12] = 5 << 4
	return b
}

// objects makes cases from the objects in a folder.
type objects string

func (o objects) path(name string) string { return path.Join(string(o), name+".o") }

// one is a case of one object whose steps run entry on the usual packet.
func (o objects) one(name, object string, steps ...caromtest.Step) caromtest.Case {
	return caromtest.Case{Name: name, Object: o.path(object), Prog: "entry", Data: tcp(), Steps: steps}
}

// want is a step that runs the case's program.
func want(ret uint32, do ...caromtest.Op) caromtest.Step {
	return caromtest.Step{Do: do, Want: &caromtest.Want{Return: ret}}
}

// anything is a step whose result the engines must agree about.
func anything() caromtest.Step { return caromtest.Step{Want: &caromtest.Want{AnyReturn: true}} }

// prog is a step that runs a named program.
func prog(name string, ret uint32, do ...caromtest.Op) caromtest.Step {
	s := want(ret, do...)
	s.Prog = name
	return s
}

// vars adds expected variables to a step.
func vars(s caromtest.Step, v map[string]any) caromtest.Step {
	s.Want.Vars = v
	return s
}

// set adds variables to set before a step.
func set(s caromtest.Step, v map[string]any) caromtest.Step {
	s.Set = v
	return s
}

// fill puts programs into the slots of jmp_table from 0 on.
func fill(programs ...string) []caromtest.Op {
	var ops []caromtest.Op
	for i, p := range programs {
		ops = append(ops, caromtest.PutProg("jmp_table", uint32(i), p))
	}
	return ops
}

// empty deletes a slot of jmp_table.
func empty(slot uint32) caromtest.Op { return caromtest.Delete("jmp_table", slot) }
