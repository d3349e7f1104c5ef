package verifier

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// typedCase is a program with typed pointers and what Linux 6.18 says of it. Offsets of the
// kernel's structures are written struct.member.
type typedCase struct {
	callCase
	to   string // what it is attached to
	ksym string // variable that the wide loads with source 3 refer to
}

// typedMaps are the maps of the cases, by index.
func typedMaps() []*Map {
	word := &btf.Int{Name: "u64", Size: 8}
	number := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	kptr := func(tag, name string) btf.Type {
		s := &btf.Struct{Name: name, Size: 4, Members: []btf.Member{{Name: "x", Type: number}}}
		return &btf.Pointer{Target: &btf.TypeTag{Type: s, Value: tag}}
	}
	value := &btf.Struct{Name: "kptrs", Size: 24, Members: []btf.Member{
		{Name: "owned", Type: kptr("kptr", "task_struct")},
		{Name: "loose", Type: kptr("kptr_untrusted", "task_struct"), Offset: 64},
		{Name: "plain", Type: word, Offset: 128},
	}}
	return []*Map{
		0: {Name: "kptrs", Type: ebpf.Array, KeySize: 4, ValueSize: 24, MaxEntries: 1, Key: number, Value: value, Fields: Fields(value)},
		1: {Name: "tasks", Type: ebpf.TaskStorage, KeySize: 4, ValueSize: 8, Flags: 1, Key: number, Value: word},
		2: {Name: "array", Type: ebpf.Array, KeySize: 4, ValueSize: 64, MaxEntries: 4},
		3: {Name: "socks", Type: ebpf.SkStorage, KeySize: 4, ValueSize: 8, Flags: 1, Key: number, Value: word},
	}
}

var memberName = regexp.MustCompile(`\b([a-z_]+\w*)\.([a-z_]\w*)\b`)

// offsets puts the offsets of the kernel's structures in the place of their names.
func offsets(t testing.TB, text string, kernel *KernelTypes) string {
	return memberName.ReplaceAllStringFunc(text, func(s string) string {
		name, member, _ := strings.Cut(s, ".")
		st, ok := find[*btf.Struct](kernel, name)
		if !ok {
			t.Skipf("the kernel has no struct %s", name)
		}
		for _, m := range st.Members {
			if m.Name == member {
				return strconv.Itoa(int(m.Offset / 8))
			}
		}
		t.Skipf("struct %s has no member %s", name, member)
		return ""
	})
}

func (c *typedCase) program(t testing.TB, kernel *KernelTypes) *Program {
	t.Helper()
	full := c.callCase
	full.text = offsets(t, c.text, kernel)
	p := full.program(t)
	p.AttachTo, p.Kernel, p.Maps = c.to, kernel, typedMaps()
	if c.ksym != "" {
		p.Ksyms = map[int]Ksym{}
		for i, in := range p.Insns {
			if in.Op == opWideLoad && in.Src == 3 {
				p.Ksyms[i] = Ksym{Name: c.ksym, Typed: true}
			}
		}
	}
	return p
}

// runningTypes are the types of the kernel that judges.
func runningTypes(t testing.TB) *KernelTypes {
	t.Helper()
	k := NewKernelTypes(btf.LoadKernelSpec)
	if _, err := k.Spec(); err != nil {
		t.Skipf("the kernel has no BTF: %v", err)
	}
	return k
}

