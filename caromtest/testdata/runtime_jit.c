// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Direct and indirect call sites of a socket filter, one program for each case.
 * `branch` picks the path in the programs that have two. */
#include "common.h"

int answer_42(struct __sk_buff *skb);
int answer_24(struct __sk_buff *skb);
int loop_1(struct __sk_buff *skb);
int loop_2(struct __sk_buff *skb);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct __sk_buff *));
} map_1 SEC(".maps") = {
	.values = {
		[0] = &answer_42,
		[1] = &loop_1,
		[2] = &answer_24,
	},
};

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 8);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct __sk_buff *));
} map_2 SEC(".maps") = {
	.values = {
		[1] = &loop_2,
		[2] = &answer_24,
		[7] = &answer_42,
	},
};

int branch;

#define CHOSEN (*(volatile int *)&branch)

SEC("socket")
int answer_42(struct __sk_buff *skb)
{
	(void)skb;
	return 42;
}

SEC("socket")
int answer_24(struct __sk_buff *skb)
{
	(void)skb;
	return 24;
}

SEC("socket")
int loop_1(struct __sk_buff *skb)
{
	bpf_tail_call_static(skb, &map_1, 1);
	return 41;
}

SEC("socket")
int loop_2(struct __sk_buff *skb)
{
	bpf_tail_call_static(skb, &map_2, 1);
	return 41;
}

#define ONE_SITE(name, slot, otherwise)                   \
	SEC("socket")                                     \
	int name(struct __sk_buff *skb)                   \
	{                                                 \
		bpf_tail_call_static(skb, &map_1, slot);  \
		return otherwise;                         \
	}

ONE_SITE(once, 0, 1)
ONE_SITE(loop, 1, 1)
ONE_SITE(empty_slot, 3, 1)
ONE_SITE(key_2, 2, 1)
ONE_SITE(index_256, 256, 2)
ONE_SITE(index_minus_1, -1, 2)

SEC("socket")
int index_2_to_32(struct __sk_buff *skb)
{
	tail_call_64(skb, &map_1, 0x100000000ULL);
	return 2;
}

/* One call instruction reached with r3 set on two paths; the C compiler would
 * split it, so it is written out. */
#define TWO_PATHS(name, map_a, slot_a, map_b, slot_b)      \
	SEC("socket")                                      \
	int name(struct __sk_buff *skb)                    \
	{                                                  \
		int chosen = CHOSEN;                       \
		__asm__ volatile(                          \
			"r1 = %[ctx]\n"                    \
			"if %[chosen] == 0 goto 1f\n"      \
			"r2 = %[second] ll\n"              \
			"r3 = " #slot_b "\n"               \
			"goto 2f\n"                        \
			"1: r2 = %[first] ll\n"            \
			"r3 = " #slot_a "\n"               \
			"2: call 12\n"                     \
			:                                  \
			: [ctx] "r"(skb), [chosen] "r"(chosen), \
			  [first] "i"(&map_a), [second] "i"(&map_b) \
			: "r0", "r1", "r2", "r3", "r4", "r5", "memory");  \
		return 1;                                  \
	}

TWO_PATHS(key_2_or_2, map_1, 2, map_1, 2)
TWO_PATHS(key_0_or_2, map_1, 0, map_1, 2)
TWO_PATHS(two_maps_slot_0, map_1, 0, map_2, 0)
TWO_PATHS(two_maps_slot_7, map_2, 7, map_1, 7)
TWO_PATHS(same_map_slot_0, map_1, 0, map_1, 0)
