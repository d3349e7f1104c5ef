// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
//go:build ignore

/* Dispatch TCP packets by destination port, one program for each service.
 *
 * xdp_dispatch parses the packet and tail-calls through prog_array. The object
 * leaves the array empty: user space decides which program serves which slot,
 * and may change its mind while packets flow. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

enum slot {
	SLOT_PORT8080 = 0,
	SLOT_PORT22 = 1,
	SLOTS,
};

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, SLOTS);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} prog_array SEC(".maps");

/* tcp_destination returns the destination port of a TCP packet over IPv4, or 0. */
static __always_inline __u16 tcp_destination(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	struct tcphdr *tcp;

	if ((void *)(ip + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP))
		return 0;
	if (ip->protocol != IPPROTO_TCP || ip->ihl < 5)
		return 0;
	/* Only the first fragment carries the TCP header. */
	if (ip->frag_off & bpf_htons(0x1fff))
		return 0;
	tcp = (void *)ip + ip->ihl * 4;
	if ((void *)(tcp + 1) > end)
		return 0;
	return bpf_ntohs(tcp->dest);
}

SEC("xdp")
int port8080_prog(struct xdp_md *ctx)
{
	__u32 bytes = ctx->data_end - ctx->data;

	bpf_printk("port 8080: pass %u bytes", bytes);
	return XDP_PASS;
}

SEC("xdp")
int port22_prog(struct xdp_md *ctx)
{
	__u32 bytes = ctx->data_end - ctx->data;

	bpf_printk("port 22: drop %u bytes", bytes);
	return XDP_DROP;
}

SEC("xdp")
int xdp_dispatch(struct xdp_md *ctx)
{
	__u32 slot;

	switch (tcp_destination(ctx)) {
	case 8080:
		slot = SLOT_PORT8080;
		break;
	case 22:
		slot = SLOT_PORT22;
		break;
	default:
		/* No service has this packet. */
		return XDP_PASS;
	}
	bpf_tail_call(ctx, &prog_array, slot);
	/* Only reached when the slot is empty. */
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
