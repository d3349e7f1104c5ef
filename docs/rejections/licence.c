// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
//go:build ignore

/* A helper is for GPL-compatible programs only. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("kprobe/do_nanosleep")
int say(void *ctx __attribute__((unused)))
{
	bpf_printk("sleeping");
	return 0;
}

char _license[] SEC("license") = "Proprietary";
