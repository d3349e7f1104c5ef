package carom_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/internal/load"
	"github.com/cilium/ebpf"
)

// fuzzLimit keeps a damaged map definition from asking for more memory than a fuzz worker has.
const fuzzLimit = 1 << 20

// FuzzLoad loads damaged objects and runs what loads: there is an error or a result, never a
// panic.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"examples/*/*.o", "caromtest/testdata/*.o"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, name := range files {
			b, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, object []byte) {
		spec, err := load.Object("object", object)
		if err != nil {
			var oe *load.ObjectError
			if !errors.As(err, &oe) || oe.Remedy == "" {
				t.Fatalf("%T without a remedy: %v", err, err)
			}
			return
		}
		for _, m := range spec.Maps {
			if uint64(m.KeySize)+uint64(m.ValueSize) > fuzzLimit || uint64(m.MaxEntries) > fuzzLimit ||
				(uint64(m.KeySize)+uint64(m.ValueSize))*uint64(m.MaxEntries) > fuzzLimit {
				return
			}
		}
		loadAndRun(t, spec)
	})
}

func loadAndRun(t *testing.T, spec *ebpf.CollectionSpec) {
	for name := range spec.Programs {
		if _, err := carom.Verify(spec, name, &carom.VerifyOptions{KernelTypes: spec.Types}); err != nil && err.Error() == "" {
			t.Fatal("an error without text")
		}
		if _, err := carom.Disassemble(spec, name); err != nil && err.Error() == "" {
			t.Fatal("an error without text")
		}
	}
	coll, err := carom.NewCollection(spec, &carom.Options{CPUs: 1, Budget: 10000, KernelTypes: spec.Types, Verify: carom.VerifySkip})
	if err != nil {
		return
	}
	defer coll.Close()
	var res carom.Result
	for _, p := range coll.Programs {
		in := carom.Input{}
		switch p.Type() {
		case ebpf.XDP, ebpf.SchedCLS, ebpf.SchedACT, ebpf.SocketFilter, ebpf.CGroupSKB:
			in.Data = make([]byte, 64)
		}
		if err := p.RunInput(context.Background(), &in, &res); err != nil && err.Error() == "" {
			t.Fatal("an error without text")
		}
	}
}
