package packet

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

var sample = []Packet{
	{Data: []byte("first packet, of an odd length"), Time: time.Unix(1700000000, 123456000).UTC(), OrigLen: 30, LinkType: LinkEthernet},
	{Data: []byte("second"), Time: time.Unix(1700000001, 999999000).UTC(), OrigLen: 1500, LinkType: LinkEthernet},
	{Data: []byte{}, Time: time.Unix(0, 0).UTC(), OrigLen: 0, LinkType: LinkEthernet},
}

// readAll reads to the end; the error is nil for io.EOF.
func readAll(r io.Reader) ([]Packet, error) {
	c, err := Open(r)
	if err != nil {
		return nil, err
	}
	var all []Packet
	for {
		var p Packet
		if err := c.Next(&p); err == io.EOF {
			return all, nil
		} else if err != nil {
			return all, err
		}
		all = append(all, p)
	}
}

func compare(t *testing.T, got, want []Packet) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d packets, want %d", len(got), len(want))
	}
	for i, g := range got {
		w := want[i]
		if !bytes.Equal(g.Data, w.Data) || !g.Time.Equal(w.Time) || g.OrigLen != w.OrigLen || g.Interface != w.Interface || g.LinkType != w.LinkType {
			t.Errorf("packet %d: got %+v, want %+v", i+1, g, w)
		}
	}
}

func write(t testing.TB, packets []Packet) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b, LinkEthernet)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packets {
		if err := w.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func TestWriterBytes(t *testing.T) {
	got := hex.EncodeToString(write(t, []Packet{{Data: []byte{0xaa, 0xbb}, Time: time.Unix(1, 2345), OrigLen: 9, LinkType: 1}}))
	// draft-ietf-opsawg-pcap, sections 4 and 5
	want := "d4c3b2a1" + "02000400" + "00000000" + "00000000" + "00000400" + "01000000" +
		"01000000" + "02000000" + "02000000" + "09000000" + "aabb"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestRoundTrip(t *testing.T) {
	file := write(t, sample)
	got, err := readAll(iotest.OneByteReader(bytes.NewReader(file)))
	if err != nil {
		t.Fatal(err)
	}
	compare(t, got, sample)

	// Another reader understands it too.
	r, err := pcapgo.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	data, info, err := r.ReadPacketData()
	if err != nil || string(data) != string(sample[0].Data) || !info.Timestamp.Equal(sample[0].Time) {
		t.Errorf("pcapgo reads %q, %+v, %v", data, info, err)
	}
}

func TestWriterRefuses(t *testing.T) {
	w, _ := NewWriter(io.Discard, LinkEthernet)
	for i, c := range []struct {
		p    Packet
		want string
	}{
		{Packet{Data: make([]byte, MaxLength+1), LinkType: 1}, "write packet 1: 262145 bytes, at most 262144 are allowed"},
		{Packet{LinkType: LinkRaw}, "write packet 2: link type 101 in a file of link type 1"},
		{Packet{LinkType: 1, Time: time.Unix(1<<32, 0).UTC()}, "write packet 3: time 2106-02-07T06:28:16Z does not fit 32 bits of seconds since 1970"},
		{Packet{LinkType: 1, OrigLen: -1}, "write packet 4: original length -1 does not fit 32 bits"},
	} {
		if err := w.Write(c.p); err == nil || err.Error() != c.want {
			t.Errorf("%d: got %v, want %s", i, err, c.want)
		}
	}
}

// pcapFile writes a pcap by hand in any byte order and resolution.
func pcapFile(order binary.AppendByteOrder, magic uint32, link uint32, packets ...Packet) []byte {
	b := order.AppendUint32(nil, magic)
	b = order.AppendUint16(b, 2)
	b = order.AppendUint16(b, 4)
	b = order.AppendUint64(b, 0)
	b = order.AppendUint32(b, 65535)
	b = order.AppendUint32(b, link)
	unit := 1000
	if magic == 0xa1b23c4d {
		unit = 1
	}
	for _, p := range packets {
		b = order.AppendUint32(b, uint32(p.Time.Unix()))
		b = order.AppendUint32(b, uint32(p.Time.Nanosecond()/unit))
		b = order.AppendUint32(b, uint32(len(p.Data)))
		b = order.AppendUint32(b, uint32(p.OrigLen))
		b = append(b, p.Data...)
	}
	return b
}

func TestOrdersAndResolutions(t *testing.T) {
	exact := Packet{Data: []byte("nano"), Time: time.Unix(1700000000, 123456789).UTC(), OrigLen: 4, LinkType: 1}
	micro := exact
	micro.Time = time.Unix(1700000000, 123456000)
	for _, c := range []struct {
		name  string
		order binary.AppendByteOrder
		magic uint32
		want  Packet
	}{
		{"little, µs", binary.LittleEndian, 0xa1b2c3d4, micro},
		{"big, µs", binary.BigEndian, 0xa1b2c3d4, micro},
		{"little, ns", binary.LittleEndian, 0xa1b23c4d, exact},
		{"big, ns", binary.BigEndian, 0xa1b23c4d, exact},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := readAll(bytes.NewReader(pcapFile(c.order, c.magic, 1, exact)))
			if err != nil {
				t.Fatal(err)
			}
			compare(t, got, []Packet{c.want})
		})
	}
}

