// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* What happens to registers around a tail call. */
#include "common.h"

int clobber(struct __sk_buff *skb);
int wide_result(void);

enum slot {
	SLOT_CLOBBER,
	SLOT_WIDE,
	SLOT_EMPTY,
	SLOTS,
};

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, SLOTS);
	__uint(key_size, sizeof(__u32));
	__array(values, void(void));
} jmp_table SEC(".maps") = {
	.values = {
		[SLOT_CLOBBER] = (void *)&clobber,
		[SLOT_WIDE] = (void *)&wide_result,
	},
};

/* Overwrites every register that a called function preserves. */
SEC("tc")
int clobber(struct __sk_buff *skb)
{
	(void)skb;
	__asm__ volatile("r6 = 0x6666\n"
			 "r7 = 0x7777\n"
			 "r8 = 0x8888\n"
			 "r9 = 0x9999\n"
			 : : : "r6", "r7", "r8", "r9");
	return 5;
}

SEC("tc")
__attribute__((naked)) int wide_result(void)
{
	__asm__ volatile("r0 = 0x900000007 ll\n"
			 "exit\n");
}

#define CALL_SLOT(number)                                 \
	"r2 = %[table] ll\n"                              \
	"r3 = " #number "\n"                              \
	"call 12\n"

static __noinline int to_clobber(struct __sk_buff *skb)
{
	volatile int result = 0;

	bpf_tail_call_static(skb, &jmp_table, SLOT_CLOBBER);
	return result;
}

static __noinline __u64 to_wide(struct __sk_buff *skb)
{
	volatile __u64 result = 0;

	bpf_tail_call_static(skb, &jmp_table, SLOT_WIDE);
	return result;
}

/* The caller of the subprogram gets its registers back: 5 + 10 + 200 + 3000 + 40000. */
SEC("tc")
__attribute__((naked)) int saved(void)
{
	__asm__ volatile("r6 = 10\n"
			 "r7 = 200\n"
			 "r8 = 3000\n"
			 "r9 = 40000\n"
			 "call %[sub]\n"
			 "r0 += r6\n"
			 "r0 += r7\n"
			 "r0 += r8\n"
			 "r0 += r9\n"
			 "exit\n"
			 : : [sub] "i"(to_clobber));
}

/* A tail call that is not taken keeps r6 to r9 and the stack:
 * 1 + 20 + 300 + 4000 + 50000. */
SEC("tc")
__attribute__((naked)) int missed(void)
{
	__asm__ volatile("r6 = 20\n"
			 "r7 = 300\n"
			 "r8 = 4000\n"
			 "r9 = 50000\n"
			 "r0 = 1\n"
			 "*(u64 *)(r10 - 8) = r0\n"
			 CALL_SLOT(2)
			 "r0 = *(u64 *)(r10 - 8)\n"
			 "r0 += r6\n"
			 "r0 += r7\n"
			 "r0 += r8\n"
			 "r0 += r9\n"
			 "exit\n"
			 : : [table] "i"(&jmp_table));
}

/* The result that reaches the subprogram's caller has all 64 bits. */
SEC("tc")
int wide(struct __sk_buff *skb)
{
	return to_wide(skb) >> 32;
}
