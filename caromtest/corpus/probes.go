package corpus

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom"
	ct "github.com/carom-bpf/carom/caromtest"
)

// Probes returns programs at probes of user space and at tracepoints. Linux cannot run them by
// themselves; caromtest.Probe says what takes the place of that.
func Probes(testdata string) []ct.Case {
	cases := registers()
	cases = append(cases, userMemory()...)
	cases = append(cases, userStrings()...)
	cases = append(cases, probedTask()...)
	cases = append(cases, probedChains()...)
	cases = append(cases, probedRecords()...)
	cases = append(cases, tracepoints()...)
	cases = append(cases, userStacks(), taskStorage())
	return append(cases, readline(objects(testdata)))
}

// efault is -EFAULT as a return value.
const efault = 0xfffffffffffffff2

// probed is a case whose program entry stores n numbers into out.
func probed(name, text string, n int, steps ...ct.Step) ct.Case {
	return chainOf(name, n, map[string]string{"entry": text}, steps...)
}

// chainOf is probed with several programs. They have the maps that they name.
func chainOf(name string, n int, programs map[string]string, steps ...ct.Step) ct.Case {
	c := ct.Case{
		Name: "probe/" + name, Type: ebpf.Kprobe, Prog: "entry", Asm: programs, Steps: steps,
		Maps: map[string]*ebpf.MapSpec{"out": {Type: ebpf.Array, KeySize: 4, ValueSize: uint32(8 * n), MaxEntries: 1}},
	}
	for _, m := range probeMaps() {
		for _, text := range programs {
			if strings.Contains(text, "map["+m.Name+"]") {
				c.Maps[m.Name] = m
			}
		}
	}
	return c
}

// probeMaps are the maps of these cases beside out.
func probeMaps() []*ebpf.MapSpec {
	return []*ebpf.MapSpec{
		{Name: "jmp_table", Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 4},
		{Name: "task", Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1},
		{Name: "handed", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1},
		{Name: "state", Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: 8, MaxEntries: 1},
		{Name: "ring", Type: ebpf.RingBuf, MaxEntries: 4096},
		{Name: "perf", Type: ebpf.PerfEventArray, KeySize: 4, ValueSize: 4},
	}
}

// hit is one hit of a probe with what must be in out then; nil for anything that the engines
// agree on.
func hit(p ct.Probe, out any) ct.Step {
	s := ct.Step{Probe: &p, Want: &ct.Want{}}
	if out != nil {
		s.Want.Entries = []ct.Entry{{Map: "out", Key: uint32(0), Value: out}}
	}
	return s
}

// store is the text that stores a register into out; it needs r1.
func store(reg string, index int) string {
	return fmt.Sprintf("r1 = map[out][0]+%d ll\n*(u64 *)(r1 +0) = %s\n", 8*index, reg)
}

const done = "r0 = 0\nexit\n"

// ptRegs are the registers that a process can have any value in, by their place in struct pt_regs.
var ptRegs = []struct {
	name string
	off  int
}{
	{"r15", 0}, {"r14", 8}, {"r13", 16}, {"r12", 24}, {"bp", 32}, {"bx", 40}, {"r11", 48}, {"r10", 56},
	{"r9", 64}, {"r8", 72}, {"ax", 80}, {"cx", 88}, {"dx", 96}, {"si", 104}, {"di", 112}, {"sp", 152},
}

