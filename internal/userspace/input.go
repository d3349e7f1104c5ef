package userspace

import (
	"encoding/binary"
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom/internal/engine"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/carom-bpf/carom/internal/vm"
)

// InputError says why a program cannot run on an input, with the error number that
// BPF_PROG_TEST_RUN has for it.
type InputError struct {
	Errno  linux.Errno
	Reason string
}

// Error is the reason and the error number.
func (e *InputError) Error() string { return "input: " + e.Reason + ": " + e.Errno.Error() }

// Unwrap returns the error number.
func (e *InputError) Unwrap() error { return e.Errno }

func invalid(reason string, args ...any) *InputError {
	return &InputError{Errno: linux.EINVAL, Reason: fmt.Sprintf(reason, args...)}
}

// shape is how a program type takes its input.
type shape uint8

const (
	shapeNone  shape = iota // cannot be run on its own
	shapeXDP                // packet from the link header on, struct xdp_md
	shapeL2                 // packet from the link header on, struct __sk_buff
	shapeL3                 // packet from the network header on, struct __sk_buff
	shapeRegs               // registers of a probed task
	shapeArgs               // 64-bit arguments of a raw tracepoint
	shapeBytes              // bytes as given
)

func shapeOf(t ebpf.ProgramType) shape {
	switch t {
	case ebpf.XDP:
		return shapeXDP
	case ebpf.SchedCLS, ebpf.SchedACT:
		return shapeL2
	case ebpf.SocketFilter, ebpf.CGroupSKB, ebpf.LWTIn, ebpf.LWTOut, ebpf.LWTXmit:
		return shapeL3
	case ebpf.Kprobe, ebpf.PerfEvent:
		return shapeRegs
	case ebpf.RawTracepoint, ebpf.RawTracepointWritable:
		return shapeArgs
	case ebpf.TracePoint, ebpf.Syscall, ebpf.UnspecifiedProgram:
		return shapeBytes
	}
	return shapeNone
}

// isPacket reports whether Data is a packet for this shape.
func (s shape) isPacket() bool { return s >= shapeXDP && s <= shapeL3 }

// maxTailSize is how long an input context may be when what lies past the structure is zero
// (bpf_check_uarg_tail_zero, kernel/bpf/syscall.c): one page.
const maxTailSize = 4096

// prepare sets up packet, context and memory of a run as BPF_PROG_TEST_RUN does
// (net/bpf/test_run.c) and returns what R1 holds. It belongs between CPU.Begin and CPU.Run.
// Errors are *InputError, except when memory runs out.
func prepare(c *vm.CPU, p *vm.Program, in *engine.Input) (r1 uint64, err error) {
	s := shapeOf(p.Type)
	if s.isPacket() && (len(in.Registers) != 0 || len(in.Memory) != 0) {
		return 0, invalid("%s programs take a packet, not registers and memory", p.Type)
	}
	if !s.isPacket() && s != shapeNone && len(in.Data) != 0 {
		return 0, invalid("%s programs take no packet", p.Type)
	}
	// An error of type *InputError that is nil must not become an error that is not.
	var bad *InputError
	switch s {
	case shapeXDP:
		bad = prepareXDP(c, p, in)
	case shapeL2, shapeL3:
		bad = prepareSKB(c, p, in, s == shapeL2)
	case shapeNone:
		bad = &InputError{Errno: linux.ENOTSUPP, Reason: fmt.Sprintf("%s programs cannot be run on their own", p.Type)}
	default:
		if err := prepareProbe(c, p, in, s); err != nil {
			return 0, err
		}
	}
	if bad != nil {
		return 0, bad
	}
	return c.ContextAddr(), nil
}

// collect stores packet, context and redirect of the run in res. It belongs between CPU.Run and
// CPU.End. The slices of res are reused.
func collect(c *vm.CPU, p *vm.Program, in *engine.Input, res *engine.Result) {
	s := shapeOf(p.Type)
	res.Data, res.Context = res.Data[:0], res.Context[:0]
	switch s {
	case shapeXDP, shapeL2, shapeL3:
		if !in.DiscardData {
			res.Data = appendPacket(res.Data, c, s)
		}
	}
	if in.ContextOut {
		switch s {
		case shapeXDP:
			res.Context = appendXDPMD(res.Context, c, in)
		case shapeL2, shapeL3:
			res.Context = appendSKB(res.Context, c, in)
		default:
			res.Context = append(res.Context, c.ContextBytes()[:probeSize(c, p, in, s)]...)
		}
	}
	r := &c.Redirect
	res.Redirect = engine.Redirect{Set: r.Set, Ifindex: r.Ifindex, Map: r.Map, Key: r.Key, Flags: r.Flags}
}

// appendPacket appends the packet, and what bpf_test_finish puts before it: metadata for XDP, and
// zeroes instead of a link header for types that do not see one.
func appendPacket(to []byte, c *vm.CPU, s shape) []byte {
	first, data, end := c.PacketBounds()
	switch s {
	case shapeL2:
		first = data
	case shapeL3:
		first = data
		to = append(to, make([]byte, ethHeader)...)
	}
	return append(to, mem.Bytes(first, end-first+uint64(c.Packet.Hidden))...)
}

// contextIn copies the input context into the first bytes of to, which are as long as the
// structure, and zeroes the rest (bpf_ctx_init).
func contextIn(to, from []byte, name string) *InputError {
	if len(from) > len(to) {
		if len(from) > maxTailSize {
			return &InputError{Errno: linux.E2BIG, Reason: fmt.Sprintf("the context has %d bytes, struct %s has %d", len(from), name, len(to))}
		}
		for i, b := range from[len(to):] {
			if b != 0 {
				return &InputError{Errno: linux.E2BIG, Reason: fmt.Sprintf("byte %d of the context lies past struct %s and is not zero", len(to)+i, name)}
			}
		}
	}
	clear(to[copy(to, from):])
	return nil
}

func hasContext(in *engine.Input) bool { return len(in.Context) > 0 || in.ContextOut }

func field32(b []byte, off int) uint32 { return binary.LittleEndian.Uint32(b[off:]) }

func put32(b []byte, off int, v uint32) { binary.LittleEndian.PutUint32(b[off:], v) }
