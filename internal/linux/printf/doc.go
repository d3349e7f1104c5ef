// Package printf formats text exactly as Linux does for the BPF helpers
// bpf_trace_printk (6), bpf_trace_vprintk (177), bpf_snprintf (165) and
// bpf_seq_printf (126).
//
// Linux works in two passes and so does this package, because programs can see
// the seam between them:
//
//  1. bpf_bprintf_prepare (kernel/bpf/helpers.c) checks the format with a small
//     parser of its own, fetches what %s, %pI4 and their kin point to, and packs
//     the arguments into a buffer of 512 bytes.
//  2. bstr_printf (lib/vsprintf.c) reads the format again and prints from that
//     buffer.
//
// What the seam shows: a long %s leaves no room for later arguments (-ENOSPC);
// width and flags are ignored by %pI4, %pi6, %pB, %pks and %pus; letters and
// digits right after a %p conversion are swallowed ("%pI4abc" prints an address
// and no "abc").
//
// Accepted conversions: %d %i %u %x %X with l or ll, %c, %s, %p and %px %pK %ps
// %pS %pB %pi4 %pI4 %pi6 %pI6 %pks %pus, and %%, each with the flags '0', '+',
// '-', ' ' and a width. Everything else (%o, %h, '#', a precision, '*', %n) is
// refused with EINVAL, as is a format without NUL or with control characters.
//
// A plain %p prints a hash of the address in Linux, keyed with a random number
// at boot. Here the key is fixed, so that output can be repeated; see
// [HashPointer].
package printf
