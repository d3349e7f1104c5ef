// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* 34 members of a chain wait with large frames, each frame marked with the
 * member's number. Too small a stack, or a frame placed on another one, shows in
 * the sum: 1 + 2 + ... + 34 = 595. */
#include "common.h"

#define FRAME_WORDS 60
#define DAMAGED 1000000

int entry(struct __sk_buff *skb);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct __sk_buff *));
} jmp_table SEC(".maps") = {
	.values = { [0] = &entry },
};

__u32 depth;

/* Its frame and the caller's make the 512 bytes that the kernel allows. */
static __noinline int from_subprogram(struct __sk_buff *skb)
{
	volatile __u32 frame[FRAME_WORDS];

	for (int i = 0; i < FRAME_WORDS; i++)
		frame[i] = 0xffffffff;
	bpf_tail_call_static(skb, &jmp_table, 0);
	return frame[0] + 1;
}

SEC("tc")
int entry(struct __sk_buff *skb)
{
	volatile __u32 frame[FRAME_WORDS];
	__u32 member = ++depth;
	int sum;

	for (int i = 0; i < FRAME_WORDS; i++)
		frame[i] = member;
	sum = from_subprogram(skb);
	for (int i = 0; i < FRAME_WORDS; i++)
		if (frame[i] != member)
			return DAMAGED;
	return sum + member;
}
