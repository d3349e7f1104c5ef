// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* State travels in front of the packet, in the XDP metadata area. */
#include "common.h"

int reader(struct xdp_md *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct xdp_md *));
} jmp_table SEC(".maps") = {
	.values = { [0] = &reader },
};

/* Read by the test; an XDP program's own result is a verdict. */
__u32 received;

SEC("xdp")
int reader(struct xdp_md *ctx)
{
	__u32 *meta = (void *)(long)ctx->data_meta;
	void *data = (void *)(long)ctx->data;

	/* Bounds do not survive a tail call: check again. */
	if ((void *)(meta + 1) > data)
		return XDP_ABORTED;
	received = *meta;
	return XDP_PASS;
}

SEC("xdp")
int entry(struct xdp_md *ctx)
{
	__u32 *meta;
	void *data;

	if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*meta)))
		return XDP_DROP;
	meta = (void *)(long)ctx->data_meta;
	data = (void *)(long)ctx->data;
	if ((void *)(meta + 1) > data)
		return XDP_DROP;
	*meta = 0xabc;
	bpf_tail_call_static(ctx, &jmp_table, 0);
	return XDP_TX;
}

/* The same reader without anything to read. */
SEC("xdp")
int entry_no_meta(struct xdp_md *ctx)
{
	bpf_tail_call_static(ctx, &jmp_table, 0);
	return XDP_TX;
}
