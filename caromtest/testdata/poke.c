// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* A constant call site whose slot is replaced while the entry program is
 * loaded again and again, and while it runs. Slot 0 is meant never to be empty. */
#include "common.h"

PROG_ARRAY(jmp_table, 1);

TC_RETURNS(target_1, 1)
TC_RETURNS(target_2, 2)

SEC("tc")
int entry(struct __sk_buff *skb)
{
	bpf_tail_call_static(skb, &jmp_table, 0);
	return 0;
}
