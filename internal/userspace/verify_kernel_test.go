package userspace

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/carom-bpf/carom/internal/verifier"
	"github.com/cilium/ebpf"
)

// TestProcessedBesideLinux compares how much work programs of thousands of processed instructions
// are: loops, functions and headers of packets.
func TestProcessedBesideLinux(t *testing.T) {
	needKernel(t)
	const least = 5000
	for _, object := range []string{"many_calls", "many_headers", "many_loops"} {
		t.Run(object, func(t *testing.T) {
			spec, err := ebpf.LoadCollectionSpec("../../caromtest/testdata/" + object + ".o")
			if err != nil {
				t.Fatal(err)
			}
			v, err := NewVerifier(spec, VerifyOptions{})
			if err != nil {
				t.Fatal(err)
			}
			linux := askLinux(t, spec)
			for _, name := range slices.Sorted(maps.Keys(spec.Programs)) {
				verdict, err := v.Verify(name)
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				own, theirs := verdict.Stats.Insns, linux[name]
				t.Logf("%s: %d instructions processed, Linux %d", name, own, theirs)
				if theirs < least {
					t.Errorf("%s: %d instructions are too few to compare", name, theirs)
				}
				if 2*own > 3*theirs || 2*theirs > 3*own {
					t.Errorf("%s: %d instructions processed, Linux %d: more than a factor of 1.5 apart", name, own, theirs)
				}
			}
		})
	}
}

// askLinux loads the programs and reads how many instructions were processed.
func askLinux(t *testing.T, spec *ebpf.CollectionSpec) map[string]int {
	t.Helper()
	coll, err := ebpf.NewCollectionWithOptions(spec.Copy(), ebpf.CollectionOptions{
		Programs: ebpf.ProgramOptions{LogLevel: ebpf.LogLevelStats},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer coll.Close()
	out := map[string]int{}
	for name, p := range coll.Programs {
		i := strings.LastIndex(p.VerifierLog, "processed ")
		n := 0
		if i < 0 {
			t.Fatalf("%s: no number in %q", name, p.VerifierLog)
		}
		if _, err := fmt.Sscanf(p.VerifierLog[i:], "processed %d insns", &n); err != nil {
			t.Fatal(err)
		}
		out[name] = n
	}
	return out
}

// TestOwnersOfArrays: programs that are loaded one after the other share an array only when they
// are of a kind, and the first owns it.
func TestOwnersOfArrays(t *testing.T) {
	spec, err := ebpf.LoadCollectionSpec("../../caromtest/testdata/owner_entry.o")
	if err != nil {
		t.Fatal(err)
	}
	v, err := NewVerifier(spec, VerifyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		program string
		refused bool
	}{{"entry_tc", false}, {"entry_xdp", true}, {"entry_tc", false}} {
		_, err := v.Load(c.program)
		var rejected *verifier.Error
		if errors.As(err, &rejected) != c.refused {
			t.Errorf("%s: %v", c.program, err)
		}
	}
	// One by one each of them loads.
	if _, err := v.Verify("entry_tc"); err != nil {
		t.Error(err)
	}
	again, err := NewVerifier(spec, VerifyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.Verify("entry_xdp"); err != nil {
		t.Error(err)
	}
}
