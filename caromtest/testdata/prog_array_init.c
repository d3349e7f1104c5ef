// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Only slot 1 of two has an initial value. */
#include "common.h"

int set_value(void *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__uint(key_size, sizeof(__u32));
	__array(values, int(void *));
} jmp_table SEC(".maps") = {
	.values = { [1] = &set_value },
};

int value;

SEC("raw_tp/sys_enter")
int set_value(void *ctx)
{
	(void)ctx;
	value = 42;
	return 0;
}

SEC("raw_tp/sys_enter")
int entry(void *ctx)
{
	bpf_tail_call(ctx, &jmp_table, 0);
	bpf_tail_call(ctx, &jmp_table, 1);
	return 0;
}
