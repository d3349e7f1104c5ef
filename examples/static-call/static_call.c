// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
//go:build ignore

/* Tail calls through constant slots.
 *
 * The kernel can turn a tail call into a direct jump when it sees one map and one
 * constant index at the call. A compiler may merge two calls into one whose index
 * depends on the path, and the jump is lost. Written as inline assembly, each call
 * keeps its own three instructions.
 *
 * One packet shows all that can happen: a slot that is empty, a chain through
 * slots 1 and 4, and at slot 9 a program that calls itself until the limit of 33
 * tail calls ends the run. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

enum slot {
	SLOT_CLASSIFY = 1,
	SLOT_MARK = 4,
	SLOT_OPTIONAL = 6, /* nobody fills it */
	SLOT_COUNT = 9,
	SLOTS = 10,
};

int classify(struct __sk_buff *skb);
int set_mark(struct __sk_buff *skb);
int count_up(struct __sk_buff *skb);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, SLOTS);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct __sk_buff *));
} calls SEC(".maps") = {
	.values = {
		[SLOT_CLASSIFY] = &classify,
		[SLOT_MARK] = &set_mark,
		[SLOT_COUNT] = &count_up,
	},
};

/* Read by user space: how often start missed SLOT_OPTIONAL, how often count_up
 * ran, and how often it was stopped by the limit. */
__u64 optional_missed;
__u64 counted;
__u64 stopped;

/* tail_call_slot jumps to a slot that the compiler knows; it comes back only
 * when the jump was not taken. Helper 12 is bpf_tail_call. */
#define tail_call_slot(ctx, map, slot)                              \
	__asm__ volatile("r1 = %[context]\n\t"                      \
			 "r2 = %[array] ll\n\t"                     \
			 "r3 = %[index]\n\t"                        \
			 "call 12"                                  \
			 :                                          \
			 : [context] "r"(ctx), [array] "i"(&(map)), \
			   [index] "i"(slot)                        \
			 : "r0", "r1", "r2", "r3", "r4", "r5", "memory")

SEC("tc")
int count_up(struct __sk_buff *skb)
{
	counted++;
	tail_call_slot(skb, calls, SLOT_COUNT);
	stopped++;
	return TC_ACT_OK;
}

SEC("tc")
int set_mark(struct __sk_buff *skb)
{
	skb->mark = skb->cb[0];
	tail_call_slot(skb, calls, SLOT_COUNT);
	return TC_ACT_SHOT;
}

SEC("tc")
int classify(struct __sk_buff *skb)
{
	skb->cb[0] = skb->len < 128 ? 1 : 2;
	tail_call_slot(skb, calls, SLOT_MARK);
	return TC_ACT_SHOT;
}

SEC("tc")
int start(struct __sk_buff *skb)
{
	tail_call_slot(skb, calls, SLOT_OPTIONAL);
	optional_missed++;
	tail_call_slot(skb, calls, SLOT_CLASSIFY);
	return TC_ACT_SHOT;
}

char LICENSE[] SEC("license") = "GPL";
