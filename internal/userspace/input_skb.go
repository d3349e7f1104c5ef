package userspace

import (
	"encoding/binary"
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom/internal/engine"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/vm"
)

const (
	skbHeadroom = 64                              // NET_SKB_PAD + NET_IP_ALIGN on x86-64
	maxSKB      = page - skbHeadroom - sharedInfo // longest packet in bytes
	maxWireLen  = 65536                           // GSO_LEGACY_MAX_SIZE
	maxGSOSegs  = 65535                           // GSO_MAX_SEGS

	protoIP   = 0x0800 // ETH_P_IP
	protoIPv6 = 0x86dd // ETH_P_IPV6
	proto8023 = 0x0001 // ETH_P_802_3
	proto8022 = 0x0004 // ETH_P_802_2
	minProto  = 0x0600 // ETH_P_802_3_MIN: below it the field is a length

	ipv4Header = 20
	ipv6Header = 40
	afInet     = 2
	afInet6    = 10
)

func packetTooLong(size, limit int) string {
	return fmt.Sprintf("a packet of %d bytes is longer than the %d that BPF_PROG_TEST_RUN takes", size, limit)
}

// prepareSKB is bpf_prog_test_run_skb of net/bpf/test_run.c.
func prepareSKB(c *vm.CPU, p *vm.Program, in *engine.Input, l2 bool) *InputError {
	size := len(in.Data)
	if size < ethHeader {
		return invalid("a packet of %d bytes is shorter than an Ethernet header", size)
	}
	if size > maxSKB {
		return &InputError{Errno: linux.EINVAL, Reason: packetTooLong(size, maxSKB)}
	}
	b := c.ContextBytes()[:linux.SKBSize]
	if hasContext(in) {
		if err := contextIn(b, in.Context, "__sk_buff"); err != nil {
			return err
		}
	} else {
		clear(b)
	}
	proto, err := skbFromPacket(b, in.Data)
	if err != nil {
		return err
	}
	pk := vm.Packet{L2: l2, Protocol: proto, Writable: l2 || p.Type == ebpf.LWTXmit}
	visible := size
	if l2 {
		pk.NetOff = ethHeader
	} else {
		pk.LinkLen = ethHeader
		visible -= ethHeader
	}
	if hasContext(in) {
		if err := checkSKB(b, in.Context, visible); err != nil {
			return err
		}
	}
	c.SetPacket(in.Data, pk)
	if !l2 {
		_, data, end := c.PacketBounds()
		c.MovePacket(data+ethHeader, data+ethHeader, end)
	}
	c.UseContext(p, linux.SKBSize)
	return nil
}

// skbFromPacket fills in what eth_type_trans and bpf_prog_test_run_skb derive from the packet,
// and returns the protocol in network byte order. The device is loopback, whose address is zero.
func skbFromPacket(b, data []byte) (uint16, *InputError) {
	if data[0]|data[1]|data[2]|data[3]|data[4]|data[5] != 0 {
		put32(b, linux.SKBPktType, 3) // PACKET_OTHERHOST
		if data[0]&1 != 0 {
			put32(b, linux.SKBPktType, 2) // PACKET_MULTICAST
		}
	}
	proto := binary.BigEndian.Uint16(data[12:])
	if proto < minProto {
		proto = proto8022
		if len(data) >= ethHeader+2 && data[14] == 0xff && data[15] == 0xff {
			proto = proto8023
		}
	}
	swapped := proto>>8 | proto<<8
	put32(b, linux.SKBProtocol, uint32(swapped))
	if field32(b, linux.SKBIfindex) == 0 {
		put32(b, linux.SKBIfindex, loopback)
	}
	net := data[ethHeader:]
	switch proto {
	case protoIP:
		if len(net) < ipv4Header {
			return 0, invalid("an IPv4 packet of %d bytes is shorter than its header", len(net))
		}
		put32(b, linux.SKBFamily, afInet)
		copy(b[linux.SKBLocalIP4:], net[12:16])
		copy(b[linux.SKBRemoteIP4:], net[16:20])
	case protoIPv6:
		if len(net) < ipv6Header {
			return 0, invalid("an IPv6 packet of %d bytes is shorter than its header", len(net))
		}
		put32(b, linux.SKBFamily, afInet6)
		copy(b[linux.SKBLocalIP6:], net[8:24])
		copy(b[linux.SKBRemoteIP6:], net[24:40])
	}
	return swapped, nil
}

// span is a range of bytes of struct __sk_buff that the caller may set.
type span struct{ off, end int }

// settable lists what convert___skb_to_skb takes from the caller.
func settable() [6]span {
	return [...]span{
		{linux.SKBMark, linux.SKBQueueMapping},
		{linux.SKBPriority, linux.SKBTCIndex}, // with ingress_ifindex and ifindex
		{linux.SKBCB, linux.SKBHash},
		{linux.SKBTstamp, linux.SKBSk}, // with wire_len and gso_segs
		{linux.SKBGSOSize, linux.SKBTstampType},
		{linux.SKBHwtstamp, linux.SKBSize},
	}
}

// checkSKB refuses what convert___skb_to_skb refuses and completes the fields.
func checkSKB(b, given []byte, visible int) *InputError {
	at := 0
	for _, s := range settable() {
		for ; at < len(given) && at < s.off; at++ {
			if given[at] != 0 {
				return invalid("byte %d of struct __sk_buff must be 0: BPF_PROG_TEST_RUN takes mark, priority, "+
					"ingress_ifindex, ifindex, cb, tstamp, wire_len, gso_segs, gso_size and hwtstamp", at)
			}
		}
		at = max(at, s.end)
	}
	switch n := field32(b, linux.SKBWireLen); {
	case n == 0:
		put32(b, linux.SKBWireLen, uint32(visible))
	case n < uint32(visible) || n > maxWireLen:
		return invalid("wire_len %d must lie between the %d bytes that the program sees and %d", n, visible, maxWireLen)
	}
	if n := field32(b, linux.SKBGSOSegs); n > maxGSOSegs {
		return invalid("gso_segs %d is larger than %d", n, maxGSOSegs)
	}
	// gso_size is a 16-bit field of the packet.
	put32(b, linux.SKBGSOSize, field32(b, linux.SKBGSOSize)&0xffff)
	return nil
}

// appendSKB appends the context after the run (convert_skb_to___skb).
func appendSKB(to []byte, c *vm.CPU, in *engine.Input) []byte {
	n := len(to)
	to = append(to, make([]byte, linux.SKBSize)...)
	out, b := to[n:], c.ContextBytes()
	copy(out, in.Context)
	for _, s := range [...]span{
		{linux.SKBMark, linux.SKBMark + 4},
		{linux.SKBPriority, linux.SKBTCIndex},
		{linux.SKBCB, linux.SKBHash},
		{linux.SKBTstamp, linux.SKBSk},
		{linux.SKBHwtstamp, linux.SKBSize},
	} {
		copy(out[s.off:s.end], b[s.off:s.end])
	}
	return to
}
