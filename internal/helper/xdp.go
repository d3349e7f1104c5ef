package helper

import (
	"math"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/carom-bpf/carom/internal/vm"
)

// The memory of an XDP packet is one page: struct xdp_frame, headroom, packet, and at its end
// struct skb_shared_info (include/net/xdp.h).
const (
	xdpPage       = 4096
	xdpFrame      = 40
	xdpSharedInfo = 320
	maxMeta       = 255 // xdp_metalen_invalid
)

// xdpHelpers work on XDP packets.
func xdpHelpers() []vm.Helper {
	return []vm.Helper{
		packetRow(linux.FuncXDPAdjustHead, xdpAdjustHead),
		packetRow(linux.FuncXDPAdjustMeta, xdpAdjustMeta),
		packetRow(linux.FuncXDPAdjustTail, xdpAdjustTail),
		packetRow(linux.FuncXDPGetBuffLen, func(k *vm.Call) uint64 { return packetLen(k.CPU) }),
		packetRow(linux.FuncXDPLoadBytes, xdpLoadBytes),
		packetRow(linux.FuncXDPStoreBytes, xdpStoreBytes),
	}
}

// add moves an address by a signed 32-bit distance.
func add(addr, distance uint64) uint64 { return addr + uint64(int64(int32(distance))) }

func xdpAdjustHead(k *vm.Call) uint64 {
	c := k.CPU
	meta, data, end := c.PacketBounds()
	lo, _ := c.PacketBuffer()
	to := add(data, k.Args[1])
	metaLen := data - meta
	if to < lo+xdpFrame+metaLen || to+ethHeader > end {
		return linux.EINVAL.Neg()
	}
	if metaLen > 0 {
		copy(mem.Bytes(to-metaLen, metaLen), mem.Bytes(meta, metaLen))
	}
	c.Packet.NetOff += int(data - to)
	c.MovePacket(to-metaLen, to, end)
	return 0
}

func xdpAdjustMeta(k *vm.Call) uint64 {
	c := k.CPU
	meta, data, end := c.PacketBounds()
	lo, _ := c.PacketBuffer()
	to := add(meta, k.Args[1])
	switch {
	case to < lo+xdpFrame || to > data:
		return linux.EINVAL.Neg()
	case (data-to)%4 != 0 || data-to > maxMeta:
		return linux.EACCES.Neg()
	}
	c.MovePacket(to, data, end)
	return 0
}

func xdpAdjustTail(k *vm.Call) uint64 {
	c := k.CPU
	if c.Packet.Hidden > 0 {
		return xdpAdjustFrags(c, int32(k.Args[1]))
	}
	meta, data, end := c.PacketBounds()
	lo, _ := c.PacketBuffer()
	to := add(end, k.Args[1])
	if to > lo+xdpPage-xdpSharedInfo || to < data+ethHeader {
		return linux.EINVAL.Neg()
	}
	if to > end {
		clear(mem.Bytes(end, to-end))
	}
	c.MovePacket(meta, data, to)
	return 0
}

// xdpAdjustFrags is bpf_xdp_adjust_tail for a packet with fragments, which are pages that are
// full but for the last one.
func xdpAdjustFrags(c *vm.CPU, distance int32) uint64 {
	meta, data, end := c.PacketBounds()
	hidden, by := int64(c.Packet.Hidden), int64(distance)
	switch {
	case distance == math.MinInt32:
		return 0 // Linux negates it in 32 bits, and takes nothing away
	case by >= 0:
		last := (hidden-1)%xdpPage + 1
		if by > xdpPage-last {
			return linux.EINVAL.Neg()
		}
		clear(mem.Bytes(end+uint64(hidden), uint64(by)))
		c.Packet.Hidden += int(by)
		return 0
	}
	by = -by
	if by > int64(packetLen(c))-ethHeader {
		return linux.EINVAL.Neg()
	}
	taken := min(by, hidden)
	c.Packet.Hidden -= int(taken)
	c.MovePacket(meta, data, end-uint64(by-taken))
	return 0
}

// xdpPointer finds n bytes of the packet (bpf_xdp_pointer).
func xdpPointer(c *vm.CPU, off, n uint64) (addr uint64, err linux.Errno) {
	switch {
	case off > math.MaxUint16 || n > math.MaxUint16:
		return 0, linux.EFAULT
	case off+n > packetLen(c):
		return 0, linux.EINVAL
	}
	_, data, _ := c.PacketBounds()
	return data + off, linux.OK
}

func xdpLoadBytes(k *vm.Call) uint64 {
	n := uint64(uint32(k.Args[3]))
	to, ok := k.Buffer(k.Args[2], n)
	if !ok {
		return 0
	}
	addr, err := xdpPointer(k.CPU, uint64(uint32(k.Args[1])), n)
	if err == linux.OK {
		copy(to, mem.Bytes(addr, n))
	}
	return err.Neg()
}

func xdpStoreBytes(k *vm.Call) uint64 {
	n := uint64(uint32(k.Args[3]))
	from, ok := k.Bytes(k.Args[2], n)
	if !ok {
		return 0
	}
	addr, err := xdpPointer(k.CPU, uint64(uint32(k.Args[1])), n)
	if err == linux.OK {
		copy(mem.Bytes(addr, n), from)
	}
	return err.Neg()
}
