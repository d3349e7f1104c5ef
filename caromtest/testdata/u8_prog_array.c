// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* A program array whose key is declared with 1 byte: creation fails with EINVAL. */
#include "common.h"

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u8);
	__type(value, __u32);
} jmp_table SEC(".maps");

SEC("tc")
int entry(struct __sk_buff *skb)
{
	bpf_tail_call_static(skb, &jmp_table, 0);
	return 0;
}
