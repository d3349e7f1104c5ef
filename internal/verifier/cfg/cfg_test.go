package cfg

import (
	"testing"

	"github.com/carom-bpf/carom/internal/isa/asm"
)

func TestQuick(t *testing.T) {
	insns, err := asm.Assemble("r0 = 0\nr2 = 1\nif r2 > 3 goto +1\nr0 = 5\nr2 += 1\nif r2 < 9 goto -2\nexit")
	if err != nil {
		t.Fatal(err)
	}
	g, e := Analyze(Input{Insns: insns})
	if e != nil {
		t.Fatal(e)
	}
	for n := range insns {
		t.Logf("%3d %3d: %s marks %x", g.SCCAt(n), n, LiveString(g.Live[n]), g.Marks[n])
	}
}
