package verifier

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/carom-bpf/carom/internal/isa/asm"
)

// objectMaps are the maps of the cases, by index.
func objectMaps() []*Map {
	word := &btf.Int{Name: "u64", Size: 8}
	timer := &btf.Struct{Name: "bpf_timer", Size: 16, Members: []btf.Member{
		{Name: "__opaque", Type: &btf.Array{Index: &btf.Int{Name: "u32", Size: 4}, Type: word, Nelems: 2}},
	}}
	timers := func(name string, typ ebpf.MapType) *Map {
		return &Map{
			Name: name, Type: typ, KeySize: 4, ValueSize: 24, MaxEntries: 4,
			Key: &btf.Int{Name: "u32", Size: 4},
			Value: &btf.Struct{Name: "element", Size: 24, Members: []btf.Member{
				{Name: "n", Type: word}, {Name: "timer", Type: timer, Offset: 64},
			}},
			Fields: []Field{{Name: "bpf_timer", Off: 8, Size: 16}},
		}
	}
	return []*Map{
		0: {Name: "array", Type: ebpf.Array, KeySize: 4, ValueSize: 16, MaxEntries: 4},
		1: {Name: "ring", Type: ebpf.RingBuf, MaxEntries: 4096},
		2: {Name: "drain", Type: ebpf.UserRingbuf, MaxEntries: 4096},
		3: timers("timers", ebpf.Hash),
		4: {Name: "hash", Type: ebpf.Hash, KeySize: 8, ValueSize: 16, MaxEntries: 4},
		5: {
			Name: "typed", Type: ebpf.Hash, KeySize: 4, ValueSize: 24, MaxEntries: 4,
			Key: &btf.Int{Name: "u32", Size: 4},
			Value: &btf.Struct{Name: "plain", Size: 24, Members: []btf.Member{
				{Name: "words", Type: &btf.Array{Index: &btf.Int{Name: "u32", Size: 4}, Type: word, Nelems: 3}},
			}},
		},
		6: {
			Name: "outer", Type: ebpf.ArrayOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 2,
			Inner: timers("inner", ebpf.Array),
		},
	}
}

func (c *objectCase) program(t testing.TB) *Program {
	t.Helper()
	p := c.callCase.program(t)
	p.Maps = objectMaps()
	p.Kfuncs = map[int32]string{}
	insns, err := asm.Parse(c.text)
	if err != nil {
		t.Fatal(err)
	}
	for it := insns.Iterate(); it.Next(); {
		if it.Ins.IsKfuncCall() {
			id := int32(len(p.Kfuncs)) + 1
			p.Kfuncs[id] = it.Ins.Reference()
			p.Insns[it.Offset].Imm = id
		}
	}
	return p
}

func TestObjects(t *testing.T) {
	for _, c := range objectCases() {
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
