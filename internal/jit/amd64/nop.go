package amd64

// nops are the instructions that the processor manuals recommend as padding, by length.
func nops() [10]string {
	return [10]string{
		1: "\x90",
		2: "\x66\x90",
		3: "\x0F\x1F\x00",
		4: "\x0F\x1F\x40\x00",
		5: "\x0F\x1F\x44\x00\x00",
		6: "\x66\x0F\x1F\x44\x00\x00",
		7: "\x0F\x1F\x80\x00\x00\x00\x00",
		8: "\x0F\x1F\x84\x00\x00\x00\x00\x00",
		9: "\x66\x0F\x1F\x84\x00\x00\x00\x00\x00",
	}
}

// appendNops appends n bytes that do nothing, in as few instructions as possible.
func appendNops(dst []byte, n int) []byte {
	table := nops()
	for n > 0 {
		k := min(n, len(table)-1)
		dst = append(dst, table[k]...)
		n -= k
	}
	return dst
}

// Nop emits n bytes that do nothing.
func (a *Assembler) Nop(n int) { a.buf = appendNops(a.buf, n) }
