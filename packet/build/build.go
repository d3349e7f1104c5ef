// Package build makes packets with right lengths and checksums, for tests and
// sample captures. The same arguments give the same bytes. It is apart from
// package packet so that a program that only reads captures does not carry the
// protocol library.
package build

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// MinFrame is the least length of an Ethernet frame without its check
// sequence.
const MinFrame = 60

// Flags of TCP.
type Flags uint8

// The flags, as in the header's byte 13.
const (
	FIN Flags = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
)

// Option changes a packet.
type Option func(*frame)

type frame struct {
	srcMAC, dstMAC [6]byte
	vlans          []uint16
	ttl            uint8
	flags          Flags
	seq, ack       uint32
	payload        []byte
	raw, padded    bool
}

// Payload is what the packet carries.
func Payload(b []byte) Option { return func(f *frame) { f.payload = b } }

// WithFlags sets the TCP flags; without it they are SYN.
func WithFlags(flags Flags) Option { return func(f *frame) { f.flags = flags } }

// Sequence sets the TCP sequence and acknowledgment numbers.
func Sequence(seq, ack uint32) Option { return func(f *frame) { f.seq, f.ack = seq, ack } }

// TTL sets the time to live, or the hop limit; without it, it is 64.
func TTL(v uint8) Option { return func(f *frame) { f.ttl = v } }

// VLAN adds an 802.1Q tag, inside of those already there.
func VLAN(id uint16) Option { return func(f *frame) { f.vlans = append(f.vlans, id) } }

// MAC sets the Ethernet addresses; without it they are 02:00:00:00:00:01 and
// 02:00:00:00:00:02.
func MAC(src, dst [6]byte) Option {
	return func(f *frame) { f.srcMAC, f.dstMAC = src, dst }
}

// Raw leaves the Ethernet header away.
func Raw() Option { return func(f *frame) { f.raw = true } }

// Padded fills the frame with zeros to [MinFrame] bytes.
func Padded() Option { return func(f *frame) { f.padded = true } }

// TCP makes a TCP segment.
func TCP(src, dst netip.AddrPort, opts ...Option) ([]byte, error) {
	f := newFrame(opts)
	tcp := &layers.TCP{
		SrcPort: layers.TCPPort(src.Port()), DstPort: layers.TCPPort(dst.Port()),
		Seq: f.seq, Ack: f.ack, Window: 65535,
		FIN: f.flags&FIN != 0, SYN: f.flags&SYN != 0, RST: f.flags&RST != 0,
		PSH: f.flags&PSH != 0, ACK: f.flags&ACK != 0, URG: f.flags&URG != 0,
	}
	return f.build(src.Addr(), dst.Addr(), layers.IPProtocolTCP, tcp, tcp.SetNetworkLayerForChecksum)
}

// UDP makes a UDP datagram.
func UDP(src, dst netip.AddrPort, opts ...Option) ([]byte, error) {
	f := newFrame(opts)
	udp := &layers.UDP{SrcPort: layers.UDPPort(src.Port()), DstPort: layers.UDPPort(dst.Port())}
	return f.build(src.Addr(), dst.Addr(), layers.IPProtocolUDP, udp, udp.SetNetworkLayerForChecksum)
}

// Echo makes an ICMP or ICMPv6 echo request.
func Echo(src, dst netip.Addr, id, seq uint16, opts ...Option) ([]byte, error) {
	f := newFrame(opts)
	if src.Is4() {
		icmp := &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(layers.ICMPv4TypeEchoRequest, 0), Id: id, Seq: seq}
		return f.build(src, dst, layers.IPProtocolICMPv4, icmp, nil)
	}
	icmp := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(layers.ICMPv6TypeEchoRequest, 0)}
	f.payload = append([]byte{byte(id >> 8), byte(id), byte(seq >> 8), byte(seq)}, f.payload...)
	return f.build(src, dst, layers.IPProtocolICMPv6, icmp, icmp.SetNetworkLayerForChecksum)
}

func newFrame(opts []Option) *frame {
	f := &frame{
		srcMAC: [6]byte{2, 0, 0, 0, 0, 1}, dstMAC: [6]byte{2, 0, 0, 0, 0, 2},
		ttl: 64, flags: SYN,
	}
	for _, o := range opts {
		o(f)
	}
	return f
}

// build puts the headers together, outermost first.
func (f *frame) build(src, dst netip.Addr, proto layers.IPProtocol, transport gopacket.SerializableLayer,
	checksumOver func(gopacket.NetworkLayer) error) ([]byte, error) {
	if !src.IsValid() || !dst.IsValid() || src.Is4() != dst.Is4() {
		return nil, fmt.Errorf("build packet from %s to %s: give two IPv4 or two IPv6 addresses", src, dst)
	}
	var network interface {
		gopacket.SerializableLayer
		gopacket.NetworkLayer
	}
	kind := layers.EthernetTypeIPv4
	if src.Is4() {
		network = &layers.IPv4{Version: 4, TTL: f.ttl, Protocol: proto, SrcIP: src.AsSlice(), DstIP: dst.AsSlice(), Flags: layers.IPv4DontFragment}
	} else {
		kind = layers.EthernetTypeIPv6
		network = &layers.IPv6{Version: 6, HopLimit: f.ttl, NextHeader: proto, SrcIP: src.AsSlice(), DstIP: dst.AsSlice()}
	}
	if checksumOver != nil {
		if err := checksumOver(network); err != nil {
			return nil, fmt.Errorf("build packet: %w", err)
		}
	}
	buf := gopacket.NewSerializeBuffer()
	fix := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(buf, fix, network, transport, gopacket.Payload(f.payload)); err != nil {
		return nil, fmt.Errorf("build packet: %w", err)
	}
	out := append(f.link(kind), buf.Bytes()...)
	if f.padded && len(out) < MinFrame {
		out = append(out, make([]byte, MinFrame-len(out))...)
	}
	return out, nil
}

// link is the Ethernet header with its tags. gopacket's own would pad every
// frame.
func (f *frame) link(kind layers.EthernetType) []byte {
	if f.raw {
		return nil
	}
	b := append(append([]byte(nil), f.dstMAC[:]...), f.srcMAC[:]...)
	for _, id := range f.vlans {
		b = binary.BigEndian.AppendUint16(b, uint16(layers.EthernetTypeDot1Q))
		b = binary.BigEndian.AppendUint16(b, id)
	}
	return binary.BigEndian.AppendUint16(b, uint16(kind))
}
