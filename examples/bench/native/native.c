// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
//go:build ignore

/* The functions of bench.c built for the host, as a yardstick for machine code.
 *
 *	carom bench bench.o --native native/native.c
 *
 * builds this with clang -O2 and asks it for times: it reads lines with the name
 * of a program, a number of runs and a packet in hex, and answers each with the
 * nanoseconds of all runs and the result of the last. A program that it does not
 * have takes -1 nanoseconds. An array is memory, a tail call a jump through a table,
 * and what needs a hash table or a trie is left out. */
#define BENCH_NATIVE

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <linux/if_ether.h>
#include <linux/types.h>
#include <netinet/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>

#define SEC(name)
#define bpf_htons(v) __builtin_bswap16(v)
#define hide(v) __asm__ volatile("" : "+r"(v))

enum { XDP_ABORTED, XDP_DROP, XDP_PASS };

struct xdp_md {
	unsigned long data, data_end;
	__u32 rx_queue_index;
};

static __u64 numbers[1000], percpu_numbers[2][1000];
static int cpu;

static __u64 *array_at(__u64 *array, const __u32 *key)
{
	return *key < 1000 ? &array[*key] : NULL;
}

static __u64 *percpu_at(__u64 (*arrays)[1000], const __u32 *key)
{
	return array_at(arrays[cpu], key);
}

#define bpf_map_lookup_elem(map, key)                          \
	_Generic((map), __u64 (*)[1000]: array_at((__u64 *)(map), key), \
		 __u64 (*)[2][1000]: percpu_at((__u64 (*)[1000])(map), key))

/* A PROG_ARRAY: the count of tail calls is 33 at most. */
typedef int program(struct xdp_md *ctx);

static int hops;
static program *volatile slots[2];

#define jump(ctx, table, index)                                     \
	do {                                                        \
		__u32 i_ = (index);                                 \
		program *next_;                                     \
		if (i_ < 2 && hops < 33 && (next_ = (table)[i_])) { \
			hops++;                                     \
			__attribute__((musttail)) return next_(ctx); \
		}                                                   \
	} while (0)

#define tail_call_slot(ctx, map, slot) jump(ctx, map, slot)
#define bpf_tail_call(ctx, map, index) jump(ctx, *(map), index)

#include "../bench.c"

static const struct {
	const char *name;
	program *run;
} programs[] = {
	{ "empty", empty },
	{ "alu_10k", alu_10k },
	{ "parse", parse },
	{ "checksum", checksum },
	{ "chain_constant", chain_constant },
	{ "chain_variable", chain_variable },
	{ "array_1k", array_1k },
	{ "percpu_array_1k", percpu_array_1k },
};

static __u64 now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (__u64)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The calls go through a pointer that the compiler does not know. */
static long measure(program *volatile *run, long repeat, struct xdp_md *ctx, int *result)
{
	__u64 start = now();

	while (repeat-- > 0) {
		hops = 0;
		*result = (*run)(ctx);
	}
	return now() - start;
}

static unsigned char packet[1 << 16];

int main(void)
{
	static char hex[2 * sizeof(packet) + 1];
	char name[64];
	long repeat;

	slots[0] = chain_variable;
	slots[1] = chain_constant;
	while (scanf("%63s %ld %131072s", name, &repeat, hex) == 3) {
		struct xdp_md ctx = { .data = (unsigned long)packet };
		program *volatile run = NULL;
		long elapsed = -1;
		int result = 0;
		size_t i, n = strlen(hex) / 2;

		for (i = 0; i < n; i++)
			sscanf(hex + 2 * i, "%2hhx", &packet[i]);
		ctx.data_end = ctx.data + n;
		for (i = 0; i < sizeof(programs) / sizeof(*programs); i++)
			if (!strcmp(programs[i].name, name))
				run = programs[i].run;
		if (run)
			elapsed = measure(&run, repeat, &ctx, &result);
		printf("%ld %d\n", elapsed, result);
		fflush(stdout);
	}
	return 0;
}
