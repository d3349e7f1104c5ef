package corpus_test

import (
	"sync"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/caromtest"
	"github.com/carom-bpf/carom/kernel"
)

// TestTailCallPoke is tailcall_poke: while slot 0 alternates between two programs, loading the
// entry program again with the same array works each time, and no run sees the slot empty.
func TestTailCallPoke(t *testing.T) {
	for _, e := range caromtest.Engines() {
		t.Run(e.Name(), func(t *testing.T) {
			if e.Name() == kernel.Name {
				if err := kernel.Available(); err != nil {
					t.Skip(err)
				}
			}
			poke(t, e)
		})
	}
}

func poke(t *testing.T, e carom.Engine) {
	spec, err := ebpf.LoadCollectionSpec(testdata + "/poke.o")
	if err != nil {
		t.Fatal(err)
	}
	coll, err := carom.NewCollection(spec, &carom.Options{Engine: e})
	if err != nil {
		t.Fatal(err)
	}
	defer coll.Close()
	table, packet := coll.Maps["jmp_table"], make([]byte, 54)
	targets := []*carom.Program{coll.Programs["target_1"], coll.Programs["target_2"]}
	if err := table.Put(uint32(0), targets[0]); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var swapper sync.WaitGroup
	swapper.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			if err := table.Put(uint32(0), targets[n%2]); err != nil {
				t.Error(err)
				return
			}
		}
	})
	defer swapper.Wait()
	defer close(stop)
	for range 10 {
		again, err := carom.NewCollection(spec, &carom.Options{
			Engine: e, MapReplacements: map[string]*carom.Map{"jmp_table": table},
		})
		if err != nil {
			t.Fatal(err)
		}
		for range 500 {
			ret, _, err := again.Programs["entry"].Test(packet)
			if err != nil || ret != 1 && ret != 2 {
				t.Errorf("entry returned %d, %v; want 1 or 2", ret, err)
				break
			}
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
