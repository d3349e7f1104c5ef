package gen

import (
	"github.com/cilium/ebpf"
)

// mapOp looks up, updates or deletes an element.
func (f *fn) mapOp() (Op, bool) {
	if len(f.stores) == 0 {
		return Op{}, false
	}
	name := f.stores[f.IntN(len(f.stores))]
	m := f.c.Maps[name]
	lines, at := f.key(m)
	switch f.IntN(6) {
	case 0, 1:
		return f.update(lines, name, m, at)
	case 2:
		if m.Type == ebpf.Array || m.Type == ebpf.PerCPUArray {
			break
		}
		lines = append(lines, f.line("r1 = map[%s] ll", name), "r2 = r10", f.line("r2 += %d", at), "call bpf_map_delete_elem")
		f.clobber()
		return ops(lines...)
	}
	return f.lookup(lines, name, m, at)
}

// key writes a key to the frame.
func (f *fn) key(m *ebpf.MapSpec) (lines []string, at int) {
	at = f.area(int(m.KeySize))
	src := f.from(kept)
	switch {
	case m.Type == ebpf.LPMTrie:
		bits := 8 * (int(m.KeySize) - 4)
		lines = append(lines,
			f.line("*(u32 *)(r10 %d) = %d", at, choose(f.generator, 0, 1, bits/2, bits-1, bits, bits, f.IntN(bits+2))),
			f.line("*(u8 *)(r10 %d) = r%d", at+4, src))
		if m.KeySize == 8 && f.chance(50) {
			lines = append(lines, f.line("*(u32 *)(r10 %d) = %d", at+4, f.IntN(4)<<f.IntN(8)))
		}
	case f.chance(50):
		for i := 0; i < int(m.KeySize); {
			n := min(4, int(m.KeySize)-i)
			lines = append(lines, f.line("*(u%d *)(r10 %d) = %d", 8*n, at+i, f.IntN(6)))
			i += n
		}
	default:
		for i := 0; i < int(m.KeySize); i++ {
			lines = append(lines, f.line("*(u8 *)(r10 %d) = 0", at+i))
		}
		lines = append(lines, f.line("r1 = r%d", src), "r1 &= 7", f.line("*(u8 *)(r10 %d) = r1", at))
	}
	return lines, at
}

func (f *fn) update(lines []string, name string, m *ebpf.MapSpec, at int) (Op, bool) {
	lines = append(lines,
		f.line("r1 = map[%s] ll", name), "r2 = r10", f.line("r2 += %d", at),
		"r3 = r10", f.line("r3 += %d", f.area(int(m.ValueSize))),
		f.line("r4 = %d", choose(f.generator, 0, 0, 0, 1, 2, 3, f.IntN(9))), "call bpf_map_update_elem")
	f.clobber()
	return ops(lines...)
}

func (f *fn) lookup(lines []string, name string, m *ebpf.MapSpec, at int) (Op, bool) {
	lines = append(lines, f.line("r1 = map[%s] ll", name), "r2 = r10", f.line("r2 += %d", at))
	call := "call bpf_map_lookup_elem"
	if (m.Type == ebpf.PerCPUArray || m.Type == ebpf.PerCPUHash) && f.chance(40) {
		lines = append(lines, f.line("r3 = %d", choose(f.generator, 0, 0, 1, 99)))
		call = "call bpf_map_lookup_percpu_elem"
	}
	skip := f.label()
	f.clobber()
	op := Op{Head: append(lines, call, "if r0 == 0 goto "+skip), Tail: []string{skip + ":", f.line("r0 = %d", f.imm())}}
	for range 1 + f.IntN(3) {
		op.Body = append(op.Body, f.valueAccess(int(m.ValueSize)))
	}
	return op, true
}

// valueAccess reads or writes a map value at r0.
func (f *fn) valueAccess(size int) Op {
	switch f.IntN(5) {
	case 0:
		w, n := f.unsigned()
		return Op{Head: []string{f.line("*(%s *)(r0 +%d) = r%d", w, n*f.IntN(size/n), f.from(kept))}}
	case 1:
		w, n := f.unsigned()
		return Op{Head: []string{f.line("*(%s *)(r0 +%d) = %d", w, n*f.IntN(size/n), f.imm())}}
	case 2:
		n, w, r := 4, "u32", "w"
		if f.chance(50) {
			n, w, r = 8, "u64", "r"
		}
		return Op{Head: []string{f.line("lock *(%s *)(r0 +%d) %s %s%d", w, n*f.IntN(size/n),
			choose(f.generator, "+=", "|=", "&=", "^="), r, f.from(kept))}}
	}
	w, n := f.size()
	return Op{Head: []string{
		f.line("r1 = *(%s *)(r0 +%d)", w, n*f.IntN(size/n)),
		f.line("r%d %s r1", f.from(kept&^f.locked), choose(f.generator, "+=", "^=", "*=")),
	}}
}

// nestedMap looks a map up in a map, and an element in that.
func (f *fn) nestedMap() (Op, bool) {
	if !f.nested {
		return Op{}, false
	}
	at, skip := f.area(4), f.label()
	lines := []string{
		f.line("*(u32 *)(r10 %d) = %d", at, f.IntN(3)), "r1 = map[outer] ll", "r2 = r10", f.line("r2 += %d", at),
		"call bpf_map_lookup_elem", "if r0 == 0 goto " + skip,
		f.line("*(u32 *)(r10 %d) = %d", at, f.IntN(4)), "r1 = r0", "r2 = r10", f.line("r2 += %d", at),
		"call bpf_map_lookup_elem", "if r0 == 0 goto " + skip,
	}
	f.clobber()
	return Op{Head: lines, Body: []Op{f.valueAccess(innerSize)}, Tail: []string{skip + ":", "r0 = 1"}}, true
}

// ringBuffer writes records, which nobody reads, and asks how full the ring is.
func (f *fn) ringBuffer() (Op, bool) {
	if !f.ring {
		return Op{}, false
	}
	ring := "r1 = map[ring] ll"
	switch f.IntN(3) {
	case 0:
		lines := join([]string{ring}, f.ptr(2, 24), f.fixed(3, 1, 8, 20, 24), f.num(4, 0, 0, 1, 2, 3))
		f.clobber()
		return ops(append(lines, "call bpf_ringbuf_output")...)
	case 1:
		lines := []string{ring, f.line("r2 = %d", f.IntN(5)), "call bpf_ringbuf_query"}
		f.clobber()
		return ops(lines...)
	}
	size, skip := choose(f.generator, 8, 16, 500, 4000), f.label()
	lines := []string{
		ring, f.line("r2 = %d", size), "r3 = 0", "call bpf_ringbuf_reserve", "if r0 == 0 goto " + skip,
		f.line("*(u64 *)(r0 +%d) = r%d", f.IntN(size/8)*8, f.from(kept)), "r1 = r0", f.line("r2 = %d", f.IntN(3)),
		"call bpf_ringbuf_" + choose(f.generator, "submit", "discard"), skip + ":", "r0 = 5",
	}
	f.clobber()
	return ops(lines...)
}
