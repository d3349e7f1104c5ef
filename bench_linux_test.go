package carom_test

import (
	"math"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/kernel"
)

// BenchmarkBesideKernel runs each workload on the JIT and through BPF_PROG_TEST_RUN in turn. Times
// are the least of all rounds; a spread is the third quartile of the rounds to the least. The
// kernel's time is its own, in whole nanoseconds, without the system call and what other tasks
// took meanwhile.
func BenchmarkBesideKernel(b *testing.B) {
	if err := kernel.Available(); err != nil {
		b.Skip(err)
	}
	const rounds, slice = 200, 200 * time.Microsecond
	product, n := 1.0, 0
	for _, w := range workloads() {
		b.Run(w.name, func(b *testing.B) {
			ours := w.pin(b, carom.Options{Engine: carom.JIT}, 1000)
			theirs := w.pin(b, carom.Options{Engine: kernel.Engine(kernel.Options{})}, 1000)
			fd, err := syscall.Dup(theirs.prog.FD())
			check(b, err)
			prog, err := ebpf.NewProgramFromFD(fd)
			check(b, err)
			defer prog.Close()
			repeat := int(max(slice/max(ours.res.Duration, 1), 1))
			ours.in.Repeat = repeat
			var jit, linux []float64
			for b.Loop() {
				jit, linux = jit[:0], linux[:0]
				for range rounds {
					start := time.Now()
					ours.run(b)
					jit = append(jit, float64(time.Since(start))/float64(repeat))
					_, took, err := prog.Benchmark(w.data, repeat, nil)
					check(b, err)
					linux = append(linux, float64(took))
				}
			}
			slices.Sort(jit)
			slices.Sort(linux)
			ratio := jit[0] / linux[0]
			product, n = product*ratio, n+1
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(jit[0], "jit-ns")
			b.ReportMetric(linux[0], "kernel-ns")
			b.ReportMetric(ratio, "jit/kernel")
			b.ReportMetric(jit[rounds*3/4]/jit[0], "jit-spread")
			b.ReportMetric(linux[rounds*3/4]/linux[0], "kernel-spread")
		})
	}
	if n > 0 {
		b.Logf("geometric mean of %d ratios: %.3f", n, math.Pow(product, 1/float64(n)))
	}
}