func TestLinkTypes(t *testing.T) {
	for file, want := range map[uint32]uint32{1: 1, 101: 101, 12: 101, 14: 101, 228: 228, 229: 229, 0x14000001: 1} {
		c, err := Open(bytes.NewReader(pcapFile(binary.LittleEndian, 0xa1b2c3d4, file)))
		if err != nil || c.LinkType() != want {
			t.Errorf("link type %d: %v", file, err)
		}
	}
}

// block makes a pcapng block.
func block(order binary.AppendByteOrder, kind uint32, body []byte) []byte {
	for len(body)%4 != 0 {
		body = append(body, 0)
	}
	b := order.AppendUint32(nil, kind)
	b = order.AppendUint32(b, uint32(len(body)+12))
	b = append(b, body...)
	return order.AppendUint32(b, uint32(len(body)+12))
}

func section(order binary.AppendByteOrder) []byte {
	b := order.AppendUint32(nil, 0x1a2b3c4d)
	b = order.AppendUint16(b, 1)
	b = order.AppendUint16(b, 0)
	return block(order, ngSection, order.AppendUint64(b, 1<<64-1))
}

func description(order binary.AppendByteOrder, link uint16, snapLen uint32, options ...byte) []byte {
	b := order.AppendUint16(nil, link)
	b = order.AppendUint16(b, 0)
	b = order.AppendUint32(b, snapLen)
	return block(order, ngInterfDsc, append(b, options...))
}

func enhanced(order binary.AppendByteOrder, index uint32, stamp uint64, data string, origLen uint32) []byte {
	b := order.AppendUint32(nil, index)
	b = order.AppendUint32(b, uint32(stamp>>32))
	b = order.AppendUint32(b, uint32(stamp))
	b = order.AppendUint32(b, uint32(len(data)))
	b = order.AppendUint32(b, origLen)
	return block(order, ngEnhanced, append(b, data...))
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func TestNG(t *testing.T) {
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			offset := append(order.AppendUint16(order.AppendUint16(nil, 14), 8), order.AppendUint64(nil, 100)...)
			tsresol := func(v byte) []byte { return append(order.AppendUint16(order.AppendUint16(nil, 9), 1), v, 0, 0, 0) }
			end := []byte{0, 0, 0, 0}
			file := join(
				section(order),
				block(order, 0x0bad0001, []byte("a block that nobody knows")),
				description(order, 1, 0),
				description(order, 101, 0, join(tsresol(9), offset, end)...),
				description(order, 1, 0, tsresol(0x80|10)...),
				enhanced(order, 0, 1700000000_123456, "micro", 5),
				block(order, 5, make([]byte, 12)), // statistics
				enhanced(order, 1, 1700000000_123456789, "nano!", 99),
				enhanced(order, 2, 5<<10|512, "binary", 6),
				block(order, ngSimple, append(order.AppendUint32(nil, 6), "simple"...)),
				block(order, ngPacket, join(order.AppendUint16(nil, 1), []byte{0, 0}, order.AppendUint32(nil, 0), order.AppendUint32(nil, 7),
					order.AppendUint32(nil, 3), order.AppendUint32(nil, 3), []byte("old"))),
				// a new section with the other order of bytes, one interface
				section(binary.BigEndian),
				description(binary.BigEndian, 1, 4),
				block(binary.BigEndian, ngSimple, append(binary.BigEndian.AppendUint32(nil, 9), "snap"...)),
			)
			got, err := readAll(bytes.NewReader(file))
			if err != nil {
				t.Fatal(err)
			}
			compare(t, got, []Packet{
				{Data: []byte("micro"), Time: time.Unix(1700000000, 123456000), OrigLen: 5, LinkType: 1},
				{Data: []byte("nano!"), Time: time.Unix(1700000100, 123456789), OrigLen: 99, Interface: 1, LinkType: 101},
				{Data: []byte("binary"), Time: time.Unix(5, 500000000), OrigLen: 6, Interface: 2, LinkType: 1},
				{Data: []byte("simple"), OrigLen: 6, LinkType: 1},
				{Data: []byte("old"), Time: time.Unix(100, 7), OrigLen: 3, Interface: 1, LinkType: 101},
				{Data: []byte("snap"), OrigLen: 9, LinkType: 1},
			})
			c, err := Open(bytes.NewReader(file))
			if err != nil || c.LinkType() != 1 || c.Format() != "pcapng" {
				t.Errorf("link type %d, format %s, %v", c.LinkType(), c.Format(), err)
			}
		})
	}
}

