/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Shared by the programs in this folder. */
#ifndef CAROMTEST_COMMON_H
#define CAROMTEST_COMMON_H

#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* A PROG_ARRAY that user space fills. */
#define PROG_ARRAY(name, slots)                      \
	struct {                                     \
		__uint(type, BPF_MAP_TYPE_PROG_ARRAY); \
		__uint(max_entries, slots);          \
		__uint(key_size, sizeof(__u32));     \
		__uint(value_size, sizeof(__u32));   \
	} name SEC(".maps")

/* A traffic-control program that only returns a number. */
#define TC_RETURNS(name, number)                     \
	SEC("tc")                                    \
	int name(struct __sk_buff *skb)              \
	{                                            \
		(void)skb;                           \
		return number;                       \
	}

/* Make the compiler forget what it knows about a variable, so that a
 * constant stays in a register and results of subprograms are really used. */
#define opaque(variable) __asm__ volatile("" : "+r"(variable))

/* Keep an array on the stack although nobody reads it. */
#define keep(array) __asm__ volatile("" : : "r"(array) : "memory")

char LICENSE[] SEC("license") = "GPL";

/* A tail call with all 64 bits of the index; bpf_tail_call declares it as __u32
 * and the compiler would truncate it. */
static __always_inline void tail_call_64(void *ctx, const void *map, __u64 slot)
{
	__asm__ volatile("r1 = %[ctx]\n"
			 "r2 = %[map]\n"
			 "r3 = %[slot]\n"
			 "call 12\n"
			 :
			 : [ctx] "r"(ctx), [map] "r"(map), [slot] "r"(slot)
			 : "r0", "r1", "r2", "r3", "r4", "r5");
}

#endif
