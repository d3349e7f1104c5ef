package cpu

import (
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/carom-bpf/carom/internal/jit/amd64"
)

// TestAMD64 compares with what Linux has found out.
func TestAMD64(t *testing.T) {
	got := AMD64()
	if runtime.GOARCH != "amd64" {
		if got != 0 {
			t.Errorf("%s on %s", got, runtime.GOARCH)
		}
		return
	}
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		t.Skipf("no list of features to compare with: %v", err)
	}
	_, flags, _ := strings.Cut(string(info), "\nflags")
	flags, _, _ = strings.Cut(flags, "\n")
	for f := amd64.BMI1; f <= amd64.InvariantTSC; f <<= 1 {
		// Linux may hide a feature that the processor has.
		if slices.Contains(strings.Fields(flags), f.String()) && !got.Has(f) {
			t.Errorf("%s is missing in %q", f, got)
		}
	}
}
