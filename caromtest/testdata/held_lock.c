// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* A spin lock is held at the tail call: refused at load. */
#include "common.h"

PROG_ARRAY(jmp_table, 1);

struct guarded {
	struct bpf_spin_lock lock;
	int number;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct guarded);
} locks SEC(".maps");

SEC("tc")
int entry(struct __sk_buff *skb)
{
	__u32 key = 0;
	struct guarded *value = bpf_map_lookup_elem(&locks, &key);

	if (!value)
		return 0;
	bpf_spin_lock(&value->lock);
	bpf_tail_call_static(skb, &jmp_table, 0);
	bpf_spin_unlock(&value->lock);
	return 0;
}
