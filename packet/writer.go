package packet

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"time"
)

// Writer writes a pcap file with times in microseconds, little-endian: what
// every tool opens. The same packets give the same bytes.
type Writer struct {
	w     io.Writer
	link  uint32
	count int
	buf   []byte
}

// NewWriter writes the file header. All packets have the given link type.
func NewWriter(w io.Writer, linkType uint32) (*Writer, error) {
	b := make([]byte, 0, pcapFileHeader)
	b = append(b, magics[0].magic...)
	b = binary.LittleEndian.AppendUint16(b, 2)
	b = binary.LittleEndian.AppendUint16(b, 4)
	b = binary.LittleEndian.AppendUint64(b, 0) // time zone and accuracy, always 0
	b = binary.LittleEndian.AppendUint32(b, MaxLength)
	b = binary.LittleEndian.AppendUint32(b, linkType)
	if _, err := w.Write(b); err != nil {
		return nil, fmt.Errorf("write pcap header: %w", err)
	}
	return &Writer{w: w, link: linkType}, nil
}

// Write adds a packet. A zero time is written as 0, a zero OrigLen as the
// length of the data. It refuses a packet of another link type, one longer
// than [MaxLength], and a time that pcap cannot hold (before 1970 or after
// 2106). It keeps nothing of p.
func (w *Writer) Write(p Packet) error {
	w.count++
	if err := w.check(p); err != nil {
		return fmt.Errorf("write packet %d: %w", w.count, err)
	}
	var sec, micro uint32
	if !p.Time.IsZero() {
		sec, micro = uint32(p.Time.Unix()), uint32(p.Time.Nanosecond()/1000)
	}
	b := binary.LittleEndian.AppendUint32(w.buf[:0], sec)
	b = binary.LittleEndian.AppendUint32(b, micro)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(p.Data)))
	b = binary.LittleEndian.AppendUint32(b, uint32(max(p.OrigLen, len(p.Data))))
	w.buf = append(b, p.Data...)
	if _, err := w.w.Write(w.buf); err != nil {
		return fmt.Errorf("write packet %d: %w", w.count, err)
	}
	return nil
}

func (w *Writer) check(p Packet) error {
	switch sec := p.Time.Unix(); {
	case len(p.Data) > MaxLength:
		return fmt.Errorf("%d bytes, at most %d are allowed", len(p.Data), MaxLength)
	case p.OrigLen < 0 || int64(p.OrigLen) > math.MaxUint32:
		return fmt.Errorf("original length %d does not fit 32 bits", p.OrigLen)
	case p.LinkType != w.link:
		return fmt.Errorf("link type %d in a file of link type %d", p.LinkType, w.link)
	case !p.Time.IsZero() && (sec < 0 || sec > math.MaxUint32):
		return fmt.Errorf("time %s does not fit 32 bits of seconds since 1970", p.Time.Format(time.RFC3339))
	}
	return nil
}
