// Package packet reads and writes captured packets: pcap (microseconds and
// nanoseconds, both byte orders) and pcapng.
//
// The readers are made for input that nobody checked: no length is believed
// before it was compared with what the format allows, memory use does not
// depend on what a file claims, and a broken file gives an [*Error] that names
// the packet, never a panic.
package packet

import (
	"fmt"
	"time"
)

// MaxLength is the longest packet that is read or written, in bytes. It is
// the largest snapshot length of tcpdump and Wireshark.
const MaxLength = 256 << 10

// Link types that are read and written (https://www.tcpdump.org/linktypes.html).
const (
	LinkEthernet = 1   // a MAC header first
	LinkRaw      = 101 // an IPv4 or IPv6 header first
	LinkIPv4     = 228 // an IPv4 header first
	LinkIPv6     = 229 // an IPv6 header first
)

// Packet is one captured packet.
type Packet struct {
	Data      []byte    // the bytes that were captured
	Time      time.Time // when; zero when the file does not say
	OrigLen   int       // bytes on the wire; len(Data) or more
	Interface int       // index of the interface in its pcapng section, else 0
	LinkType  uint32    // how Data starts, a Link constant
}

// Reason is the kind of an [Error].
type Reason uint8

// What can be wrong with a capture.
const (
	Empty       Reason = iota + 1 // no byte at all
	BadMagic                      // neither pcap nor pcapng
	BadVersion                    // a version that does not exist
	BadLinkType                   // a link type without Ethernet or IP packets
	BadLength                     // a length that the format or MaxLength forbids
	BadBlock                      // a pcapng block that contradicts itself or the file
	Truncated                     // the input ends inside a packet or block
	ReadFailed                    // the input itself failed; see Err
)

// Error says what is wrong with a capture and where.
type Error struct {
	Format string // "pcap", "pcapng", or "" when it is not known
	Packet int    // number of the packet, from 1; 0 in the file's header
	Offset int64  // byte offset of the header, packet or block that is bad
	Reason Reason
	Detail string // what was found
	Remedy string // what to do
	Err    error  // the cause, io.ErrUnexpectedEOF when the input ends too early
}

func (e *Error) Error() string {
	what := map[Reason]string{
		Empty: "capture is empty", BadMagic: "not a capture", BadVersion: "unknown capture version",
		BadLinkType: "unsupported link type", BadLength: "capture is corrupt", BadBlock: "capture is corrupt",
		Truncated: "capture is cut", ReadFailed: "capture cannot be read",
	}[e.Reason]
	where := " in its header"
	if e.Packet > 0 {
		where = fmt.Sprintf(" in packet %d", e.Packet)
	}
	if e.Reason == Empty || e.Reason == BadMagic {
		where = ""
	}
	s := what + where
	if e.Offset > 0 {
		s += fmt.Sprintf(" at byte %d", e.Offset)
	}
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.Remedy != "" {
		s += "; " + e.Remedy
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }
