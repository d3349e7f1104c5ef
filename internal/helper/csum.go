package helper

import (
	"encoding/binary"
	"math"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/carom-bpf/carom/internal/vm"
)

// csumHelpers work on Internet checksums (RFC 1071). Sums are of 16-bit words in memory order,
// kept in 32 bits, as __wsum is.
func csumHelpers() []vm.Helper {
	return []vm.Helper{
		packetRow(linux.FuncL3CsumReplace, l3CsumReplace),
		packetRow(linux.FuncL4CsumReplace, l4CsumReplace),
		{
			Proto: proto(linux.FuncCsumDiff),
			Func:  csumDiff,
		},
		// The packet of a run carries no checksum of its whole data that could be updated.
		packetRow(linux.FuncCsumUpdate, func(*vm.Call) uint64 { return linux.ENOTSUPP.Neg() }),
		packetRow(linux.FuncCsumLevel, csumLevel),
	}
}

// Flags of bpf_l3_csum_replace and bpf_l4_csum_replace (include/uapi/linux/bpf.h).
const (
	flagFieldSize    = 0xf
	flagPseudoHeader = 1 << 4
	flagMangled0     = 1 << 5
	flagMarkEnforce  = 1 << 6
	flagIPv6         = 1 << 7
)

// sumAdd is the one's complement sum of two 32-bit sums.
func sumAdd(a, b uint32) uint32 {
	s := a + b
	if s < a {
		s++
	}
	return s
}

// sumBytes adds bytes to a sum (csum_partial).
func sumBytes(b []byte, sum uint32) uint32 {
	total := uint64(sum)
	for ; len(b) >= 4; b = b[4:] {
		total += uint64(binary.LittleEndian.Uint32(b))
	}
	var last [4]byte
	copy(last[:], b)
	total += uint64(binary.LittleEndian.Uint32(last[:]))
	for total > math.MaxUint32 {
		total = total>>32 + total&math.MaxUint32
	}
	return uint32(total)
}

// fold reduces a sum to 16 bits.
func fold(sum uint32) uint16 {
	sum = sum>>16 + sum&0xffff
	return uint16(sum>>16 + sum)
}

// replace4 is csum_replace4 (include/net/checksum.h).
func replace4(sum uint16, from, to uint32) uint16 {
	return ^fold(sumAdd(sumAdd(^uint32(sum), ^from), to))
}

// replace2 is csum_replace2.
func replace2(sum, from, to uint16) uint16 {
	add := func(a, b uint16) uint16 {
		s := a + b
		if s < a {
			s++
		}
		return s
	}
	return ^add(add(^sum, ^from), to)
}

// replaceByDiff is csum_replace_by_diff.
func replaceByDiff(sum uint16, diff uint32) uint16 {
	return ^fold(sumAdd(diff, ^uint32(sum)))
}

// csumField finds the checksum in the packet, after the checks that both helpers make first.
func csumField(k *vm.Call, flags uint64) (addr uint64, err linux.Errno) {
	off := uint32(k.Args[1])
	switch {
	case k.Args[4]&^flags != 0:
		return 0, linux.EINVAL
	case off > math.MaxUint16 || off&1 != 0, pull(k.CPU, uint64(off)+2) != linux.OK:
		return 0, linux.EFAULT
	}
	_, data, _ := k.CPU.PacketBounds()
	return data + uint64(off), linux.OK
}

func l3CsumReplace(k *vm.Call) uint64 {
	at, err := csumField(k, flagFieldSize)
	if err != linux.OK {
		return err.Neg()
	}
	from, to, sum := k.Args[2], k.Args[3], mem.Load16(at)
	switch k.Args[4] & flagFieldSize {
	case 0:
		if from != 0 {
			return linux.EINVAL.Neg()
		}
		sum = replaceByDiff(sum, uint32(to))
	case 2:
		sum = replace2(sum, uint16(from), uint16(to))
	case 4:
		sum = replace4(sum, uint32(from), uint32(to))
	default:
		return linux.EINVAL.Neg()
	}
	mem.Store16(at, sum)
	return 0
}

func l4CsumReplace(k *vm.Call) uint64 {
	flags := k.Args[4]
	at, err := csumField(k, flagFieldSize|flagPseudoHeader|flagMangled0|flagMarkEnforce|flagIPv6)
	if err != linux.OK {
		return err.Neg()
	}
	from, to, sum := k.Args[2], k.Args[3], mem.Load16(at)
	if flags&flagMangled0 != 0 && flags&flagMarkEnforce == 0 && sum == 0 {
		return 0 // a UDP packet without checksum
	}
	switch flags & flagFieldSize {
	case 0:
		if from != 0 {
			return linux.EINVAL.Neg()
		}
		sum = replaceByDiff(sum, uint32(to))
	case 2:
		sum = replace4(sum, uint32(uint16(from)), uint32(uint16(to)))
	case 4:
		sum = replace4(sum, uint32(from), uint32(to))
	default:
		return linux.EINVAL.Neg()
	}
	if flags&flagMangled0 != 0 && sum == 0 {
		sum = 0xffff // CSUM_MANGLED_0
	}
	mem.Store16(at, sum)
	return 0
}

// csumDiff returns a sum of 16 bits since Linux 6.13, on all architectures.
func csumDiff(k *vm.Call) uint64 {
	fromSize, toSize, sum := uint64(uint32(k.Args[1])), uint64(uint32(k.Args[3])), uint32(k.Args[4])
	var from, to []byte
	ok := true
	if fromSize > 0 {
		if from, ok = k.Bytes(k.Args[0], fromSize); !ok {
			return 0
		}
	}
	if toSize > 0 {
		if to, ok = k.Bytes(k.Args[2], toSize); !ok {
			return 0
		}
	}
	switch {
	case fromSize > 0 && toSize > 0:
		sum = sumAdd(sumBytes(to, sum), ^sumBytes(from, 0))
	case toSize > 0:
		sum = sumBytes(to, sum)
	case fromSize > 0:
		sum = ^sumBytes(from, ^sum)
	}
	return uint64(fold(sum))
}

// csumLevel counts how many checksums of nested headers are known to be good.
func csumLevel(k *vm.Call) uint64 {
	const maxLevel = 4 // SKB_MAX_CSUM_LEVEL + 1
	level := &k.CPU.Packet.CsumLevel
	switch k.Args[1] {
	case 0: // BPF_CSUM_LEVEL_QUERY
		if *level == 0 {
			return linux.EACCES.Neg()
		}
		return uint64(*level - 1)
	case 1: // BPF_CSUM_LEVEL_INC
		*level = min(*level+1, maxLevel)
	case 2: // BPF_CSUM_LEVEL_DEC
		*level = max(*level-1, 0)
	case 3: // BPF_CSUM_LEVEL_RESET
		*level = 0
	default:
		return linux.EINVAL.Neg()
	}
	return 0
}
