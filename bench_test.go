package carom_test

import (
	"context"
	"encoding/binary"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom"
)

// The programs of these benchmarks are what other BPF runtimes are measured with: a loop of ALU
// instructions, a header parser, a checksum, map look-ups, and a chain to the limit.

const aluLoop = `
	r0 = 0
	r1 = 10000
loop:
	r0 += r1
	r0 ^= 85
	r0 <<= 1
	r1 -= 1
	if r1 != 0 goto loop
	r0 &= 0xffff
	exit`

// aluResult is what aluLoop returns.
func aluResult() (sum uint64) {
	for n := uint64(10000); n != 0; n-- {
		sum = ((sum + n) ^ 85) << 1
	}
	return sum & 0xffff
}

// parseHeaders is the parser of an XDP dispatcher: Ethernet, IPv4, TCP, destination port.
const parseHeaders = `
	r0 = 2
	r2 = *(u32 *)(r1 +0)
	r3 = *(u32 *)(r1 +4)
	r4 = r2
	r4 += 34
	if r4 > r3 goto out
	r5 = *(u16 *)(r2 +12)
	if r5 != 8 goto out
	r5 = *(u8 *)(r2 +23)
	if r5 != 6 goto out
	r5 = *(u8 *)(r2 +14)
	r5 &= 15
	if r5 < 5 goto out
	r6 = *(u16 *)(r2 +20)
	r6 &= 65311
	if r6 != 0 goto out
	r5 <<= 2
	r2 += 14
	r2 += r5
	r4 = r2
	r4 += 20
	if r4 > r3 goto out
	r5 = *(u16 *)(r2 +2)
	r5 = be16 r5
	if r5 == 22 goto drop
	exit
drop:
	r0 = 1
out:
	exit`

// checksum adds up all 16-bit words of the packet, in ones' complement.
const checksum = `
	r2 = *(u32 *)(r1 +0)
	r3 = *(u32 *)(r1 +4)
	r0 = 0
	r6 = 750
loop:
	r4 = r2
	r4 += 2
	if r4 > r3 goto fold
	r5 = *(u16 *)(r2 +0)
	r0 += r5
	r2 = r4
	r6 -= 1
	if r6 != 0 goto loop
fold:
	r5 = r0
	r5 >>= 16
	r0 &= 65535
	r0 += r5
	r5 = r0
	r5 >>= 16
	r0 += r5
	r0 &= 65535
	exit`

// arrayLoop looks 1000 elements up and increments each.
const arrayLoop = `
	r6 = 1000
loop:
	r6 -= 1
	*(u32 *)(r10 -4) = r6
	r2 = r10
	r2 += -4
	r1 = map[numbers] ll
	call bpf_map_lookup_elem
	if r0 == 0 goto out
	r1 = *(u64 *)(r0 +0)
	r1 += 1
	*(u64 *)(r0 +0) = r1
	if r6 != 0 goto loop
out:
	r0 = 2
	exit`

const constantIndex = `
	r2 = map[slots] ll
	r3 = 0
	call bpf_tail_call
	r0 = 2
	exit`

const variableIndex = `
	r6 = r1
	r3 = *(u32 *)(r1 +16)
	r2 = map[slots] ll
	call bpf_tail_call
	r0 = 2
	exit`

func chain(text string) source {
	return source{progs: map[string]string{"p": text}, maps: map[string]*ebpf.MapSpec{"slots": progArray(1, "p")}}
}

func single(text string) source { return source{progs: map[string]string{"p": text}} }

// workload is one program to measure.
type workload struct {
	name   string
	source source
	data   []byte
	repeat int // takes the set-up of packet and context out of the picture; BenchmarkRunInput has it
	want   uint64
	hops   int
}

func workloads() []workload {
	small, full := make([]byte, 64), make([]byte, 1500)
	tcp := make([]byte, 64)
	copy(tcp, packet54())
	tcp[37] = 22
	for i := range full {
		full[i] = byte(i)
	}
	numbers := single(arrayLoop)
	numbers.maps = map[string]*ebpf.MapSpec{"numbers": array(8, 1000)}
	perCPU := single(arrayLoop)
	perCPU.maps = map[string]*ebpf.MapSpec{"numbers": {Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: 8, MaxEntries: 1000}}
	return []workload{
		{"Empty", single("r0 = 2; exit"), small, 1000, 2, 0},
		{"ALULoop", single(aluLoop), small, 1, aluResult(), 0},
		{"Parse64", single(parseHeaders), tcp, 100, 1, 0},
		{"ChainConstant", chain(constantIndex), small, 100, 2, 33},
		{"ChainVariable", chain(variableIndex), small, 100, 2, 33},
		{"ArrayLoop1000", numbers, small, 1, 2, 0},
		{"PerCPUArrayLoop1000", perCPU, small, 1, 2, 0},
		{"Checksum1500", single(checksum), full, 1, onesComplement(full), 0},
	}
}

