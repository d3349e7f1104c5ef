package helper

import (
	"math"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/carom-bpf/carom/internal/vm"
)

// skbHelpers work on socket buffers.
func skbHelpers() []vm.Helper {
	return []vm.Helper{
		packetRow(linux.FuncSKBStoreBytes, skbStoreBytes),
		packetRow(linux.FuncSKBLoadBytes, skbLoadBytes),
		packetRow(linux.FuncSKBChangeType, skbChangeType),
		packetRow(linux.FuncGetHashRecalc, getHashRecalc),
		packetRow(linux.FuncSKBChangeTail, skbChangeTail),
		packetRow(linux.FuncSKBPullData, skbPullData),
		packetRow(linux.FuncSetHashInvalid, func(k *vm.Call) uint64 {
			clearHash(k.CPU)
			return 0
		}),
		packetRow(linux.FuncSKBChangeHead, skbChangeHead),
		// The packet of a run has a socket that nobody opened: it belongs to root.
		packetRow(linux.FuncGetSocketCookie, func(*vm.Call) uint64 { return 1 }),
		packetRow(linux.FuncGetSocketUID, func(*vm.Call) uint64 { return 0 }),
		packetRow(linux.FuncSetHash, func(k *vm.Call) uint64 {
			setHash(k.CPU, uint32(k.Args[1]))
			return 0
		}),
		packetRow(linux.FuncSKBLoadBytesRelative, skbLoadBytesRelative),
	}
}

// Flags of bpf_skb_store_bytes (include/uapi/linux/bpf.h).
const (
	flagRecomputeCsum  = 1 << 0
	flagInvalidateHash = 1 << 1
)

// maxSKBLen is BPF_SKB_MAX_LEN: SKB_MAX_ALLOC with pages of 4096 bytes.
const maxSKBLen = 4<<12 - 320

func skbStoreBytes(k *vm.Call) uint64 {
	off, n, flags := uint32(k.Args[1]), uint32(k.Args[3]), k.Args[4]
	from, ok := k.Bytes(k.Args[2], uint64(n))
	switch {
	case !ok:
		return 0
	case flags&^(flagRecomputeCsum|flagInvalidateHash) != 0:
		return linux.EINVAL.Neg()
	case off > math.MaxInt32, pull(k.CPU, uint64(off)+uint64(n)) != linux.OK:
		return linux.EFAULT.Neg()
	}
	_, data, _ := k.CPU.PacketBounds()
	copy(mem.Bytes(data+uint64(off), uint64(n)), from)
	if flags&flagInvalidateHash != 0 {
		clearHash(k.CPU)
	}
	return 0
}

func skbLoadBytes(k *vm.Call) uint64 {
	off, n := uint32(k.Args[1]), uint64(uint32(k.Args[3]))
	to, ok := k.Buffer(k.Args[2], n)
	if !ok {
		return 0
	}
	if off > math.MaxInt32 || uint64(off)+n > packetLen(k.CPU) {
		clear(to)
		return linux.EFAULT.Neg()
	}
	_, data, _ := k.CPU.PacketBounds()
	copy(to, mem.Bytes(data+uint64(off), n))
	return 0
}

// skbLoadBytesRelative reaches the link header also where data starts behind it, and only what
// is directly accessible.
func skbLoadBytesRelative(k *vm.Call) uint64 {
	off, n := uint32(k.Args[1]), uint64(uint32(k.Args[3]))
	to, ok := k.Buffer(k.Args[2], n)
	if !ok {
		return 0
	}
	_, data, end := k.CPU.PacketBounds()
	start, good := data, off <= math.MaxUint16
	switch uint32(k.Args[4]) {
	case 0: // BPF_HDR_START_MAC
		start -= uint64(k.CPU.Packet.LinkLen)
	case 1: // BPF_HDR_START_NET
		start += uint64(k.CPU.Packet.NetOff)
	default:
		good = false
	}
	if !good || start+uint64(off)+n > end {
		clear(to)
		return linux.EFAULT.Neg()
	}
	copy(to, mem.Bytes(start+uint64(off), n))
	return 0
}

func skbPullData(k *vm.Call) uint64 {
	n := uint64(uint32(k.Args[1]))
	if n > packetLen(k.CPU) {
		return linux.ENOMEM.Neg()
	}
	return pull(k.CPU, n).Neg()
}

func skbChangeTail(k *vm.Call) uint64 {
	c := k.CPU
	n, have := uint64(uint32(k.Args[1])), packetLen(c)
	if k.Args[2] != 0 || n > maxSKBLen || n < uint64(max(0, c.Packet.NetOff)) {
		return linux.EINVAL.Neg()
	}
	if c.Packet.Encapsulated {
		return linux.ENOTSUPP.Neg()
	}
	if err := pull(c, have); err != linux.OK {
		return err.Neg()
	}
	makeTail(c, n)
	meta, data, end := c.PacketBounds()
	if n > have {
		clear(mem.Bytes(end, n-have))
	}
	c.MovePacket(meta, data, data+n)
	setField(c, linux.SKBGSOSize, 0)
	setField(c, linux.SKBGSOSegs, 0)
	return 0
}

func skbChangeHead(k *vm.Call) uint64 {
	c := k.CPU
	n := uint64(uint32(k.Args[1]))
	gso := field(c, linux.SKBGSOSize) != 0
	if k.Args[2] != 0 || n > math.MaxInt32 || !gso && packetLen(c)+n > maxSKBLen {
		return linux.EINVAL.Neg()
	}
	if !makeRoom(c, n) {
		return linux.ENOMEM.Neg()
	}
	_, data, end := c.PacketBounds()
	data -= n
	clear(mem.Bytes(data, n))
	c.MovePacket(data, data, end)
	c.Packet.NetOff += int(n)
	c.Packet.LinkLen = 0
	return 0
}

// skbChangeType knows PACKET_HOST to PACKET_OTHERHOST.
func skbChangeType(k *vm.Call) uint64 {
	const otherHost = 3
	if t := uint32(k.Args[1]); t <= otherHost && field(k.CPU, linux.SKBPktType) <= otherHost {
		setField(k.CPU, linux.SKBPktType, t)
		return 0
	}
	return linux.EINVAL.Neg()
}

// getHashRecalc returns a hash of addresses and ports that is never 0. Linux keys its hash with
// a secret that changes at each boot, so no particular value can be relied on.
func getHashRecalc(k *vm.Call) uint64 {
	c := k.CPU
	if c.Packet.HasHash {
		return uint64(field(c, linux.SKBHash))
	}
	_, data, end := c.PacketBounds()
	net := data + uint64(c.Packet.NetOff)
	h := uint32(2166136261) // FNV-1a
	if net < end {
		b := mem.Bytes(net, end-net)
		from, to := 0, 0
		switch b[0] >> 4 {
		case 4:
			from, to = 12, int(b[0]&15)*4+4
		case 6:
			from, to = 8, 44
		}
		for _, v := range b[min(from, len(b)):min(to, len(b))] {
			h = (h ^ uint32(v)) * 16777619
		}
	}
	h = max(h, 1)
	setHash(c, h)
	return uint64(h)
}

func setHash(c *vm.CPU, h uint32) {
	c.Packet.HasHash = true
	setField(c, linux.SKBHash, h)
}

func clearHash(c *vm.CPU) {
	c.Packet.HasHash = false
	setField(c, linux.SKBHash, 0)
}
