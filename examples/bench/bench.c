// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
//go:build ignore

/* What BPF runtimes are measured with.
 *
 * Each program is one workload: an empty program, arithmetic, a header parser, a
 * checksum, chains of tail calls to the limit of 33, and loops of 1,000 map
 * operations. All of them are XDP programs that return XDP_PASS, but for parse,
 * which drops port 22, and checksum, which returns what it computed.
 *
 * native/native.c includes this file to build the same functions for the host. */
#ifndef BENCH_NATIVE
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* hide keeps the compiler from knowing a value. */
#define hide(v) __asm__ volatile("" : "+r"(v))
#endif

#define LOOKUPS 1000

SEC("xdp")
int empty(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_PASS;
}

SEC("xdp")
int alu_10k(struct xdp_md *ctx)
{
	__u64 sum = 0, n = 10000;

	(void)ctx;
	do {
		sum += n;
		sum ^= 85;
		sum <<= 1;
		hide(sum);
		n--;
	} while (n != 0);
	return sum ? XDP_PASS : XDP_ABORTED; /* which makes it needed */
}

/* parse finds the destination port of a TCP packet, as a dispatcher does. */
SEC("xdp")
int parse(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	struct tcphdr *tcp;

	if ((void *)(ip + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	if (ip->protocol != IPPROTO_TCP || ip->ihl < 5 || ip->frag_off & bpf_htons(0x1fff))
		return XDP_PASS;
	tcp = (void *)ip + ip->ihl * 4;
	if ((void *)(tcp + 1) > end)
		return XDP_PASS;
	return tcp->dest == bpf_htons(22) ? XDP_DROP : XDP_PASS;
}

/* checksum adds up 16-bit words in ones' complement, up to 750 of them. */
SEC("xdp")
int checksum(struct xdp_md *ctx)
{
	__u16 *word = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	__u64 sum = 0;
	int i;

#pragma clang loop unroll(disable) vectorize(disable)
	for (i = 0; i < 750; i++) {
		if ((void *)(word + 1) > end)
			break;
		sum += *word++;
	}
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum & 0xffff;
}

#ifndef BENCH_NATIVE
int chain_constant(struct xdp_md *ctx);
int chain_variable(struct xdp_md *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct xdp_md *));
} slots SEC(".maps") = {
	.values = {
		[0] = &chain_variable,
		[1] = &chain_constant,
	},
};

/* The slot is a constant at the call, so that the kernel jumps directly. */
#define tail_call_slot(ctx, map, slot)                              \
	__asm__ volatile("r1 = %[context]\n\t"                      \
			 "r2 = %[array] ll\n\t"                     \
			 "r3 = %[index]\n\t"                        \
			 "call 12"                                  \
			 :                                          \
			 : [context] "r"(ctx), [array] "i"(&(map)), \
			   [index] "i"(slot)                        \
			 : "r0", "r1", "r2", "r3", "r4", "r5", "memory")

#define MAP(name, kind, entries, key_type)    \
	struct {                              \
		__uint(type, kind);           \
		__uint(max_entries, entries); \
		__type(key, key_type);        \
		__type(value, __u64);         \
	} name SEC(".maps")

struct key16 {
	__u64 a, b;
};

struct prefix {
	__u32 bits;
	__u8 addr[4];
};

MAP(numbers, BPF_MAP_TYPE_ARRAY, LOOKUPS, __u32);
MAP(percpu_numbers, BPF_MAP_TYPE_PERCPU_ARRAY, LOOKUPS, __u32);
MAP(hash4, BPF_MAP_TYPE_HASH, 4096, __u32);
MAP(hash8, BPF_MAP_TYPE_HASH, 4096, __u64);
MAP(hash16, BPF_MAP_TYPE_HASH, 4096, struct key16);
MAP(updated, BPF_MAP_TYPE_HASH, 4096, __u32);
MAP(lru, BPF_MAP_TYPE_LRU_HASH, 4096, __u32);

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix);
	__type(value, __u64);
} routes SEC(".maps");
#endif

/* chain_constant jumps to itself until the limit. */
SEC("xdp")
int chain_constant(struct xdp_md *ctx)
{
	tail_call_slot(ctx, slots, 1);
	return XDP_PASS;
}

/* chain_variable does so through an index that the packet's queue chooses. */
SEC("xdp")
int chain_variable(struct xdp_md *ctx)
{
	bpf_tail_call(ctx, &slots, ctx->rx_queue_index);
	return XDP_PASS;
}

SEC("xdp")
int array_1k(struct xdp_md *ctx)
{
	__u32 key;
	__u64 *value;

	(void)ctx;
#pragma clang loop unroll(disable)
	for (key = 0; key < LOOKUPS; key++) {
		__u32 k = key;

		value = bpf_map_lookup_elem(&numbers, &k);
		if (!value)
			return XDP_ABORTED;
		*value += 1;
	}
	return XDP_PASS;
}

