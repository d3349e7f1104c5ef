// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
//go:build ignore

/* A ring buffer record is used after it was submitted. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

SEC("xdp")
int trace(struct xdp_md *ctx __attribute__((unused)))
{
	__u64 *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event)
		return XDP_PASS;
	*event = bpf_ktime_get_ns();
	bpf_ringbuf_submit(event, 0);
	return *event & 1 ? XDP_PASS : XDP_DROP;
}

char _license[] SEC("license") = "Dual BSD/GPL";
