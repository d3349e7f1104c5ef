package verifier

import (
	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom/internal/linux"
)

// callCase is a program and what Linux 6.18 says of it: "ok", or the error number and the last
// line of its log. Wide loads of maps have source 5 and the index of the map in callMaps.
type callCase struct {
	name   string
	typ    ebpf.ProgramType
	attach ebpf.AttachType
	free   bool // the licence is not compatible with the GPL
	text   string
	want   string
}

// callMaps are the maps of all cases, by index.
func callMaps() []*Map {
	inner := &Map{Name: "inner", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 2}
	text := append([]byte("n=%d %s\x00bad %q\x00pct %% %5lx %pI4\x00"), 'x', 'y')
	data := append(text, make([]byte, 48-len(text))...)
	unterminated := []byte("abcdefgh")
	return []*Map{
		0:  {Name: "array", Type: ebpf.Array, KeySize: 4, ValueSize: 16, MaxEntries: 4},
		1:  {Name: "hash", Type: ebpf.Hash, KeySize: 8, ValueSize: 16, MaxEntries: 4},
		2:  {Name: "progs", Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 4},
		3:  {Name: "ring", Type: ebpf.RingBuf, MaxEntries: 4096},
		4:  {Name: "outer", Type: ebpf.ArrayOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 2, Inner: inner},
		5:  {Name: "rodata", Type: ebpf.Array, KeySize: 4, ValueSize: 48, MaxEntries: 1, Flags: linux.MapReadOnlyProg, Frozen: true, Data: data},
		6:  {Name: "events", Type: ebpf.PerfEventArray, KeySize: 4, ValueSize: 4, MaxEntries: 1},
		7:  {Name: "queue", Type: ebpf.Queue, ValueSize: 8, MaxEntries: 4},
		8:  {Name: "percpu", Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: 8, MaxEntries: 2},
		9:  {Name: "devs", Type: ebpf.DevMap, KeySize: 4, ValueSize: 4, MaxEntries: 2},
		10: {Name: "storage", Type: ebpf.CGroupStorage, KeySize: 8, ValueSize: 8},
		11: {Name: "socks", Type: ebpf.SockMap, KeySize: 4, ValueSize: 4, MaxEntries: 2},
		12: {Name: "plain", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1, Flags: linux.MapReadOnlyProg, Frozen: true, Data: unterminated},
		13: {Name: "stacks", Type: ebpf.StackTrace, KeySize: 4, ValueSize: 80, MaxEntries: 4},
		14: {Name: "wronly", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1, Flags: linux.MapWriteOnlyProg},
		15: {Name: "bloom", Type: ebpf.BloomFilter, ValueSize: 8, MaxEntries: 4},
		16: {Name: "storage2", Type: ebpf.CGroupStorage, KeySize: 8, ValueSize: 8},
		18: {Name: "outer2", Type: ebpf.ArrayOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 2, Inner: &Map{
			Name: "inner2", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 2, Flags: linux.MapInnerMap,
		}},
		17: {Name: "hash4", Type: ebpf.Hash, KeySize: 4, ValueSize: 8, MaxEntries: 4},
	}
}

