// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* An extension program: what it may do depends on the program that it extends. */
#include "common.h"

SEC("freplace/target")
int extension(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_PASS;
}

SEC("xdp")
int entry(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_DROP;
}