// TestNGFromGopacket reads what another writer wrote.
func TestNGFromGopacket(t *testing.T) {
	var b bytes.Buffer
	w, err := pcapgo.NewNgWriter(&b, layers.LinkTypeEthernet)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range sample {
		if err := w.WritePacket(gopacket.CaptureInfo{Timestamp: p.Time, CaptureLength: len(p.Data), Length: p.OrigLen}, p.Data); err != nil {
			t.Fatal(err)
		}
	}
	w.Flush()
	got, err := readAll(&b)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, got, sample)
}

func TestErrors(t *testing.T) {
	le := binary.LittleEndian
	good := write(t, sample)
	ng := join(section(le), description(le, 1, 0), enhanced(le, 0, 0, "abcd", 4), enhanced(le, 0, 0, "efgh", 4))
	patch := func(b []byte, off int, v ...byte) []byte {
		b = bytes.Clone(b)
		copy(b[off:], v)
		return b
	}
	for _, c := range []struct {
		name   string
		file   []byte
		reason Reason
		packet int
		text   string
	}{
		{"empty", nil, Empty, 0, "capture is empty; check that the capture wrote to this file"},
		{"two bytes", []byte{0xd4, 0xc3}, Truncated, 0, "capture is cut in its header: the file has 2 bytes; capture again"},
		{"text", []byte("hello world"), BadMagic, 0, "not a capture: it starts with 68656c6c; give a pcap or pcapng file"},
		{"gzip", []byte("\x1f\x8b\x08\x00\x00"), BadMagic, 0, "not a capture: it is compressed with gzip; decompress it: gunzip FILE"},
		{"cut header", good[:20], Truncated, 0, "capture is cut in its header: 20 of 24 bytes of the file header are there; capture again"},
		{"cut in packet header", good[:24+7], Truncated, 1, "capture is cut in packet 1 at byte 24: 7 of 16 bytes of the packet header are there; capture again"},
		{"cut after packet header", good[:24+16], Truncated, 1, "capture is cut in packet 1 at byte 24: 0 of 30 bytes of data are there; capture again"},
		{"cut in packet", good[:24+46+20], Truncated, 2, "capture is cut in packet 2 at byte 70: 4 of 6 bytes of data are there; capture again, or keep the whole packets: editcap -r IN OUT 1-1"},
		{"long packet", patch(good, 24+8, 1, 0, 4, 0), BadLength, 1, "capture is corrupt in packet 1 at byte 24: a packet of 262145 bytes, at most 262144 are allowed; capture again with a snapshot length of 262144 or less"},
		{"version", patch(good, 4, 3), BadVersion, 0, "unknown capture version in its header: pcap 3.4; convert it: editcap -F pcap IN OUT"},
		{"link type", patch(good, 20, 105), BadLinkType, 0, "unsupported link type in its header: 105; give a capture of Ethernet (1) or raw IP (101, 228, 229)"},
		{"cooked", patch(good, 20, 113), BadLinkType, 0, "unsupported link type in its header: 113 (Linux cooked capture); capture on one Ethernet interface instead of \"any\""},

		{"ng: cut section", ng[:20], Truncated, 0, "capture is cut in its header: 8 of 12 bytes of a section header are there; capture again"},
		{"ng: byte order", patch(ng, 8, 0), BadMagic, 0, "not a capture: byte-order mark 003c2b1a; give a pcap or pcapng file"},
		{"ng: odd length", patch(ng, 4, 29), BadLength, 0, "capture is corrupt in its header: a block of 29 bytes; capture again"},
		{"ng: no length", patch(ng, 4, 0), BadLength, 0, "capture is corrupt in its header: a block of 0 bytes; capture again"},
		{"ng: short section", patch(ng, 4, 12), BadLength, 0, "capture is corrupt in its header: a section header of 12 bytes; capture again"},
		{"ng: version", patch(ng, 12, 2), BadVersion, 0, "unknown capture version in its header: pcapng 2.0; convert it: editcap -F pcap IN OUT"},
		{"ng: lengths differ", patch(ng, 24, 32), BadBlock, 0, "capture is corrupt in its header: a block begins with length 28 and ends with 32; capture again"},
		{"ng: cut in packet", ng[:len(ng)-6], Truncated, 2, "capture is cut in packet 2 at byte 84: 2 of 4 bytes of data are there; capture again, or keep the whole packets: editcap -r IN OUT 1-1"},
		{"ng: cut in block header", append(bytes.Clone(ng), 1, 2), Truncated, 3, "capture is cut in packet 3 at byte 120: 2 of 8 bytes of a block header are there; capture again, or keep the whole packets: editcap -r IN OUT 1-2"},
		{"ng: data beyond block", patch(ng, 48+20, 5), BadBlock, 1, "capture is corrupt in packet 1 at byte 48: the data needs 5 bytes, the block has 4; capture again"},
		{"ng: long packet", patch(ng, 48+20, 0, 0, 0, 0xff), BadLength, 1, "capture is corrupt in packet 1 at byte 48: a packet of 4278190080 bytes, at most 262144 are allowed; capture again with a snapshot length of 262144 or less"},
		{"ng: interface", patch(ng, 48+8, 1), BadBlock, 1, "capture is corrupt in packet 1 at byte 48: interface 1, but 1 are described; capture again"},
		{"ng: no interface", join(section(le), enhanced(le, 0, 0, "a", 1)), BadBlock, 1, "capture is corrupt in packet 1 at byte 28: interface 0, but 0 are described; capture again"},
		{"ng: huge unknown block", join(section(le), []byte{0, 0, 0, 9, 0xfc, 0xff, 0xff, 0xff}), Truncated, 1, "capture is cut in packet 1 at byte 28: 0 of 4294967280 bytes of a block are there; capture again"},
		{"ng: huge description", join(section(le), []byte{1, 0, 0, 0, 0, 0, 5, 0}, make([]byte, 0x50000)), BadLinkType, 1, "unsupported link type in packet 1 at byte 28: 0; give a capture of Ethernet (1) or raw IP (101, 228, 229)"},
		{"ng: long description", join(section(le), []byte{1, 0, 0, 0, 0, 0, 5, 0, 1}, make([]byte, 0x50000)), BadLength, 1, "capture is corrupt in packet 1 at byte 28: an interface description of 327660 bytes; capture again"},
		{"ng: option", join(section(le), description(le, 1, 0, 9, 0, 8, 0)), BadBlock, 1, "capture is corrupt in packet 1 at byte 28: option 9 has 8 bytes, 0 are there; capture again"},
		{"ng: resolution", join(section(le), description(le, 1, 0, 9, 0, 1, 0, 20, 0, 0, 0)), BadBlock, 1, "capture is corrupt in packet 1 at byte 28: time resolution 0x14; convert it: editcap -F pcap IN OUT"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := readAll(bytes.NewReader(c.file))
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want %s", err, c.text)
			}
			if e.Reason != c.reason || e.Packet != c.packet || e.Error() != c.text {
				t.Errorf("got  %d, packet %d: %v\nwant %d, packet %d: %s", e.Reason, e.Packet, e, c.reason, c.packet, c.text)
			}
			if c.reason == Truncated && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Error("a cut capture does not unwrap to io.ErrUnexpectedEOF")
			}
		})
	}
}

