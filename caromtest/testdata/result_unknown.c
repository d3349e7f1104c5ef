// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* The result of a subprogram that tail-calls is unknown, whatever the subprogram
 * itself returns: it cannot index a map value. Refused at load. */
#include "common.h"

PROG_ARRAY(jmp_table, 1);

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64[4]);
} numbers SEC(".maps");

static __noinline __u64 from_subprogram(struct __sk_buff *skb)
{
	__u64 result = 2;

	bpf_tail_call_static(skb, &jmp_table, 0);
	opaque(result);
	return result;
}

SEC("tc")
int entry(struct __sk_buff *skb)
{
	__u64 offset = from_subprogram(skb);
	__u32 key = 0;
	__u8 *value;

	value = bpf_map_lookup_elem(&numbers, &key);
	if (!value)
		return 1;
	__asm__ volatile("%0 += %1" : "+r"(value) : "r"(offset));
	return *value;
}
