package main

import (
	"net"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// A capture is one pcap file.
type capture struct {
	path    string // relative to the root of the repository
	packets []packet
}

// A packet is a stack of layers, cut after keep bytes unless keep is 0.
type packet struct {
	layers []gopacket.SerializableLayer
	keep   int
}

func (p packet) encode() ([]byte, error) {
	buffer := gopacket.NewSerializeBuffer()
	options := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(buffer, options, p.layers...); err != nil {
		return nil, err
	}
	data := buffer.Bytes()
	if p.keep > 0 {
		data = data[:p.keep]
	}
	return data, nil
}

func captures() []capture {
	return []capture{
		{"examples/xdp-dispatch/traffic.pcap", []packet{
			tcp4(40001, 8080, syn()),
			tcp4(40002, 22, syn()),
			tcp4(40003, 80, syn()),
			udp4(40004, 53, "who is example.com"),
			arpRequest(),
			tcp6(40005, 8080, syn()), // the dispatcher only knows IPv4
			cut(tcp4(40006, 8080, syn()), 24),
			tcp4(40001, 8080, push("GET / HTTP/1.1\r\n\r\n")),
			tcp4(40002, 22, push("SSH-2.0-example\r\n")),
			routerAlert(tcp4(40007, 8080, syn())),
			laterFragment(tcp4(40008, 8080, syn())),
			ping4(),
		}},
		{"examples/tail-context/traffic.pcap", []packet{
			tcp4(40001, 443, syn()),
			udp4(40002, 53, "who is example.com"),
			tcp6(40003, 443, syn()),
			ping4(),
		}},
		{"examples/static-call/traffic.pcap", []packet{
			tcp4(40001, 443, syn()),
			udp4(40002, 53, text(200)),
		}},
		{"examples/unwind/traffic.pcap", []packet{
			tcp4(40001, 443, syn()),
			udp4(40002, 53, text(200)),
			ping4(),
		}},
	}
}

// Documentation addresses of RFC 5737 and RFC 3849, and local MAC addresses.

func client4() net.IP { return net.IPv4(192, 0, 2, 10) }
func server4() net.IP { return net.IPv4(192, 0, 2, 1) }
func client6() net.IP { return net.ParseIP("2001:db8::10") }
func server6() net.IP { return net.ParseIP("2001:db8::1") }

func clientMAC() net.HardwareAddr { return net.HardwareAddr{2, 0, 0, 0, 0, 0x10} }
func serverMAC() net.HardwareAddr { return net.HardwareAddr{2, 0, 0, 0, 0, 0x01} }

// segment is what a TCP packet carries.
type segment struct {
	header  layers.TCP
	payload string
}

func syn() segment {
	return segment{header: layers.TCP{Seq: 1000, SYN: true, Window: 64240}}
}

func push(payload string) segment {
	return segment{
		header:  layers.TCP{Seq: 1001, Ack: 2001, ACK: true, PSH: true, Window: 64240},
		payload: payload,
	}
}

// text returns n letters.
func text(n int) string {
	letters := make([]byte, n)
	for i := range letters {
		letters[i] = 'a' + byte(i%26)
	}
	return string(letters)
}

func ethernet(kind layers.EthernetType) *layers.Ethernet {
	return &layers.Ethernet{SrcMAC: clientMAC(), DstMAC: serverMAC(), EthernetType: kind}
}

func ipv4(protocol layers.IPProtocol) *layers.IPv4 {
	return &layers.IPv4{Version: 4, TTL: 64, Protocol: protocol, SrcIP: client4(), DstIP: server4()}
}

func tcp4(from, to layers.TCPPort, s segment) packet {
	ip := ipv4(layers.IPProtocolTCP)
	return tcpOver(ethernet(layers.EthernetTypeIPv4), ip, ip, from, to, s)
}

func tcp6(from, to layers.TCPPort, s segment) packet {
	ip := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolTCP, SrcIP: client6(), DstIP: server6()}
	return tcpOver(ethernet(layers.EthernetTypeIPv6), ip, ip, from, to, s)
}

// tcpOver takes the IP layer twice: to put into the packet and to sum over.
func tcpOver(eth, ip gopacket.SerializableLayer, sum gopacket.NetworkLayer, from, to layers.TCPPort, s segment) packet {
	header := s.header
	header.SrcPort, header.DstPort = from, to
	// The only error is an IP layer of a kind that has no pseudo header.
	_ = header.SetNetworkLayerForChecksum(sum)
	return packet{layers: []gopacket.SerializableLayer{eth, ip, &header, gopacket.Payload(s.payload)}}
}

func udp4(from, to layers.UDPPort, payload string) packet {
	ip := ipv4(layers.IPProtocolUDP)
	header := &layers.UDP{SrcPort: from, DstPort: to}
	_ = header.SetNetworkLayerForChecksum(ip)
	return packet{layers: []gopacket.SerializableLayer{
		ethernet(layers.EthernetTypeIPv4), ip, header, gopacket.Payload(payload),
	}}
}

func ping4() packet {
	return packet{layers: []gopacket.SerializableLayer{
		ethernet(layers.EthernetTypeIPv4),
		ipv4(layers.IPProtocolICMPv4),
		&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(layers.ICMPv4TypeEchoRequest, 0), Id: 1, Seq: 1},
		gopacket.Payload(text(32)),
	}}
}

func arpRequest() packet {
	return packet{layers: []gopacket.SerializableLayer{
		ethernet(layers.EthernetTypeARP),
		&layers.ARP{
			AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4,
			HwAddressSize: 6, ProtAddressSize: 4, Operation: layers.ARPRequest,
			SourceHwAddress: clientMAC(), SourceProtAddress: client4().To4(),
			DstHwAddress: make([]byte, 6), DstProtAddress: server4().To4(),
		},
	}}
}

// cut keeps the first n bytes, as a short snap length does.
func cut(p packet, n int) packet {
	return packet{layers: p.layers, keep: n}
}

// withIPv4 returns p with a changed copy of its IPv4 header.
func withIPv4(p packet, change func(*layers.IPv4)) packet {
	changed := packet{keep: p.keep}
	for _, layer := range p.layers {
		if ip, ok := layer.(*layers.IPv4); ok {
			header := *ip
			change(&header)
			layer = &header
		}
		changed.layers = append(changed.layers, layer)
	}
	return changed
}

// routerAlert adds an IPv4 option (RFC 2113), so that the TCP header moves.
func routerAlert(p packet) packet {
	return withIPv4(p, func(ip *layers.IPv4) {
		ip.Options = []layers.IPv4Option{{OptionType: 148, OptionLength: 4, OptionData: []byte{0, 0}}}
	})
}

// laterFragment makes p look like a fragment that is not the first one: the bytes
// where a TCP header would be are not one.
func laterFragment(p packet) packet {
	return withIPv4(p, func(ip *layers.IPv4) {
		ip.Id = 7
		ip.FragOffset = 185
	})
}
