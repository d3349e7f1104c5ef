// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
//go:build ignore

/* A program of about 1,000 instructions, to measure how long it takes to load one:
 * it hashes the first 100 bytes of a packet, with a check, a load and a branch for
 * each. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define BYTE(i)                                      \
	if (data + (i) + 1 > end)                    \
		goto out;                            \
	sum = sum * 31 + *(__u8 *)(data + (i));      \
	if (sum & 64)                                \
		sum ^= (i) + 1;                      \
	__asm__ volatile("" : "+r"(sum));

#define TEN(i)                                                              \
	BYTE(i) BYTE((i) + 1) BYTE((i) + 2) BYTE((i) + 3) BYTE((i) + 4)     \
	BYTE((i) + 5) BYTE((i) + 6) BYTE((i) + 7) BYTE((i) + 8) BYTE((i) + 9)

SEC("xdp")
int thousand(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	__u64 sum = 7;

	TEN(0) TEN(10) TEN(20) TEN(30) TEN(40) TEN(50) TEN(60) TEN(70) TEN(80) TEN(90)
out:
	return sum & 1 ? XDP_DROP : XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
