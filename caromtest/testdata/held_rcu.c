// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* The RCU read lock is held at the tail call: refused at load. */
#include "common.h"

extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;

PROG_ARRAY(jmp_table, 1);

SEC("tc")
int entry(struct __sk_buff *skb)
{
	bpf_rcu_read_lock();
	bpf_tail_call_static(skb, &jmp_table, 0);
	bpf_rcu_read_unlock();
	return 0;
}