func callCases() []callCase {
	const (
		tc  = ebpf.SchedCLS
		xdp = ebpf.XDP
		kp  = ebpf.Kprobe
	)
	return []callCase{
		// Which helpers.
		{name: "no such helper", typ: tc, text: "call 5000\nexit", want: "EINVAL: invalid func unknown#5000"},
		{name: "helper 212", typ: tc, text: "call 212\nexit", want: "EINVAL: invalid func unknown#212"},
		{name: "helper 0", typ: tc, text: "call 0\nexit", want: "EINVAL: program of this type cannot use helper bpf_unspec#0"},
		{name: "not for this type", typ: tc, text: "call bpf_override_return\nexit", want: "EINVAL: program of this type cannot use helper bpf_override_return#58"},
		{name: "GPL", typ: kp, free: true, text: "r1 = 1\ncall bpf_get_current_task\nr0 = 0\nexit", want: "EINVAL: cannot call GPL-restricted function from non-GPL compatible program"},
		{name: "sleeps", typ: kp, text: "r1 = r10\nr1 += -8\nr2 = 8\nr3 = 0\ncall bpf_copy_from_user\nr0 = 0\nexit", want: "EINVAL: helper call might sleep in a non-sleepable prog"},
		// Kinds of argument.
		{name: "uninitialised argument", typ: tc, text: "call bpf_map_lookup_elem\nexit", want: "EACCES: R1 type=ctx expected=map_ptr"},
		{name: "scalar as map", typ: tc, text: "r1 = 1\nr2 = r10\ncall bpf_map_lookup_elem\nexit", want: "EACCES: R1 type=scalar expected=map_ptr"},
		{name: "ctx as key", typ: tc, text: "r2 = r1\nlddw r1, 5, 1\ncall bpf_map_lookup_elem\nexit", want: "EACCES: R2 type=ctx expected=fp, pkt, pkt_meta, map_key, map_value, mem, ringbuf_mem, buf, trusted_ptr_"},
		{name: "null as key", typ: tc, text: "r2 = 0\nlddw r1, 5, 1\ncall bpf_map_lookup_elem\nexit", want: "EACCES: R2 type=scalar expected=fp, pkt, pkt_meta, map_key, map_value, mem, ringbuf_mem, buf, trusted_ptr_"},
		{name: "or null as key", typ: tc, text: "*(u64 *)(r10 - 8) = 0\nr2 = r10\nr2 += -8\nlddw r1, 5, 1\ncall bpf_map_lookup_elem\nr2 = r0\nlddw r1, 5, 1\ncall bpf_map_lookup_elem\nr0 = 0\nexit", want: "EACCES: R2 type=map_value_or_null expected=fp, pkt, pkt_meta, map_key, map_value, mem, ringbuf_mem, buf, trusted_ptr_"},
		{name: "value as key", typ: tc, text: "*(u64 *)(r10 - 8) = 0\nr2 = r10\nr2 += -8\nlddw r1, 5, 1\ncall bpf_map_lookup_elem\nif r0 == 0 goto out\nr2 = r0\nr2 += 8\nlddw r1, 5, 1\ncall bpf_map_lookup_elem\nout:\nr0 = 0\nexit", want: "ok"},
		{name: "value as key, past its end", typ: tc, text: "*(u64 *)(r10 - 8) = 0\nr2 = r10\nr2 += -8\nlddw r1, 5, 1\ncall bpf_map_lookup_elem\nif r0 == 0 goto out\nr2 = r0\nr2 += 9\nlddw r1, 5, 1\ncall bpf_map_lookup_elem\nout:\nr0 = 0\nexit", want: "EACCES: R2 min value is outside of the allowed memory range"},
		{name: "key at fp-1", typ: tc, text: "r2 = r10\nr2 += -1\nlddw r1, 5, 0\ncall bpf_map_lookup_elem\nr0 = 0\nexit", want: "EINVAL: invalid read from stack R2 off=-1 size=4"},
		{name: "key past the stack", typ: tc, text: "r2 = r10\nr2 += -516\nlddw r1, 5, 0\ncall bpf_map_lookup_elem\nr0 = 0\nexit", want: "EACCES: invalid read from stack R2 off=-516 size=4"},
		{name: "key at fp", typ: tc, text: "r2 = r10\nlddw r1, 5, 0\ncall bpf_map_lookup_elem\nr0 = 0\nexit", want: "EACCES: invalid read from stack R2 off=0 size=4"},
		{name: "uninitialised key", typ: tc, text: "r2 = r10\nr2 += -8\nlddw r1, 5, 1\ncall bpf_map_lookup_elem\nr0 = 0\nexit", want: "ok"},
		{name: "spilled pointer as key", typ: tc, text: "*(u64 *)(r10 - 8) = r1\nr2 = r10\nr2 += -8\nlddw r1, 5, 1\ncall bpf_map_lookup_elem\nr0 = 0\nexit", want: "ok"},
		{name: "key is kept", typ: tc, text: "r6 = r1\n*(u64 *)(r10 - 8) = r1\nr2 = r10\nr2 += -8\nlddw r1, 5, 1\ncall bpf_map_lookup_elem\nr1 = *(u64 *)(r10 - 8)\nr0 = *(u32 *)(r1 + 0)\nexit", want: "ok"},
		{name: "key at a variable place", typ: tc, text: "r3 = *(u32 *)(r1 + 0)\nr3 &= 4\n*(u64 *)(r10 - 8) = 0\n*(u64 *)(r10 - 16) = 0\nr2 = r10\nr2 += -12\nr2 += r3\nlddw r1, 5, 0\ncall bpf_map_lookup_elem\nr0 = 0\nexit", want: "ok"},
		{name: "key at an unbounded place", typ: tc, text: "r3 = *(u32 *)(r1 + 0)\nr2 = r10\nr2 += r3\nlddw r1, 5, 0\ncall bpf_map_lookup_elem\nr0 = 0\nexit", want: "EACCES: invalid unbounded variable-offset read from stack R2"},
		{name: "value argument, uninitialised stack", typ: tc, text: "*(u64 *)(r10 - 8) = 0\nr2 = r10\nr2 += -8\nr3 = r10\nr3 += -24\nr4 = 0\nlddw r1, 5, 1\ncall bpf_map_update_elem\nr0 = 0\nexit", want: "ok"},
		{name: "value argument too near the end", typ: tc, text: "*(u64 *)(r10 - 8) = 0\nr2 = r10\nr2 += -8\nr3 = r10\nr3 += -8\nr4 = 0\nlddw r1, 5, 1\ncall bpf_map_update_elem\nr0 = 0\nexit", want: "EINVAL: invalid read from stack R3 off=-8 size=16"},
		{name: "flags not set", typ: tc, text: "*(u64 *)(r10 - 8) = 0\nr2 = r10\nr2 += -8\nr3 = r2\nlddw r1, 5, 17\ncall bpf_map_update_elem\nr0 = 0\nexit", want: "EACCES: R4 !read_ok"},
		// Results.
		{name: "no null check", typ: tc, text: "*(u64 *)(r10 - 8) = 0\nr2 = r10\nr2 += -8\nlddw r1, 5, 1\ncall bpf_map_lookup_elem\nr0 = *(u64 *)(r0 + 0)\nexit", want: "EACCES: R0 invalid mem access 'map_value_or_null'"},
		{name: "constant key", typ: tc, text: "*(u32 *)(r10 - 4) = 3\nr2 = r10\nr2 += -4\nlddw r1, 5, 0\ncall bpf_map_lookup_elem\nr0 = *(u64 *)(r0 + 8)\nexit", want: "EACCES: R0 invalid mem access 'map_value_or_null'"},
		{name: "constant key, aligned", typ: tc, text: "*(u32 *)(r10 - 8) = 3\nr2 = r10\nr2 += -8\nlddw r1, 5, 0\ncall bpf_map_lookup_elem\nr0 = *(u64 *)(r0 + 8)\nexit", want: "ok"},
		{name: "constant key, aligned, outside", typ: tc, text: "*(u32 *)(r10 - 8) = 4\nr2 = r10\nr2 += -8\nlddw r1, 5, 0\ncall bpf_map_lookup_elem\nr0 = *(u64 *)(r0 + 8)\nexit", want: "EACCES: R0 invalid mem access 'map_value_or_null'"},
		{name: "constant key, aligned, value bounds", typ: tc, text: "*(u32 *)(r10 - 8) = 3\nr2 = r10\nr2 += -8\nlddw r1, 5, 0\ncall bpf_map_lookup_elem\nr0 = *(u64 *)(r0 + 9)\nexit", want: "EACCES: R0 min value is outside of the allowed memory range"},
		{name: "constant key, aligned, per CPU", typ: tc, text: "*(u32 *)(r10 - 8) = 1\nr2 = r10\nr2 += -8\nlddw r1, 5, 8\ncall bpf_map_lookup_elem\nr0 = *(u64 *)(r0 + 0)\nexit", want: "ok"},
		{name: "constant key, aligned, hash", typ: tc, text: "*(u32 *)(r10 - 8) = 1\nr2 = r10\nr2 += -8\nlddw r1, 5, 17\ncall bpf_map_lookup_elem\nr0 = *(u64 *)(r0 + 0)\nexit", want: "EACCES: R0 invalid mem access 'map_value_or_null'"},
		{name: "constant key, aligned, two values", typ: tc, text: "r3 = *(u32 *)(r1 + 0)\nr3 &= 1\n*(u32 *)(r10 - 8) = r3\nr2 = r10\nr2 += -8\nlddw r1, 5, 0\ncall bpf_map_lookup_elem\nr0 = *(u64 *)(r0 + 8)\nexit", want: "EACCES: R0 invalid mem access 'map_value_or_null'"},
		{name: "constant key, negative", typ: tc, text: "*(u32 *)(r10 - 8) = -1\nr2 = r10\nr2 += -8\nlddw r1, 5, 0\ncall bpf_map_lookup_elem\nr0 = *(u64 *)(r0 + 8)\nexit", want: "EACCES: R0 invalid mem access 'map_value_or_null'"},
		{name: "constant key outside", typ: tc, text: "*(u32 *)(r10 - 4) = 4\nr2 = r10\nr2 += -4\nlddw r1, 5, 0\ncall bpf_map_lookup_elem\nr0 = *(u64 *)(r0 + 8)\nexit", want: "EACCES: R0 invalid mem access 'map_value_or_null'"},
		{name: "constant key, zero bytes", typ: tc, text: "r3 = 0\n*(u8 *)(r10 - 3) = r3\n*(u8 *)(r10 - 4) = r3\n*(u16 *)(r10 - 2) = r3\nr2 = r10\nr2 += -4\nlddw r1, 5, 0\ncall bpf_map_lookup_elem\nr0 = *(u64 *)(r0 + 8)\nexit", want: "ok"},
		{name: "constant key of eight bytes", typ: tc, text: "*(u64 *)(r10 - 8) = 1\nr2 = r10\nr2 += -8\nlddw r1, 5, 0\ncall bpf_map_lookup_elem\nr0 = *(u64 *)(r0 + 8)\nexit", want: "EACCES: R0 invalid mem access 'map_value_or_null'"},
		{name: "constant key, per CPU", typ: tc, text: "*(u32 *)(r10 - 4) = 1\nr2 = r10\nr2 += -4\nlddw r1, 5, 8\ncall bpf_map_lookup_elem\nr0 = *(u64 *)(r0 + 0)\nexit", want: "EACCES: R0 invalid mem access 'map_value_or_null'"},
		{name: "constant key, hash", typ: tc, text: "*(u32 *)(r10 - 4) = 1\nr2 = r10\nr2 += -4\nlddw r1, 5, 17\ncall bpf_map_lookup_elem\nr0 = *(u64 *)(r0 + 0)\nexit", want: "EACCES: R0 invalid mem access 'map_value_or_null'"},
		{name: "constant key in a register of two values", typ: tc, text: "r3 = *(u32 *)(r1 + 0)\nr3 &= 1\n*(u32 *)(r10 - 4) = r3\nr2 = r10\nr2 += -4\nlddw r1, 5, 0\ncall bpf_map_lookup_elem\nr0 = *(u64 *)(r0 + 8)\nexit", want: "EACCES: R0 invalid mem access 'map_value_or_null'"},
		{name: "value bounds", typ: tc, text: "*(u32 *)(r10 - 4) = 3\nr2 = r10\nr2 += -4\nlddw r1, 5, 0\ncall bpf_map_lookup_elem\nr0 = *(u64 *)(r0 + 9)\nexit", want: "EACCES: R0 invalid mem access 'map_value_or_null'"},
		{name: "registers are gone", typ: tc, text: "call bpf_ktime_get_ns\nr0 = r1\nexit", want: "EACCES: R1 !read_ok"},
		{name: "R5 is gone", typ: tc, text: "r5 = 1\ncall bpf_ktime_get_ns\nr0 = r5\nexit", want: "EACCES: R5 !read_ok"},
		{name: "void", typ: tc, text: "lddw r6, 5, 3\nr1 = r6\nr2 = 8\nr3 = 0\ncall bpf_ringbuf_reserve\nif r0 == 0 goto out\nr1 = r0\nr2 = 0\ncall bpf_ringbuf_submit\nexit\nout:\nr0 = 0\nexit", want: "EACCES: R0 !read_ok"},
		{name: "inner map", typ: tc, text: "*(u32 *)(r10 - 4) = 0\nr2 = r10\nr2 += -4\nlddw r1, 5, 4\ncall bpf_map_lookup_elem\nif r0 == 0 goto out\nr1 = r0\nr2 = r10\nr2 += -4\ncall bpf_map_lookup_elem\nr0 = *(u64 *)(r0 + 0)\nexit\nout:\nr0 = 0\nexit", want: "ok"},
		{name: "inner map of any size", typ: tc, text: "*(u32 *)(r10 - 4) = 0\nr2 = r10\nr2 += -4\nlddw r1, 5, 18\ncall bpf_map_lookup_elem\nif r0 == 0 goto out\nr1 = r0\nr2 = r10\nr2 += -4\ncall bpf_map_lookup_elem\nr0 = *(u64 *)(r0 + 0)\nexit\nout:\nr0 = 0\nexit", want: "EACCES: R0 invalid mem access 'map_value_or_null'"},
		{name: "pop from a device map", typ: tc, text: "r2 = r10\nr2 += -8\nlddw r1, 5, 9\ncall bpf_map_pop_elem\nr0 = 0\nexit", want: "EACCES: write into map forbidden"},
		{name: "inner map, no check", typ: tc, text: "r3 = *(u32 *)(r1 + 0)\n*(u32 *)(r10 - 4) = r3\nr2 = r10\nr2 += -4\nlddw r1, 5, 4\ncall bpf_map_lookup_elem\nr1 = r0\nr2 = r10\nr2 += -4\ncall bpf_map_lookup_elem\nr0 = 0\nexit", want: "EACCES: R1 type=map_value_or_null expected=map_ptr"},
		{name: "probe_read_str result", typ: kp, text: "r1 = r10\nr1 += -64\nr2 = 64\nr3 = 0\ncall bpf_probe_read_kernel_str\nif r0 s< 0 goto out\nr1 = r10\nr1 += -64\nr1 += r0\nr0 = *(u8 *)(r1 - 1)\nexit\nout:\nr0 = 0\nexit", want: "ok"},
		{name: "probe_read_str result, too far", typ: kp, text: "r1 = r10\nr1 += -64\nr2 = 64\nr3 = 0\ncall bpf_probe_read_kernel_str\nif r0 s< 0 goto out\nr1 = r10\nr1 += -64\nr1 += r0\nr0 = *(u8 *)(r1 + 0)\nexit\nout:\nr0 = 0\nexit", want: "EINVAL: invalid variable-offset read from stack R1 var_off=(0x0; 0x7f) off=-64 size=1"},
		// Map and helper.
		{name: "lookup in a prog array", typ: tc, text: "*(u32 *)(r10 - 4) = 0\nr2 = r10\nr2 += -4\nlddw r1, 5, 2\ncall bpf_map_lookup_elem\nr0 = 0\nexit", want: "EINVAL: cannot pass map_type 3 into func bpf_map_lookup_elem#1"},
		{name: "update of a prog array", typ: tc, text: "*(u32 *)(r10 - 4) = 0\nr2 = r10\nr2 += -4\nr3 = r2\nr4 = 0\nlddw r1, 5, 2\ncall bpf_map_update_elem\nr0 = 0\nexit", want: "EINVAL: cannot pass map_type 3 into func bpf_map_update_elem#2"},
		{name: "ringbuf output to an array", typ: tc, text: "*(u64 *)(r10 - 8) = 0\nr2 = r10\nr2 += -8\nr3 = 8\nr4 = 0\nlddw r1, 5, 0\ncall bpf_ringbuf_output\nr0 = 0\nexit", want: "EINVAL: cannot pass map_type 2 into func bpf_ringbuf_output#130"},
		{name: "redirect_map with an array", typ: xdp, text: "lddw r1, 5, 0\nr2 = 0\nr3 = 0\ncall bpf_redirect_map\nexit", want: "EINVAL: cannot pass map_type 2 into func bpf_redirect_map#51"},
		{name: "redirect_map", typ: xdp, text: "lddw r1, 5, 9\nr2 = 0\nr3 = 0\ncall bpf_redirect_map\nexit", want: "ok"},
		{name: "update of a sockmap", typ: ebpf.CGroupSKB, text: "*(u32 *)(r10 - 4) = 0\nr2 = r10\nr2 += -4\nr3 = *(u64 *)(r1 + 168)\nif r3 == 0 goto out\nr4 = 0\nlddw r1, 5, 11\ncall bpf_map_update_elem\nout:\nr0 = 0\nexit", want: "EINVAL: cannot pass map_type 15 into func bpf_map_update_elem#2"},
		{name: "sockmap value is a socket", typ: tc, text: "*(u32 *)(r10 - 4) = 0\nr2 = r10\nr2 += -4\nr3 = r2\nr4 = 0\nlddw r1, 5, 11\ncall bpf_map_update_elem\nr0 = 0\nexit", want: "EACCES: R3 type=fp expected=sock_common, sock, tcp_sock, xdp_sock, ptr_, trusted_ptr_"},
		{name: "queue pop", typ: tc, text: "lddw r1, 5, 7\nr2 = r10\nr2 += -8\ncall bpf_map_pop_elem\nr0 = *(u64 *)(r10 - 8)\nexit", want: "ok"},
		{name: "queue pop spoils a spill", typ: tc, text: "*(u64 *)(r10 - 8) = r1\nlddw r1, 5, 7\nr2 = r10\nr2 += -8\ncall bpf_map_pop_elem\nr1 = *(u64 *)(r10 - 8)\nr0 = *(u32 *)(r1 + 0)\nexit", want: "EACCES: R1 invalid mem access 'scalar'"},
		{name: "pop from read-only", typ: tc, text: "*(u32 *)(r10 - 4) = 0\nr2 = r10\nr2 += -4\nr3 = r10\nr3 += -64\nr4 = 0\nlddw r1, 5, 5\ncall bpf_map_update_elem\nr0 = 0\nexit", want: "EACCES: write into map forbidden"},
		{name: "lookup in write-only", typ: tc, text: "*(u32 *)(r10 - 4) = 0\nr2 = r10\nr2 += -4\nlddw r1, 5, 14\ncall bpf_map_lookup_elem\nr0 = *(u64 *)(r0 + 0)\nexit", want: "EACCES: read from map forbidden, value_size=8 off=0 size=8"},
		{name: "bloom peek", typ: tc, text: "*(u64 *)(r10 - 8) = 0\nlddw r1, 5, 15\nr2 = r10\nr2 += -8\ncall bpf_map_peek_elem\nr0 = 0\nexit", want: "ok"},
		{name: "bloom pop", typ: tc, text: "*(u64 *)(r10 - 8) = 0\nlddw r1, 5, 15\nr2 = r10\nr2 += -8\ncall bpf_map_pop_elem\nr0 = 0\nexit", want: "EINVAL: cannot pass map_type 30 into func bpf_map_pop_elem#88"},
		// Memory and sizes.
		{name: "size 0", typ: tc, text: "r2 = 0\nr3 = r10\nr3 += -8\nr4 = 0\ncall bpf_skb_load_bytes\nr0 = 0\nexit", want: "EACCES: R4 invalid zero-sized read: u64=[0,0]"},
		{name: "negative size", typ: tc, text: "r2 = 0\nr3 = r10\nr3 += -8\nr4 = -1\ncall bpf_skb_load_bytes\nr0 = 0\nexit", want: "EACCES: R4 min value is negative, either use unsigned or 'var &= const'"},
		{name: "unbounded size", typ: tc, text: "r4 = *(u32 *)(r1 + 0)\nif r4 == 0 goto out\nr2 = 0\nr3 = r10\nr3 += -8\ncall bpf_skb_load_bytes\nout:\nr0 = 0\nexit", want: "EACCES: R4 unbounded memory access, use 'var &= const' or 'if (var < const)'"},
		{name: "size from 0", typ: tc, text: "r4 = *(u32 *)(r1 + 0)\nr4 &= 7\nr2 = 0\nr3 = r10\nr3 += -8\ncall bpf_skb_load_bytes\nr0 = 0\nexit", want: "EACCES: R4 invalid zero-sized read: u64=[0,7]"},
		{name: "variable size", typ: tc, text: "r4 = *(u32 *)(r1 + 0)\nr4 &= 7\nr4 += 1\nr2 = 0\nr3 = r10\nr3 += -8\ncall bpf_skb_load_bytes\nr0 = *(u64 *)(r10 - 8)\nexit", want: "ok"},
		{name: "variable size too large", typ: tc, text: "r4 = *(u32 *)(r1 + 0)\nr4 &= 15\nr4 += 1\nr2 = 0\nr3 = r10\nr3 += -8\ncall bpf_skb_load_bytes\nr0 = 0\nexit", want: "EINVAL: invalid write to stack R3 off=-8 size=16"},
		{name: "filled memory", typ: tc, text: "*(u64 *)(r10 - 8) = r1\nr2 = 0\nr3 = r10\nr3 += -8\nr4 = 8\ncall bpf_skb_load_bytes\nr0 = *(u64 *)(r10 - 8)\nexit", want: "ok"},
		{name: "size is a pointer", typ: tc, text: "r4 = r1\nr2 = 0\nr3 = r10\nr3 += -8\ncall bpf_skb_load_bytes\nr0 = 0\nexit", want: "EACCES: R4 type=ctx expected=scalar"},
		{name: "memory is a scalar", typ: tc, text: "r2 = 0\nr3 = 5\nr4 = 8\ncall bpf_skb_load_bytes\nr0 = 0\nexit", want: "EACCES: R3 type=scalar expected=fp, pkt, pkt_meta, map_key, map_value, mem, ringbuf_mem, buf, trusted_ptr_"},
		{name: "memory is the context", typ: tc, text: "r2 = 0\nr3 = r1\nr4 = 8\ncall bpf_skb_load_bytes\nr0 = 0\nexit", want: "EACCES: R3 type=ctx expected=fp, pkt, pkt_meta, map_key, map_value, mem, ringbuf_mem, buf, trusted_ptr_"},
		{name: "read-only value is filled", typ: tc, text: "lddw r3, 6, 5\nr2 = 0\nr4 = 8\ncall bpf_skb_load_bytes\nr0 = 0\nexit", want: "EACCES: write into map forbidden, value_size=48 off=0 size=8"},
		{name: "read-only value is read", typ: tc, text: "r2 = 0\nlddw r3, 6, 5\nr4 = 8\nr5 = 0\ncall bpf_skb_store_bytes\nr0 = 0\nexit", want: "ok"},
		{name: "value is read past its end", typ: tc, text: "r2 = 0\nlddw r3, 6, 12\nr4 = 9\nr5 = 0\ncall bpf_skb_store_bytes\nr0 = 0\nexit", want: "EACCES: R3 min value is outside of the allowed memory range"},
		{name: "packet as memory", typ: tc, text: "r2 = *(u32 *)(r1 + 76)\nr3 = *(u32 *)(r1 + 80)\nr4 = r2\nr4 += 8\nif r4 > r3 goto out\nr1 = 0\nr3 = r2\nr2 = 0\nr4 = 8\nr5 = 0\nr1 = 0\nr2 = 0\ncall bpf_csum_diff\nout:\nr0 = 0\nexit", want: "ok"},
		{name: "packet as memory, too much", typ: tc, text: "r2 = *(u32 *)(r1 + 76)\nr3 = *(u32 *)(r1 + 80)\nr4 = r2\nr4 += 8\nif r4 > r3 goto out\nr3 = r2\nr4 = 12\nr5 = 0\nr1 = 0\nr2 = 0\ncall bpf_csum_diff\nout:\nr0 = 0\nexit", want: "EACCES: R3 offset is outside of the packet"},
		{name: "packet where it is not allowed", typ: tc, text: "r6 = r1\nr2 = *(u32 *)(r1 + 76)\nr3 = *(u32 *)(r1 + 80)\nr4 = r2\nr4 += 8\nif r4 > r3 goto out\nr3 = r2\nr2 = 0\nr4 = 8\nr5 = 0\nr1 = r6\ncall bpf_skb_store_bytes\nout:\nr0 = 0\nexit", want: "EACCES: helper access to the packet is not allowed"},
		{name: "null or memory: null, size 8", typ: tc, text: "r1 = 0\nr2 = 8\nr3 = 0\nr4 = 0\nr5 = 0\ncall bpf_csum_diff\nr0 = 0\nexit", want: "EACCES: R1 type=scalar expected=fp"},
		{name: "null or memory: null, size 0", typ: tc, text: "r1 = 0\nr2 = 0\nr3 = 0\nr4 = 0\nr5 = 0\ncall bpf_csum_diff\nr0 = 0\nexit", want: "ok"},
		{name: "null or memory: number", typ: tc, text: "r1 = 1\nr2 = 0\nr3 = 0\nr4 = 0\nr5 = 0\ncall bpf_csum_diff\nr0 = 0\nexit", want: "EACCES: R1 type=scalar expected=fp, pkt, pkt_meta, map_key, map_value, mem, ringbuf_mem, buf, trusted_ptr_"},
		{name: "null or memory: value or null", typ: tc, text: "*(u64 *)(r10 - 8) = 0\nr2 = r10\nr2 += -8\nlddw r1, 5, 1\ncall bpf_map_lookup_elem\nr1 = r0\nr2 = 8\nr3 = 0\nr4 = 0\nr5 = 0\ncall bpf_csum_diff\nr0 = 0\nexit", want: "ok"},
		{name: "fixed size memory", typ: tc, text: "r1 = r10\nr1 += -8\n*(u64 *)(r10 - 8) = 0\nr2 = 8\nr3 = 0\nr4 = r10\nr4 += -16\ncall bpf_strtol\nr0 = *(u64 *)(r10 - 16)\nexit", want: "ok"},
		{name: "fixed size memory, misaligned", typ: tc, text: "r1 = r10\nr1 += -8\n*(u64 *)(r10 - 8) = 0\nr2 = 8\nr3 = 0\nr4 = r10\nr4 += -20\ncall bpf_strtol\nr0 = 0\nexit", want: "EACCES: misaligned stack access off 0+-20+0 size 8"},
		{name: "fixed size memory, outside", typ: tc, text: "r1 = r10\nr1 += -8\n*(u64 *)(r10 - 8) = 0\nr2 = 8\nr3 = 0\nr4 = r10\nr4 += -4\ncall bpf_strtol\nr0 = 0\nexit", want: "EINVAL: invalid write to stack R4 off=-4 size=8"},
		// Context.
		{name: "ctx with an offset", typ: tc, text: "r1 += 8\nr2 = 0\ncall bpf_skb_pull_data\nr0 = 0\nexit", want: "EACCES: dereference of modified ctx ptr R1 off=8 disallowed"},
		{name: "ctx is a number", typ: tc, text: "r1 = 0\nr2 = 0\ncall bpf_skb_pull_data\nr0 = 0\nexit", want: "EACCES: R1 type=scalar expected=ctx"},
		{name: "ctx with a variable offset", typ: tc, text: "r2 = *(u32 *)(r1 + 0)\nr1 += r2\nr2 = 0\ncall bpf_skb_pull_data\nr0 = 0\nexit", want: "EACCES: variable ctx access var_off=(0x0; 0xffffffff) disallowed"},
		// Packet pointers after a call.
		{name: "packet pointer after pull", typ: tc, text: "r6 = *(u32 *)(r1 + 76)\nr3 = *(u32 *)(r1 + 80)\nr4 = r6\nr4 += 8\nif r4 > r3 goto out\nr2 = 0\ncall bpf_skb_pull_data\nr0 = *(u8 *)(r6 + 0)\nout:\nr0 = 0\nexit", want: "EACCES: R6 invalid mem access 'scalar'"},
		{name: "packet pointer after a harmless helper", typ: tc, text: "r6 = *(u32 *)(r1 + 76)\nr3 = *(u32 *)(r1 + 80)\nr4 = r6\nr4 += 8\nif r4 > r3 goto out\ncall bpf_ktime_get_ns\nr0 = *(u8 *)(r6 + 0)\nout:\nr0 = 0\nexit", want: "ok"},
		{name: "xdp adjust_head", typ: xdp, text: "r6 = *(u32 *)(r1 + 0)\nr3 = *(u32 *)(r1 + 4)\nr4 = r6\nr4 += 8\nif r4 > r3 goto out\nr2 = 0\ncall bpf_xdp_adjust_head\nr0 = *(u8 *)(r6 + 0)\nout:\nr0 = 0\nexit", want: "EACCES: R6 invalid mem access 'scalar'"},
		// Strings.
		{name: "snprintf", typ: tc, text: "r1 = r10\nr1 += -32\nr2 = 32\nlddw r3, 6, 5\n*(u64 *)(r10 - 40) = 0\n*(u64 *)(r10 - 48) = 0\nr4 = r10\nr4 += -48\nr5 = 16\ncall bpf_snprintf\nr0 = 0\nexit", want: "ok"},
		{name: "snprintf, too few values", typ: tc, text: "r1 = r10\nr1 += -32\nr2 = 32\nlddw r3, 6, 5\n*(u64 *)(r10 - 40) = 0\nr4 = r10\nr4 += -40\nr5 = 8\ncall bpf_snprintf\nr0 = 0\nexit", want: "EINVAL: Invalid format string"},
		{name: "snprintf, size not of 8", typ: tc, text: "r1 = r10\nr1 += -32\nr2 = 32\nlddw r3, 6, 5\n*(u64 *)(r10 - 40) = 0\nr4 = r10\nr4 += -40\nr5 = 4\ncall bpf_snprintf\nr0 = 0\nexit", want: "EINVAL: "},
		{name: "snprintf, bad conversion", typ: tc, text: "r1 = r10\nr1 += -32\nr2 = 32\nlddw r3, 6, 5\nr3 += 8\n*(u64 *)(r10 - 40) = 0\nr4 = r10\nr4 += -40\nr5 = 8\ncall bpf_snprintf\nr0 = 0\nexit", want: "EINVAL: Invalid format string"},
		{name: "snprintf, third format", typ: tc, text: "r1 = r10\nr1 += -32\nr2 = 32\nlddw r3, 6, 5\nr3 += 15\n*(u64 *)(r10 - 40) = 0\n*(u64 *)(r10 - 48) = 0\nr4 = r10\nr4 += -48\nr5 = 16\ncall bpf_snprintf\nr0 = 0\nexit", want: "ok"},
		{name: "string in a writable map", typ: tc, text: "*(u64 *)(r10 - 8) = 0\nr1 = r10\nr1 += -8\nr2 = 8\nlddw r3, 6, 12\ncall bpf_strncmp\nr0 = 0\nexit", want: "EINVAL: string is not zero-terminated"},
		{name: "string in an array", typ: tc, text: "*(u32 *)(r10 - 4) = 0\nr2 = r10\nr2 += -4\nlddw r1, 5, 0\ncall bpf_map_lookup_elem\n*(u64 *)(r10 - 8) = 0\nr1 = r10\nr1 += -8\nr2 = 8\nr3 = r0\ncall bpf_strncmp\nr0 = 0\nexit", want: "EACCES: R3 does not point to a readonly map'"},
		{name: "string on the stack", typ: tc, text: "*(u64 *)(r10 - 8) = 0\nr1 = r10\nr1 += -8\nr2 = 8\nr3 = r1\ncall bpf_strncmp\nr0 = 0\nexit", want: "EACCES: R3 type=fp expected=map_value"},
		{name: "string", typ: tc, text: "*(u64 *)(r10 - 8) = 0\nr1 = r10\nr1 += -8\nr2 = 8\nlddw r3, 6, 5\ncall bpf_strncmp\nr0 = 0\nexit", want: "ok"},
		// References.
		{name: "ringbuf record is not given up", typ: tc, text: "lddw r1, 5, 3\nr2 = 8\nr3 = 0\ncall bpf_ringbuf_reserve\nr0 = 0\nexit", want: "EINVAL: BPF_EXIT instruction in main prog would lead to reference leak"},
		{name: "ringbuf record", typ: tc, text: "lddw r1, 5, 3\nr2 = 8\nr3 = 0\ncall bpf_ringbuf_reserve\nif r0 == 0 goto out\n*(u64 *)(r0 + 0) = 1\nr1 = r0\nr2 = 0\ncall bpf_ringbuf_submit\nout:\nr0 = 0\nexit", want: "ok"},
		{name: "ringbuf record, outside", typ: tc, text: "lddw r1, 5, 3\nr2 = 8\nr3 = 0\ncall bpf_ringbuf_reserve\nif r0 == 0 goto out\n*(u64 *)(r0 + 8) = 1\nr1 = r0\nr2 = 0\ncall bpf_ringbuf_submit\nout:\nr0 = 0\nexit", want: "EACCES: R0 min value is outside of the allowed memory range"},
		{name: "ringbuf record used after submit", typ: tc, text: "lddw r1, 5, 3\nr2 = 8\nr3 = 0\ncall bpf_ringbuf_reserve\nif r0 == 0 goto out\nr6 = r0\nr1 = r0\nr2 = 0\ncall bpf_ringbuf_submit\nr0 = *(u64 *)(r6 + 0)\nout:\nr0 = 0\nexit", want: "EACCES: R6 invalid mem access 'scalar'"},
		{name: "ringbuf record submitted twice", typ: tc, text: "lddw r1, 5, 3\nr2 = 8\nr3 = 0\ncall bpf_ringbuf_reserve\nif r0 == 0 goto out\nr6 = r0\nr1 = r0\nr2 = 0\ncall bpf_ringbuf_submit\nr1 = r6\nr2 = 0\ncall bpf_ringbuf_discard\nout:\nr0 = 0\nexit", want: "EACCES: R1 type=scalar expected=ringbuf_mem"},
		{name: "ringbuf record with an offset", typ: tc, text: "lddw r1, 5, 3\nr2 = 8\nr3 = 0\ncall bpf_ringbuf_reserve\nif r0 == 0 goto out\nr1 = r0\nr1 += 4\nr2 = 0\ncall bpf_ringbuf_submit\nout:\nr0 = 0\nexit", want: "EINVAL: R1 must have zero offset when passed to release func or trusted arg to kfunc"},
		{name: "ringbuf record or null", typ: tc, text: "lddw r1, 5, 3\nr2 = 8\nr3 = 0\ncall bpf_ringbuf_reserve\nr1 = r0\nr2 = 0\ncall bpf_ringbuf_submit\nr0 = 0\nexit", want: "EACCES: R1 type=ringbuf_mem_or_null expected=ringbuf_mem"},
		{name: "ringbuf record of unknown size", typ: tc, text: "r2 = *(u32 *)(r1 + 0)\nlddw r1, 5, 3\nr3 = 0\ncall bpf_ringbuf_reserve\nr0 = 0\nexit", want: "EACCES: R2 is not a known constant'"},
		{name: "submit of the stack", typ: tc, text: "r1 = r10\nr1 += -8\nr2 = 0\ncall bpf_ringbuf_submit\nr0 = 0\nexit", want: "EACCES: R1 type=fp expected=ringbuf_mem"},
		{name: "ringbuf record as memory", typ: tc, text: "r7 = r1\nlddw r1, 5, 3\nr2 = 8\nr3 = 0\ncall bpf_ringbuf_reserve\nif r0 == 0 goto out\nr6 = r0\nr1 = r7\nr2 = 0\nr3 = r6\nr4 = 8\ncall bpf_skb_load_bytes\nr1 = r6\nr2 = 0\ncall bpf_ringbuf_submit\nout:\nr0 = 0\nexit", want: "ok"},
		{name: "socket is not released", typ: tc, text: "*(u64 *)(r10 - 8) = 0\n*(u32 *)(r10 - 12) = 0\nr2 = r10\nr2 += -12\nr3 = 12\nr4 = 0\nr5 = 0\ncall bpf_sk_lookup_tcp\nif r0 == 0 goto out\nr0 = 1\nout:\nexit", want: "EINVAL: BPF_EXIT instruction in main prog would lead to reference leak"},
		{name: "socket is released", typ: tc, text: "*(u64 *)(r10 - 8) = 0\n*(u32 *)(r10 - 12) = 0\nr2 = r10\nr2 += -12\nr3 = 12\nr4 = 0\nr5 = 0\ncall bpf_sk_lookup_tcp\nif r0 == 0 goto out\nr1 = r0\ncall bpf_sk_release\nout:\nr0 = 0\nexit", want: "ok"},
		{name: "socket or null is released", typ: tc, text: "*(u64 *)(r10 - 8) = 0\n*(u32 *)(r10 - 12) = 0\nr2 = r10\nr2 += -12\nr3 = 12\nr4 = 0\nr5 = 0\ncall bpf_sk_lookup_tcp\nr1 = r0\ncall bpf_sk_release\nr0 = 0\nexit", want: "EACCES: R1 type=sock_or_null expected=sock_common, sock, tcp_sock, xdp_sock, ptr_, trusted_ptr_"},
		{name: "context's socket is released", typ: tc, text: "r1 = *(u64 *)(r1 + 168)\nif r1 == 0 goto out\ncall bpf_sk_release\nout:\nr0 = 0\nexit", want: "EINVAL: R1 must be referenced when passed to release function"},
		{name: "tcp_sock of a socket", typ: tc, text: "r1 = *(u64 *)(r1 + 168)\nif r1 == 0 goto out\ncall bpf_tcp_sock\nif r0 == 0 goto out\nr0 = *(u32 *)(r0 + 0)\nout:\nr0 = 0\nexit", want: "ok"},
		{name: "tcp_sock of an acquired socket after release", typ: tc, text: "*(u64 *)(r10 - 8) = 0\n*(u32 *)(r10 - 12) = 0\nr2 = r10\nr2 += -12\nr3 = 12\nr4 = 0\nr5 = 0\ncall bpf_sk_lookup_tcp\nif r0 == 0 goto out\nr6 = r0\nr1 = r0\ncall bpf_tcp_sock\nr7 = r0\nr1 = r6\ncall bpf_sk_release\nif r7 == 0 goto out\nr0 = *(u32 *)(r7 + 0)\nout:\nr0 = 0\nexit", want: "EACCES: R7 invalid mem access 'scalar'"},
		{name: "release through tcp_sock", typ: tc, text: "*(u64 *)(r10 - 8) = 0\n*(u32 *)(r10 - 12) = 0\nr2 = r10\nr2 += -12\nr3 = 12\nr4 = 0\nr5 = 0\ncall bpf_sk_lookup_tcp\nif r0 == 0 goto out\nr6 = r0\nr1 = r0\ncall bpf_tcp_sock\nif r0 == 0 goto sk\nr6 = r0\nsk:\nr1 = r6\ncall bpf_sk_release\nout:\nr0 = 0\nexit", want: "ok"},
		{name: "socket common as full socket", typ: ebpf.CGroupSKB, text: "r1 = *(u64 *)(r1 + 168)\nif r1 == 0 goto out\nr2 = 0\nr3 = 0\ncall bpf_sk_ancestor_cgroup_id\nout:\nr0 = 0\nexit", want: "ok"},
		{name: "sock_common from sk_fullsock", typ: tc, text: "r1 = *(u64 *)(r1 + 168)\nif r1 == 0 goto out\ncall bpf_sk_fullsock\nr0 = *(u32 *)(r0 + 0)\nout:\nr0 = 0\nexit", want: "EACCES: R0 invalid mem access 'sock_or_null'"},
		{name: "number as socket", typ: tc, text: "r1 = 5\ncall bpf_tcp_sock\nr0 = 0\nexit", want: "EACCES: R1 type=scalar expected=sock_common, sock, tcp_sock, xdp_sock"},
		{name: "two references", typ: tc, text: "r6 = 0\nlddw r1, 5, 3\nr2 = 8\nr3 = 0\ncall bpf_ringbuf_reserve\nlddw r1, 5, 3\nr2 = 8\nr3 = 0\ncall bpf_ringbuf_reserve\nr0 = 0\nexit", want: "EINVAL: BPF_EXIT instruction in main prog would lead to reference leak"},
		// Tail calls.
		{name: "tail call", typ: tc, text: "lddw r2, 5, 2\nr3 = 0\ncall bpf_tail_call\nr0 = 0\nexit", want: "ok"},
		{name: "tail call, R0", typ: tc, text: "lddw r2, 5, 2\nr3 = 0\ncall bpf_tail_call\nexit", want: "EACCES: R0 !read_ok"},
		{name: "tail call, R1", typ: tc, text: "lddw r2, 5, 2\nr3 = 0\ncall bpf_tail_call\nr0 = r1\nexit", want: "EACCES: R1 !read_ok"},
		{name: "tail call, R1 a number", typ: tc, text: "r1 = 0\nlddw r2, 5, 2\nr3 = 0\ncall bpf_tail_call\nr0 = 0\nexit", want: "EACCES: R1 type=scalar expected=ctx"},
		{name: "tail call, R1 the stack", typ: tc, text: "r1 = r10\nlddw r2, 5, 2\nr3 = 0\ncall bpf_tail_call\nr0 = 0\nexit", want: "EACCES: R1 type=fp expected=ctx"},
		{name: "tail call, R1 with an offset", typ: tc, text: "r1 += 8\nlddw r2, 5, 2\nr3 = 0\ncall bpf_tail_call\nr0 = 0\nexit", want: "EACCES: dereference of modified ctx ptr R1 off=8 disallowed"},
		{name: "tail call, R2 a number", typ: tc, text: "r2 = 0\nr3 = 0\ncall bpf_tail_call\nr0 = 0\nexit", want: "EACCES: R2 type=scalar expected=map_ptr"},
		{name: "tail call, R2 an array", typ: tc, text: "lddw r2, 5, 0\nr3 = 0\ncall bpf_tail_call\nr0 = 0\nexit", want: "EINVAL: expected prog array map for tail call"},
		{name: "tail call, no R3", typ: tc, text: "lddw r2, 5, 2\ncall bpf_tail_call\nr0 = 0\nexit", want: "EACCES: R3 !read_ok"},
		{name: "tail call, R3 a pointer", typ: tc, text: "r3 = r10\nlddw r2, 5, 2\ncall bpf_tail_call\nr0 = 0\nexit", want: "ok"},
		{name: "tail call with a record", typ: tc, text: "r6 = r1\nlddw r1, 5, 3\nr2 = 8\nr3 = 0\ncall bpf_ringbuf_reserve\nr7 = r0\nr1 = r6\nlddw r2, 5, 2\nr3 = 0\ncall bpf_tail_call\nr0 = 0\nexit", want: "EINVAL: tail_call would lead to reference leak"},
		{name: "packet pointer after a tail call", typ: tc, text: "r6 = *(u32 *)(r1 + 76)\nr3 = *(u32 *)(r1 + 80)\nr4 = r6\nr4 += 8\nif r4 > r3 goto out\nlddw r2, 5, 2\nr3 = 0\ncall bpf_tail_call\nr0 = *(u8 *)(r6 + 0)\nout:\nr0 = 0\nexit", want: "ok"},
		{name: "packet pointer after a tail call in a subprogram", typ: tc, text: "r7 = r1\nr6 = *(u32 *)(r1 + 76)\nr3 = *(u32 *)(r1 + 80)\nr4 = r6\nr4 += 8\nif r4 > r3 goto out\nr1 = r7\ncall sub\nr0 = *(u8 *)(r6 + 0)\nout:\nr0 = 0\nexit\nfunc sub\nlddw r2, 5, 2\nr3 = 0\ncall bpf_tail_call\nr0 = 0\nexit", want: "EACCES: R6 invalid mem access 'scalar'"},
		{name: "result of a subprogram with a tail call", typ: tc, text: "call sub\nr1 = r10\nr1 += -8\nr1 += r0\nr0 = *(u8 *)(r1 + 0)\nr0 = 0\nexit\nfunc sub\nlddw r2, 5, 2\nr3 = 0\ncall bpf_tail_call\nr0 = 0\nexit", want: "EINVAL: math between fp pointer and register with unbounded min value is not allowed"},
		{name: "record of the subprogram at its tail call", typ: tc, text: "call sub\nr0 = 0\nexit\nfunc sub\nr6 = r1\nlddw r1, 5, 3\nr2 = 8\nr3 = 0\ncall bpf_ringbuf_reserve\nr7 = r0\nr1 = r6\nlddw r2, 5, 2\nr3 = 0\ncall bpf_tail_call\nif r7 == 0 goto out\nr1 = r7\nr2 = 0\ncall bpf_ringbuf_submit\nout:\nr0 = 0\nexit", want: "EINVAL: BPF_EXIT instruction in main prog would lead to reference leak"},
		{name: "record of the main program at a subprogram's tail call", typ: tc, text: "r6 = r1\nlddw r1, 5, 3\nr2 = 8\nr3 = 0\ncall bpf_ringbuf_reserve\nr7 = r0\nr1 = r6\ncall sub\nif r7 == 0 goto out\nr1 = r7\nr2 = 0\ncall bpf_ringbuf_submit\nout:\nr0 = 0\nexit\nfunc sub\nlddw r2, 5, 2\nr3 = 0\ncall bpf_tail_call\nr0 = 0\nexit", want: "ok"},
		// Return values.
		{name: "return range", typ: ebpf.CGroupSKB, text: "r0 = 2\nexit", want: "EINVAL: At program exit the register R0 has smin=2 smax=2 should have been in [0, 1]"},
		{name: "return range, egress", typ: ebpf.CGroupSKB, attach: ebpf.AttachCGroupInetEgress, text: "r0 = 2\nexit", want: "ok"},
		{name: "return unknown", typ: ebpf.CGroupSKB, text: "call bpf_ktime_get_ns\nexit", want: "EINVAL: At program exit the register R0 has unknown scalar value should have been in [0, 1]"},
		{name: "return 32 bits", typ: ebpf.CGroupSKB, text: "call bpf_ktime_get_ns\nw0 = w0\nexit", want: "EINVAL: At program exit the register R0 has smin=0 smax=4294967295 should have been in [0, 1]"},
		{name: "return a pointer", typ: ebpf.CGroupSKB, text: "r0 = r10\nexit", want: "EINVAL: At program exit the register R0 is not a known value (fp)"},
		{name: "return a pointer, any value", typ: tc, text: "r0 = r10\nexit", want: "ok"},
		{name: "return nothing", typ: tc, text: "exit", want: "EACCES: R0 !read_ok"},
		// Global functions.
		{name: "global function", typ: tc, text: "r1 = 1\ncall sub\nr0 = 0\nexit\nglobal func sub (int a)\nr0 = r1\nexit", want: "ok"},
		{name: "global function, pointer as number", typ: tc, text: "r1 = r10\ncall sub\nr0 = 0\nexit\nglobal func sub (int a)\nr0 = 0\nexit", want: "EINVAL: Caller passes invalid args into func#1 ('sub')"},
		{name: "global function, context", typ: tc, text: "call sub\nr0 = 0\nexit\nglobal func sub (struct __sk_buff *ctx)\nr0 = *(u32 *)(r1 + 0)\nexit", want: "ok"},
		{name: "global function, not the context", typ: tc, text: "r1 = 0\ncall sub\nr0 = 0\nexit\nglobal func sub (struct __sk_buff *ctx)\nr0 = 0\nexit", want: "EINVAL: Caller passes invalid args into func#1 ('sub')"},
		{name: "global function, context with an offset", typ: tc, text: "r1 += 8\ncall sub\nr0 = 0\nexit\nglobal func sub (struct __sk_buff *ctx)\nr0 = 0\nexit", want: "EACCES: Caller passes invalid args into func#1 ('sub')"},
		{name: "global function, memory", typ: tc, text: "r1 = r10\nr1 += -8\ncall sub\nr0 = 0\nexit\nglobal func sub (u64 *p)\nif r1 == 0 goto out\nr0 = *(u64 *)(r1 + 0)\nout:\nr0 = 0\nexit", want: "ok"},
		{name: "global function, u8 pointer to the packet", typ: tc, text: "r2 = *(u32 *)(r1 + 76)\nr3 = *(u32 *)(r1 + 80)\nr4 = r2\nr4 += 8\nif r4 > r3 goto out\nr1 = r2\ncall sub\nout:\nr0 = 0\nexit\nglobal func sub (u64 *p)\nr0 = 0\nexit", want: "ok"},
		{name: "global function, value or null", typ: tc, text: "*(u64 *)(r10 - 8) = 0\nr2 = r10\nr2 += -8\nlddw r1, 5, 1\ncall bpf_map_lookup_elem\nr1 = r0\ncall sub\nr0 = 0\nexit\nglobal func sub (u64 *p)\nr0 = 0\nexit", want: "ok"},
		{name: "global function, read-only value", typ: tc, text: "lddw r1, 6, 5\ncall sub\nr0 = 0\nexit\nglobal func sub (u64 *p)\nr0 = 0\nexit", want: "EINVAL: Caller passes invalid args into func#1 ('sub')"},
		{name: "global function, forward struct", typ: tc, text: "call sub\nr0 = 0\nexit\nglobal func sub (struct nobody *p)\nr0 = 0\nexit", want: "EINVAL: Caller passes invalid args into func#1 ('sub')"},
		{name: "global function in XDP", typ: xdp, text: "call sub\nr0 = 0\nexit\nglobal func sub (struct xdp_md *ctx)\nr0 = *(u32 *)(r1 + 4)\nr0 = 0\nexit", want: "ok"},
		{name: "global function moves the packet", typ: xdp, text: "r6 = *(u32 *)(r1 + 0)\nr3 = *(u32 *)(r1 + 4)\nr4 = r6\nr4 += 8\nif r4 > r3 goto out\ncall sub\nr0 = *(u8 *)(r6 + 0)\nout:\nr0 = 0\nexit\nglobal func sub (struct xdp_md *ctx)\nr2 = 0\ncall bpf_xdp_adjust_head\nr0 = 0\nexit", want: "EACCES: R6 invalid mem access 'scalar'"},
		{name: "global function with a tail call", typ: tc, text: "r6 = *(u32 *)(r1 + 76)\nr3 = *(u32 *)(r1 + 80)\nr4 = r6\nr4 += 8\nif r4 > r3 goto out\ncall sub\nr0 = *(u8 *)(r6 + 0)\nout:\nr0 = 0\nexit\nglobal func sub (struct __sk_buff *ctx)\nlddw r2, 5, 2\nr3 = 0\ncall bpf_tail_call\nr0 = 0\nexit", want: "EACCES: R6 invalid mem access 'scalar'"},
		{name: "global function leaks a record", typ: tc, text: "r1 = 0\ncall sub\nr0 = 0\nexit\nglobal func sub (int a)\nlddw r1, 5, 3\nr2 = 8\nr3 = 0\ncall bpf_ringbuf_reserve\nr0 = 0\nexit", want: "EINVAL: BPF_EXIT instruction in main prog would lead to reference leak"},
		{name: "global function, memory not checked", typ: tc, text: "r1 = r10\nr1 += -8\ncall sub\nr0 = 0\nexit\nglobal func sub (u64 *p)\nr0 = *(u64 *)(r1 + 0)\nexit", want: "EACCES: R1 invalid mem access 'mem_or_null'"},
		{name: "global function, memory too small", typ: tc, text: "r1 = r10\nr1 += -4\ncall sub\nr0 = 0\nexit\nglobal func sub (u64 *p)\nr0 = 0\nexit", want: "EINVAL: Caller passes invalid args into func#1 ('sub')"},
		{name: "global function, memory a number", typ: tc, text: "r1 = 7\ncall sub\nr0 = 0\nexit\nglobal func sub (u64 *p)\nr0 = 0\nexit", want: "EINVAL: Caller passes invalid args into func#1 ('sub')"},
		{name: "global function, memory null", typ: tc, text: "r1 = 0\ncall sub\nr0 = 0\nexit\nglobal func sub (u64 *p)\nr0 = 0\nexit", want: "ok"},
		{name: "global function, context as memory", typ: tc, text: "call sub\nr0 = 0\nexit\nglobal func sub (u64 *p)\nr0 = 0\nexit", want: "EINVAL: Caller passes invalid args into func#1 ('sub')"},
		{name: "global function, void pointer", typ: tc, text: "call sub\nr0 = 0\nexit\nglobal func sub (void *p)\nr0 = 0\nexit", want: "EINVAL: Caller passes invalid args into func#1 ('sub')"},
		{name: "global function returns void", typ: tc, text: "r1 = 1\ncall sub\nr0 = 0\nexit\nglobal func sub (int a) void\nr0 = 0\nexit", want: "EINVAL: Caller passes invalid args into func#1 ('sub')"},
		{name: "global function returns a pointer", typ: tc, text: "r1 = 1\ncall sub\nr0 = 0\nexit\nglobal func sub (int a)\nr0 = r10\nexit", want: "EINVAL: At subprogram exit the register R0 is not a scalar value (fp)"},
		{name: "global function spoils memory", typ: tc, text: "*(u64 *)(r10 - 8) = r1\nr1 = r10\nr1 += -8\ncall sub\nr1 = *(u64 *)(r10 - 8)\nr0 = *(u32 *)(r1 + 0)\nexit\nglobal func sub (u64 *p)\nr0 = 0\nexit", want: "EACCES: R1 invalid mem access 'scalar'"},
		{name: "global function, six parameters", typ: tc, text: "call sub\nr0 = 0\nexit\nglobal func sub (int a, int b, int c, int d, int e, int f)\nr0 = 0\nexit", want: "EINVAL: Caller passes invalid args into func#1 ('sub')"},
		// Legacy packet loads.
		{name: "ld_abs", typ: tc, text: "r6 = r1\nr0 = *(u8 *)skb[0]\nexit", want: "ok"},
		{name: "ld_abs, R6", typ: tc, text: "r0 = *(u8 *)skb[0]\nexit", want: "EACCES: R6 !read_ok"},
		{name: "ld_abs, R6 not the context", typ: tc, text: "r6 = 0\nr0 = *(u8 *)skb[0]\nexit", want: "EINVAL: at the time of BPF_LD_ABS|IND R6 != pointer to skb"},
		{name: "ld_abs, type", typ: xdp, text: "r6 = r1\nr0 = *(u8 *)skb[0]\nexit", want: "EINVAL: BPF_LD_[ABS|IND] instructions not allowed for this program type"},
		{name: "ld_abs clears R1", typ: tc, text: "r6 = r1\nr0 = *(u8 *)skb[0]\nr0 = r1\nexit", want: "EACCES: R1 !read_ok"},
		{name: "ld_ind without a register", typ: tc, text: "r6 = r1\nr0 = *(u8 *)skb[r7 + 0]\nexit", want: "EACCES: R7 !read_ok"},
		{name: "ld_abs with a record", typ: tc, text: "r6 = r1\nlddw r1, 5, 3\nr2 = 8\nr3 = 0\ncall bpf_ringbuf_reserve\nr7 = r0\nr0 = *(u8 *)skb[0]\nexit", want: "EINVAL: BPF_LD_[ABS|IND] would lead to reference leak"},
		{name: "ld_abs in a subprogram", typ: tc, text: "call sub\nif r0 != 0 goto out\nr0 = *(u64 *)(r10 + 8)\nout:\nr0 = 0\nexit\nfunc sub\nr6 = r1\nr0 = *(u8 *)skb[0]\nr0 = 1\nexit", want: "EACCES: invalid read from stack R10 off=8 size=8"},
		// Cgroup storage, stacks, perf events.
		{name: "local storage", typ: ebpf.CGroupSKB, text: "lddw r1, 5, 10\nr2 = 0\ncall bpf_get_local_storage\nr0 = *(u64 *)(r0 + 0)\nr0 = 0\nexit", want: "ok"},
		{name: "local storage, flags", typ: ebpf.CGroupSKB, text: "lddw r1, 5, 10\nr2 = 1\ncall bpf_get_local_storage\nr0 = 0\nexit", want: "EINVAL: get_local_storage() doesn't support non-zero flags"},
		{name: "two storages", typ: ebpf.CGroupSKB, text: "lddw r1, 5, 10\nlddw r1, 5, 16\nr0 = 0\nexit", want: "EBUSY: only one cgroup storage of each type is allowed"},
		{name: "stack id", typ: kp, text: "lddw r2, 5, 13\nr3 = 0\ncall bpf_get_stackid\nr0 = 0\nexit", want: "ok"},
		{name: "stack id from an array", typ: kp, text: "lddw r2, 5, 0\nr3 = 0\ncall bpf_get_stackid\nr0 = 0\nexit", want: "EINVAL: cannot pass map_type 2 into func bpf_get_stackid#27"},
		{name: "get_stack result", typ: kp, text: "r2 = r10\nr2 += -64\nr3 = 64\nr4 = 0\ncall bpf_get_stack\nif r0 s<= 0 goto out\nr1 = r10\nr1 += -64\nr1 += r0\nr0 = *(u8 *)(r1 - 1)\nout:\nr0 = 0\nexit", want: "ok"},
		{name: "perf event output", typ: xdp, text: "*(u64 *)(r10 - 8) = 0\nlddw r2, 5, 6\nr3 = 0\nr4 = r10\nr4 += -8\nr5 = 8\ncall bpf_perf_event_output\nr0 = 0\nexit", want: "ok"},
		{name: "func_ip", typ: kp, text: "call bpf_get_func_ip\nr0 = 0\nexit", want: "ok"},
		{name: "task", typ: kp, text: "call bpf_get_current_task_btf\nr1 = r0\ncall bpf_task_pt_regs\nr0 = 0\nexit", want: "ok"},
		// Callbacks.
		{name: "loop", typ: tc, text: "r1 = 10\nr3 = 0\nr4 = 0\nr2 = func[cb] ll\ncall bpf_loop\nr0 = 0\nexit\nfunc cb (u64 i, void *ctx)\nr0 = 0\nexit", want: "ok"},
		{name: "loop, return value", typ: tc, text: "r1 = 10\nr3 = 0\nr4 = 0\nr2 = func[cb] ll\ncall bpf_loop\nr0 = 0\nexit\nfunc cb (u64 i, void *ctx)\nr0 = 2\nexit", want: "EINVAL: At callback return the register R0 has smin=2 smax=2 should have been in [0, 1]"},
		{name: "loop over the stack", typ: tc, text: "*(u64 *)(r10 - 8) = 0\nr1 = 10\nr3 = r10\nr3 += -8\nr4 = 0\nr2 = func[cb] ll\ncall bpf_loop\nr0 = *(u64 *)(r10 - 8)\nexit\nfunc cb (u64 i, void *ctx)\nr1 = *(u64 *)(r2 + 0)\nr1 += 1\n*(u64 *)(r2 + 0) = r1\nr0 = 0\nexit", want: "ok"},
		{name: "loop, no function", typ: tc, text: "r1 = 10\nr2 = 0\nr3 = 0\nr4 = 0\ncall bpf_loop\nr0 = 0\nexit", want: "EACCES: R2 type=scalar expected=func"},
		{name: "for each", typ: tc, text: "lddw r1, 5, 0\nr3 = 0\nr4 = 0\nr2 = func[cb] ll\ncall bpf_for_each_map_elem\nr0 = 0\nexit\nfunc cb (void *map, u32 *key, u64 *value, void *ctx)\nr0 = *(u64 *)(r3 + 8)\nr0 = *(u32 *)(r2 + 0)\nr0 = 0\nexit", want: "ok"},
		{name: "for each, key written", typ: tc, text: "lddw r1, 5, 0\nr3 = 0\nr4 = 0\nr2 = func[cb] ll\ncall bpf_for_each_map_elem\nr0 = 0\nexit\nfunc cb (void *map, u32 *key, u64 *value, void *ctx)\n*(u32 *)(r2 + 0) = 1\nr0 = 0\nexit", want: "EACCES: write to change key R2 not allowed"},
		{name: "for each of a queue", typ: tc, text: "lddw r1, 5, 7\nr3 = 0\nr4 = 0\nr2 = func[cb] ll\ncall bpf_for_each_map_elem\nr0 = 0\nexit\nfunc cb (void *map, u32 *key, u64 *value, void *ctx)\nr0 = 0\nexit", want: "ENOTSUPP: callback function not allowed for map"},
	}
}
