package main

import (
	"github.com/carom-bpf/carom/internal/gen"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// newConverter prepares the maps.
func newConverter() *converter {
	c := &converter{funcs: gen.VerifyFuncs()}
	for i, s := range gen.VerifyMaps() {
		m := convertMap(s)
		switch i {
		case gen.VerifyRodataMap:
			m.Frozen, m.Data = true, gen.VerifyRodata()
		case gen.VerifyOwned:
			m.Owner = &linux.Owner{Type: ebpf.SocketFilter, Jited: true}
		}
		c.maps = append(c.maps, m)
	}
	return c
}

// converter makes programs for carom's verifier.
type converter struct {
	maps  []*verifier.Map
	funcs []*btf.Func
}

func convertMap(s *ebpf.MapSpec) *verifier.Map {
	m := &verifier.Map{
		Name: s.Name, Type: s.Type, KeySize: s.KeySize, ValueSize: s.ValueSize, MaxEntries: s.MaxEntries, Flags: s.Flags,
		Key: s.Key, Value: s.Value,
	}
	if v, ok := s.Value.(*btf.Struct); ok && v.Name == "locked" {
		m.Fields = []verifier.Field{{Name: "bpf_spin_lock", Off: 0, Size: 4}}
	}
	if s.InnerMap != nil {
		m.Inner = convertMap(s.InnerMap)
	}
	return m
}

func (c *converter) program(p *gen.VerifyProg) *verifier.Program {
	out := &verifier.Program{
		Name: "p", Type: p.Type, AttachType: p.Attach, Flags: p.Flags, GPL: p.License == "GPL", Insns: p.Insns, Maps: c.maps,
	}
	if p.Maps != nil {
		out.Maps = nil
		for _, s := range p.Maps {
			m := convertMap(s)
			if s.Flags&linux.MapReadOnlyProg != 0 {
				m.Frozen, m.Data = true, s.Contents[0].Value.([]byte)
			}
			out.Maps = append(out.Maps, m)
		}
	}
	for _, f := range p.Funcs {
		fn := c.funcs[f.Func]
		out.Funcs = append(out.Funcs, verifier.Func{Insn: f.Insn, Name: fn.Name, Type: fn})
	}
	return out
}
