package corpus

import (
	"encoding/binary"

	ct "github.com/carom-bpf/carom/caromtest"
)

// sizes of loads and stores in bytes.
func sizes() []uint { return []uint{1, 2, 4, 8} }

func memoryCases() []ct.Case {
	return []ct.Case{loads(), signedLoads(), stores(), immediateStores(), acquire(), release()}
}

// at is size bytes of the input words at an offset, as a number.
func (b *batch) at(offset int, size uint) uint64 {
	var buf [8]byte
	copy(buf[:size], words(b.in)[offset:])
	return binary.LittleEndian.Uint64(buf[:])
}

func loads() ct.Case {
	b := newBatch("memory/load")
	for _, size := range sizes() {
		for offset := 0; offset+8 <= len(b.in)*8; offset += 3 {
			b.line("r1 = *(u%d *)(r6 +%d)", size*8, offset)
			b.result("r1", b.at(offset, size))
		}
	}
	return b.finish()
}

func signedLoads() ct.Case {
	b := newBatch("memory/load with sign")
	for _, size := range []uint{1, 2, 4} {
		for offset := 0; offset+8 <= len(b.in)*8; offset += 3 {
			b.line("r1 = *(s%d *)(r6 +%d)", size*8, offset)
			b.result("r1", wrap(signed(b.at(offset, size), size*8), 64))
		}
	}
	return b.finish()
}

// replaced is a word of which some bytes are replaced.
func replaced(word uint64, at, size uint, value uint64) uint64 {
	var buf, v [8]byte
	binary.LittleEndian.PutUint64(buf[:], word)
	binary.LittleEndian.PutUint64(v[:], value)
	copy(buf[at:at+size], v[:])
	return binary.LittleEndian.Uint64(buf[:])
}

// background is what a word holds before a part of it is stored.
const background = 0x5a5a5a5a5a5a5a5a

func stores() ct.Case {
	b := newBatch("memory/store")
	b.line("r8 = 0x%x ll", uint64(background))
	for _, size := range sizes() {
		for at := uint(0); at+size <= 8; at++ {
			for i, v := range b.in {
				b.operand("r1", i)
				offset := b.next(replaced(background, at, size, v))
				b.line("*(u64 *)(r7 +%d) = r8", offset)
				b.line("*(u%d *)(r7 +%d) = r1", size*8, offset+int(at))
			}
		}
	}
	return b.finish()
}

func immediateStores() ct.Case {
	b := newBatch("memory/store immediate")
	b.line("r8 = 0x%x ll", uint64(background))
	for _, size := range sizes() {
		for at := uint(0); at+size <= 8; at++ {
			for _, imm := range immediates() {
				offset := b.next(replaced(background, at, size, uint64(int64(imm))))
				b.line("*(u64 *)(r7 +%d) = r8", offset)
				b.line("*(u%d *)(r7 +%d) = %d", size*8, offset+int(at), imm)
			}
		}
	}
	return b.finish()
}

func acquire() ct.Case {
	b := newBatch("memory/load_acquire")
	for _, size := range sizes() {
		for offset := 0; offset < len(b.in)*8; offset += int(size) {
			b.line("r1 = load_acquire((u%d *)(r6 +%d))", size*8, offset)
			b.result("r1", b.at(offset, size))
		}
	}
	return b.finish()
}

func release() ct.Case {
	b := newBatch("memory/store_release")
	b.line("r8 = 0x%x ll", uint64(background))
	for _, size := range sizes() {
		for at := uint(0); at < 8; at += size {
			for i, v := range b.in {
				b.operand("r1", i)
				offset := b.next(replaced(background, at, size, v))
				b.line("*(u64 *)(r7 +%d) = r8", offset)
				b.line("store_release((u%d *)(r7 +%d), r1)", size*8, offset+int(at))
			}
		}
	}
	return b.finish()
}
