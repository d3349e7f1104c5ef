package helper

import (
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/carom-bpf/carom/internal/vm"
)

// roomHelpers make room behind the link header, or take it away.
func roomHelpers() []vm.Helper {
	return []vm.Helper{
		packetRow(linux.FuncSKBChangeProto, skbChangeProto),
		packetRow(linux.FuncSKBAdjustRoom, skbAdjustRoom),
	}
}

const (
	protoIP    = 0x0800 // ETH_P_IP
	protoIPv6  = 0x86dd // ETH_P_IPV6
	ipv4Header = 20
	ipv6Header = 40

	ealready linux.Errno = 114
)

// Flags of bpf_skb_adjust_room (include/uapi/linux/bpf.h).
const (
	roomFixedGSO    = 1 << 0
	roomEncapIPv4   = 1 << 1
	roomEncapIPv6   = 1 << 2
	roomEncapGRE    = 1 << 3
	roomEncapUDP    = 1 << 4
	roomNoCsumReset = 1 << 5
	roomEncapEth    = 1 << 6
	roomDecapIPv4   = 1 << 7
	roomDecapIPv6   = 1 << 8
	roomL2Shift     = 56 // the length of an inner link header
	roomEncapL3     = roomEncapIPv4 | roomEncapIPv6
	roomDecapL3     = roomDecapIPv4 | roomDecapIPv6
	roomAll         = roomFixedGSO | roomEncapL3 | roomEncapGRE | roomEncapUDP | roomNoCsumReset | roomEncapEth |
		roomDecapL3 | 0xff<<roomL2Shift
	roomShrink = roomFixedGSO | roomDecapL3 | roomNoCsumReset
)

// baseLen is the length of the network header, 0 when the packet is not IP.
func baseLen(c *vm.CPU) uint64 {
	switch protocol(c) {
	case protoIP:
		return ipv4Header
	case protoIPv6:
		return ipv6Header
	}
	return 0
}

// macLen is the distance from the link header to the network header.
func macLen(c *vm.CPU) uint64 { return uint64(max(0, c.Packet.LinkLen+c.Packet.NetOff)) }

// pushAt inserts n zero bytes at off (bpf_skb_generic_push).
func pushAt(c *vm.CPU, off, n uint64) linux.Errno {
	// The link header stays in the buffer, for types whose data starts behind it.
	if !makeRoom(c, n+uint64(c.Packet.LinkLen)) {
		return linux.ENOMEM
	}
	_, data, end := c.PacketBounds()
	if _, hi := c.PacketBuffer(); data+off > hi {
		return linux.ENOMEM
	}
	to := data - n
	copy(mem.Bytes(to, off), mem.Bytes(data, off))
	clear(mem.Bytes(to+off, n))
	c.MovePacket(to, to, end)
	return linux.OK
}

// popAt removes n bytes at off (bpf_skb_generic_pop).
func popAt(c *vm.CPU, off, n uint64) linux.Errno {
	if err := pull(c, off+n); err != linux.OK {
		return err
	}
	_, data, end := c.PacketBounds()
	to := data + n
	copy(mem.Bytes(to, off), mem.Bytes(data, off))
	c.MovePacket(to, to, end)
	return linux.OK
}

func skbChangeProto(k *vm.Call) uint64 {
	c := k.CPU
	from, to := protocol(c), swap16(uint16(k.Args[1]))
	const diff = ipv6Header - ipv4Header
	var err linux.Errno
	switch {
	case k.Args[2] != 0:
		return linux.EINVAL.Neg()
	case from == protoIP && to == protoIPv6:
		err = pushAt(c, macLen(c), diff)
	case from == protoIPv6 && to == protoIP:
		err = popAt(c, macLen(c), diff)
	default:
		return linux.ENOTSUPP.Neg()
	}
	if err == linux.OK {
		setProtocol(c, to)
		clearHash(c)
	}
	return err.Neg()
}

func skbAdjustRoom(k *vm.Call) uint64 {
	c := k.CPU
	diff, mode, flags := int64(int32(k.Args[1])), uint32(k.Args[2]), k.Args[3]
	size := uint64(max(diff, -diff))
	base := baseLen(c)
	switch {
	case flags&^roomAll != 0:
		return linux.EINVAL.Neg()
	case size > 0xfff:
		return linux.EFAULT.Neg()
	case base == 0, mode > 1: // BPF_ADJ_ROOM_NET, BPF_ADJ_ROOM_MAC
		return linux.ENOTSUPP.Neg()
	}
	least := base
	switch flags & roomDecapL3 {
	case 0:
	case roomDecapIPv4:
		least = ipv4Header
	case roomDecapIPv6:
		least = ipv6Header
	default:
		return linux.EINVAL.Neg()
	}
	if flags&roomDecapL3 != 0 && diff >= 0 {
		return linux.EINVAL.Neg()
	}
	off := macLen(c)
	if mode == 0 {
		off += base
	}
	have := packetLen(c) - uint64(c.Packet.NetOff)
	gso := field(c, linux.SKBGSOSize) != 0
	var err linux.Errno
	switch {
	case diff < 0 && (size >= have || have-size < least), diff >= 0 && packetLen(c)+size > maxSKBLen && !gso:
		return linux.ENOTSUPP.Neg()
	case diff < 0:
		err = shrinkRoom(c, off, size, flags, gso)
	default:
		err = growRoom(c, off, size, flags, gso)
	}
	if err == linux.OK && flags&roomNoCsumReset == 0 {
		c.Packet.CsumLevel = 0
	}
	return err.Neg()
}

func shrinkRoom(c *vm.CPU, off, size, flags uint64, gso bool) linux.Errno {
	switch {
	case flags&^roomShrink != 0:
		return linux.EINVAL
	case gso:
		return linux.ENOTSUPP // the packet of a run has no GSO type
	}
	if err := popAt(c, off, size); err != linux.OK {
		return err
	}
	switch flags & roomDecapL3 {
	case roomDecapIPv4:
		setProtocol(c, protoIP)
	case roomDecapIPv6:
		setProtocol(c, protoIPv6)
	}
	return linux.OK
}

func growRoom(c *vm.CPU, off, size, flags uint64, gso bool) linux.Errno {
	if gso {
		return linux.ENOTSUPP
	}
	inner := flags >> roomL2Shift
	encap := flags&roomEncapL3 != 0
	if encap {
		switch {
		case flags&roomEncapL3 == roomEncapL3,
			flags&roomEncapGRE != 0 && flags&roomEncapUDP != 0,
			flags&roomEncapEth != 0 && inner < ethHeader:
			return linux.EINVAL
		case c.Packet.Encapsulated:
			return ealready
		case inner > size:
			return linux.EINVAL
		}
	}
	link := macLen(c)
	if err := pushAt(c, off, size); err != linux.OK {
		return err
	}
	if encap {
		c.Packet.Encapsulated = true
		c.Packet.NetOff = int(link)
		setProtocol(c, protoIP)
		if flags&roomEncapIPv6 != 0 {
			setProtocol(c, protoIPv6)
		}
	}
	return linux.OK
}
