// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* A helper number that no kernel has. */
#include "common.h"

static long (*no_such_helper)(void *ctx) = (void *)9999;

SEC("tc")
int entry(struct __sk_buff *skb)
{
	return no_such_helper(skb);
}
