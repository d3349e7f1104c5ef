package main

import (
	"encoding/binary"
	"math/rand/v2"

	"github.com/carom-bpf/carom/internal/engine"
	"github.com/carom-bpf/carom/internal/gen"
	"github.com/carom-bpf/carom/internal/isa"
	"github.com/cilium/ebpf"
)

// source makes inputs for one program.
type source struct {
	*rand.Rand
	consts []int32 // numbers that occur in the program
}

// constants lists the numbers with which a program computes, compares and reaches into memory.
func constants(p *gen.VerifyProg) []int32 {
	out := []int32{0}
	for _, in := range p.Insns {
		switch in.Class() {
		case isa.ClassALU, isa.ClassALU64, isa.ClassJMP, isa.ClassJMP32:
			out = append(out, in.Imm)
		case isa.ClassLDX, isa.ClassST, isa.ClassSTX:
			out = append(out, int32(in.Off))
		}
	}
	return out
}

// near is a number of the program, the sum of two, or one beside it; in 64 bits, in the low 32, or
// in all parts.
func (s *source) near() uint64 {
	v := int64(s.consts[s.IntN(len(s.consts))])
	if s.IntN(4) == 0 {
		v += int64(s.consts[s.IntN(len(s.consts))])
	}
	v += int64(s.IntN(3) - 1)
	switch s.IntN(6) {
	case 0:
		return uint64(uint32(v))
	case 1:
		return uint64(uint32(v)) | uint64(uint32(v))<<32
	case 2:
		return uint64(uint32(v)) | s.Uint64()<<32
	case 3:
		return uint64(-v)
	}
	return uint64(v)
}

// shake gives all maps new contents.
func (r *runner) shake(src *source) {
	for i, m := range r.maps {
		if m == nil {
			continue
		}
		s := r.specs[i]
		size := int(s.ValueSize)
		switch s.Type {
		case ebpf.PerCPUArray, ebpf.PerCPUHash:
			size = (size + 7) / 8 * 8
		case ebpf.Array, ebpf.Hash, ebpf.LRUHash, ebpf.LPMTrie:
		default:
			continue
		}
		for n := range min(max(int(s.MaxEntries), 1), 3) {
			key := make([]byte, s.KeySize)
			binary.LittleEndian.PutUint32(key, uint32(n))
			if src.IntN(4) == 0 {
				_ = m.Delete(key) // arrays refuse
				continue
			}
			_ = m.Update(key, src.fill(size), 0) // frozen maps refuse
		}
	}
}

// fill makes bytes: zeros, ones, edges, numbers of the program or anything.
func (s *source) fill(n int) []byte {
	b := make([]byte, n)
	switch s.IntN(8) {
	case 0:
	case 1:
		for i := range b {
			b[i] = 0xff
		}
	case 2:
		for i := 0; i+8 <= n; i += 8 {
			binary.LittleEndian.PutUint64(b[i:], s.edge())
		}
	case 3, 4, 5:
		for i := 0; i+8 <= n; i += 8 {
			binary.LittleEndian.PutUint64(b[i:], s.near())
		}
	default:
		for i := range b {
			b[i] = byte(s.Uint32())
		}
	}
	return b
}

// edge is a number at which something changes.
func (s *source) edge() uint64 {
	v := uint64(1) << s.IntN(64)
	switch s.IntN(6) {
	case 0:
		return v - 1
	case 1:
		return -v
	case 2:
		return uint64(s.IntN(80))
	case 3:
		return uint64(uint32(s.IntN(80)-8)) | s.Uint64()<<32
	case 4:
		return -uint64(s.IntN(80))
	}
	return v
}

// input makes a packet or a context.
func (s *source) input(p *gen.VerifyProg) *engine.Input {
	in := &engine.Input{Budget: soundBudget}
	switch p.Type {
	case ebpf.XDP, ebpf.SchedCLS, ebpf.SchedACT, ebpf.SocketFilter, ebpf.CGroupSKB, ebpf.LWTIn, ebpf.LWTOut, ebpf.LWTXmit:
		n := []int{14, 15, 16, 18, 20, 22, 28, 34, 54, 64, 100, 300, 1500, 3000}[s.IntN(14)]
		switch s.IntN(4) {
		case 0:
			n = 14 + s.IntN(60)
		case 1, 2: // just as long as the program asks, or a little shorter
			if c := int(int32(s.near())); c > 0 && c < 3000 {
				n = c
				if p.Type == ebpf.SocketFilter || p.Type == ebpf.CGroupSKB || s.IntN(4) == 0 {
					n += 14
				}
			}
		}
		n = max(n, 14)
		in.Data = s.fill(n)
		if s.IntN(2) == 0 && n >= 34 { // IPv4 without options
			in.Data[12], in.Data[13], in.Data[14] = 8, 0, 0x45
		}
	case ebpf.RawTracepoint, ebpf.RawTracepointWritable:
		in.Context = s.fill(96)
	case ebpf.TracePoint, ebpf.Syscall:
		in.Context = s.fill(256)
	case ebpf.Kprobe, ebpf.PerfEvent:
	}
	return in
}
