package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/packet"
	"github.com/carom-bpf/carom/world"
	"github.com/cilium/ebpf"
)

// source gives the inputs of runs, one after the other, then io.EOF. It fills in what it has and
// leaves the rest of the input alone.
type source interface {
	next(in *carom.Input) error
}

// onceSource gives one input.
type onceSource struct {
	data []byte
	done bool
}

func (s *onceSource) next(in *carom.Input) error {
	if s.done {
		return io.EOF
	}
	s.done, in.Data = true, s.data
	return nil
}

// pcapSource reads a capture.
type pcapSource struct {
	name  string
	r     *packet.Reader
	p     packet.Packet
	frame []byte
	clock *packetClock
}

func newPcapSource(name string, r io.Reader, clock *packetClock) (*pcapSource, error) {
	reader, err := packet.Open(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &pcapSource{name: name, r: reader, clock: clock}, nil
}

func (s *pcapSource) next(in *carom.Input) error {
	err := s.r.Next(&s.p)
	if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return io.EOF
	}
	if err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	s.clock.set(s.p.Time)
	in.Data = s.p.Data
	if s.p.LinkType != packet.LinkEthernet {
		s.frame = withEthernet(s.frame[:0], s.p.Data)
		in.Data = s.frame
	}
	return nil
}

// withEthernet puts an Ethernet header without addresses before an IP packet, because programs
// are run on frames.
func withEthernet(to, ip []byte) []byte {
	to = append(to, make([]byte, 12)...)
	if len(ip) > 0 && ip[0]>>4 == 6 {
		to = append(to, 0x86, 0xdd)
	} else {
		to = append(to, 0x08, 0x00)
	}
	return append(to, ip...)
}

// packetClock is the time of the packet that is being run, as nanoseconds since 1970. It never
// goes back, as Linux's clocks don't.
type packetClock struct{ ns atomic.Uint64 }

func (c *packetClock) set(t time.Time) {
	if c == nil || t.IsZero() {
		return
	}
	if n := t.UnixNano(); n > 0 && uint64(n) > c.ns.Load() {
		c.ns.Store(uint64(n))
	}
}

// Now implements world.Clock.
func (c *packetClock) Now(world.ClockID) uint64 { return c.ns.Load() }

// fixedTime is what --clock fixed shows: one second, because programs take 0 for "never".
const fixedTime = world.Fixed(1e9)

// takesPackets reports whether a program type is run on packets.
func takesPackets(t ebpf.ProgramType) bool {
	switch t {
	case ebpf.XDP, ebpf.SchedCLS, ebpf.SchedACT, ebpf.SocketFilter, ebpf.CGroupSKB,
		ebpf.LWTIn, ebpf.LWTOut, ebpf.LWTXmit, ebpf.LWTSeg6Local, ebpf.FlowDissector, ebpf.SkSKB, ebpf.Netfilter:
		return true
	}
	return false
}

// openInput opens a file, or standard input for -.
func openInput(path string, stdin io.Reader, flag string) (io.ReadCloser, error) {
	if path == "-" {
		return io.NopCloser(stdin), nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fileError(path, err, "check the file that "+flag+" names")
	}
	return f, nil
}

// readInput reads all of a file or standard input.
func readInput(path string, stdin io.Reader, flag string) ([]byte, error) {
	f, err := openInput(path, stdin, flag)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxObject))
	if err != nil {
		return nil, fileError(path, err, "check the file that "+flag+" names")
	}
	return b, nil
}
