package maps

import (
	"math/bits"
	"testing"
)

// TestHashSpread: each bit of a key changes about half of the bits that choose buckets, and
// sequential keys of any size fill buckets about evenly.
func TestHashSpread(t *testing.T) {
	h := hashMap(t, hashHost(t, 1), hashSpec(1, 4, 4, 1)).(*hash)
	for _, size := range []uint32{1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 24, 33} {
		h.keySize = size
		flips := 0
		for bit := range size * 8 {
			a, b := make([]byte, size), make([]byte, size)
			b[bit/8] ^= 1 << (bit % 8)
			d := h.sum(a) ^ h.sum(b)
			if uint32(d) == 0 {
				t.Errorf("key size %d: bit %d has no effect", size, bit)
			}
			flips += bits.OnesCount32(uint32(d))
		}
		if mean := float64(flips) / float64(size*8); mean < 11 || mean > 21 {
			t.Errorf("key size %d: a bit changes %.1f of 32 bits", size, mean)
		}
		var buckets [256]int
		for i := range 4096 {
			key := make([]byte, max(size, 2))
			key[0], key[size/2] = byte(i), byte(i>>8)
			buckets[h.sum(key[:size])&255]++
		}
		for i, n := range buckets {
			if size > 1 && n > 48 {
				t.Errorf("key size %d: bucket %d has %d of 4096 keys", size, i, n)
			}
		}
	}
}