SEC("xdp")
int percpu_array_1k(struct xdp_md *ctx)
{
	__u32 key;
	__u64 *value;

	(void)ctx;
#pragma clang loop unroll(disable)
	for (key = 0; key < LOOKUPS; key++) {
		__u32 k = key;

		value = bpf_map_lookup_elem(&percpu_numbers, &k);
		if (!value)
			return XDP_ABORTED;
		*value += 1;
	}
	return XDP_PASS;
}

#ifndef BENCH_NATIVE
/* Hash maps hold the keys 0 to 999, which fill stores at the first run: hits look
 * these up, misses keys above them. */
#define HASH_PROGRAM(name, map, type, make, first, want)                    \
	static __always_inline int fill_##name(void)                        \
	{                                                                   \
		__u64 one = 1;                                              \
		int i;                                                      \
                                                                            \
		_Pragma("clang loop unroll(disable)")                       \
		for (i = 0; i < LOOKUPS; i++) {                             \
			type key = make(i);                                 \
                                                                            \
			bpf_map_update_elem(&map, &key, &one, BPF_ANY);     \
		}                                                           \
		return 1;                                                   \
	}                                                                   \
                                                                            \
	SEC("xdp")                                                          \
	int name(struct xdp_md *ctx)                                        \
	{                                                                   \
		type last = make(LOOKUPS - 1);                              \
		int i, found = 0;                                           \
                                                                            \
		(void)ctx;                                                  \
		if (!bpf_map_lookup_elem(&map, &last) && !fill_##name())    \
			return XDP_ABORTED;                                 \
		_Pragma("clang loop unroll(disable)")                       \
		for (i = 0; i < LOOKUPS; i++) {                             \
			type key = make((first) + i);                       \
			__u64 *value = bpf_map_lookup_elem(&map, &key);     \
                                                                            \
			if (value)                                          \
				found += *value;                            \
		}                                                           \
		return found == (want) ? XDP_PASS : XDP_ABORTED;            \
	}

#define KEY4(i) ((__u32)(i))
#define KEY8(i) ((__u64)(i))
#define KEY16(i) { .a = (i), .b = ~(__u64)(i) }

HASH_PROGRAM(hash4_hit_1k, hash4, __u32, KEY4, 0, LOOKUPS)
HASH_PROGRAM(hash4_miss_1k, hash4, __u32, KEY4, LOOKUPS, 0)
HASH_PROGRAM(hash8_hit_1k, hash8, __u64, KEY8, 0, LOOKUPS)
HASH_PROGRAM(hash8_miss_1k, hash8, __u64, KEY8, LOOKUPS, 0)
HASH_PROGRAM(hash16_hit_1k, hash16, struct key16, KEY16, 0, LOOKUPS)
HASH_PROGRAM(hash16_miss_1k, hash16, struct key16, KEY16, LOOKUPS, 0)
HASH_PROGRAM(lru_hit_1k, lru, __u32, KEY4, 0, LOOKUPS)

SEC("xdp")
int hash_update_1k(struct xdp_md *ctx)
{
	__u64 value = (long)ctx;
	int i;

#pragma clang loop unroll(disable)
	for (i = 0; i < LOOKUPS; i++) {
		__u32 key = i;

		if (bpf_map_update_elem(&updated, &key, &value, BPF_ANY))
			return XDP_ABORTED;
	}
	return XDP_PASS;
}

SEC("xdp")
int array_update_1k(struct xdp_md *ctx)
{
	__u64 value = 1;
	int i;

	(void)ctx;
#pragma clang loop unroll(disable)
	for (i = 0; i < LOOKUPS; i++) {
		__u32 key = i;

		if (bpf_map_update_elem(&numbers, &key, &value, BPF_ANY))
			return XDP_ABORTED;
	}
	return XDP_PASS;
}

/* lpm_1k looks addresses of 10.0.0.0/8 up among 250 prefixes of 24 bits. */
SEC("xdp")
int lpm_1k(struct xdp_md *ctx)
{
	struct prefix key = { 24, { 10, 0, 249, 0 } };
	int i, found = 0;

	(void)ctx;
	if (!bpf_map_lookup_elem(&routes, &key)) {
		__u64 one = 1;

#pragma clang loop unroll(disable)
		for (i = 0; i < 250; i++) {
			key.addr[2] = i;
			bpf_map_update_elem(&routes, &key, &one, BPF_ANY);
		}
	}
	key.bits = 32;
#pragma clang loop unroll(disable)
	for (i = 0; i < LOOKUPS; i++) {
		__u64 *value;

		key.addr[2] = i >> 2;
		key.addr[3] = i;
		value = bpf_map_lookup_elem(&routes, &key);
		if (value)
			found += *value;
	}
	return found == LOOKUPS ? XDP_PASS : XDP_ABORTED;
}

char _license[] SEC("license") = "Dual BSD/GPL";
#endif
