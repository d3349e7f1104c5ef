package userspace_test

import (
	"flag"
	"fmt"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carom-bpf/carom/internal/userspace"
	"github.com/carom-bpf/carom/internal/verifier"
	"github.com/cilium/ebpf"
)

var verifyObjects = flag.String("verify.objects", "", "pattern of further object files for BenchmarkVerify")

// accepted is a program that both sides accept.
type accepted struct {
	name    string
	spec    *ebpf.ProgramSpec
	maps    map[string]*ebpf.Map
	program *verifier.Program
	kernel  time.Duration // best of the rounds
	carom   time.Duration
}

// BenchmarkVerify verifies every accepted program of the repository's objects beside Linux. The
// kernel's time is the one that it states itself: that of bpf_check, without the system call, the
// JIT and the reading of BTF.
func BenchmarkVerify(b *testing.B) {
	var paths []string
	for _, pattern := range []string{"../../examples/*/*.o", "../../caromtest/testdata/*.o", *verifyObjects} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			b.Fatal(err)
		}
		paths = append(paths, found...)
	}
	var programs []*accepted
	for _, path := range paths {
		programs = append(programs, acceptedIn(b, path)...)
	}
	if len(programs) == 0 {
		b.Skip("no program could be given to the kernel; root and bpf(2) are needed")
	}
	var before, after runtime.MemStats
	var peak uint64
	for b.Loop() {
		for _, p := range programs {
			if took, ok := kernelTime(p); ok {
				p.kernel = best(p.kernel, took)
			}
			runtime.ReadMemStats(&before)
			start := time.Now()
			if _, err := verifier.Verify(p.program, nil); err != nil {
				b.Fatal(p.name, err)
			}
			p.carom = best(p.carom, time.Since(start))
			runtime.ReadMemStats(&after)
			peak = max(peak, after.TotalAlloc-before.TotalAlloc)
		}
	}
	var kernel, carom time.Duration
	for _, p := range programs {
		kernel += p.kernel
		carom += p.carom
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(carom.Microseconds()), "carom-µs")
	b.ReportMetric(float64(kernel.Microseconds()), "kernel-µs")
	b.ReportMetric(float64(carom)/float64(kernel), "carom/kernel")
	b.ReportMetric(float64(len(programs)), "programs")
	b.ReportMetric(float64(peak)/(1<<20), "MiB-at-most")
	slices.SortFunc(programs, func(x, y *accepted) int { return int((y.carom - x.carom) / 1000) })
	for _, p := range programs[:min(10, len(programs))] {
		b.Logf("%-60s carom %8v  kernel %8v", p.name, p.carom, p.kernel)
	}
}

func best(have, took time.Duration) time.Duration {
	if have == 0 {
		return took
	}
	return min(have, took)
}

// acceptedIn loads the programs of an object that carom and the kernel accept. Objects that the
// kernel cannot load are left out: other tests judge them.
func acceptedIn(b *testing.B, path string) []*accepted {
	spec, err := ebpf.LoadCollectionSpec(path)
	if err != nil {
		return nil
	}
	v, err := userspace.NewVerifier(spec, userspace.VerifyOptions{CPUs: runtime.NumCPU()})
	if err != nil {
		return nil
	}
	held := map[string]*ebpf.Map{}
	for name, m := range spec.Maps {
		m = m.Copy()
		m.Pinning = ebpf.PinNone
		if m.Type == ebpf.ProgramArray || m.Type == ebpf.ArrayOfMaps || m.Type == ebpf.HashOfMaps {
			m.Contents = nil
		}
		km, err := ebpf.NewMap(m)
		if err != nil {
			return nil
		}
		b.Cleanup(func() { km.Close() })
		held[name] = km
	}
	var out []*accepted
	for _, name := range slices.Sorted(maps.Keys(spec.Programs)) {
		if spec.Programs[name].Type == ebpf.UnspecifiedProgram {
			continue
		}
		p, err := v.Program(name)
		if err != nil {
			continue
		}
		if _, err := verifier.Verify(p, nil); err != nil {
			continue
		}
		a := &accepted{name: filepath.Base(path) + ":" + name, spec: spec.Programs[name], maps: held, program: p}
		if _, ok := kernelTime(a); ok {
			out = append(out, a)
		}
	}
	return out
}

// kernelTime loads the program once and returns how long Linux says that it verified it.
func kernelTime(a *accepted) (time.Duration, bool) {
	spec := a.spec.Copy()
	spec.Instructions = slices.Clone(a.spec.Instructions)
	for i := range spec.Instructions {
		ins := &spec.Instructions[i]
		if m := a.maps[ins.Reference()]; m != nil && ins.IsLoadFromMap() {
			if err := ins.AssociateMap(m); err != nil {
				return 0, false
			}
		}
	}
	p, err := ebpf.NewProgramWithOptions(spec, ebpf.ProgramOptions{LogLevel: ebpf.LogLevelStats})
	if err != nil {
		return 0, false
	}
	defer p.Close()
	i := strings.Index(p.VerifierLog, "verification time ")
	if i < 0 {
		return 0, false
	}
	usec := 0
	if _, err := fmt.Sscanf(p.VerifierLog[i:], "verification time %d usec", &usec); err != nil {
		return 0, false
	}
	return time.Duration(usec) * time.Microsecond, true
}
