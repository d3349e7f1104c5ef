package corpus

import ct "github.com/carom-bpf/carom/caromtest"

func atomics() []ct.Case {
	var cases []ct.Case
	for _, op := range binaryOps() {
		switch op.name {
		case "add", "or", "and", "xor":
			for _, width := range widths() {
				cases = append(cases, atomicPlain(op, width), atomicFetch(op, width, "fetch_"+op.name))
			}
		case "mov":
			for _, width := range widths() {
				cases = append(cases, atomicFetch(op, width, "xchg"))
			}
		}
	}
	for _, width := range widths() {
		cases = append(cases, compareExchange(width))
	}
	return cases
}

// low is the part of a word that an operation of a width works on.
func low(word uint64, width uint) uint64 { return wrap(unsigned(word, width), width) }

func atomicPlain(op binaryOp, width uint) ct.Case {
	b := newBatch(sprint("atomic/%s%d", op.name, width))
	for i, x := range b.in {
		for j, y := range b.in {
			b.operand("r1", i)
			b.operand("r2", j)
			offset := b.next(replaced(x, 0, width/8, op.eval(x, y, width)))
			b.line("*(u64 *)(r7 +%d) = r1", offset)
			b.line("lock *(u%d *)(r7 +%d) %s r2", width, offset, op.text)
		}
	}
	return b.finish()
}

// atomicName is atomic64_x or atomic_x, as the kernel prints it.
func atomicName(name string, width uint) string {
	if width == 64 {
		return "atomic64_" + name
	}
	return "atomic_" + name
}

func atomicFetch(op binaryOp, width uint, name string) ct.Case {
	b := newBatch(sprint("atomic/%s%d", name, width))
	for i, x := range b.in {
		for j, y := range b.in {
			b.operand("r1", i)
			b.operand("r2", j)
			offset := b.next(replaced(x, 0, width/8, op.eval(x, y, width)))
			b.line("*(u64 *)(r7 +%d) = r1", offset)
			b.line("r2 = %s((u%d *)(r7 +%d), r2)", atomicName(name, width), width, offset)
			b.result("r2", low(x, width))
		}
	}
	return b.finish()
}

func compareExchange(width uint) ct.Case {
	b := newBatch(sprint("atomic/cmpxchg%d", width))
	const replacement = 24 // 0x123456789abcdef0
	for i, x := range b.in {
		for j, y := range b.in {
			after := x
			if low(x, width) == low(y, width) {
				after = replaced(x, 0, width/8, b.in[replacement])
			}
			b.operand("r1", i)
			b.operand("r0", j)
			b.operand("r2", replacement)
			offset := b.next(after)
			b.line("*(u64 *)(r7 +%d) = r1", offset)
			b.line("r0 = %s((u%d *)(r7 +%d), r0, r2)", atomicName("cmpxchg", width), width, offset)
			b.result("r0", low(x, width))
			b.result("r2", b.in[replacement])
		}
	}
	return b.finish()
}
