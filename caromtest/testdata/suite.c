// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* The kernel's instruction set tests hand a number along the chain in r1. Here
 * r1 is the context, so the number travels in skb->cb[0]. */
#include "common.h"

int leaf(struct __sk_buff *skb);
int call2(struct __sk_buff *skb);
int call3(struct __sk_buff *skb);
int call4(struct __sk_buff *skb);
int stack_leaf(struct __sk_buff *skb);
int stack_caller(struct __sk_buff *skb);
int max_count(struct __sk_buff *skb);
int max_count_helpers(struct __sk_buff *skb);

enum slot {
	SLOT_LEAF,
	SLOT_CALL2,
	SLOT_CALL3,
	SLOT_STACK_LEAF,
	SLOT_MAX_COUNT,
	SLOT_MAX_COUNT_HELPERS,
	SLOT_EMPTY,
	SLOTS,
};

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, SLOTS);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct __sk_buff *));
} jmp_table SEC(".maps") = {
	.values = {
		[SLOT_LEAF] = &leaf,
		[SLOT_CALL2] = &call2,
		[SLOT_CALL3] = &call3,
		[SLOT_STACK_LEAF] = &stack_leaf,
		[SLOT_MAX_COUNT] = &max_count,
		[SLOT_MAX_COUNT_HELPERS] = &max_count_helpers,
	},
};

__u64 count;

SEC("tc")
int leaf(struct __sk_buff *skb)
{
	return skb->cb[0] + 1;
}

SEC("tc")
int call2(struct __sk_buff *skb)
{
	skb->cb[0] += 2;
	bpf_tail_call_static(skb, &jmp_table, SLOT_LEAF);
	return -1;
}

SEC("tc")
int call3(struct __sk_buff *skb)
{
	skb->cb[0] += 3;
	bpf_tail_call_static(skb, &jmp_table, SLOT_CALL2);
	return -1;
}

SEC("tc")
int call4(struct __sk_buff *skb)
{
	skb->cb[0] += 4;
	bpf_tail_call_static(skb, &jmp_table, SLOT_CALL3);
	return -1;
}

/* Write a pattern into a frame of `words` words and return 0 when it reads back. */
#define CHECK_FRAME(words, seed)                             \
	({                                                   \
		volatile __u64 frame[words];                 \
		__u64 wrong = 0;                             \
		for (int i = 0; i < (words); i++)            \
			frame[i] = (seed) + i;               \
		for (int i = 0; i < (words); i++)            \
			wrong |= frame[i] ^ ((seed) + i);    \
		wrong;                                       \
	})

/* A frame of 32 bytes. */
SEC("tc")
int stack_leaf(struct __sk_buff *skb)
{
	(void)skb;
	return CHECK_FRAME(4, 0x1122334455667788ULL) != 0;
}

/* A frame of 16 bytes, replaced by one of 32. */
SEC("tc")
int stack_caller(struct __sk_buff *skb)
{
	if (CHECK_FRAME(2, 0x8877665544332211ULL))
		return 2;
	bpf_tail_call_static(skb, &jmp_table, SLOT_STACK_LEAF);
	return -1;
}

SEC("tc")
int max_count(struct __sk_buff *skb)
{
	count++;
	bpf_tail_call_static(skb, &jmp_table, SLOT_MAX_COUNT);
	return 1;
}

SEC("tc")
int max_count_helpers(struct __sk_buff *skb)
{
	count++;
	bpf_ktime_get_ns();
	bpf_get_smp_processor_id();
	bpf_get_prandom_u32();
	bpf_get_hash_recalc(skb);
	bpf_tail_call_static(skb, &jmp_table, SLOT_MAX_COUNT_HELPERS);
	return 1;
}

SEC("tc")
int null_target(struct __sk_buff *skb)
{
	count++;
	bpf_tail_call_static(skb, &jmp_table, SLOT_EMPTY);
	return 1;
}

SEC("tc")
int out_of_range(struct __sk_buff *skb)
{
	count++;
	bpf_tail_call_static(skb, &jmp_table, SLOTS);
	return 1;
}
