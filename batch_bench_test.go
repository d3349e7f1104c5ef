package carom_test

import (
	"context"
	"testing"

	"github.com/carom-bpf/carom"
)

// BenchmarkBatch is what a packet costs in a batch, with setting it up and counting its hops, beside
// a run of its own.
func BenchmarkBatch(b *testing.B) {
	const n = 256
	for _, e := range []carom.Engine{carom.Interpreter, carom.JIT} {
		b.Run(e.Name(), func(b *testing.B) {
			coll := single(parseHeaders).load(b, &carom.Options{Engine: e, CountEdges: carom.CountOn})
			cpu, err := coll.CPU(context.Background(), 0)
			check(b, err)
			defer cpu.Release()
			in, res := make([]carom.Input, n), make([]carom.Result, n)
			for i := range in {
				in[i] = carom.Input{Data: make([]byte, 64), DiscardData: true}
			}
			ctx, p := context.Background(), coll.Programs["p"]
			b.Run("batch", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := cpu.RunBatch(ctx, p, in, res); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/packet")
			})
			b.Run("single", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := cpu.Run(ctx, p, &in[0], &res[0]); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N), "ns/packet")
			})
		})
	}
}
