// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Two frames that each hold a line and an event. With lines of 256 bytes they
 * take more than the stack of 512 bytes, with lines of 64 bytes they fit. */
#include "common.h"

PROG_ARRAY(jmp_table, 1);

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
} events SEC(".maps");

struct event {
	__u32 type, pid, length;
	char line[32];
};

static __noinline int report_wide(void *ctx, const char *text)
{
	struct event event = { .type = 2 };
	char line[256];

	event.length = bpf_probe_read_kernel_str(line, sizeof(line), text);
	__builtin_memcpy(event.line, line, sizeof(event.line));
	bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &event, sizeof(event));
	return line[0];
}

SEC("kprobe")
int wide(void *ctx)
{
	struct event event = { .type = 1 };
	char line[256];

	event.length = bpf_probe_read_kernel_str(line, sizeof(line), ctx);
	event.pid = report_wide(ctx, line);
	__builtin_memcpy(event.line, line, sizeof(event.line));
	bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &event, sizeof(event));
	bpf_tail_call_static(ctx, &jmp_table, 0);
	return 0;
}

static __noinline int report_narrow(void *ctx, const char *text)
{
	struct event event = { .type = 2 };
	char line[64];

	event.length = bpf_probe_read_kernel_str(line, sizeof(line), text);
	__builtin_memcpy(event.line, line, sizeof(event.line));
	bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &event, sizeof(event));
	return line[0];
}

SEC("kprobe")
int narrow(void *ctx)
{
	struct event event = { .type = 1 };
	char line[64];

	event.length = bpf_probe_read_kernel_str(line, sizeof(line), ctx);
	event.pid = report_narrow(ctx, line);
	__builtin_memcpy(event.line, line, sizeof(event.line));
	bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &event, sizeof(event));
	bpf_tail_call_static(ctx, &jmp_table, 0);
	return 0;
}
