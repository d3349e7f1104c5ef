package bench_test

import (
	"context"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/kernel"
)

// packet is a frame of 1500 bytes whose 16-bit words, in ones' complement, add up to a sum that is
// known: each is 0x0102.
func packet() []byte {
	p := make([]byte, 1500)
	for i := range p {
		p[i] = byte(2 - i%2)
	}
	return p
}

// result is XDP_PASS but for the checksum: 750 times 0x0102 is 0x2f3dc, folded 0xf3dc + 2.
func result(program string) uint64 {
	if program == "checksum" {
		return 0xf3de
	}
	return 2
}

func load(tb testing.TB, e carom.Engine, object string) *carom.Collection {
	tb.Helper()
	spec, err := ebpf.LoadCollectionSpec(object)
	if err != nil {
		tb.Fatal(err)
	}
	coll, err := carom.NewCollection(spec, &carom.Options{Engine: e})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = coll.Close() })
	return coll
}

// engines are those that are there.
func engines(tb testing.TB) map[string]carom.Engine {
	all := map[string]carom.Engine{"interp": carom.Interpreter, "auto": carom.Auto}
	if err := kernel.Available(); err == nil {
		all["kernel"] = kernel.Engine(kernel.Options{})
	} else {
		tb.Log("without the kernel: ", err)
	}
	return all
}

func TestResults(t *testing.T) {
	for name, e := range engines(t) {
		coll := load(t, e, "bench.o")
		for _, program := range coll.Names() {
			var res carom.Result
			for range 2 { // the first run may fill maps
				if err := coll.Programs[program].RunInput(context.Background(), &carom.Input{Data: packet()}, &res); err != nil {
					t.Fatalf("%s, %s: %v", program, name, err)
				}
				if res.Return != result(program) {
					t.Errorf("%s, %s: %#x, want %#x", program, name, res.Return, result(program))
				}
			}
			if name != "kernel" && (program == "chain_constant" || program == "chain_variable") && (res.TailCalls != 33 || res.Misses != 1) {
				t.Errorf("%s, %s: %d tail calls, %d misses; want 33 and 1", program, name, res.TailCalls, res.Misses)
			}
		}
	}
}

// TestThousand computes what the program does.
func TestThousand(t *testing.T) {
	sum, want := uint64(7), uint32(2) // XDP_PASS
	for i, b := range packet()[:100] {
		sum = sum*31 + uint64(b)
		if sum&64 != 0 {
			sum ^= uint64(i) + 1
		}
	}
	if sum&1 != 0 {
		want = 1 // XDP_DROP
	}
	for name, e := range engines(t) {
		ret, _, err := load(t, e, "thousand.o").Programs["thousand"].Test(packet())
		if err != nil || ret != want {
			t.Errorf("%s: %d, %v; want %d", name, ret, err, want)
		}
	}
}

func benchmark(b *testing.B, e carom.Engine) {
	coll := load(b, e, "bench.o")
	for _, program := range coll.Names() {
		b.Run(program, func(b *testing.B) {
			cpu, err := coll.CPU(context.Background(), 0)
			if err != nil {
				b.Fatal(err)
			}
			defer cpu.Release()
			in, res := carom.Input{Data: packet(), Repeat: 100}, carom.Result{}
			for b.Loop() {
				if err := cpu.Run(context.Background(), coll.Programs[program], &in, &res); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/run")
		})
	}
}

func BenchmarkInterp(b *testing.B) { benchmark(b, carom.Interpreter) }

func BenchmarkJIT(b *testing.B) { benchmark(b, carom.JIT) }

func BenchmarkKernel(b *testing.B) {
	if err := kernel.Available(); err != nil {
		b.Skip(err)
	}
	benchmark(b, kernel.Engine(kernel.Options{}))
}
