package helper

import (
	"sync"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/linux/printf"
	"github.com/carom-bpf/carom/internal/vm"
)

// formatMax bounds the search for the NUL of a format that comes without a length.
const formatMax = 1 << 16

// printer is what one call needs. It is pooled: it is too large to make for each call.
type printer struct {
	printf.Printer
	call *vm.Call
	args [printf.MaxArgs]uint64
	text [printf.TraceBufferSize]byte
}

// ReadString implements printf.Reader.
func (p *printer) ReadString(dst []byte, addr uint64, _ printf.Space) (int, bool) {
	s, ok := p.call.TryString(addr, uint64(len(dst)))
	if !ok {
		return 0, false
	}
	return copy(dst, s), true
}

// ReadBytes implements printf.Reader.
func (p *printer) ReadBytes(dst []byte, addr uint64, _ printf.Space) bool {
	b, ok := p.call.Try(addr, uint64(len(dst)))
	copy(dst, b)
	return ok
}

// arguments copies the array of 64-bit arguments at addr. ok is false when the call is over and
// ret what it returns (bpf_trace_vprintk and bpf_snprintf, kernel/trace/bpf_trace.c and
// kernel/bpf/helpers.c).
func (p *printer) arguments(addr, size uint64) (list []uint64, ret uint64, ok bool) {
	if size&7 != 0 || size > 8*printf.MaxArgs || size != 0 && addr == 0 {
		return nil, linux.EINVAL.Neg(), false
	}
	b, ok := p.call.Bytes(addr, size)
	if !ok {
		return nil, 0, false
	}
	list = p.args[:size/8]
	for i := range list {
		list[i] = le64(b[8*i:])
	}
	return list, 0, true
}

// trace prints one line and returns what the helper returns.
func (p *printer) trace(format []byte, list []uint64) uint64 {
	text, ret, err := p.Trace(&p.text, format, list)
	if err == nil {
		p.call.Print(text)
	}
	return uint64(ret)
}

func printHelpers(opts Options) []vm.Helper {
	pool := &sync.Pool{New: func() any {
		p := new(printer)
		p.Mem, p.Symbol = p, opts.Symbol
		return p
	}}
	// with runs body with a printer.
	with := func(body func(*printer, *vm.Call) uint64) func(*vm.Call) uint64 {
		return func(k *vm.Call) uint64 {
			p := pool.Get().(*printer)
			p.call = k
			ret := body(p, k)
			p.call = nil
			pool.Put(p)
			return ret
		}
	}
	return []vm.Helper{
		// R3 to R5 need not be initialised, so the prototype leaves them out.
		{Proto: proto(linux.FuncTracePrintk), Func: with(tracePrintk)},
		{Proto: proto(linux.FuncTraceVprintk), Func: with(traceVprintk)},
		{Proto: proto(linux.FuncSnprintf), Func: with(snprintf)},
	}
}

func tracePrintk(p *printer, k *vm.Call) uint64 {
	format, ok := k.Bytes(k.Args[0], uint64(uint32(k.Args[1])))
	if !ok {
		return 0
	}
	n := copy(p.args[:], k.Args[2:])
	return p.trace(format, p.args[:n])
}

func traceVprintk(p *printer, k *vm.Call) uint64 {
	list, ret, ok := p.arguments(k.Args[2], uint64(uint32(k.Args[3])))
	if !ok {
		return ret
	}
	format, ok := k.Bytes(k.Args[0], uint64(uint32(k.Args[1])))
	if !ok {
		return 0
	}
	return p.trace(format, list)
}

func snprintf(p *printer, k *vm.Call) uint64 {
	list, ret, ok := p.arguments(k.Args[3], uint64(uint32(k.Args[4])))
	if !ok {
		return ret
	}
	dst, ok := k.Buffer(k.Args[0], uint64(uint32(k.Args[1])))
	if !ok {
		return 0
	}
	format, ok := k.Bytes(k.Args[2], max(1, k.CPU.Readable(k.Args[2], formatMax)))
	if !ok {
		return 0
	}
	n, _ := p.Snprintf(dst, format, list)
	return uint64(n)
}

func le64(b []byte) uint64 {
	_ = b[7]
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}
