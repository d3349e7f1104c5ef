// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
//go:build ignore

/* The callers of a function with a tail call have more than 256 bytes on the stack. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct event {
	__u64 time;
	__u32 pid;
	char line[256];
};

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} stages SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
} events SEC(".maps");

static __noinline int report(void *ctx, const void *text)
{
	struct event e = { .time = bpf_ktime_get_ns() };

	bpf_probe_read_user_str(e.line, sizeof(e.line), text);
	bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &e, sizeof(e));
	bpf_tail_call(ctx, &stages, 1);
	return 0;
}

SEC("uprobe")
int readline(void *ctx)
{
	char line[256];

	if (bpf_probe_read_user_str(line, sizeof(line), ctx) < 0)
		return 0;
	bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, line, sizeof(line));
	return report(ctx, line);
}

char _license[] SEC("license") = "Dual BSD/GPL";
