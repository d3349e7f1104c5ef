// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* A parser whose paths cost a verifier thousands of instructions: VLAN tags,
 * IPv6 extension headers and TCP options, each in a loop with a bound. */
#include "common.h"

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u64);
} seen SEC(".maps");

struct vlan {
	__be16 tci, proto;
};

static __always_inline void count(__u32 what)
{
	__u64 *n = bpf_map_lookup_elem(&seen, &what);

	if (n)
		*n += 1;
}

static __always_inline int tcp_options(const __u8 *at, const __u8 *end, int left)
{
	int mss = 0;

	for (int i = 0; i < 6 && left > 0; i++) {
		if (at + 1 > end)
			return -1;
		__u8 kind = at[0];

		if (kind == 0)
			break;
		if (kind == 1) {
			at++;
			left--;
			continue;
		}
		if (at + 2 > end)
			return -1;
		__u8 size = at[1];

		if (size < 2 || size > 40)
			return -1;
		if (kind == 2 && at + 4 <= end)
			mss = at[2] << 8 | at[3];
		count(kind & 31);
		at += size;
		left -= size;
	}
	return mss;
}

SEC("xdp")
int entry(struct xdp_md *ctx)
{
	const __u8 *at = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	const struct ethhdr *eth = (void *)at;

	if (at + sizeof(*eth) > end)
		return XDP_DROP;
	__be16 proto = eth->h_proto;

	at += sizeof(*eth);
	for (int i = 0; i < 2; i++) {
		const struct vlan *tag = (void *)at;

		if (proto != bpf_htons(ETH_P_8021Q) && proto != bpf_htons(ETH_P_8021AD))
			break;
		if (at + sizeof(*tag) > end)
			return XDP_DROP;
		proto = tag->proto;
		at += sizeof(*tag);
		count(32);
	}
	__u8 next;

	if (proto == bpf_htons(ETH_P_IP)) {
		const struct iphdr *ip = (void *)at;

		if (at + sizeof(*ip) > end || ip->ihl < 5)
			return XDP_DROP;
		next = ip->protocol;
		at += ip->ihl * 4;
	} else if (proto == bpf_htons(ETH_P_IPV6)) {
		const struct ipv6hdr *ip = (void *)at;

		if (at + sizeof(*ip) > end)
			return XDP_DROP;
		next = ip->nexthdr;
		at += sizeof(*ip);
		for (int i = 0; i < 3; i++) {
			if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS)
				break;
			if (at + 8 > end)
				return XDP_DROP;
			next = at[0];
			at += 8 + at[1] * 8;
			count(33);
		}
	} else {
		return XDP_PASS;
	}
	if (next != IPPROTO_TCP)
		return XDP_PASS;
	const struct tcphdr *tcp = (void *)at;

	if (at + sizeof(*tcp) > end || tcp->doff < 5)
		return XDP_DROP;
	int mss = tcp_options(at + sizeof(*tcp), end, tcp->doff * 4 - sizeof(*tcp));

	if (mss < 0)
		return XDP_ABORTED;
	return mss > 1400 ? XDP_TX : XDP_PASS;
}
