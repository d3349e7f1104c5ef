// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
//go:build ignore

/* Watch what is typed into bash, and classify each line in a second program.
 *
 * readline_return runs when bash's readline function returns. It sends the line
 * to user space and tail-calls one of two programs, which send a second event. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define LINE_SIZE 80

enum event_type {
	EVENT_LINE = 1,
	EVENT_ODD = 2,
	EVENT_EVEN = 3,
};

struct event {
	__u32 type;
	__u32 pid;
	/* Bytes in line, without the terminating zero. */
	__u32 length;
	char line[LINE_SIZE];
};

/* Keeps the type in the object, so that tools can print events field by field. */
const struct event *unused_event __attribute__((unused));

/* Registers of an x86-64 user program as the kernel saves them. Declared here so
 * that the object needs neither vmlinux.h nor relocation. */
struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx;
	unsigned long r11, r10, r9, r8;
	unsigned long ax, cx, dx, si, di;
	unsigned long orig_ax, ip, cs, flags, sp, ss;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} events SEC(".maps");

int odd_length(struct pt_regs *ctx);
int even_length(struct pt_regs *ctx);

/* A large, sparse table, as a dispatcher by system call number has. */
enum slot {
	SLOT_ODD = 135,
	SLOT_EVEN = 146,
	SLOTS = 1024,
};

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, SLOTS);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct pt_regs *));
} handlers SEC(".maps") = {
	.values = {
		[SLOT_ODD] = &odd_length,
		[SLOT_EVEN] = &even_length,
	},
};

/* send_event sends the line that readline returned and gives back its length, or
 * a negative error. The target of a tail call gets the same registers, so every
 * program reads the line for itself and no state has to be handed over. */
static __always_inline long send_event(struct pt_regs *ctx, __u32 type)
{
	struct event event = {
		.type = type,
		.pid = bpf_get_current_pid_tgid() >> 32,
	};
	long size;

	/* readline returns NULL at the end of input, and then this fails. */
	size = bpf_probe_read_user_str(event.line, sizeof(event.line), (void *)ctx->ax);
	if (size <= 0)
		return -1;
	event.length = size - 1;
	bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &event, sizeof(event));
	return event.length;
}

SEC("uretprobe//bin/bash:readline")
int odd_length(struct pt_regs *ctx)
{
	send_event(ctx, EVENT_ODD);
	return 0;
}

SEC("uretprobe//bin/bash:readline")
int even_length(struct pt_regs *ctx)
{
	send_event(ctx, EVENT_EVEN);
	return 0;
}

SEC("uretprobe//bin/bash:readline")
int readline_return(struct pt_regs *ctx)
{
	long length = send_event(ctx, EVENT_LINE);

	if (length < 0)
		return 0;
	bpf_tail_call(ctx, &handlers, length % 2 ? SLOT_ODD : SLOT_EVEN);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
