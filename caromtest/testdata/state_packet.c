// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* State travels in the packet itself: each member sees what the one before did
 * to the bytes and to the length. */
#include "common.h"

int last(struct xdp_md *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct xdp_md *));
} jmp_table SEC(".maps") = {
	.values = { [0] = &last },
};

/* What the last program saw. */
__u32 seen_length;
__u32 seen_byte;

SEC("xdp")
int last(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data;
	__u8 *end = (void *)(long)ctx->data_end;

	if (data + 1 > end)
		return XDP_ABORTED;
	seen_length = end - data;
	seen_byte = data[0];
	if (bpf_xdp_adjust_tail(ctx, -10))
		return XDP_ABORTED;
	return XDP_TX;
}

SEC("xdp")
int entry(struct xdp_md *ctx)
{
	__u8 *data, *end;

	if (bpf_xdp_adjust_head(ctx, -4))
		return XDP_DROP;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if (data + 4 > end)
		return XDP_DROP;
	data[0] = 0xca;
	data[1] = 0x70;
	data[2] = 0x3b;
	data[3] = 0x01;
	bpf_tail_call_static(ctx, &jmp_table, 0);
	return XDP_DROP;
}
