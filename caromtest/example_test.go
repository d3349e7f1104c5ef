package caromtest_test

import (
	"testing"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom/caromtest"
)

// Give the cases of an object of your own to Run in a test.
func ExampleRun() {
	testObject := func(t *testing.T) {
		packet := make([]byte, 64)
		caromtest.Run(t, caromtest.Case{
			Name:   "a slot that user space fills",
			Object: "testdata/tailcall1.o",
			Prog:   "entry",
			Data:   packet,
			Steps: []caromtest.Step{
				{Name: "empty", Want: &caromtest.Want{Return: 3}},
				{
					Name: "filled",
					Do:   []caromtest.Op{caromtest.PutProg("jmp_table", 2, "target_2")},
					Want: &caromtest.Want{Return: 2},
				},
				{
					Name: "no such slot",
					Do:   []caromtest.Op{caromtest.PutProg("jmp_table", 3, "target_0").Fails(caromtest.E2BIG)},
				},
			},
		})
	}
	_ = testObject
}

// A case can be a few lines of text in the syntax of bpftool prog dump xlated.
func ExampleCase() {
	testText := func(t *testing.T) {
		caromtest.Run(t, caromtest.Case{
			Name: "division by zero",
			Type: ebpf.XDP,
			Asm: map[string]string{"entry": `
				r0 = 7
				r1 = 0
				r0 /= r1
				exit`},
			Prog:  "entry",
			Steps: []caromtest.Step{{Data: make([]byte, 64), Want: &caromtest.Want{Return: 0}}},
		})
	}
	_ = testText
}
