// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Preemption is disabled at the tail call: refused at load. */
#include "common.h"

extern void bpf_preempt_disable(void) __ksym;
extern void bpf_preempt_enable(void) __ksym;

PROG_ARRAY(jmp_table, 1);

SEC("tc")
int entry(struct __sk_buff *skb)
{
	bpf_preempt_disable();
	bpf_tail_call_static(skb, &jmp_table, 0);
	bpf_preempt_enable();
	return 0;
}
