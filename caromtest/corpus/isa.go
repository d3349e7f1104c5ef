package corpus

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom"
	ct "github.com/carom-bpf/carom/caromtest"
)

// notInLinux is why the kernel is left out of what RFC 9669 defines and Linux's verifier rejects.
const (
	badImmediate = "Linux rejects shifts by immediates past the width and divisions by an immediate 0"
	callByNumber = "Linux has no calls of helpers through a register"
)

// InstructionSet returns cases for each instruction of RFC 9669 with operands at the edges.
// Operands come from a map, so that no verifier knows them; results go to a map as whole 64-bit
// registers.
func InstructionSet() []ct.Case {
	var cases []ct.Case
	for _, group := range []func() []ct.Case{alu, jumps, memoryCases, atomics, wideLoads, calls, packetLoads} {
		cases = append(cases, group()...)
	}
	return cases
}

// edges are the operands of register forms.
func edges() []uint64 {
	return []uint64{
		0, 1, 2, 3, 7, 31, 32, 33, 63, 64, 65, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff,
		0x7fffffff, 0x80000000, 0x80000001, 0xffffffff, 0x100000000, 0x1ffffffff, 0x100000001,
		0x123456789abcdef0, 0x7fffffffffffffff, 0x8000000000000000, 0x8000000080000000,
		0xffffffff00000000, 0xffffffff80000000, 0xfffffffffffffffe, 0xffffffffffffffff,
	}
}

// immediates are the operands of immediate forms.
func immediates() []int32 {
	return []int32{
		0, 1, 2, 3, 7, 16, 31, 32, 33, 63, 64, -1, -2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, -0x8000,
		0x7fffffff, -0x80000000, -0x7fffffff, 0x12345678,
	}
}

// batch is a program that makes many checks. Operands are words at r6, results words at r7; the
// context is in r9.
type batch struct {
	name string
	text strings.Builder
	in   []uint64
	out  []uint64
	last int // what the program returns at its end
}

func newBatch(name string) *batch {
	b := &batch{name: name, in: edges()}
	b.line("r9 = r1") // the context
	b.line("r6 = map[in][0]+0 ll")
	b.line("r7 = map[out][0]+0 ll")
	return b
}

// line adds an instruction.
func (b *batch) line(format string, args ...any) {
	fmt.Fprintf(&b.text, format+"\n", args...)
}

// operand loads the i-th word of the input into a register.
func (b *batch) operand(reg string, i int) { b.line("%s = *(u64 *)(r6 +%d)", reg, i*8) }

// result stores a register as the next word of the output, which must be want.
func (b *batch) result(reg string, want uint64) { b.line("*(u64 *)(r7 +%d) = %s", b.next(want), reg) }

// next reserves the next word of the output and returns its offset in bytes.
func (b *batch) next(want uint64) int {
	b.out = append(b.out, want)
	return (len(b.out) - 1) * 8
}

// words are values as a map holds them.
func words(values []uint64) []byte {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return b
}

// oneValue is an array with a single element.
func oneValue(value []byte) *ebpf.MapSpec {
	return &ebpf.MapSpec{
		Type: ebpf.Array, KeySize: 4, ValueSize: uint32(len(value)), MaxEntries: 1,
		Contents: []ebpf.MapKV{{Key: uint32(0), Value: value}},
	}
}

// finish ends the program. more are functions behind it.
func (b *batch) finish(more ...string) ct.Case {
	b.line("r0 = %d", b.last)
	b.line("exit")
	for _, m := range more {
		b.line("%s", m)
	}
	return ct.Case{
		Name: b.name, Asm: map[string]string{"entry": b.text.String()}, Prog: "entry", Data: make([]byte, 64),
		Maps: map[string]*ebpf.MapSpec{
			"in": oneValue(words(b.in)), "out": oneValue(make([]byte, len(b.out)*8)),
		},
		Steps: []ct.Step{{Want: &ct.Want{
			Entries: []ct.Entry{{Map: "out", Key: uint32(0), Value: words(b.out)}},
		}}},
	}
}

// userOnly leaves the kernel out.
func userOnly(c ct.Case, why string) ct.Case {
	c.Skip = map[string]string{kernelName: why}
	return c
}

// unverified is userOnly for programs that Linux rejects.
func unverified(c ct.Case, why string) ct.Case {
	c = userOnly(c, why)
	c.Verify = carom.VerifySkip
	return c
}
