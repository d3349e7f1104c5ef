// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* The limit in XDP: an entry program distinct from its target, and one that is
 * its own target. */
#include "common.h"

int again(struct xdp_md *ctx);
int self(struct xdp_md *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct xdp_md *));
} jmp_table SEC(".maps") = {
	.values = { [0] = &again, [1] = &self },
};

__u64 count;
__u64 falls;

SEC("xdp")
int again(struct xdp_md *ctx)
{
	count++;
	bpf_tail_call_static(ctx, &jmp_table, 0);
	falls++;
	return XDP_PASS;
}

SEC("xdp")
int entry(struct xdp_md *ctx)
{
	bpf_tail_call_static(ctx, &jmp_table, 0);
	return XDP_DROP;
}

SEC("xdp")
int self(struct xdp_md *ctx)
{
	count++;
	bpf_tail_call_static(ctx, &jmp_table, 1);
	falls++;
	return XDP_TX;
}
