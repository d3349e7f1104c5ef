package build

import (
	"encoding/hex"
	"net/netip"
	"testing"
)

var (
	src4 = netip.MustParseAddrPort("10.0.0.1:40000")
	dst4 = netip.MustParseAddrPort("10.0.0.2:8080")
	src6 = netip.MustParseAddrPort("[fd00::1]:40000")
	dst6 = netip.MustParseAddrPort("[fd00::2]:53")
)

// fold is the Internet checksum (RFC 1071); 0 over data that contains a right
// one.
func fold(parts ...[]byte) uint16 {
	sum := uint32(0)
	for _, p := range parts {
		for i := 0; i < len(p); i += 2 {
			sum += uint32(p[i]) << 8
			if i+1 < len(p) {
				sum += uint32(p[i+1])
			}
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

func must(t *testing.T) func(b []byte, err error) []byte {
	return func(b []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
}

func TestTCP4(t *testing.T) {
	b := must(t)(TCP(src4, dst4, WithFlags(PSH|ACK), Sequence(1, 2), Payload([]byte("hi"))))
	// Ethernet, IPv4 (RFC 791) and TCP (RFC 9293) headers, written out by hand;
	// the three checksums are checked below.
	want := "020000000002" + "020000000001" + "0800" +
		"4500002a00004000" + "4006" + "26cc" + "0a000001" + "0a000002" +
		"9c401f90" + "00000001" + "00000002" + "5018ffff" + hex.EncodeToString(b[50:52]) + "0000" + "6869"
	if got := hex.EncodeToString(b); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if fold(b[14:34]) != 0 {
		t.Error("wrong IPv4 checksum")
	}
	if fold(b[26:34], []byte{0, 6, 0, 22}, b[34:]) != 0 {
		t.Error("wrong TCP checksum")
	}
}

func TestUDP6(t *testing.T) {
	b := must(t)(UDP(src6, dst6, Raw(), TTL(9), Payload([]byte("abc"))))
	want := "6000000000" + "0b" + "11" + "09" +
		"fd000000000000000000000000000001" + "fd000000000000000000000000000002" +
		"9c400035000b" + hex.EncodeToString(b[46:48]) + "616263"
	if got := hex.EncodeToString(b); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if fold(b[8:40], []byte{0, 0, 0, 11, 0, 0, 0, 17}, b[40:]) != 0 {
		t.Error("wrong UDP checksum")
	}
}

func TestEcho(t *testing.T) {
	b := must(t)(Echo(src4.Addr(), dst4.Addr(), 7, 1, Raw(), Payload([]byte("ping"))))
	if got, want := hex.EncodeToString(b[20:22])+hex.EncodeToString(b[24:]), "0800"+"00070001"+"70696e67"; got != want {
		t.Errorf("ICMP: got %s, want %s", got, want)
	}
	if fold(b[20:]) != 0 {
		t.Error("wrong ICMP checksum")
	}
	b = must(t)(Echo(src6.Addr(), dst6.Addr(), 7, 1, Raw(), Payload([]byte("ping"))))
	if got, want := hex.EncodeToString(b[40:42])+hex.EncodeToString(b[44:]), "8000"+"00070001"+"70696e67"; got != want {
		t.Errorf("ICMPv6: got %s, want %s", got, want)
	}
	if fold(b[8:40], []byte{0, 0, 0, 12, 0, 0, 0, 58}, b[40:]) != 0 {
		t.Error("wrong ICMPv6 checksum")
	}
}

func TestLink(t *testing.T) {
	for _, c := range []struct {
		name string
		opts []Option
		head string
		size int
	}{
		{"plain", nil, "0200000000020200000000010800", 54},
		{"padded", []Option{Padded()}, "0200000000020200000000010800", 60},
		{"MAC", []Option{MAC([6]byte{1: 1}, [6]byte{1: 2})}, "0002000000000001000000000800", 54},
		{"VLAN", []Option{VLAN(5)}, "020000000002020000000001810000050800", 58},
		{"two VLANs", []Option{VLAN(5), VLAN(6)}, "0200000000020200000000018100000581000006" + "0800", 62},
	} {
		b := must(t)(TCP(src4, dst4, c.opts...))
		if got := hex.EncodeToString(b[:len(c.head)/2]); got != c.head || len(b) != c.size {
			t.Errorf("%s: got %s, %d bytes, want %s, %d", c.name, got, len(b), c.head, c.size)
		}
	}
}

func TestMixedFamilies(t *testing.T) {
	_, err := TCP(src4, dst6)
	want := "build packet from 10.0.0.1 to fd00::2: give two IPv4 or two IPv6 addresses"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
