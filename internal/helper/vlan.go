package helper

import (
	"encoding/binary"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/carom-bpf/carom/internal/vm"
)

const (
	vlanHeader = 4  // VLAN_HLEN
	ethHeader  = 14 // ETH_HLEN
	protoAt    = 12 // offset of the protocol in an Ethernet header

	proto8021Q  = 0x8100 // ETH_P_8021Q
	proto8021AD = 0x88a8 // ETH_P_8021AD
	proto8022   = 0x0004 // ETH_P_802_2
	minProto    = 0x0600 // ETH_P_802_3_MIN
)

// vlanHelpers keep the outermost tag beside the packet, as Linux does (net/core/skbuff.c,
// skb_vlan_push and skb_vlan_pop): a first push changes fields of __sk_buff only.
func vlanHelpers() []vm.Helper {
	return []vm.Helper{
		packetRow(linux.FuncSKBVLANPush, skbVlanPush),
		packetRow(linux.FuncSKBVLANPop, skbVlanPop),
	}
}

func isVlan(proto uint16) bool { return proto == proto8021Q || proto == proto8021AD }

// swap16 turns a protocol from or into the byte order of the fields of __sk_buff.
func swap16(v uint16) uint16 { return v>>8 | v<<8 }

func protocol(c *vm.CPU) uint16 { return swap16(uint16(field(c, linux.SKBProtocol))) }

func setProtocol(c *vm.CPU, proto uint16) {
	c.Packet.Protocol = swap16(proto)
	setField(c, linux.SKBProtocol, uint32(swap16(proto)))
}

func setTag(c *vm.CPU, present uint32, proto, tci uint16) {
	setField(c, linux.SKBVlanPresent, present)
	setField(c, linux.SKBVlanProto, uint32(swap16(proto)))
	setField(c, linux.SKBVlanTCI, uint32(tci))
}

func skbVlanPush(k *vm.Call) uint64 {
	c := k.CPU
	proto, tci := swap16(uint16(k.Args[1])), uint16(k.Args[2])
	if !isVlan(proto) {
		proto = proto8021Q
	}
	if field(c, linux.SKBVlanPresent) != 0 {
		if c.Packet.LinkLen != 0 {
			return linux.EINVAL.Neg()
		}
		if !makeRoom(c, vlanHeader) {
			return linux.ENOMEM.Neg()
		}
		outer := swap16(uint16(field(c, linux.SKBVlanProto)))
		_, data, end := c.PacketBounds()
		data -= vlanHeader
		b := mem.Bytes(data, ethHeader+vlanHeader)
		copy(b, b[vlanHeader:vlanHeader+protoAt])
		binary.BigEndian.PutUint16(b[protoAt:], outer)
		binary.BigEndian.PutUint16(b[protoAt+2:], uint16(field(c, linux.SKBVlanTCI)))
		// The network header stays 14 bytes behind data: Linux moves it with the tag.
		c.MovePacket(data, data, end)
		setProtocol(c, outer)
	}
	setTag(c, 1, proto, tci)
	return 0
}

func skbVlanPop(k *vm.Call) uint64 {
	c := k.CPU
	if field(c, linux.SKBVlanPresent) != 0 {
		setTag(c, 0, 0, 0)
	} else {
		if !isVlan(protocol(c)) {
			return 0
		}
		if _, err := removeTag(c); err != linux.OK {
			return err.Neg()
		}
	}
	// The next tag takes the place of the one that is gone.
	proto := protocol(c)
	if !isVlan(proto) {
		return 0
	}
	tci, err := removeTag(c)
	if err != linux.OK {
		return err.Neg()
	}
	setTag(c, 1, proto, tci)
	return 0
}

// removeTag takes the first tag out of the packet.
func removeTag(c *vm.CPU) (tci uint16, err linux.Errno) {
	if c.Packet.LinkLen != 0 {
		return 0, linux.EINVAL
	}
	if err := pull(c, ethHeader+vlanHeader); err != linux.OK {
		return 0, err
	}
	_, data, end := c.PacketBounds()
	b := mem.Bytes(data, ethHeader+vlanHeader)
	tci = binary.BigEndian.Uint16(b[protoAt+2:])
	next := binary.BigEndian.Uint16(b[protoAt+4:])
	copy(b[vlanHeader:], b[:protoAt])
	data += vlanHeader
	c.MovePacket(data, data, end)
	c.Packet.NetOff = max(c.Packet.NetOff-vlanHeader, ethHeader)
	if next < minProto {
		next = proto8022
		if end-data >= ethHeader+2 && mem.Load16(data+ethHeader) == 0xffff {
			next = 1 // ETH_P_802_3
		}
	}
	setProtocol(c, next)
	return tci, linux.OK
}
