package verifier

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// lockedMap has values of a word and a lock at offset 8.
func lockedMap(name, lock string, typ ebpf.MapType) *Map {
	word := &btf.Int{Name: "u64", Size: 8}
	half := &btf.Int{Name: "u32", Size: 4}
	l := &btf.Struct{Name: lock, Size: 4, Members: []btf.Member{{Name: "val", Type: half}}}
	return &Map{
		Name: name, Type: typ, KeySize: 4, ValueSize: 16, MaxEntries: 4, Key: half,
		Value: &btf.Struct{Name: "locked", Size: 16, Members: []btf.Member{
			{Name: "n", Type: word}, {Name: "lock", Type: l, Offset: 64}, {Name: "m", Type: half, Offset: 96},
		}},
		Fields: []Field{{Name: lock, Off: 8, Size: 4}},
	}
}

// kfuncMaps are the maps of the cases, by index.
func kfuncMaps() []*Map {
	return []*Map{
		0: {Name: "array", Type: ebpf.Array, KeySize: 4, ValueSize: 16, MaxEntries: 4},
		1: lockedMap("spin", "bpf_spin_lock", ebpf.Array),
		2: lockedMap("spinhash", "bpf_spin_lock", ebpf.Hash),
		3: lockedMap("resilient", "bpf_res_spin_lock", ebpf.Array),
		4: {
			Name: "outer", Type: ebpf.ArrayOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 2,
			Inner: lockedMap("inner", "bpf_spin_lock", ebpf.Array),
		},
		5: {Name: "programs", Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 2},
	}
}

func (c *kfuncCase) program(t testing.TB) *Program {
	p := c.objectCase.program(t)
	p.Maps = kfuncMaps()
	p.Flags = c.flags
	return p
}

func TestKfuncs(t *testing.T) {
	for _, c := range kfuncCases() {
		t.Run(c.name, func(t *testing.T) {
			v, err := Verify(c.program(t), nil)
			if got := verdictOf(err); got != c.want {
				t.Fatalf("got  %s\nwant %s", got, c.want)
			}
			if err == nil && v.Stats.Insns != c.insns {
				t.Errorf("%d instructions processed, Linux processes %d", v.Stats.Insns, c.insns)
			}
		})
	}
}

// TestUnknownKfunc has what Linux says of a call whose number is 0, which loaders make of functions
// that the kernel does not have.
func TestUnknownKfunc(t *testing.T) {
	c := kfuncCase{objectCase: objectCase{callCase: callCase{
		typ: ebpf.SchedCLS, text: "call kfunc:bpf_no_such_function\nr0 = 0\nexit",
	}}}
	const want = "EINVAL: invalid kernel function call not eliminated in verifier pass"
	if _, err := Verify(c.program(t), nil); verdictOf(err) != want {
		t.Errorf("got  %s\nwant %s", verdictOf(err), want)
	}
}
