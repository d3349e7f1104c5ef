// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
//go:build ignore

/* Three functions need more than 512 bytes of stack together. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct record {
	char path[208];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, struct record);
	__type(value, __u64);
} files SEC(".maps");

static __noinline int count(const char *from)
{
	struct record file = {};
	__u64 one = 1;

	bpf_probe_read_kernel_str(file.path, sizeof(file.path), from);
	return bpf_map_update_elem(&files, &file, &one, BPF_ANY);
}

static __noinline int visit(const char *from)
{
	char name[200];

	if (bpf_probe_read_kernel_str(name, sizeof(name), from) < 0)
		return 0;
	return count(name);
}

SEC("tc")
int classify(struct __sk_buff *skb)
{
	char head[128] = {};

	if (bpf_skb_load_bytes(skb, 0, head, sizeof(head)) < 0)
		return 0;
	return visit(head);
}

char _license[] SEC("license") = "Dual BSD/GPL";