func TestTypedPointers(t *testing.T) {
	kernel := runningTypes(t)
	for _, c := range typedCases() {
		t.Run(c.name, func(t *testing.T) {
			_, err := Verify(c.program(t, kernel), nil)
			if got, want := verdictOf(err), offsets(t, c.want, kernel); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func typedCases() []typedCase {
	tp := func(name, to, text, want string) typedCase {
		return typedCase{callCase{name: name, typ: ebpf.Tracing, attach: ebpf.AttachTraceRawTp, text: text + "\nr0 = 0\nexit", want: want}, to, ""}
	}
	iter := func(name, to, text, want string) typedCase {
		return typedCase{callCase{name: name, typ: ebpf.Tracing, attach: ebpf.AttachTraceIter, text: text + "\nr0 = 0\nexit", want: want}, to, ""}
	}
	ksym := func(name, variable, text, want string) typedCase {
		return typedCase{callCase{name: name, typ: ebpf.SchedCLS, text: text + "\nr0 = 0\nexit", want: want}, "", variable}
	}
	const (
		task   = "r6 = *(u64 *)(r1 + 0)\n"
		lookup = "*(u32 *)(r10 - 4) = 0\nr2 = r10\nr2 += -4\nlddw r1, 5, 0\ncall bpf_map_lookup_elem\nif r0 != 0 goto found\nr0 = 0\nexit\nfound:\n"
	)
	return []typedCase{
		tp("argument", "sched_process_exit", task+"r0 = *(u32 *)(r6 + task_struct.pid)", "ok"),
		tp("argument of four bytes", "sched_process_exit", "r6 = *(u32 *)(r1 + 0)", "EACCES: invalid bpf_context access off=0 size=4"),
		tp("argument at an odd offset", "sched_process_exit", "r6 = *(u32 *)(r1 + 4)", "EACCES: invalid bpf_context access off=4 size=4"),
		tp("argument that is not there", "sched_process_exit", "r6 = *(u64 *)(r1 + 88)", "EACCES: invalid bpf_context access off=88 size=8"),
		tp("argument written", "sched_process_exit", "*(u64 *)(r1 + 0) = 0", "EACCES: invalid bpf_context access off=0 size=8"),
		tp("argument that may be NULL", "sched_pi_setprio", "r6 = *(u64 *)(r1 + 8)\nr0 = *(u32 *)(r6 + task_struct.pid)", "EACCES: R6 invalid mem access 'trusted_ptr_or_null_'"),
		tp("argument compared with NULL", "sched_pi_setprio", "r6 = *(u64 *)(r1 + 8)\nif r6 == 0 goto over\nr0 = *(u32 *)(r6 + task_struct.pid)\nover:", "ok"),
		tp("structure written", "sched_process_exit", task+"*(u32 *)(r6 + task_struct.pid) = 1", "EACCES: only read is supported"),
		tp("before the structure", "sched_process_exit", task+"r0 = *(u32 *)(r6 - 4)", "EACCES: R6 is ptr_task_struct invalid negative access: off=-4"),
		tp("half of a pointer", "sched_process_exit", task+"r0 = *(u32 *)(r6 + task_struct.mm)", "EACCES: cannot access ptr member mm with moff task_struct.mm in struct task_struct with off task_struct.mm size 4"),
		tp("pointer of a pointer", "sched_process_exit", task+"r7 = *(u64 *)(r6 + task_struct.mm)\nr0 = *(u64 *)(r7 + 0)", "EACCES: access beyond struct (anon) at off 0 size 8"),
		tp("variable offset", "sched_process_exit", task+"r7 = *(u32 *)(r6 + task_struct.pid)\nr7 &= 8\nr6 += r7\nr0 = *(u32 *)(r6 + 0)", "EACCES: R6 is ptr_task_struct invalid variable offset: off=0, var_off=(0x0; 0x8)"),
		tp("trusted argument of a helper", "sched_process_exit", task+"r1 = r6\ncall bpf_task_pt_regs", "ok"),
		tp("parent under RCU", "sched_process_exit", task+"r1 = *(u64 *)(r6 + task_struct.real_parent)\ncall bpf_task_pt_regs", "ok"),
		tp("member of another type", "sched_process_exit", task+"r1 = *(u64 *)(r6 + task_struct.mm)\ncall bpf_task_pt_regs", "EACCES: R1 is of type mm_struct but task_struct is expected"),
		tp("embedded structure", "sched_process_exit", task+"r1 = r6\nr1 += task_struct.se\ncall bpf_task_pt_regs", "EACCES: R1 is of type task_struct but task_struct is expected"),
		tp("socket or NULL", "kfree_skb", "r6 = *(u64 *)(r1 + 0)\nr2 = *(u64 *)(r6 + sk_buff.sk)\nlddw r1, 5, 3\nr3 = 0\nr4 = 0\ncall bpf_sk_storage_get", "ok"),
		tp("socket from a union", "kfree_skb", "r6 = *(u64 *)(r1 + 0)\nr2 = *(u64 *)(r6 + 0)\nlddw r1, 5, 3\nr3 = 0\nr4 = 0\ncall bpf_sk_storage_get", "EACCES: R2 type=untrusted_ptr_ expected=ptr_, trusted_ptr_, rcu_ptr_"),
		tp("current task", "sched_process_exit", "call bpf_get_current_task_btf\nr0 = *(u32 *)(r0 + task_struct.tgid)", "ok"),
		tp("storage of a task", "sched_process_exit", task+"lddw r1, 5, 1\nr2 = r6\nr3 = r10\nr3 += -8\nr4 = 1\ncall bpf_task_storage_get\nif r0 == 0 goto over\n*(u64 *)(r0 + 0) = 1\nover:", "ok"),
		tp("storage, no task", "sched_process_exit", "lddw r1, 5, 1\nr2 = 0\nr3 = r10\nr3 += -8\nr4 = 1\ncall bpf_task_storage_get", "ok"),
		tp("structure as memory", "sched_process_exit", task+"r1 = r6\nr2 = 8\nr3 = 0\nr4 = 0\ncall bpf_trace_printk", "ok"),
		tp("trusted on one way", "sched_process_exit", task+"call bpf_get_prandom_u32\nif r0 > 5 goto join\nr6 = *(u64 *)(r6 + task_struct.mm)\njoin:\nr0 = *(u64 *)(r6 + 0)", "EACCES: access beyond struct (anon) at off 0 size 8"),
		tp("structure or memory", "sched_process_exit", task+"call bpf_get_prandom_u32\nif r0 > 5 goto join\nr6 = r10\nr6 += -8\n*(u64 *)(r6 + 0) = 0\njoin:\nr0 = *(u64 *)(r6 + 0)", "EINVAL: same insn cannot be used with different pointers"),
		iter("iterator of tasks", "task", "r6 = *(u64 *)(r1 + 8)\nif r6 == 0 goto over\nr0 = *(u32 *)(r6 + task_struct.pid)\nover:", "ok"),
		iter("iterator, not compared with NULL", "task", "r6 = *(u64 *)(r1 + 8)\nr0 = *(u32 *)(r6 + task_struct.pid)", "EACCES: R6 invalid mem access 'trusted_ptr_or_null_'"),
		iter("file of an iterator", "task", "r6 = *(u64 *)(r1 + 0)\nr1 = *(u64 *)(r6 + 0)\nr2 = r10\nr2 += -8\n*(u64 *)(r2 + 0) = 0\nr3 = 8\ncall bpf_seq_write", "ok"),
		iter("key of a map", "bpf_map_elem", "r6 = *(u64 *)(r1 + 16)\nif r6 == 0 goto over\nr0 = *(u64 *)(r6 + 0)\nover:", "ok"),
		iter("key of a map written", "bpf_map_elem", "r6 = *(u64 *)(r1 + 16)\nif r6 == 0 goto over\n*(u64 *)(r6 + 0) = 1\nover:", "EACCES: R6 cannot write into rdonly_buf"),
		iter("value of a map written", "bpf_map_elem", "r6 = *(u64 *)(r1 + 24)\nif r6 == 0 goto over\n*(u64 *)(r6 + 0) = 1\nover:", "ok"),
		iter("value of a map, negative", "bpf_map_elem", "r6 = *(u64 *)(r1 + 24)\nif r6 == 0 goto over\nr0 = *(u64 *)(r6 - 8)\nover:", "EACCES: R6 invalid rdwr buffer access: off=-8, size=8"),
		iter("result out of range", "task", "r0 = 2\nif r0 == 2 goto +1", "EINVAL: At program exit the register R0 has smin=2 smax=2 should have been in [0, 1]"),
		tp("structure of a map", "sched_process_exit", "lddw r6, 5, 2\nr0 = *(u32 *)(r6 + bpf_map.max_entries)", "ok"),
		tp("structure of a map written", "sched_process_exit", "lddw r6, 5, 2\n*(u32 *)(r6 + bpf_map.max_entries) = 1", "EACCES: only read from bpf_array is supported"),
		tp("operations of a map", "sched_process_exit", "lddw r6, 5, 2\nr7 = *(u64 *)(r6 + bpf_map.ops)\nr0 = *(u64 *)(r7 + 0)", "ok"),
		tp("before the structure of a map", "sched_process_exit", "lddw r6, 5, 2\nr0 = *(u32 *)(r6 - 8)", "EACCES: R6 is bpf_array invalid negative access: off=-8"),
		tp("kptr", "sched_process_exit", lookup+"r6 = *(u64 *)(r0 + 0)\nif r6 == 0 goto over\nr0 = *(u32 *)(r6 + task_struct.pid)\nover:", "ok"),
		tp("kptr to a helper", "sched_process_exit", lookup+"r1 = *(u64 *)(r0 + 0)\nif r1 == 0 goto over\ncall bpf_task_pt_regs\nover:", "ok"),
		tp("kptr that nobody owns", "sched_process_exit", lookup+"r1 = *(u64 *)(r0 + 8)\nif r1 == 0 goto over\ncall bpf_task_pt_regs\nover:", "EACCES: R1 type=untrusted_ptr_ expected=ptr_, trusted_ptr_, rcu_ptr_"),
		tp("kptr written", "sched_process_exit", lookup+"*(u64 *)(r0 + 0) = 0", "EACCES: store to referenced kptr disallowed"),
		tp("untrusted kptr cleared", "sched_process_exit", lookup+"*(u64 *)(r0 + 8) = 0", "ok"),
		tp("untrusted kptr set to a number", "sched_process_exit", lookup+"*(u64 *)(r0 + 8) = 1", "EACCES: BPF_ST imm must be 0 when storing to kptr at off=8"),
		tp("untrusted kptr set", "sched_process_exit", task+lookup+"*(u64 *)(r0 + 8) = r6", "ok"),
		tp("untrusted kptr set to another type", "sched_process_exit", "r6 = *(u64 *)(r1 + 0)\nr6 = *(u64 *)(r6 + task_struct.mm)\n"+lookup+"*(u64 *)(r0 + 8) = r6", "EACCES: invalid kptr access, R6 type=ptr_mm_struct expected=ptr_task_struct or untrusted_ptr_task_struct"),
		tp("half of a kptr", "sched_process_exit", lookup+"r0 = *(u32 *)(r0 + 0)", "EACCES: kptr access size must be BPF_DW"),
		tp("inside of a kptr", "sched_process_exit", lookup+"r0 = *(u64 *)(r0 + 4)", "EACCES: kptr access misaligned expected=0 off=4"),
		tp("kptr at a variable offset", "sched_process_exit", lookup+"r6 = r0\ncall bpf_get_prandom_u32\nr0 &= 8\nr6 += r0\nr0 = *(u64 *)(r6 + 0)", "EACCES: kptr access cannot have variable offset"),
		tp("kptr by a helper", "sched_process_exit", lookup+"r1 = r0\nr2 = 24\nr3 = 0\ncall bpf_probe_read_kernel", "EACCES: kptr cannot be accessed indirectly by helper"),
		tp("kptr as memory", "sched_process_exit", lookup+"r1 = r0\nr2 = 24\ncall bpf_trace_printk", "EACCES: kptr cannot be accessed indirectly by helper"),
		tp("kptr exchanged with NULL", "sched_process_exit", lookup+"r1 = r0\nr2 = 0\ncall bpf_kptr_xchg", "EINVAL: BPF_EXIT instruction in main prog would lead to reference leak"),
		tp("exchange at a number", "sched_process_exit", lookup+"r1 = r0\nr1 += 16\nr2 = 0\ncall bpf_kptr_xchg", "EACCES: off=16 doesn't point to kptr"),
		tp("exchange of an untrusted kptr", "sched_process_exit", lookup+"r1 = r0\nr1 += 8\nr2 = 0\ncall bpf_kptr_xchg", "EACCES: off=8 kptr isn't referenced kptr"),
		tp("exchange with a pointer that is not owned", "sched_process_exit", task+lookup+"r1 = r0\nr2 = r6\ncall bpf_kptr_xchg", "EINVAL: R2 must be referenced when passed to release function"),
		ksym("per-CPU variable", "runqueues", "lddw r1, 3, 0\nr2 = 0\ncall bpf_per_cpu_ptr\nif r0 == 0 goto over\nr0 = *(u32 *)(r0 + rq.nr_running)\nover:", "ok"),
		ksym("per-CPU variable, not compared with NULL", "runqueues", "lddw r1, 3, 0\nr2 = 0\ncall bpf_per_cpu_ptr\nr0 = *(u32 *)(r0 + rq.nr_running)", "EACCES: R0 invalid mem access 'ptr_or_null_'"),
		ksym("per-CPU variable read directly", "runqueues", "lddw r1, 3, 0\nr0 = *(u32 *)(r1 + rq.nr_running)", "EACCES: R1 is ptr_rq access percpu memory: off=rq.nr_running"),
		ksym("variable of this CPU", "runqueues", "lddw r1, 3, 0\ncall bpf_this_cpu_ptr\nr0 = *(u32 *)(r0 + rq.nr_running)", "ok"),
		ksym("number of this CPU", "bpf_prog_active", "lddw r1, 3, 0\ncall bpf_this_cpu_ptr\nr0 = *(u32 *)(r0 + 0)", "ok"),
		ksym("number of this CPU written", "bpf_prog_active", "lddw r1, 3, 0\ncall bpf_this_cpu_ptr\n*(u32 *)(r0 + 0) = 1", "EACCES: R0 cannot write into rdonly_mem"),
		ksym("number of this CPU, too much", "bpf_prog_active", "lddw r1, 3, 0\ncall bpf_this_cpu_ptr\nr0 = *(u64 *)(r0 + 0)", "EACCES: R0 min value is outside of the allowed memory range"),
	}
}
