// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Dispatch by ethertype and next header through six slots, as a flow dissector
 * does. Each parser moves the offset in skb->cb[0] and dispatches again. */
#include "common.h"

#define ETH_HLEN 14
#define ETH_P_IP 0x0800
#define ETH_P_8021Q 0x8100
#define ETH_P_IPV6 0x86dd
#define ETH_P_MPLS_UC 0x8847

#define NEXTHDR_HOP 0
#define NEXTHDR_FRAGMENT 44
#define NEXTHDR_DEST 60

enum slot {
	SLOT_IPV4,
	SLOT_IPV6,
	SLOT_IPV6_OPTIONS,
	SLOT_IPV6_FRAGMENT,
	SLOT_MPLS,
	SLOT_VLAN,
	SLOTS,
};

int parse_ipv4(struct __sk_buff *skb);
int parse_ipv6(struct __sk_buff *skb);
int parse_ipv6_options(struct __sk_buff *skb);
int parse_ipv6_fragment(struct __sk_buff *skb);
int parse_mpls(struct __sk_buff *skb);
int parse_vlan(struct __sk_buff *skb);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, SLOTS);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct __sk_buff *));
} parsers SEC(".maps") = {
	.values = {
		[SLOT_IPV4] = &parse_ipv4,
		[SLOT_IPV6] = &parse_ipv6,
		[SLOT_IPV6_OPTIONS] = &parse_ipv6_options,
		[SLOT_IPV6_FRAGMENT] = &parse_ipv6_fragment,
		[SLOT_MPLS] = &parse_mpls,
		[SLOT_VLAN] = &parse_vlan,
	},
};

/* How often each parser ran; the last transport protocol seen. */
__u32 visits[SLOTS];
__u32 protocol;

enum verdict {
	DISSECTED = 0,
	UNKNOWN = 1,
	TRUNCATED = 2,
};

static __always_inline int dispatch(struct __sk_buff *skb, __u16 ethertype)
{
	switch (ethertype) {
	case ETH_P_IP:
		bpf_tail_call_static(skb, &parsers, SLOT_IPV4);
		break;
	case ETH_P_IPV6:
		bpf_tail_call_static(skb, &parsers, SLOT_IPV6);
		break;
	case ETH_P_MPLS_UC:
		bpf_tail_call_static(skb, &parsers, SLOT_MPLS);
		break;
	case ETH_P_8021Q:
		bpf_tail_call_static(skb, &parsers, SLOT_VLAN);
		break;
	}
	return UNKNOWN;
}

static __always_inline int next_header(struct __sk_buff *skb, __u8 next)
{
	switch (next) {
	case NEXTHDR_HOP:
	case NEXTHDR_DEST:
		bpf_tail_call_static(skb, &parsers, SLOT_IPV6_OPTIONS);
		break;
	case NEXTHDR_FRAGMENT:
		bpf_tail_call_static(skb, &parsers, SLOT_IPV6_FRAGMENT);
		break;
	default:
		protocol = next;
		return DISSECTED;
	}
	return UNKNOWN;
}

SEC("tc")
int parse_ipv4(struct __sk_buff *skb)
{
	__u8 next;

	visits[SLOT_IPV4]++;
	if (bpf_skb_load_bytes(skb, skb->cb[0] + 9, &next, sizeof(next)))
		return TRUNCATED;
	protocol = next;
	return DISSECTED;
}

SEC("tc")
int parse_ipv6(struct __sk_buff *skb)
{
	__u8 next;

	visits[SLOT_IPV6]++;
	if (bpf_skb_load_bytes(skb, skb->cb[0] + 6, &next, sizeof(next)))
		return TRUNCATED;
	skb->cb[0] += 40;
	return next_header(skb, next);
}

SEC("tc")
int parse_ipv6_options(struct __sk_buff *skb)
{
	__u8 header[2];

	visits[SLOT_IPV6_OPTIONS]++;
	if (bpf_skb_load_bytes(skb, skb->cb[0], header, sizeof(header)))
		return TRUNCATED;
	skb->cb[0] += (header[1] + 1) * 8;
	return next_header(skb, header[0]);
}

SEC("tc")
int parse_ipv6_fragment(struct __sk_buff *skb)
{
	__u8 next;

	visits[SLOT_IPV6_FRAGMENT]++;
	if (bpf_skb_load_bytes(skb, skb->cb[0], &next, sizeof(next)))
		return TRUNCATED;
	skb->cb[0] += 8;
	return next_header(skb, next);
}

SEC("tc")
int parse_mpls(struct __sk_buff *skb)
{
	__be32 label;
	__u8 version;

	visits[SLOT_MPLS]++;
	if (bpf_skb_load_bytes(skb, skb->cb[0], &label, sizeof(label)))
		return TRUNCATED;
	skb->cb[0] += sizeof(label);
	/* Not the bottom of the stack: there is another label. */
	if (!(bpf_ntohl(label) & 0x100))
		return dispatch(skb, ETH_P_MPLS_UC);
	if (bpf_skb_load_bytes(skb, skb->cb[0], &version, sizeof(version)))
		return TRUNCATED;
	return dispatch(skb, version >> 4 == 6 ? ETH_P_IPV6 : ETH_P_IP);
}

SEC("tc")
int parse_vlan(struct __sk_buff *skb)
{
	__be16 ethertype;

	visits[SLOT_VLAN]++;
	if (bpf_skb_load_bytes(skb, skb->cb[0] + 2, &ethertype, sizeof(ethertype)))
		return TRUNCATED;
	skb->cb[0] += 4;
	return dispatch(skb, bpf_ntohs(ethertype));
}

SEC("tc")
int entry(struct __sk_buff *skb)
{
	__be16 ethertype;

	/* Nobody clears the control buffer before a chain. */
	skb->cb[0] = ETH_HLEN;
	if (bpf_skb_load_bytes(skb, 12, &ethertype, sizeof(ethertype)))
		return TRUNCATED;
	return dispatch(skb, bpf_ntohs(ethertype));
}
