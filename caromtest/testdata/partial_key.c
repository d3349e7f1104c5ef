// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Map keys that are smaller than they look. Both arrays have 4-byte keys. */
#include "common.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} numbers SEC(".maps");

/* Three of the four key bytes hold garbage, so the lookup misses. The garbage is
 * written here: what an uninitialised byte holds is not defined. */
SEC("tc")
int dirty_key(struct __sk_buff *skb)
{
	volatile __u32 key = 0xffffffff;
	__u32 *number;

	(void)skb;
	*(volatile __u8 *)&key = 1;
	number = bpf_map_lookup_elem(&numbers, (const void *)&key);
	return number ? *number : 1000;
}

SEC("tc")
int clean_key(struct __sk_buff *skb)
{
	__u32 key = 1;
	__u32 *number = bpf_map_lookup_elem(&numbers, &key);

	(void)skb;
	return number ? *number : 1000;
}
