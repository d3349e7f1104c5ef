package amd64

// The vector instructions are those of SSE2, which every x86-64 processor has.

// MovdquXM loads 16 bytes from any address.
func (a *Assembler) MovdquXM(dst Xmm, m Mem) { a.rm(map0F|preF3|0x6F, W32, Reg(dst), m, 0) }

// MovdquMX stores 16 bytes to any address.
func (a *Assembler) MovdquMX(m Mem, src Xmm) { a.rm(map0F|preF3|0x7F, W32, Reg(src), m, 0) }

// PxorXX is dst = dst ^ src.
func (a *Assembler) PxorXX(dst, src Xmm) { a.rr(map0F|pre66|0xEF, W32, Reg(dst), Reg(src)) }

// PcmpeqbXX sets each byte of dst to all ones where it equals the byte of src, else to zero.
func (a *Assembler) PcmpeqbXX(dst, src Xmm) { a.rr(map0F|pre66|0x74, W32, Reg(dst), Reg(src)) }

// PmovmskbRX collects the top bits of the 16 bytes in the low 16 bits of a register and clears
// the rest of it.
func (a *Assembler) PmovmskbRX(dst Reg, src Xmm) { a.rr(map0F|pre66|0xD7, W32, dst, Reg(src)) }
