package userspace

import (
	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom/internal/engine"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/carom-bpf/carom/internal/vm"
)

// Offsets of struct xdp_md.
const (
	mdData           = 0
	mdDataEnd        = 4
	mdDataMeta       = 8
	mdIngressIfindex = 12
	mdRxQueueIndex   = 16
	mdEgressIfindex  = 20
)

const (
	ethHeader = 14 // ETH_HLEN
	loopback  = 1  // ifindex of lo

	xdpFrame    = 40   // sizeof(struct xdp_frame), kept free at the start of the headroom
	maxXDPFrags = 17   // MAX_SKB_FRAGS
	page        = 4096 // PAGE_SIZE
	sharedInfo  = 320  // struct skb_shared_info with its alignment, behind the packet
	// xdpLinear is how many bytes of a packet are reached directly; more go to fragments.
	xdpLinear = page - linux.XDPHeadroom - sharedInfo
)

// prepareXDP is bpf_prog_test_run_xdp of net/bpf/test_run.c. A context splits Data into
// metadata, a directly accessible part and fragments.
func prepareXDP(c *vm.CPU, p *vm.Program, in *engine.Input) *InputError {
	if p.AttachType == ebpf.AttachXDPDevMap || p.AttachType == ebpf.AttachXDPCPUMap {
		return invalid("XDP programs of a %s cannot be run on their own", p.AttachType)
	}
	size, linear, meta := len(in.Data), len(in.Data), 0
	var block [linux.XDPMDSize]byte
	ingress := uint32(loopback)
	if hasContext(in) {
		if err := contextIn(block[:], in.Context, "xdp_md"); err != nil {
			return err
		}
		if err := checkXDPMD(block[:], size); err != nil {
			return err
		}
		meta, linear = int(field32(block[:], mdData)), int(field32(block[:], mdDataEnd))
		if given := field32(block[:], mdIngressIfindex); given != 0 {
			ingress = given
		}
	}
	limit := xdpLinear + meta
	linear = min(linear, limit)
	if size-meta < ethHeader {
		return invalid("a packet of %d bytes is shorter than an Ethernet header", size-meta)
	}
	if size-linear > maxXDPFrags*page {
		return &InputError{Errno: linux.ENOMEM, Reason: packetTooLong(size, linear+maxXDPFrags*page)}
	}
	c.SetPacket(in.Data[meta:], vm.Packet{L2: true, NetOff: ethHeader, Writable: true, Hidden: size - linear})
	_, data, _ := c.PacketBounds()
	// The headroom is zeroed: a program that moves the start of the packet can read it.
	clear(mem.Bytes(data-linux.XDPHeadroom, linux.XDPHeadroom))
	first := data - uint64(meta)
	if meta > 0 {
		copy(mem.Bytes(first, uint64(meta)), in.Data)
	}
	c.MovePacket(first, data, first+uint64(linear))

	b := c.ContextBytes()
	clear(b[:linux.XDPMDSize])
	put32(b, mdIngressIfindex, ingress)
	put32(b, mdRxQueueIndex, field32(block[:], mdRxQueueIndex))
	c.UseContext(p, linux.XDPMDSize)
	return nil
}

// checkXDPMD refuses what bpf_prog_test_run_xdp and xdp_convert_md_to_buff refuse. Which network
// devices there are is not known here: any ifindex is accepted, and loopback has one queue.
func checkXDPMD(md []byte, size int) *InputError {
	data, end := field32(md, mdData), field32(md, mdDataEnd)
	ingress, queue := field32(md, mdIngressIfindex), field32(md, mdRxQueueIndex)
	switch {
	case field32(md, mdDataMeta) != 0:
		return invalid("data_meta of the context must be 0: metadata starts the packet data and ends at data")
	case int64(end) > int64(size):
		return invalid("data_end %d of the context lies past the packet data of %d bytes", end, size)
	case data > end:
		return invalid("data %d of the context lies past data_end %d", data, end)
	case data%4 != 0 || data > linux.XDPHeadroom-xdpFrame:
		return invalid("metadata of %d bytes: the length must be a multiple of 4 up to %d", data, linux.XDPHeadroom-xdpFrame)
	case field32(md, mdEgressIfindex) != 0:
		return invalid("egress_ifindex of the context must be 0")
	case ingress == 0 && queue != 0:
		return invalid("rx_queue_index %d of the context needs an ingress_ifindex", queue)
	case ingress == loopback && queue != 0:
		return invalid("rx_queue_index %d of the context: the loopback device has queue 0 only", queue)
	}
	return nil
}

// appendXDPMD appends the context after the run (xdp_convert_buff_to_md).
func appendXDPMD(to []byte, c *vm.CPU, in *engine.Input) []byte {
	n := len(to)
	to = append(to, make([]byte, linux.XDPMDSize)...)
	md := to[n:]
	copy(md, in.Context)
	meta, data, end := c.PacketBounds()
	put32(md, mdData, uint32(data-meta))
	put32(md, mdDataEnd, uint32(end-meta))
	return to
}
