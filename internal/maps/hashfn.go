package maps

import (
	"encoding/binary"
	"math/bits"
)

// Odd constants with an even mix of bits (the first is 2^64 divided by the golden ratio).
const (
	mixA = 0x9e3779b97f4a7c15
	mixB = 0xbf58476d1ce4e5b9
	mixC = 0x94d049bb133111eb
)

// hashWord spreads one word: a bijection, so that keys of up to 8 bytes never share a hash.
func hashWord(seed, x uint64) uint64 {
	x = (x ^ seed) * mixB
	x ^= x >> 32
	x *= mixC
	return x ^ x>>29
}

// hashPair spreads two words through one wide multiplication.
func hashPair(seed, a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^seed^mixA, b^mixB)
	return hashWord(hi^lo, a+bits.RotateLeft64(b, 32))
}

// hashBytes hashes a key of any length.
func hashBytes(seed uint64, key []byte) uint64 {
	sum := seed ^ uint64(len(key))*mixA
	for len(key) > 16 {
		sum = hashPair(sum, binary.LittleEndian.Uint64(key), binary.LittleEndian.Uint64(key[8:]))
		key = key[16:]
	}
	// The words of what is left may overlap; together they hold every byte.
	n := len(key)
	switch {
	case n >= 8:
		return hashPair(sum, binary.LittleEndian.Uint64(key), binary.LittleEndian.Uint64(key[n-8:]))
	case n >= 4:
		return hashPair(sum, uint64(binary.LittleEndian.Uint32(key)), uint64(binary.LittleEndian.Uint32(key[n-4:])))
	case n > 0:
		return hashWord(sum, uint64(key[0])|uint64(key[n/2])<<8|uint64(key[n-1])<<16)
	}
	return hashWord(sum, 0)
}

// hashSeed derives a map's seed from its definition, so that the order of iteration depends on
// nothing but the definition and the operations.
func hashSeed(s *Spec) uint64 {
	seed := hashBytes(mixC, []byte(s.Name))
	return hashPair(seed, uint64(s.KeySize)<<32|uint64(s.ValueSize), uint64(s.MaxEntries))
}
