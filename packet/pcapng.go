package packet

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"time"
)

// Block types of pcapng (draft-ietf-opsawg-pcapng, section 4).
const (
	ngSection   = 0x0a0d0d0a
	ngInterfDsc = 1
	ngPacket    = 2 // obsolete
	ngSimple    = 3
	ngEnhanced  = 6
)

// ngMaxDescription bounds the blocks that are kept in memory whole.
const ngMaxDescription = 256 << 10

// ngInterface is an interface description.
type ngInterface struct {
	link    uint32
	snapLen uint32
	perSec  uint64 // units of a time stamp in a second
	offset  int64  // seconds to add
}

func (c *Reader) openNG() error {
	c.next = c.nextNG
	c.link = LinkEthernet
	c.count = -1 // block counts one up: an error here is in the file's header
	if err := c.block(); err != nil {
		return err
	}
	c.count = 0
	// Go on to the first interface, to know the link type.
	for len(c.interfaces) == 0 {
		head, err := c.in.Peek(4)
		if err != nil {
			return nil // Next says what is wrong
		}
		switch c.order.Uint32(head) {
		case ngPacket, ngSimple, ngEnhanced:
			return nil
		}
		if err := c.block(); err != nil {
			return err
		}
	}
	c.link = c.interfaces[0].link
	return nil
}

// nextNG goes to the next packet.
func (c *Reader) nextNG(p *Packet) error {
	for {
		head, err := c.in.Peek(4)
		if err == nil {
			switch c.order.Uint32(head) {
			case ngPacket, ngSimple, ngEnhanced:
				return c.packetBlock(p)
			}
		}
		if err := c.block(); err != nil {
			return err
		}
	}
}

// begin reads a block's type and length.
func (c *Reader) begin() (kind uint32, err error) {
	c.start = c.off
	head := c.head[:8]
	if err := c.read(head, "a block header"); err != nil {
		return 0, err
	}
	kind = c.order.Uint32(head)
	if kind == ngSection {
		if err := c.read(c.head[8:12], "a section header"); err != nil {
			return 0, err
		}
		switch {
		case binary.LittleEndian.Uint32(c.head[8:]) == 0x1a2b3c4d:
			c.order = binary.LittleEndian
		case binary.BigEndian.Uint32(c.head[8:]) == 0x1a2b3c4d:
			c.order = binary.BigEndian
		default:
			return 0, c.fail(BadMagic, fmt.Sprintf("byte-order mark %x", c.head[8:12]), "give a pcap or pcapng file", nil)
		}
	}
	total := c.order.Uint32(head[4:])
	if total%4 != 0 || total < 12 {
		return 0, c.fail(BadLength, fmt.Sprintf("a block of %d bytes", total), c.cutRemedy(), nil)
	}
	c.left = int64(total) - (c.off - c.start)
	if c.left < 4 {
		return 0, c.fail(BadLength, fmt.Sprintf("a section header of %d bytes", total), c.cutRemedy(), nil)
	}
	return kind, nil
}

// take reads n bytes of the block's body.
func (c *Reader) take(n int64, what string) ([]byte, error) {
	if c.left-4 < n {
		return nil, c.shortBlock(n, what)
	}
	c.left -= n
	b := c.head[:n]
	return b, c.read(b, what)
}

func (c *Reader) shortBlock(n int64, what string) error {
	return c.fail(BadBlock, fmt.Sprintf("%s needs %d bytes, the block has %d", what, n, c.left-4), c.cutRemedy(), nil)
}

// end skips the rest of the block and checks the length after it.
func (c *Reader) end() error {
	total := c.off - c.start + c.left
	if err := c.skip(c.left-4, "a block"); err != nil {
		return err
	}
	tail := c.head[:4]
	if err := c.read(tail, "a block's end"); err != nil {
		return err
	}
	if got := c.order.Uint32(tail); int64(got) != total {
		return c.fail(BadBlock, fmt.Sprintf("a block begins with length %d and ends with %d", total, got), c.cutRemedy(), nil)
	}
	return nil
}

// block reads a block that is not a packet. It returns io.EOF at the end.
func (c *Reader) block() error {
	c.count++ // an error is in what leads to the next packet
	kind, err := c.begin()
	if err != nil {
		return err
	}
	switch kind {
	case ngSection:
		err = c.section()
	case ngInterfDsc:
		err = c.description()
	}
	if err == nil {
		err = c.end()
	}
	if err == nil {
		c.count--
	}
	return err
}

func (c *Reader) section() error {
	head, err := c.take(12, "a section header")
	if err != nil {
		return err
	}
	if major := c.order.Uint16(head); major != 1 {
		return c.fail(BadVersion, fmt.Sprintf("pcapng %d.%d", major, c.order.Uint16(head[2:])), "convert it: editcap -F pcap IN OUT", nil)
	}
	c.interfaces = c.interfaces[:0]
	return nil
}

