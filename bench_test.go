package carom_test

import (
	"context"
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
	r0 = 2
	exit`

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
loop:
	r4 = r2
	r4 += 2
	if r4 > r3 goto fold
	r5 = *(u16 *)(r2 +0)
	r0 += r5
	r2 = r4
	goto loop
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

// repeat takes the set-up of packet and context out of the picture; BenchmarkInterpRunInput has it.
const repeat = 100

// pinnedRun measures p on a reserved virtual CPU and returns the last result.
func pinnedRun(b *testing.B, s source, in *carom.Input, opts *carom.Options) *carom.Result {
	b.Helper()
	coll := s.load(b, opts)
	ctx := context.Background()
	cpu, err := coll.CPU(ctx, 0)
	check(b, err)
	defer cpu.Release()
	p, res := coll.Programs["p"], new(carom.Result)
	check(b, cpu.Run(ctx, p, in, res))
	b.ReportAllocs()
	for b.Loop() {
		if err := cpu.Run(ctx, p, in, res); err != nil {
			b.Fatal(err)
		}
	}
	return res
}

func perInsn(b *testing.B, res *carom.Result) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(res.Instructions), "ns/insn")
}

func perHop(b *testing.B, res *carom.Result) {
	if res.TailCalls != 33 {
		b.Fatalf("%d tail calls, want 33", res.TailCalls)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(repeat*res.TailCalls), "ns/hop")
}

func BenchmarkInterpALULoop(b *testing.B) {
	perInsn(b, pinnedRun(b, single(aluLoop), &carom.Input{Data: make([]byte, 64)}, nil))
}

func BenchmarkInterpParse64(b *testing.B) {
	pkt := make([]byte, 64)
	copy(pkt, packet54())
	pkt[37] = 22
	res := pinnedRun(b, single(parseHeaders), &carom.Input{Data: pkt, Repeat: repeat}, nil)
	if res.Return != 1 {
		b.Fatalf("verdict %d, want XDP_DROP", res.Return)
	}
	perInsn(b, res)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/repeat, "ns/packet")
}

func BenchmarkInterpChecksum1500(b *testing.B) {
	pkt := make([]byte, 1500)
	for i := range pkt {
		pkt[i] = byte(i)
	}
	perInsn(b, pinnedRun(b, single(checksum), &carom.Input{Data: pkt}, nil))
}

func BenchmarkInterpArrayLoop1000(b *testing.B) {
	s := single(arrayLoop)
	s.maps = map[string]*ebpf.MapSpec{"numbers": array(8, 1000)}
	perInsn(b, pinnedRun(b, s, &carom.Input{Data: make([]byte, 64)}, nil))
}

func BenchmarkInterpChainConstant(b *testing.B) {
	perHop(b, pinnedRun(b, chain(constantIndex), &carom.Input{Data: make([]byte, 64), Repeat: repeat}, nil))
}

func BenchmarkInterpChainVariable(b *testing.B) {
	perHop(b, pinnedRun(b, chain(variableIndex), &carom.Input{Data: make([]byte, 64), Repeat: repeat}, nil))
}

func BenchmarkInterpChainCounted(b *testing.B) {
	perHop(b, pinnedRun(b, chain(constantIndex), &carom.Input{Data: make([]byte, 64), Repeat: repeat}, &carom.Options{CountEdges: carom.CountOn}))
}

// BenchmarkInterpRunInput is what a run costs besides its instructions.
func BenchmarkInterpRunInput(b *testing.B) {
	coll := single("r0 = 2; exit").load(b, nil)
	ctx, in, res := context.Background(), &carom.Input{Data: make([]byte, 64)}, new(carom.Result)
	p := coll.Programs["p"]
	check(b, p.RunInput(ctx, in, res))
	b.ReportAllocs()
	for b.Loop() {
		if err := p.RunInput(ctx, in, res); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkInterpParallel runs chains on all virtual CPUs at once.
func BenchmarkInterpParallel(b *testing.B) {
	coll := chain(constantIndex).load(b, nil)
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
}
