package gen

import (
	"slices"
	"strings"

	"github.com/cilium/ebpf"
)

// texts are the constant strings of programs, each at a multiple of textLen in the map str.
var texts = [...]string{
	"", "a", "abc", "-17", "0x1f", "%d %u|%i", "%llx %lld", "%08x|%-6d|%c", "%% %5llu %lx", "%d%x%u",
	"%3c|%i %u", "%5d %-3u|", "%020llu", "no verbs",
}

const (
	textLen     = 32
	stringsSize = textLen * len(texts)
)

func stringsData() []byte {
	b := make([]byte, stringsSize)
	for i, t := range texts {
		copy(b[i*textLen:], t)
	}
	return b
}

// where says which program types have a helper.
type where uint8

const (
	everywhere where = iota
	anySKB
	tcOnly
	xdpOnly
	notFilter
	redirects
)

func (w where) fits(k *kind) bool {
	switch w {
	case anySKB:
		return k.skb
	case tcOnly:
		return k.skb && k.store
	case notFilter, redirects:
		return k.store
	case xdpOnly:
		return k.typ == ebpf.XDP
	}
	return true
}

// helper is a helper with a deterministic result, and how to make its arguments.
type helper struct {
	name  string
	where where
	args  func(*fn) []string
}

func helpers() []helper {
	all := append(textHelpers(), csumHelpers()...)
	all = append(all, skbHelpers()...)
	all = append(all, shapeHelpers()...)
	return append(all, xdpHelpers()...)
}

// ptr makes a register point to n bytes of the frame.
func (f *fn) ptr(reg, n int) []string {
	return []string{f.line("r%d = r10", reg), f.line("r%d += %d", reg, f.area(n))}
}

// num makes a register one of the numbers, or now and then anything.
func (f *fn) num(reg int, of ...int) []string {
	switch f.IntN(8) {
	case 0:
		return []string{f.line("r%d = r%d", reg, f.from(kept))}
	case 1:
		return []string{f.line("r%d = %d", reg, f.imm())}
	}
	return f.fixed(reg, of...)
}

// below makes a register a number under a limit that is a power of 2.
func (f *fn) below(reg, limit int) []string {
	if f.chance(40) {
		return []string{f.line("r%d = r%d", reg, f.from(kept)), f.line("r%d &= %d", reg, limit-1)}
	}
	return f.fixed(reg, f.IntN(limit))
}

// fixed makes a register one of the numbers.
func (f *fn) fixed(reg int, of ...int) []string {
	return []string{f.line("r%d = %d", reg, of[f.IntN(len(of))])}
}