// onesComplement adds up the 16-bit words of b as the program checksum does.
func onesComplement(b []byte) uint64 {
	sum := uint64(0)
	for ; len(b) >= 2; b = b[2:] {
		sum += uint64(binary.LittleEndian.Uint16(b))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return sum
}

// pinned is a workload that is loaded and has a virtual CPU.
type pinned struct {
	cpu  *carom.CPU
	prog *carom.Program
	in   carom.Input
	res  carom.Result
}

func (w *workload) pin(tb testing.TB, opts carom.Options, repeat int) *pinned {
	tb.Helper()
	coll := w.source.load(tb, &opts)
	cpu, err := coll.CPU(context.Background(), 0)
	check(tb, err)
	tb.Cleanup(cpu.Release)
	p := &pinned{cpu: cpu, prog: coll.Programs["p"], in: carom.Input{Data: w.data, Repeat: repeat}}
	if opts.Engine == carom.JIT && !p.prog.Jited() {
		tb.Fatal("the program has no machine code")
	}
	p.run(tb)
	if p.res.Return != w.want {
		tb.Fatalf("%s returns %#x, want %#x", w.name, p.res.Return, w.want)
	}
	return p
}

func (p *pinned) run(tb testing.TB) {
	if err := p.cpu.Run(context.Background(), p.prog, &p.in, &p.res); err != nil {
		tb.Fatal(err)
	}
}

func benchmarkEngine(b *testing.B, opts carom.Options) {
	for _, w := range workloads() {
		b.Run(w.name, func(b *testing.B) {
			p := w.pin(b, opts, w.repeat)
			b.ReportAllocs()
			for b.Loop() {
				p.run(b)
			}
			each := float64(b.Elapsed().Nanoseconds()) / float64(b.N) / float64(w.repeat)
			b.ReportMetric(each, "ns/run")
			if w.hops > 0 {
				if p.res.TailCalls != w.hops {
					b.Fatalf("%d tail calls, want %d", p.res.TailCalls, w.hops)
				}
				b.ReportMetric(each/float64(w.hops), "ns/hop")
			}
			if p.res.Instructions > 0 {
				b.ReportMetric(each*float64(w.repeat)/float64(p.res.Instructions), "ns/insn")
			}
		})
	}
}

func BenchmarkInterp(b *testing.B) { benchmarkEngine(b, carom.Options{Engine: carom.Interpreter}) }

func BenchmarkInterpCounted(b *testing.B) {
	benchmarkEngine(b, carom.Options{Engine: carom.Interpreter, CountEdges: carom.CountOn})
}

func BenchmarkJIT(b *testing.B) { benchmarkEngine(b, carom.Options{Engine: carom.JIT}) }

func BenchmarkJITCounted(b *testing.B) {
	benchmarkEngine(b, carom.Options{Engine: carom.JIT, CountEdges: carom.CountOn})
}

// BenchmarkRunInput is what a run costs besides its instructions.
func BenchmarkRunInput(b *testing.B) {
	for _, e := range []carom.Engine{carom.Interpreter, carom.JIT} {
		b.Run(e.Name(), func(b *testing.B) {
			coll := single("r0 = 2; exit").load(b, &carom.Options{Engine: e})
			ctx, in, res := context.Background(), &carom.Input{Data: make([]byte, 64)}, new(carom.Result)
			p := coll.Programs["p"]
			check(b, p.RunInput(ctx, in, res))
			b.ReportAllocs()
			for b.Loop() {
				if err := p.RunInput(ctx, in, res); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkParallel runs chains on all virtual CPUs at once.
func BenchmarkParallel(b *testing.B) {
	for _, e := range []carom.Engine{carom.Interpreter, carom.JIT} {
		b.Run(e.Name(), func(b *testing.B) {
			coll := chain(constantIndex).load(b, &carom.Options{Engine: e})
			p := coll.Programs["p"]
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				ctx, in, res := context.Background(), &carom.Input{Data: make([]byte, 64)}, new(carom.Result)
				for pb.Next() {
					if err := p.RunInput(ctx, in, res); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/33, "ns/hop")
		})
	}
}
