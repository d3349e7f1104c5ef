// Command genpcap writes the packet captures that the examples read.
//
//	go generate ./...                       # write all captures
//	go run ./internal/cmd/genpcap -check    # compare with the committed ones
//	go run ./internal/cmd/genpcap -packets 1000000 -from traffic.pcap -o million.pcap
//
// The last form writes a capture of so many packets, those of another one again and again.
//
// Addresses, ports and timestamps are fixed, so the bytes are always the same.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

//go:generate go run . -root ../../..

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("genpcap", flag.ContinueOnError)
	flags.SetOutput(stderr)
	root := flags.String("root", ".", "root folder of the repository")
	check := flags.Bool("check", false, "compare with the committed captures instead of writing them")
	packets := flags.Int("packets", 0, "write one capture of so many packets")
	from := flags.String("from", "examples/xdp-dispatch/traffic.pcap", "capture whose packets -packets repeats")
	to := flags.String("o", "", "file that -packets writes")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if *packets > 0 {
		if err := repeatCapture(*from, *to, *packets); err != nil {
			fmt.Fprintln(stderr, "genpcap:", err)
			return 1
		}
		return 0
	}
	finish := writeFile
	if *check {
		finish = compareFile
	}
	failed := false
	for _, c := range captures() {
		data, err := c.encode()
		if err == nil {
			err = finish(filepath.Join(*root, filepath.FromSlash(c.path)), data)
		}
		if err != nil {
			failed = true
			fmt.Fprintln(stderr, "genpcap:", err)
		}
	}
	if failed {
		return 1
	}
	fmt.Fprintf(stdout, "%d captures\n", len(captures()))
	return 0
}

func writeFile(name string, data []byte) error {
	return os.WriteFile(name, data, 0o644)
}

func compareFile(name string, data []byte) error {
	committed, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if !bytes.Equal(committed, data) {
		return fmt.Errorf("%s differs from what genpcap writes: run go generate ./... and commit the result", name)
	}
	return nil
}

// snapLength is the longest packet that a capture may hold, as tcpdump sets it.
const snapLength = 262144

// encode returns the capture as a pcap file, one packet every 1.5 ms.
func (c capture) encode() ([]byte, error) {
	var out bytes.Buffer
	w := pcapgo.NewWriter(&out)
	if err := w.WriteFileHeader(snapLength, layers.LinkTypeEthernet); err != nil {
		return nil, err
	}
	at := time.Date(2026, time.January, 2, 3, 4, 5, 0, time.UTC)
	for i, p := range c.packets {
		data, err := p.encode()
		if err != nil {
			return nil, fmt.Errorf("%s: packet %d: %w", c.path, i+1, err)
		}
		info := gopacket.CaptureInfo{Timestamp: at, CaptureLength: len(data), Length: len(data)}
		if err := w.WritePacket(info, data); err != nil {
			return nil, fmt.Errorf("%s: packet %d: %w", c.path, i+1, err)
		}
		at = at.Add(1500 * time.Microsecond)
	}
	return out.Bytes(), nil
}