func join(parts ...[]string) []string {
	var out []string
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

var ctxArg = []string{"r1 = r6"}

// helperOp calls a helper; the result is in r0.
func (f *fn) helperOp() (Op, bool) {
	all := helpers()
	h := all[f.IntN(len(all))]
	if !h.where.fits(f.kind) || f.tails && makesRoom(h.name) || !f.tails && h.name == "skb_change_tail" {
		return Op{}, false
	}
	lines := append(h.args(f), "call bpf_"+h.name)
	f.clobber()
	if f.chance(50) {
		lines = append(lines, f.line("r%d += r0", f.from(kept&^f.locked)))
	}
	return ops(lines...)
}

// makesRoom says that a helper makes room before the packet. When Linux has to allocate for that, the
// transport header that was never set moves, which bpf_skb_change_tail takes for a limit: no case
// has both.
func makesRoom(name string) bool {
	return slices.Contains([]string{"skb_change_head", "skb_adjust_room", "skb_change_proto", "skb_vlan_push"}, name)
}

// text makes a register point to a constant string.
func text(f *fn, reg int) []string {
	t := f.IntN(len(texts))
	return []string{f.line("r%d = map[.rodata.str][0]+%d ll", reg, textLen*t)}
}

func textHelpers() []helper {
	// number puts a text to parse into the frame.
	number := func(f *fn) []string {
		at := f.area(24)
		digits := choose(f.generator, "0", "17", "-17", "0x1f", "077", " 42x", "999999999999999999999", "-", "", "08", "0X", "\t-9223372",
			"18446744073709551615", "abc", "-0xF")
		digits += strings.Repeat("\x00", 24-len(digits))
		var lines []string
		for i := 0; i < 24; i++ {
			if digits[i] != 0 || i == 0 || digits[i-1] != 0 {
				lines = append(lines, f.line("*(u8 *)(r10 %d) = %d", at+i, digits[i]))
			}
		}
		return join(lines, []string{"r1 = r10", f.line("r1 += %d", at)}, f.fixed(2, 1, 2, 5, 24),
			f.num(3, 0, 8, 10, 16), []string{"r4 = r10", f.line("r4 += %d", f.area(8))})
	}
	return []helper{
		{"strncmp", everywhere, func(f *fn) []string { return join(f.ptr(1, 16), f.fixed(2, 1, 4, 16), text(f, 3)) }},
		{"strncmp", everywhere, func(f *fn) []string {
			at, t := f.area(16), f.IntN(len(texts))
			return []string{
				f.line("r1 = map[.rodata.str][0]+%d ll", textLen*t), "r1 = *(u64 *)(r1 +0)", f.line("*(u64 *)(r10 %d) = r1", at),
				"r1 = r10", f.line("r1 += %d", at), f.line("r2 = %d", choose(f.generator, 3, 8, 16)),
				f.line("r3 = map[.rodata.str][0]+%d ll", textLen*t),
			}
		}},
		{"strtol", everywhere, number},
		{"strtoul", everywhere, number},
		{"snprintf", everywhere, func(f *fn) []string {
			t, verbs := f.IntN(len(texts)), 0
			verbs = strings.Count(strings.ReplaceAll(texts[t], "%%", ""), "%")
			size := choose(f.generator, 1, 5, 8, 16, 24)
			return join(f.ptr(1, 24), f.fixed(2, size), []string{f.line("r3 = map[.rodata.str][0]+%d ll", textLen*t)},
				f.ptr(4, 24), f.fixed(5, 8*verbs))
		}},
		{"probe_read_kernel", everywhere, func(f *fn) []string {
			return join(f.ptr(1, 16), f.fixed(2, 1, 7, 8, 16), f.ptr(3, 16))
		}},
		{"probe_read_kernel_str", everywhere, func(f *fn) []string {
			return join(f.ptr(1, 16), f.fixed(2, 1, 7, 8, 16), text(f, 3))
		}},
		{"redirect", redirects, func(f *fn) []string { return join(f.num(1, 0, 1, 99), f.num(2, 0, 1, 2)) }},
	}
}

func csumHelpers() []helper {
	return []helper{
		{"csum_diff", notFilter, func(f *fn) []string {
			from, to := f.ptr(1, 24), f.ptr(3, 24)
			if f.chance(20) {
				return join([]string{"r1 = 0", "r2 = 0"}, to, f.fixed(4, 0, 4, 24), f.num(5, 0, 0xffff, -1))
			}
			return join(from, f.fixed(2, 0, 4, 8, 20, 6), to, f.fixed(4, 0, 4, 8, 20, 24), f.num(5, 0, 1, 0xffff, -1))
		}},
		{"l3_csum_replace", tcOnly, func(f *fn) []string {
			return join(ctxArg, f.num(2, 24, 10, 24, 23, 60, 200), f.num(3, 0, 0, 1, 0x1234, -1), f.num(4, 0, 5, -1),
				f.num(5, 0, 2, 4, 1))
		}},
		{"l4_csum_replace", tcOnly, func(f *fn) []string {
			return join(ctxArg, f.num(2, 24, 36, 50, 200), f.num(3, 0, 0, 1, 0x1234, -1), f.num(4, 0, 5, -1),
				f.num(5, 0, 2, 4, 0x10, 0x12, 0x14, 0x22, 0x34, 0x62, 0x82, 0x100))
		}},
		{"csum_update", tcOnly, func(f *fn) []string { return join(ctxArg, f.num(2, 0, 1)) }},
		{"csum_level", tcOnly, func(f *fn) []string { return join(ctxArg, f.num(2, 0, 1, 2, 3, 4)) }},
	}
}

func skbHelpers() []helper {
	return []helper{
		{"skb_load_bytes", anySKB, func(f *fn) []string {
			return join(ctxArg, f.num(2, 0, 14, 30, 60, 100), f.ptr(3, 24), f.fixed(4, 1, 4, 17, 24))
		}},
		{"skb_load_bytes", anySKB, func(f *fn) []string {
			return join(ctxArg, f.below(2, 64), f.ptr(3, 16), f.below(4, 16), []string{"r4 += 1"})
		}},
		{"skb_load_bytes_relative", anySKB, func(f *fn) []string {
			return join(ctxArg, f.num(2, 0, 14, 30, 60, 100), f.ptr(3, 24), f.fixed(4, 1, 4, 17, 24), f.num(5, 0, 1, 2))
		}},
		{"skb_store_bytes", tcOnly, func(f *fn) []string {
			return join(ctxArg, f.num(2, 0, 14, 30, 60, 100), f.ptr(3, 24), f.fixed(4, 1, 4, 17, 24), f.num(5, 0, 0, 1, 2, 3, 4))
		}},
		{"skb_change_type", tcOnly, func(f *fn) []string { return join(ctxArg, f.num(2, 0, 1, 2, 3, 4)) }},
		{"set_hash", tcOnly, func(f *fn) []string { return join(ctxArg, f.num(2, 0, 77)) }},
		{"set_hash_invalid", tcOnly, func(*fn) []string { return ctxArg }},
		{"skb_pull_data", tcOnly, func(f *fn) []string { return join(ctxArg, f.num(2, 0, 14, 34, 64, 200)) }},
		{"skb_vlan_push", tcOnly, func(f *fn) []string { return join(ctxArg, f.num(2, 0x0081, 0xa888, 0), f.num(3, 0, 5, 0xfff)) }},
		{"skb_vlan_pop", tcOnly, func(*fn) []string { return ctxArg }},
	}
}

// shapeHelpers change where the parts of a socket buffer are.
func shapeHelpers() []helper {
	return []helper{
		{"skb_change_tail", tcOnly, func(f *fn) []string {
			return join(ctxArg, f.num(2, 13, 14, 34, 40, 64, 120, 400), f.num(3, 0, 0, 0, 0, 1))
		}},
		{"skb_change_head", tcOnly, func(f *fn) []string { return join(ctxArg, f.below(2, 128), f.num(3, 0, 0, 0, 0, 1)) }},
		{"skb_change_proto", tcOnly, func(f *fn) []string { return join(ctxArg, f.num(2, 0x0008, 0xdd86), f.num(3, 0, 0, 0, 1)) }},
		{"skb_adjust_room", tcOnly, func(f *fn) []string {
			return join(ctxArg, f.num(2, 0, 4, 8, 20, -4, -20, -8, 40, 5000), f.num(3, 0, 1, 2),
				f.num(4, 0, 0, 1, 2, 4, 0x20, 0x80, 0x100, 0x10, 0x12, 0x0a))
		}},
	}
}

func xdpHelpers() []helper {
	move := []int{0, 1, 4, -4, 8, -8, -16, 20, -20, 100, -100, -400, 14}
	return []helper{
		{"xdp_adjust_head", xdpOnly, func(f *fn) []string { return join(ctxArg, f.num(2, move...)) }},
		{"xdp_adjust_tail", xdpOnly, func(f *fn) []string { return join(ctxArg, f.num(2, move...)) }},
		{"xdp_adjust_meta", xdpOnly, func(f *fn) []string { return join(ctxArg, f.num(2, 0, -4, -8, 4, 8, -12, -3, -256)) }},
		{"xdp_get_buff_len", xdpOnly, func(*fn) []string { return ctxArg }},
		{"xdp_load_bytes", xdpOnly, func(f *fn) []string {
			return join(ctxArg, f.num(2, 0, 14, 30, 60, 100), f.ptr(3, 24), f.fixed(4, 1, 4, 17, 24))
		}},
		{"xdp_store_bytes", xdpOnly, func(f *fn) []string {
			return join(ctxArg, f.num(2, 0, 14, 30, 60, 100), f.ptr(3, 24), f.fixed(4, 1, 4, 17, 24))
		}},
	}
}
