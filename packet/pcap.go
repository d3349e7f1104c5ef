package packet

import (
	"fmt"
	"time"
)

// Sizes of the pcap format (draft-ietf-opsawg-pcap).
const (
	pcapFileHeader   = 24
	pcapPacketHeader = 16
)

func (c *Reader) openPcap() error {
	head := c.head[:pcapFileHeader]
	if err := c.read(head, "the file header"); err != nil {
		return err
	}
	if major, minor := c.order.Uint16(head[4:]), c.order.Uint16(head[6:]); major != 2 {
		return c.fail(BadVersion, fmt.Sprintf("pcap %d.%d", major, minor), "convert it: editcap -F pcap IN OUT", nil)
	}
	// The upper half tells the length of the frame check sequence.
	link, err := c.linkType(c.order.Uint32(head[20:]) & 0xffff)
	c.link = link
	c.next = c.nextPcap
	return err
}

func (c *Reader) nextPcap(p *Packet) error {
	c.start = c.off
	c.count++
	head := c.head[:pcapPacketHeader]
	if err := c.read(head, "the packet header"); err != nil {
		return err
	}
	length := c.order.Uint32(head[8:])
	if length > MaxLength {
		return c.tooLong(length)
	}
	p.Time = time.Unix(int64(c.order.Uint32(head)), int64(c.order.Uint32(head[4:]))*c.fracNs).UTC()
	p.OrigLen = int(max(c.order.Uint32(head[12:]), length))
	p.Interface = 0
	p.LinkType = c.link
	return c.data(p, length)
}
