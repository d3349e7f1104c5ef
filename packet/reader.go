package packet

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Reader reads packets one after the other.
type Reader struct {
	in     *bufio.Reader
	off    int64 // bytes consumed
	start  int64 // offset of the packet or block being read
	count  int   // packets begun
	format string
	order  binary.ByteOrder
	next   func(*Packet) error
	head   [28]byte // scratch for headers

	link   uint32 // of the file, or of the first interface
	fracNs int64  // pcap: nanoseconds per unit of the fraction

	interfaces []ngInterface // pcapng: of the section
	left       int64         // pcapng: bytes of the block that follow, trailer included
}

// Open recognizes the format of a capture by its first bytes and reads its
// header. The error is an [*Error].
func Open(r io.Reader) (*Reader, error) {
	c := &Reader{in: bufio.NewReaderSize(r, 64<<10)}
	magic, err := c.in.Peek(4)
	if len(magic) == 0 && err == io.EOF {
		return nil, c.fail(Empty, "", "check that the capture wrote to this file", io.ErrUnexpectedEOF)
	}
	if err != nil && err != io.EOF {
		return nil, c.fail(ReadFailed, err.Error(), "", err)
	}
	for _, f := range magics {
		if string(magic) == f.magic {
			c.format, c.order, c.fracNs = f.format, f.order, f.fracNs
			if c.format == formatNG {
				return c, c.openNG()
			}
			return c, c.openPcap()
		}
	}
	if err == io.EOF {
		return nil, c.fail(Truncated, fmt.Sprintf("the file has %d bytes", len(magic)), "capture again", io.ErrUnexpectedEOF)
	}
	for _, f := range foreign {
		if string(magic[:len(f.magic)]) == f.magic {
			return nil, c.fail(BadMagic, f.what, f.remedy, nil)
		}
	}
	return nil, c.fail(BadMagic, fmt.Sprintf("it starts with %x", magic), "give a pcap or pcapng file", nil)
}

const (
	formatPcap = "pcap"
	formatNG   = "pcapng"
)

var magics = []struct {
	magic  string
	format string
	order  binary.ByteOrder
	fracNs int64
}{
	{"\xd4\xc3\xb2\xa1", formatPcap, binary.LittleEndian, 1000},
	{"\xa1\xb2\xc3\xd4", formatPcap, binary.BigEndian, 1000},
	{"\x4d\x3c\xb2\xa1", formatPcap, binary.LittleEndian, 1},
	{"\xa1\xb2\x3c\x4d", formatPcap, binary.BigEndian, 1},
	{"\x0a\x0d\x0d\x0a", formatNG, binary.LittleEndian, 0}, // the order follows
}

// foreign formats that people try.
var foreign = []struct{ magic, what, remedy string }{
	{"\x1f\x8b", "it is compressed with gzip", "decompress it: gunzip FILE"},
	{"\x28\xb5\x2f\xfd", "it is compressed with zstd", "decompress it: unzstd FILE"},
	{"\x34\xcd\xb2\xa1", "it is the modified pcap of old Linux tools", "convert it: editcap -F pcap IN OUT"},
	{"snoo", "it is a snoop capture", "convert it: editcap -F pcap IN OUT"},
	{"\x7fELF", "it is an ELF object", "give a pcap or pcapng file"},
}

// Format is "pcap" or "pcapng".
func (c *Reader) Format() string { return c.format }

// LinkType says how packets start (a Link constant). In pcapng each interface
// has its own, in [Packet.LinkType]; this is that of the first one, or
// [LinkEthernet] when the file names none.
func (c *Reader) LinkType() uint32 { return c.link }

// Next reads the next packet into p, whose Data is used again when it is large
// enough. It returns io.EOF after the last packet and an [*Error] when the
// capture is broken; then there is nothing more to read, and every further
// call returns an error too.
func (c *Reader) Next(p *Packet) error {
	err := c.next(p)
	if err != nil {
		c.next = func(*Packet) error { return err }
	}
	return err
}

// fail makes the error for what is being read.
func (c *Reader) fail(reason Reason, detail, remedy string, err error) error {
	return &Error{
		Format: c.format, Packet: c.count, Offset: c.start,
		Reason: reason, Detail: detail, Remedy: remedy, Err: err,
	}
}

// read fills b. It returns io.EOF only when there is no byte at all.
func (c *Reader) read(b []byte, what string) error {
	n, err := io.ReadFull(c.in, b)
	c.off += int64(n)
	switch {
	case err == nil:
		return nil
	case err == io.EOF && len(b) > 0 && c.off == c.start:
		return io.EOF
	case err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF):
		return c.fail(Truncated, fmt.Sprintf("%d of %d bytes of %s are there", n, len(b), what), c.cutRemedy(), io.ErrUnexpectedEOF)
	}
	return c.fail(ReadFailed, err.Error(), "", err)
}

// skip drops n bytes.
func (c *Reader) skip(n int64, what string) error {
	done := int64(0)
	for done < n {
		k, err := c.in.Discard(int(min(n-done, 1<<20)))
		c.off += int64(k)
		done += int64(k)
		if err == io.EOF {
			return c.fail(Truncated, fmt.Sprintf("%d of %d bytes of %s are there", done, n, what), c.cutRemedy(), io.ErrUnexpectedEOF)
		}
		if err != nil {
			return c.fail(ReadFailed, err.Error(), "", err)
		}
	}
	return nil
}

func (c *Reader) cutRemedy() string {
	if c.count < 2 {
		return "capture again"
	}
	return fmt.Sprintf("capture again, or keep the whole packets: editcap -r IN OUT 1-%d", c.count-1)
}

// data reads n captured bytes, n being at most MaxLength.
func (c *Reader) data(p *Packet, n uint32) error {
	if cap(p.Data) < int(n) {
		p.Data = make([]byte, n)
	}
	p.Data = p.Data[:n]
	return c.read(p.Data, "data")
}

func (c *Reader) tooLong(n uint32) error {
	return c.fail(BadLength, fmt.Sprintf("a packet of %d bytes, at most %d are allowed", n, MaxLength),
		"capture again with a snapshot length of 262144 or less", nil)
}

// linkType checks a link type and maps historic values of raw IP.
func (c *Reader) linkType(v uint32) (uint32, error) {
	switch v {
	case LinkEthernet, LinkRaw, LinkIPv4, LinkIPv6:
		return v, nil
	case 12, 14: // DLT_RAW of the BSDs and of OpenBSD
		return LinkRaw, nil
	case 113, 276:
		return 0, c.fail(BadLinkType, fmt.Sprintf("%d (Linux cooked capture)", v),
			"capture on one Ethernet interface instead of \"any\"", nil)
	}
	return 0, c.fail(BadLinkType, fmt.Sprint(v), "give a capture of Ethernet (1) or raw IP (101, 228, 229)", nil)
}