// registers reads registers in parts, four in a case, then all of them at entry and at return.
func registers() []ct.Case {
	var cases []ct.Case
	var all []carom.Register
	var values []uint64
	whole := "r9 = r1\n"
	for i, r := range ptRegs {
		v := 0x8123456789abcdef ^ uint64(i)*0x1111111111111111
		if r.name == "sp" {
			all = append(all, carom.Register{Name: r.name, Value: v})
			continue // a function cannot return without it
		}
		all, values = append(all, carom.Register{Name: r.name, Value: v}), append(values, v)
		whole += fmt.Sprintf("r8 = *(u64 *)(r9 +%d)\n", r.off) + store("r8", i)
	}
	for i := 0; i < len(all); i += 4 {
		cases = append(cases, parts(all[i:i+4], i))
	}
	all = all[:len(values)]
	for _, at := range []struct {
		name string
		at   ct.ProbePoint
	}{{"entry", ct.Uprobe}, {"return", ct.Uretprobe}} {
		cases = append(cases, probed("all registers at "+at.name, whole+done, len(values),
			hit(ct.Probe{At: at.at, Registers: all}, values),
			hit(ct.Probe{At: at.at}, make([]uint64, len(values)))))
	}
	return cases
}

// parts reads every register with all sizes; first is the place of the first one in ptRegs.
func parts(group []carom.Register, first int) ct.Case {
	text, name := "r9 = r1\n", "registers"
	var want []uint64
	for i, r := range group {
		name += " " + r.Name
		for _, p := range []struct{ bits, off int }{{64, 0}, {32, 0}, {32, 4}, {16, 0}, {8, 0}} {
			text += fmt.Sprintf("r8 = *(u%d *)(r9 +%d)\n", p.bits, ptRegs[first+i].off+p.off) + store("r8", len(want))
			want = append(want, r.Value>>(8*p.off)&(1<<p.bits-1))
		}
	}
	return probed(name, text+done, len(want), hit(ct.Probe{Registers: group}, want))
}

// pointsTo is a probe whose di points to a piece of memory.
func pointsTo(data []byte, plus int) ct.Probe {
	return ct.Probe{
		Registers: []carom.Register{{Name: "di", Ref: "piece", Value: uint64(plus)}},
		Memory:    []carom.Memory{{Name: "piece", Data: data}},
	}
}

// at is a probe whose di holds an address that is not that of a piece of memory.
func at(addr uint64) ct.Probe {
	return ct.Probe{Registers: []carom.Register{{Name: "di", Value: addr}}}
}

// reading fills out behind its first number with ones, reads size bytes from di over that, and
// stores the result.
func reading(helper string, size int) string {
	text := "r9 = r1\nr8 = -1\n"
	for i := range 8 {
		text += store("r8", 1+i)
	}
	return text + fmt.Sprintf("r1 = map[out][0]+8 ll\nr2 = %d\nr3 = *(u64 *)(r9 +112)\ncall %s\nr8 = r0\n", size, helper) +
		store("r8", 0) + done
}

// answer is what reading leaves behind: the result, and bytes with ones behind them.
func answer(ret uint64, data []byte) []byte {
	b := append(binary.LittleEndian.AppendUint64(nil, ret), data...)
	return append(b, bytes.Repeat([]byte{0xff}, 72-len(b))...)
}

// counted is n bytes 1, 2, 3 and so on.
func counted(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i%255 + 1)
	}
	return b
}

func userMemory() []ct.Case {
	var cases []ct.Case
	// Linux takes about a tenth of a second to remove a probe, so each case has to be worth it.
	for _, helper := range []string{"bpf_probe_read_user", "bpf_probe_read"} {
		for _, n := range []int{0, 8, 13, 64} {
			cases = append(cases, probed(fmt.Sprintf("%s of %d bytes", helper, n), reading(helper, n), 9,
				hit(pointsTo(counted(64), 0), answer(0, counted(n)))))
		}
		bad := answer(efault, make([]byte, 24))
		cases = append(cases, probed(helper+" of bad addresses", reading(helper, 24), 9,
			hit(at(0), bad), hit(at(0x7ffffffff000), nil), hit(at(0x8000000000000000), nil),
			hit(at(0xffff800000000000), nil), hit(at(0x1234), bad),
			hit(pointsTo(counted(4096), 4073), bad),
			hit(pointsTo(counted(4096), 4072), answer(0, counted(4096)[4072:]))))
	}
	kernelOnly := probed("bpf_probe_read_kernel of addresses of user space", reading("bpf_probe_read_kernel", 16), 9, hit(at(0), nil))
	return append(cases, kernelOnly, linkedList(), sumOfBytes())
}

