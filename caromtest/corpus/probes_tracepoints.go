package corpus

import (
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom"
	ct "github.com/carom-bpf/carom/caromtest"
)

// onlyTask ends a program in other tasks than that of the step, and keeps the context in r9.
const onlyTask = "r9 = r1\ncall bpf_get_current_pid_tgid\nr0 >>= 32\nr2 = map[task][0]+0 ll\nr2 = *(u32 *)(r2 +0)\nif r0 == r2 goto +2\nr0 = 0\nexit\n"

// x86-64 system calls and an error.
const (
	sysClose = 3
	sysPrctl = 157
	badFile  = 0xfffffffffffffff7 // -EBADF
)

// traced is a step whose task makes a system call; context is what user space is given.
func traced(event string, context []byte, out any, registers ...carom.Register) ct.Step {
	s := hit(ct.Probe{Event: event, TaskMap: "task", Registers: registers}, out)
	s.Context = context
	return s
}

// record is the context of a tracepoint: eight bytes that programs cannot read, then fields.
func record(fields ...any) []byte {
	b := make([]byte, 8)
	for _, f := range fields {
		b, _ = binary.Append(b, binary.LittleEndian, f)
	}
	return b
}

func tracepoints() []ct.Case {
	closing := []carom.Register{{Name: "ax", Value: sysClose}, {Name: "di", Value: 0x12345678}}
	enter := record(int64(sysClose), uint64(0x12345678))
	exit := record(int64(sysClose), uint64(badFile))
	two := onlyTask + "r8 = *(u64 *)(r9 +16)\n" + store("r8", 0) + "r8 = *(s32 *)(r9 +8)\n" + store("r8", 1) + done
	of := func(c ct.Case, kind ebpf.ProgramType) ct.Case {
		c.Type = kind
		return c
	}
	const point, raw = ebpf.TracePoint, ebpf.RawTracepoint
	hop := onlyTask + "r1 = r9\nr3 = 0\n" + tailCall + done
	ring := onlyTask + "r8 = *(u64 *)(r9 +16)\n*(u64 *)(r10 -8) = r8\nr1 = map[ring] ll\nr2 = r10\nr2 += -8\nr3 = 8\nr4 = 0\ncall bpf_ringbuf_output\n" + done
	sent := traced("syscalls:sys_enter_close", enter, nil, closing...)
	sent.Want.Records = map[string][][]byte{"ring": {{0x78, 0x56, 0x34, 0x12, 0, 0, 0, 0}}}
	// Other system calls of the task come by here too.
	rawClose := onlyTask + "r8 = *(u64 *)(r9 +8)\nif r8 != 3 goto end\n"
	return []ct.Case{
		of(probed("tracepoint at entry", two, 2, traced("syscalls:sys_enter_close", enter, []uint64{0x12345678, sysClose}, closing...)), point),
		of(probed("tracepoint at exit", two, 2, traced("syscalls:sys_exit_close", exit, []uint64{badFile, sysClose}, closing...)), point),
		of(chainOf("tracepoint with a tail call", 2, map[string]string{
			"entry": hop, "target": "r8 = *(u64 *)(r1 +16)\n" + store("r8", 0) + done,
		}, filled(hops(traced("syscalls:sys_enter_close", enter, []uint64{0x12345678, 0}, closing...), 1, 0), "target")), point),
		of(probed("tracepoint to a ring buffer", ring, 1, sent), point),
		rename(of),
		of(probed("raw tracepoint", rawClose+store("r8", 0)+"end:\n"+done, 1,
			traced("sys_enter", record(int64(sysClose)), []uint64{sysClose}, closing...)), raw),
		of(chainOf("raw tracepoint with a tail call", 2, map[string]string{
			"entry":  rawClose + "r1 = r9\nr3 = 0\n" + tailCall + "end:\n" + done,
			"target": "r8 = *(u64 *)(r1 +8)\n" + store("r8", 1) + done,
		}, filled(hops(traced("sys_enter", record(int64(sysClose)), []uint64{0, sysClose}, closing...), 1, 0), "target")), raw),
	}
}

// rename reads bytes of a record: the old and the new name of a task that renames itself.
func rename(of func(ct.Case, ebpf.ProgramType) ct.Case) ct.Case {
	text := onlyTask
	for i := range 4 {
		// The names are at 12 and 28, so the numbers are read in halves.
		off := 12 + 8*i
		text += "r8 = *(u32 *)(r9 +" + strconv.Itoa(off+4) + ")\nr8 <<= 32\nr2 = *(u32 *)(r9 +" + strconv.Itoa(off) + ")\nr8 |= r2\n" + store("r8", i)
	}
	names := "before" + strings.Repeat("\x00", 10) + "after" + strings.Repeat("\x00", 11)
	s := traced("task:task_rename", record(uint32(0), []byte(names), uint32(0)), names,
		carom.Register{Name: "ax", Value: sysPrctl}, carom.Register{Name: "di", Value: 15}, carom.Register{Name: "si", Ref: "name"})
	s.Probe.Comm, s.Probe.Memory = "before", []carom.Memory{{Name: "name", Data: []byte("after\x00")}}
	return of(probed("tracepoint of a renamed task", text+done, 4, s), ebpf.TracePoint)
}
