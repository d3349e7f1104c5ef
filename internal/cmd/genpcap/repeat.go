package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/pcapgo"
)

// repeatCapture writes n packets, those of a capture again and again, a microsecond apart.
func repeatCapture(from, to string, n int) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	r, err := pcapgo.NewReader(in)
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	var packets [][]byte
	for {
		data, _, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("%s: %w", from, err)
		}
		packets = append(packets, data)
	}
	if len(packets) == 0 {
		return fmt.Errorf("%s has no packets", from)
	}
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	buffered := bufio.NewWriterSize(out, 1<<20)
	w := pcapgo.NewWriter(buffered)
	if err := w.WriteFileHeader(snapLength, r.LinkType()); err != nil {
		return err
	}
	at := time.Date(2026, time.January, 2, 3, 4, 5, 0, time.UTC)
	for i := range n {
		data := packets[i%len(packets)]
		info := gopacket.CaptureInfo{Timestamp: at, CaptureLength: len(data), Length: len(data)}
		if err := w.WritePacket(info, data); err != nil {
			return err
		}
		at = at.Add(time.Microsecond)
	}
	return buffered.Flush()
}