// linkedList follows pointers in the task's memory.
func linkedList() ct.Case {
	node := func(name, next string, value byte) carom.Memory {
		m := carom.Memory{Name: name, Data: append(make([]byte, 8), value, 0, 0, 0, 0, 0, 0, 0)}
		if next != "" {
			m.Pointers = []carom.Pointer{{Offset: 0, Ref: next}}
		}
		return m
	}
	p := ct.Probe{
		Registers: []carom.Register{{Name: "si", Ref: "a"}},
		Memory:    []carom.Memory{node("c", "", 30), node("a", "b", 1), node("b", "c", 200)},
	}
	return probed("linked list", `
		r6 = *(u64 *)(r1 +104)
		r7 = 0
		r8 = 0
	next:
		if r6 == 0 goto end
		r1 = r10
		r1 += -16
		r2 = 16
		r3 = r6
		call bpf_probe_read_user
		if r0 != 0 goto end
		r6 = *(u64 *)(r10 -16)
		r1 = *(u64 *)(r10 -8)
		r7 += r1
		r8 += 1
		if r8 < 10 goto next
	end:
		`+store("r7", 0)+store("r8", 1)+done, 2, hit(p, []uint64{231, 3}))
}

// sumOfBytes reads byte by byte until a length that is in a register.
func sumOfBytes() ct.Case {
	text := `
		r6 = *(u64 *)(r1 +112)
		r9 = *(u64 *)(r1 +96)
		r7 = 0
		r8 = 0
	next:
		if r8 >= r9 goto end
		r1 = r10
		r1 += -1
		r2 = 1
		r3 = r6
		r3 += r8
		call bpf_probe_read_user
		if r0 != 0 goto end
		r1 = *(u8 *)(r10 -1)
		r7 += r1
		r8 += 1
		if r8 < 300 goto next
	end:
		` + store("r7", 0) + store("r8", 1) + done
	length := func(n uint64) ct.Probe {
		p := pointsTo(counted(4096)[3840:], 0)
		p.Memory[0].Data = bytes.Repeat([]byte{3}, 4096)
		p.Registers[0].Value = 3996 // 100 bytes before the end
		p.Registers = append(p.Registers, carom.Register{Name: "dx", Value: n})
		return p
	}
	return probed("loop over memory", text, 2,
		hit(length(0), []uint64{0, 0}), hit(length(1), []uint64{3, 1}), hit(length(100), []uint64{300, 100}),
		hit(length(200), []uint64{300, 100}))
}

func userStrings() []ct.Case {
	var cases []ct.Case
	for _, helper := range []string{"bpf_probe_read_user_str", "bpf_probe_read_str"} {
		for _, n := range []int{0, 1, 7, 8, 9, 15, 16} {
			text := append([]byte("abc"), append(counted(n), 0, 'x', 'y', 'z')...)
			cases = append(cases, probed(fmt.Sprintf("%s of %d bytes", helper, n), reading(helper, 16), 9,
				hit(pointsTo(text[3*(n%2^1):], 3*(n%2)), copied(n, 16))))
		}
		cases = append(cases, probed(helper+" of bad addresses", reading(helper, 16), 9,
			hit(at(0), answer(efault, make([]byte, 16))), hit(pointsTo(counted(4096), 4090), answer(efault, make([]byte, 16))),
			hit(pointsTo(counted(4096), 4080), answer(16, append(counted(4096)[4080:4095], 0)))))
	}
	return cases
}

// copied is the answer to reading a string of n bytes into size bytes. Behind the end the rest of
// its eight bytes becomes zero (lib/strncpy_from_user.c).
func copied(n, size int) []byte {
	if n >= size {
		return answer(uint64(size), append(counted(size-1), 0))
	}
	b := append(counted(n), 0)
	return answer(uint64(n+1), slices.Concat(b, make([]byte, (8-len(b)%8)%8)))
}
