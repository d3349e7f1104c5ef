// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* A 1-byte key at the very top of the stack for a map with 4-byte keys: the
 * lookup would read past the frame, so the kernel refuses to load it. */
#include "common.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} numbers SEC(".maps");

SEC("tc")
int entry(struct __sk_buff *skb)
{
	__u8 key = 1;
	__u32 *number = bpf_map_lookup_elem(&numbers, &key);

	(void)skb;
	return number ? *number : 1000;
}