// description adds an interface.
func (c *Reader) description() error {
	head, err := c.take(8, "an interface description")
	if err != nil {
		return err
	}
	link, err := c.linkType(uint32(c.order.Uint16(head)))
	if err != nil {
		return err
	}
	intf := ngInterface{link: link, snapLen: c.order.Uint32(head[4:]), perSec: 1e6}
	if c.left-4 > ngMaxDescription {
		return c.fail(BadLength, fmt.Sprintf("an interface description of %d bytes", c.left-4), c.cutRemedy(), nil)
	}
	options := make([]byte, c.left-4)
	if err := c.read(options, "an interface description"); err != nil {
		return err
	}
	c.left = 4
	if err := c.options(&intf, options); err != nil {
		return err
	}
	c.interfaces = append(c.interfaces, intf)
	return nil
}

// options of an interface that matter: 9 if_tsresol and 14 if_tsoffset.
func (c *Reader) options(intf *ngInterface, b []byte) error {
	for len(b) >= 4 {
		code, length := c.order.Uint16(b), int(c.order.Uint16(b[2:]))
		if b = b[4:]; code == 0 {
			return nil
		}
		if length > len(b) {
			return c.fail(BadBlock, fmt.Sprintf("option %d has %d bytes, %d are there", code, length, len(b)), c.cutRemedy(), nil)
		}
		value := b[:length]
		b = b[min(len(b), (length+3)&^3):]
		switch {
		case code == 9 && length == 1:
			var ok bool
			if intf.perSec, ok = resolution(value[0]); !ok {
				return c.fail(BadBlock, fmt.Sprintf("time resolution %#x", value[0]), "convert it: editcap -F pcap IN OUT", nil)
			}
		case code == 14 && length == 8:
			intf.offset = int64(c.order.Uint64(value))
		}
	}
	return nil
}

// resolution decodes if_tsresol: a negative power of 10, or of 2 with the top
// bit set. It must fit 64 bits.
func resolution(v byte) (perSec uint64, ok bool) {
	if v&0x80 != 0 {
		return 1 << (v & 0x3f), v&0x7f < 64
	}
	if v > 19 {
		return 0, false
	}
	perSec = 1
	for range v {
		perSec *= 10
	}
	return perSec, true
}

// time converts a time stamp without losing nanoseconds.
func (i *ngInterface) time(stamp uint64) time.Time {
	hi, lo := bits.Mul64(stamp%i.perSec, 1e9)
	ns, _ := bits.Div64(hi, lo, i.perSec)
	return time.Unix(int64(stamp/i.perSec)+i.offset, int64(ns)).UTC()
}

func (c *Reader) packetBlock(p *Packet) error {
	c.count++
	kind, err := c.begin()
	if err != nil {
		return err
	}
	var length uint32
	if kind == ngSimple {
		length, err = c.simple(p)
	} else {
		length, err = c.enhanced(p, kind)
	}
	if err != nil {
		return err
	}
	if length > MaxLength {
		return c.tooLong(length)
	}
	if int64(length) > c.left-4 {
		return c.shortBlock(int64(length), "the data")
	}
	if err := c.data(p, length); err != nil {
		return err
	}
	p.OrigLen = max(p.OrigLen, int(length))
	c.left -= int64(length)
	return c.end()
}

// enhanced reads the header of an enhanced or an obsolete packet block.
func (c *Reader) enhanced(p *Packet, kind uint32) (uint32, error) {
	head, err := c.take(20, "a packet header")
	if err != nil {
		return 0, err
	}
	index := c.order.Uint32(head)
	if kind == ngPacket {
		index = uint32(c.order.Uint16(head))
	}
	intf, err := c.onInterface(p, index)
	if err != nil {
		return 0, err
	}
	p.Time = intf.time(uint64(c.order.Uint32(head[4:]))<<32 | uint64(c.order.Uint32(head[8:])))
	p.OrigLen = int(c.order.Uint32(head[16:]))
	return c.order.Uint32(head[12:]), nil
}

// simple reads the header of a simple packet block: interface 0, no time.
func (c *Reader) simple(p *Packet) (uint32, error) {
	head, err := c.take(4, "a packet header")
	if err != nil {
		return 0, err
	}
	intf, err := c.onInterface(p, 0)
	if err != nil {
		return 0, err
	}
	length := c.order.Uint32(head)
	p.Time = time.Time{}
	p.OrigLen = int(length)
	if intf.snapLen != 0 {
		length = min(length, intf.snapLen)
	}
	return length, nil
}

func (c *Reader) onInterface(p *Packet, index uint32) (*ngInterface, error) {
	if int64(index) >= int64(len(c.interfaces)) {
		return nil, c.fail(BadBlock, fmt.Sprintf("interface %d, but %d are described", index, len(c.interfaces)), c.cutRemedy(), nil)
	}
	p.Interface = int(index)
	p.LinkType = c.interfaces[index].link
	return &c.interfaces[index], nil
}
