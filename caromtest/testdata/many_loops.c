// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Loops with bounds that a verifier has to walk: over the bytes of a map value,
 * one inside the other, and with numbers that are known at each turn. */
#include "common.h"

struct table {
	__u8 bytes[256];
	__u32 words[64];
	__u32 used;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct table);
} tables SEC(".maps");

static __always_inline __u32 mix(__u32 hash, __u8 byte)
{
	hash ^= byte;
	return hash * 16777619;
}

SEC("tc")
int entry(struct __sk_buff *skb)
{
	__u32 zero = 0, hash = 2166136261, sorted = 0;
	struct table *t = bpf_map_lookup_elem(&tables, &zero);

	if (!t)
		return 0;
#pragma clang loop unroll(disable)
	for (int i = 0; i < 256; i++)
		hash = mix(hash, t->bytes[i]);
#pragma clang loop unroll(disable)
	for (int i = 0; i < 64; i++) {
		__u32 word = t->words[i];

#pragma clang loop unroll(disable)
		for (int k = 0; k < 8; k++) {
			if (word & 1)
				hash = mix(hash, k);
			word >>= 1;
		}
	}
	__u32 used = t->used;

	if (used > 40)
		used = 40;
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < used; i++) {
		if (t->words[i] > t->words[i + 1])
			sorted++;
		t->words[i] = hash + i;
	}
	t->used = used;
	return (hash ^ skb->len) + sorted;
}