func TestEmptyCaptures(t *testing.T) {
	for name, file := range map[string][]byte{
		"pcap": write(t, nil), "section": section(binary.LittleEndian),
		"interface": join(section(binary.BigEndian), description(binary.BigEndian, 1, 0)),
	} {
		got, err := readAll(bytes.NewReader(file))
		if err != nil || len(got) != 0 {
			t.Errorf("%s: %d packets, %v", name, len(got), err)
		}
	}
}

func TestReadFails(t *testing.T) {
	broken := errors.New("disk on fire")
	file := write(t, sample)[:50]
	_, err := readAll(io.MultiReader(bytes.NewReader(file), iotest.ErrReader(broken)))
	if !errors.Is(err, broken) || err.Error() != "capture cannot be read in packet 1 at byte 24: disk on fire" {
		t.Errorf("got %v", err)
	}
}

func TestErrorStays(t *testing.T) {
	c, err := Open(bytes.NewReader(write(t, sample)[:50]))
	if err != nil {
		t.Fatal(err)
	}
	var p Packet
	first := c.Next(&p)
	if second := c.Next(&p); first == nil || second != first {
		t.Errorf("got %v, then %v", first, second)
	}
}

func TestNoAllocation(t *testing.T) {
	var many []Packet
	for range 300 {
		many = append(many, sample[0])
	}
	le := binary.LittleEndian
	ng := join(section(le), description(le, 1, 0), bytes.Repeat(enhanced(le, 0, 1, "data", 4), 300))
	for name, file := range map[string][]byte{"pcap": write(t, many), "pcapng": ng} {
		c, err := Open(bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		var p Packet
		if got := testing.AllocsPerRun(200, func() {
			if err := c.Next(&p); err != nil {
				t.Fatal(err)
			}
		}); got != 0 {
			t.Errorf("%s: %v allocations per packet, want 0", name, got)
		}
	}
}

// FuzzReader checks that no input makes the reader panic, go on for ever or
// hand out what the input does not hold.
func FuzzReader(f *testing.F) {
	le, be := binary.LittleEndian, binary.BigEndian
	f.Add(write(f, sample))
	f.Add(write(f, sample)[:60])
	f.Add(pcapFile(be, 0xa1b23c4d, 101, sample...))
	f.Add(join(section(le), description(le, 1, 0, 9, 0, 1, 0, 9, 0, 0, 0), enhanced(le, 0, 1<<60, "abcde", 7), block(le, ngSimple, []byte("\x02\x00\x00\x00ab"))))
	f.Add(join(section(be), description(be, 1, 4), block(be, 77, nil), enhanced(be, 0, 9, "x", 1), section(le)))
	f.Fuzz(func(t *testing.T, file []byte) {
		got, err := readAll(bytes.NewReader(file))
		total := 0
		for _, p := range got {
			total += len(p.Data)
			if p.OrigLen < len(p.Data) || len(p.Data) > MaxLength {
				t.Fatalf("%+v", p)
			}
		}
		if total > len(file) {
			t.Fatalf("%d bytes out of a file of %d", total, len(file))
		}
		if err != nil && !errors.As(err, new(*Error)) {
			t.Fatalf("%T: %v", err, err)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\n") {
			t.Fatalf("%q is more than one line", err)
		}
	})
}

func BenchmarkReader(b *testing.B) {
	file := write(b, []Packet{{Data: make([]byte, 64), LinkType: 1}})
	file = append(file, bytes.Repeat(file[24:], 9999)...)
	path := filepath.Join(b.TempDir(), "b.pcap")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	var p Packet
	for b.Loop() {
		f, err := os.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		c, err := Open(f)
		for err == nil {
			err = c.Next(&p)
		}
		f.Close()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/10000, "ns/packet")
}
