package corpus

import (
	"encoding/binary"
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom"
	ct "github.com/carom-bpf/carom/caromtest"
)

// Flags of bpf_get_stackid and bpf_get_stack.
const (
	userStack   = 1 << 8  // BPF_F_USER_STACK
	fastCompare = 1 << 9  // BPF_F_FAST_STACK_CMP
	reuseStack  = 1 << 10 // BPF_F_REUSE_STACKID
)

// userStacks follows frame pointers. The first address is that of the probe, which differs, and is
// skipped.
func userStacks() ct.Case {
	text, n := "r9 = r1\n", 0
	id := func(flags int) {
		text += fmt.Sprintf("r1 = r9\nr2 = map[stacks] ll\nr3 = %d\ncall bpf_get_stackid\nr8 = r0\n", flags) + store("r8", n)
		n++
	}
	stack := func(size, flags int) {
		text += fmt.Sprintf("r1 = r9\nr2 = map[out][0]+%d ll\nr3 = %d\nr4 = %d\ncall bpf_get_stack\nr8 = r0\n", 8*(n+1), size, flags) + store("r8", n)
		n += 1 + (size+7)/8
	}
	id(userStack | 1)
	id(userStack | 1)
	id(userStack | 1 | fastCompare)
	id(userStack | 2 | reuseStack)
	id(userStack | 200)
	id(userStack | 1<<11)
	id(userStack | 1<<12)
	id(0) // the kernel's: there is none
	stack(24, userStack|1)
	stack(16, userStack|1)
	stack(8, userStack|2)
	stack(8, userStack|100)
	stack(12, userStack|1)
	stack(8, 0)
	stack(8, 1)
	stack(8, fastCompare)
	stack(8, 1<<11)
	frame := func(name, next string, ret uint64) carom.Memory {
		m := carom.Memory{Name: name, Data: binary.LittleEndian.AppendUint64(make([]byte, 8), ret)}
		if next != "" {
			m.Pointers = []carom.Pointer{{Offset: 0, Ref: next}}
		}
		return m
	}
	bp := []carom.Register{{Name: "bp", Ref: "a"}}
	two := ct.Probe{Registers: bp, Memory: []carom.Memory{frame("a", "b", 0x401111), frame("b", "", 0x402222)}}
	forever := ct.Probe{Registers: bp, Memory: []carom.Memory{frame("a", "b", 0x401111), frame("b", "b", 0x403333)}}
	none := ct.Probe{}
	c := probed("user stacks", text+done, n, hit(two, nil), hit(forever, nil), hit(none, nil))
	c.Steps[2].Do = []ct.Op{ct.Delete("stacks", uint32(8)).Fails(ct.E2BIG)}
	return with(c, "stacks", &ebpf.MapSpec{Type: ebpf.StackTrace, KeySize: 4, ValueSize: 64, MaxEntries: 8})
}
