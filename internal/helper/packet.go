package helper

import (
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/carom-bpf/carom/internal/vm"
)

// packetHelpers work on the packet of the run (net/core/filter.c). Packet pointers are real
// addresses, so a helper that moves the packet's bounds tells the virtual CPU.
func packetHelpers() []vm.Helper {
	var all []vm.Helper
	for _, family := range [][]vm.Helper{skbHelpers(), roomHelpers(), vlanHelpers(), xdpHelpers(), csumHelpers(), redirectHelpers()} {
		all = append(all, family...)
	}
	return all
}

// packetRow is a helper whose first argument is the context.
func packetRow(id uint32, body func(*vm.Call) uint64) vm.Helper {
	h := vm.Helper{Proto: proto(id)}
	h.Func = func(k *vm.Call) uint64 {
		if k.Args[0] != k.CPU.ContextAddr() {
			return k.Fail("R1 = %#x is not the context", k.Args[0])
		}
		return body(k)
	}
	return h
}

// packetLen is how long the packet is, fragments included.
func packetLen(c *vm.CPU) uint64 {
	_, data, end := c.PacketBounds()
	return end - data + uint64(c.Packet.Hidden)
}

// pull makes the first n bytes directly accessible, as skb_ensure_writable does.
func pull(c *vm.CPU, n uint64) linux.Errno {
	meta, data, end := c.PacketBounds()
	have := end - data
	if n <= have {
		return linux.OK
	}
	if n > have+uint64(c.Packet.Hidden) {
		return linux.ENOMEM
	}
	c.Packet.Hidden -= int(n - have)
	c.MovePacket(meta, data, data+n)
	return linux.OK
}

// makeRoom moves the packet to higher addresses where fewer than n bytes of buffer precede it.
func makeRoom(c *vm.CPU, n uint64) bool {
	meta, data, end := c.PacketBounds()
	lo, hi := c.PacketBuffer()
	if meta-lo >= n {
		return true
	}
	shift := n - (meta - lo)
	size := end - meta + uint64(c.Packet.Hidden)
	if meta+shift+size > hi {
		return false
	}
	copy(mem.Bytes(meta+shift, size), mem.Bytes(meta, size))
	c.MovePacket(meta+shift, data+shift, end+shift)
	return true
}

// makeTail moves the packet to lower addresses where the buffer ends before data+n: a program
// that takes bytes from the front and adds them to the end walks through the buffer.
func makeTail(c *vm.CPU, n uint64) {
	meta, data, end := c.PacketBounds()
	lo, hi := c.PacketBuffer()
	if data+n <= hi {
		return
	}
	link := uint64(c.Packet.LinkLen)
	shift := meta - link - lo
	size := end - meta + link + uint64(c.Packet.Hidden)
	copy(mem.Bytes(lo, size), mem.Bytes(meta-link, size))
	c.MovePacket(meta-shift, data-shift, end-shift)
}

// field and setField access the backing block of the context.
func field(c *vm.CPU, off uint64) uint32 { return mem.Load32(c.ContextAddr() + off) }

func setField(c *vm.CPU, off uint64, v uint32) { mem.Store32(c.ContextAddr()+off, v) }
