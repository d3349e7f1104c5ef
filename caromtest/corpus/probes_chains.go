package corpus

import (
	"encoding/binary"
	"fmt"
	"path"
	"strings"

	"github.com/carom-bpf/carom"
	ct "github.com/carom-bpf/carom/caromtest"
)

// probedTask is what helpers say about the task.
func probedTask() []ct.Case {
	comm := func(size int) string {
		text := "r8 = -1\n" + store("r8", 0) + store("r8", 1) + store("r8", 2)
		return text + fmt.Sprintf("r1 = map[out][0]+8 ll\nr2 = %d\ncall bpf_get_current_comm\nr8 = r0\n", size) + store("r8", 0) + done
	}
	named := func(name string) ct.Probe { return ct.Probe{Comm: name} }
	return []ct.Case{
		probed("comm", comm(16), 3,
			hit(named("bash"), "\x00\x00\x00\x00\x00\x00\x00\x00bash"+strings.Repeat("\x00", 12)),
			hit(named("fifteen letters"), "\x00\x00\x00\x00\x00\x00\x00\x00fifteen letters\x00")),
		probed("short comm", comm(6), 3, hit(named("ba"), nil), hit(named("fifteen letters"), nil)),
		probed("pid and tgid", "call bpf_get_current_pid_tgid\nr6 = r0\nr7 = r0\nr6 >>= 32\nw7 = w7\nr8 = 0\nif r6 != r7 goto +1\nr8 = 1\n"+
			store("r8", 0)+"r2 = map[task][0]+0 ll\nr2 = *(u32 *)(r2 +0)\nr8 = 0\nif r6 != r2 goto +1\nr8 = 1\n"+store("r8", 1)+done,
			2, hit(ct.Probe{TaskMap: "task"}, []uint64{1, 1})),
		probed("uid and gid", "call bpf_get_current_uid_gid\nr8 = r0\n"+store("r8", 0)+done, 1, hit(ct.Probe{}, []uint64{0})),
	}
}

const (
	tailCall = "r2 = map[jmp_table] ll\ncall bpf_tail_call\n"
	// addHop adds 1 to the number of hops.
	addHop = "r2 = map[out][0] ll\nr3 = *(u64 *)(r2 +0)\nr3 += 1\n*(u64 *)(r2 +0) = r3\n"
)

func filled(s ct.Step, programs ...string) ct.Step {
	s.Do = fill(programs...)
	return s
}

func hops(s ct.Step, taken, missed int) ct.Step {
	s.Want.TailCalls, s.Want.Misses = &taken, &missed
	return s
}

func probedChains() []ct.Case {
	target := func(v int) string { return fmt.Sprintf("r8 = %d\n", v) + store("r8", 1) + done }
	dispatch := `
		r9 = r1
		r1 = r10
		r1 += -32
		r2 = 32
		r3 = *(u64 *)(r9 +80)
		call bpf_probe_read_user_str
		r7 = r0
		` + store("r7", 0) + `
		if r7 s<= 0 goto end
		r7 += -1
		r7 &= 1
		r1 = r9
		r3 = r7
		` + tailCall + `
		r8 = 9
		` + store("r8", 1) + "end:\n" + done
	line := func(s string, want ...uint64) ct.Step {
		return hit(ct.Probe{
			At: ct.Uretprobe, Registers: []carom.Register{{Name: "ax", Ref: "line"}},
			Memory: []carom.Memory{{Name: "line", Data: append([]byte(s), 0)}},
		}, want)
	}
	loop := addHop + "r3 = 0\n" + tailCall + "r8 = 77\n" + store("r8", 1) + done
	next := func(slot int) string { return addHop + fmt.Sprintf("r3 = %d\n", slot) + tailCall + done }
	carried := "r9 = r1\nr1 = map[handed][0] ll\nr2 = *(u64 *)(r9 +112)\n*(u64 *)(r1 +0) = r2\nr1 = r9\nr3 = 0\n" + tailCall + done
	return []ct.Case{
		chainOf("odd and even", 2, map[string]string{"entry": dispatch, "even": target(2), "odd": target(1)},
			filled(line("ll", 3, 2), "even", "odd"), line("odd", 4, 1), hops(line("", 1, 2), 1, 0),
			hops(ct.Step{Do: []ct.Op{empty(1)}, Probe: line("x").Probe, Want: &ct.Want{
				Entries: []ct.Entry{{Map: "out", Key: uint32(0), Value: []uint64{2, 9}}},
			}}, 0, 1),
			hit(ct.Probe{At: ct.Uretprobe}, []uint64{efault, 9})),
		chainOf("chain of three", 2, map[string]string{"entry": next(0), "second": next(1), "third": addHop + target(3)},
			filled(hops(hit(ct.Probe{}, []uint64{3, 3}), 2, 0), "second", "third")),
		chainOf("limit of 33", 2, map[string]string{"entry": loop},
			filled(hops(hit(ct.Probe{}, []uint64{34, 77}), 33, 1), "entry")),
		chainOf("limit of 33 at return", 2, map[string]string{"entry": loop},
			filled(hops(hit(ct.Probe{At: ct.Uretprobe}, []uint64{34, 77}), 33, 1), "entry")),
		chainOf("empty slot and no slot", 2, map[string]string{"entry": "r9 = r1\nr3 = 1\n" + tailCall + "r1 = r9\nr3 = 4\n" + tailCall + "r8 = 5\n" + store("r8", 1) + done},
			hops(hit(ct.Probe{}, []uint64{0, 5}), 0, 2)),
		chainOf("registers in the target", 1, map[string]string{
			"entry": "r3 = 0\n" + tailCall + done, "target": "r8 = *(u64 *)(r1 +56)\n" + store("r8", 0) + done,
		}, filled(hit(ct.Probe{Registers: []carom.Register{{Name: "r10", Value: 0xfedcba9876543210}}}, []uint64{0xfedcba9876543210}), "target")),
		chainOf("state in an array", 1, map[string]string{
			"entry":  carried,
			"target": "r1 = map[handed][0] ll\nr8 = *(u64 *)(r1 +0)\nr8 += 1\n" + store("r8", 0) + done,
		}, filled(hit(ct.Probe{Registers: []carom.Register{{Name: "di", Value: 41}}}, []uint64{42}), "target")),
		perCPU(),
	}
}

