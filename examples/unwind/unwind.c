// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
//go:build ignore

/* A chain that the host drives.
 *
 * Each stage asks the host to go on with the next stage through host_try, a
 * helper that the host adds under a number of its own. When the host accepts, it
 * returns 0 and the run ends there and then, from whatever depth of subprograms;
 * the host then runs the stage that was asked for, with a new budget and a clean
 * stack. When it refuses, it returns something else and the stage goes on.
 *
 * Linux has no such helper, so this object only runs where the host adds it. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

enum stage {
	STAGE_CLASSIFY = 1,
	STAGE_SMALL = 2,
	STAGE_LARGE = 3,
};

/* host_try asks the host to run a stage next. It returns only when the host
 * refuses, with the reason as a number that is not 0. */
static long (*const host_try)(void *ctx, __u32 stage) = (void *)0x10001;

/* Read by user space. */
__u64 classified;
__u64 small_packets;
__u64 large_packets;
__u64 refused;

/* Two frames deep: an accepted request discards both. */
static __noinline int ask(struct __sk_buff *skb, __u32 stage)
{
	long reason = host_try(skb, stage);

	refused++;
	return reason;
}

static __noinline int choose(struct __sk_buff *skb)
{
	if (skb->len < 128)
		return ask(skb, STAGE_SMALL);
	return ask(skb, STAGE_LARGE);
}

SEC("tc")
int receive(struct __sk_buff *skb)
{
	host_try(skb, STAGE_CLASSIFY);
	refused++;
	return TC_ACT_SHOT;
}

SEC("tc")
int classify(struct __sk_buff *skb)
{
	classified++;
	/* Still here: nobody wanted the packet. */
	return choose(skb) ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

SEC("tc")
int small(struct __sk_buff *skb)
{
	(void)skb;
	small_packets++;
	return TC_ACT_OK;
}

SEC("tc")
int large(struct __sk_buff *skb)
{
	(void)skb;
	large_packets++;
	return TC_ACT_OK;
}

char LICENSE[] SEC("license") = "GPL";