// perCPU counts hits on each CPU and hands the count to a second program.
func perCPU() ct.Case {
	find := "*(u32 *)(r10 -4) = 0\nr1 = map[state] ll\nr2 = r10\nr2 += -4\ncall bpf_map_lookup_elem\nif r0 == 0 goto end\n"
	c := chainOf("hits on each CPU", 1, map[string]string{
		"entry":  "r9 = r1\n" + find + "r1 = *(u64 *)(r0 +0)\nr1 += 1\n*(u64 *)(r0 +0) = r1\nr1 = r9\nr3 = 0\n" + tailCall + "end:\n" + done,
		"target": find + "r8 = *(u64 *)(r0 +0)\n" + store("r8", 0) + "end:\n" + done,
	}, filled(hit(ct.Probe{}, []uint64{1}), "target"), hit(ct.Probe{}, []uint64{2}), hit(ct.Probe{}, []uint64{3}))
	return c
}

// probedRecords sends memory of the task through ring buffers and perf events.
func probedRecords() []ct.Case {
	var cases []ct.Case
	read := "r9 = r1\nr1 = r10\nr1 += -24\nr2 = 24\nr3 = *(u64 *)(r9 +112)\ncall bpf_probe_read_user\n"
	data := counted(24)
	for _, n := range []int{1, 4, 12, 24} {
		ring := fmt.Sprintf("r1 = map[ring] ll\nr2 = r10\nr2 += -24\nr3 = %d\nr4 = 0\ncall bpf_ringbuf_output\nr8 = r0\n", n)
		perf := fmt.Sprintf("r1 = r9\nr2 = map[perf] ll\nr3 = 0xffffffff ll\nr4 = r10\nr4 += -24\nr5 = %d\ncall bpf_perf_event_output\nr8 = r0\n", n)
		rec := hit(pointsTo(data, 0), []uint64{0})
		rec.Want.Records = map[string][][]byte{"ring": {data[:n]}}
		cases = append(cases,
			probed(fmt.Sprintf("ring buffer record of %d bytes", n), read+ring+store("r8", 0)+done, 1, rec),
			probed(fmt.Sprintf("perf event of %d bytes", n), read+perf+store("r8", 0)+done, 1, hit(pointsTo(data, 0), []uint64{0})))
	}
	reserve := "r9 = r1\nr1 = map[ring] ll\nr2 = 16\nr3 = 0\ncall bpf_ringbuf_reserve\nif r0 == 0 goto end\nr8 = r0\nr1 = r8\nr2 = 16\nr3 = *(u64 *)(r9 +112)\n" +
		"call bpf_probe_read_user\nr1 = r8\nr2 = 0\nif r0 == 0 goto keep\ncall bpf_ringbuf_discard\ngoto end\nkeep:\ncall bpf_ringbuf_submit\nend:\n" + done
	kept, dropped := hit(pointsTo(data, 0), nil), hit(at(0), nil)
	kept.Want.Records = map[string][][]byte{"ring": {data[:16]}}
	dropped.Want.Records = map[string][][]byte{"ring": nil}
	cases = append(cases, probed("reserve, submit and discard", reserve, 1, kept, dropped, kept))
	return cases
}

// readline is the example's chain: a line is sent, then sent again by the program for its length.
func readline(o objects) ct.Case {
	const size = 80
	record := func(kind uint32, line string) []byte {
		b := binary.LittleEndian.AppendUint32(nil, kind)
		b = append(b, 0, 0, 0, 0) // the process
		b = binary.LittleEndian.AppendUint32(b, uint32(len(line)))
		return append(append(b, line...), make([]byte, size-len(line))...)
	}
	returns := func(line string) ct.Step {
		s := hit(ct.Probe{
			At: ct.Uretprobe, Registers: []carom.Register{{Name: "ax", Ref: "line"}}, PIDAt: []int{4}, Comm: "bash",
			Memory: []carom.Memory{{Name: "line", Data: append([]byte(line), 0)}},
		}, nil)
		line = line[:min(len(line), size-1)]
		second := uint32(3)
		if len(line)%2 == 1 {
			second = 2
		}
		s.Want.Records = map[string][][]byte{"events": {record(1, line), record(second, line)}}
		return hops(s, 1, 0)
	}
	null := hit(ct.Probe{At: ct.Uretprobe, PIDAt: []int{4}}, nil)
	null.Want.Records = map[string][][]byte{"events": nil}
	c := ct.Case{
		Name: "probe/readline", Object: path.Join(string(o), "../../examples/readline/readline.o"), Prog: "readline_return",
		Steps: []ct.Step{null},
	}
	for _, line := range []string{"", "ll", "odd", strings.Repeat("y", 79), strings.Repeat("z", 200)} {
		c.Steps = append(c.Steps, returns(line))
	}
	return c
}
