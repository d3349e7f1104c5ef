package gen

import (
	"maps"
	"slices"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/isa/asm"
	"github.com/carom-bpf/carom/internal/load"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// fromCase makes a program of a generated case, which Linux would take.
// False says that the program has a callback.
func (b *vb) fromCase(seed, number uint64) (*VerifyProg, bool) {
	c := Generate(seed, number)
	insns, err := asm.Parse(c.Progs[b.IntN(len(c.Progs))].Text())
	if err != nil {
		return nil, false
	}
	spec := &ebpf.ProgramSpec{Name: "p", Type: c.Type, License: "GPL", Instructions: insns}
	low, err := load.Lower(spec, &load.Env{Map: func(name string) (load.MapAddress, bool) {
		return load.MapAddress{}, c.Maps[name] != nil
	}})
	if err != nil {
		return nil, false
	}
	p := &VerifyProg{Made: []string{"case"}, Type: c.Type, License: "GPL", Insns: low.Insns}
	names := slices.Sorted(maps.Keys(c.Maps))
	for i := range p.Insns {
		in := &p.Insns[i]
		if !in.IsWide() {
			continue
		}
		switch in.Src {
		case isa.PseudoFunc:
			return nil, false
		case isa.PseudoMapFD, isa.PseudoMapIdx:
			in.Src, in.Imm = isa.PseudoMapIdx, int32(slices.Index(names, low.Maps[in.Imm]))
		case isa.PseudoMapValue, isa.PseudoMapIdxValue:
			in.Src, in.Imm = isa.PseudoMapIdxValue, int32(slices.Index(names, low.Maps[in.Imm]))
		}
	}
	for _, name := range names {
		p.Maps = append(p.Maps, c.Maps[name])
	}
	for _, f := range low.Funcs {
		fn, ok := caseFunc(f.Type)
		if !ok {
			return nil, false
		}
		p.Funcs = append(p.Funcs, VerifyFunc{f.Insn, fn})
	}
	return p, true
}

// caseFunc finds the entry of VerifyFuncs that has the prototype of a function of a case.
func caseFunc(f *btf.Func) (int, bool) {
	proto, ok := f.Type.(*btf.FuncProto)
	if !ok {
		return 0, false
	}
	if len(proto.Params) == 1 {
		return vfMain, true
	}
	name := ""
	if p, ok := proto.Params[0].Type.(*btf.Pointer); ok {
		if s, ok := p.Target.(*btf.Struct); ok {
			name = s.Name
		}
	}
	at := vfGlobalCtx + len(verifyContexts())
	for _, ctx := range caseContexts() {
		for _, linkage := range []btf.FuncLinkage{btf.StaticFunc, btf.GlobalFunc} {
			for _, params := range []int{3, 4} {
				if ctx == name && linkage == f.Linkage && params == len(proto.Params) {
					return at, true
				}
				at++
			}
		}
	}
	return 0, false
}

// caseContexts are the contexts of cases.
func caseContexts() []string { return []string{"__sk_buff", "xdp_md", "bpf_raw_tracepoint_args"} }

// caseFuncs are the functions of cases, in the order of caseFunc.
func caseFuncs(u64 btf.Type) []*btf.Func {
	var out []*btf.Func
	num := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	for _, ctx := range caseContexts() {
		s := &btf.Struct{Name: ctx, Size: 4, Members: []btf.Member{{Name: "x", Type: num}}}
		for _, linkage := range []btf.FuncLinkage{btf.StaticFunc, btf.GlobalFunc} {
			for params := 3; params <= 4; params++ {
				proto := &btf.FuncProto{Return: u64, Params: []btf.FuncParam{
					{Name: "ctx", Type: &btf.Pointer{Target: s}}, {Name: "a", Type: u64}, {Name: "b", Type: u64},
				}}
				if params == 4 {
					proto.Params = append(proto.Params, btf.FuncParam{Name: "p", Type: &btf.Pointer{Target: u64}})
				}
				out = append(out, &btf.Func{Name: "sub", Type: proto, Linkage: linkage})
			}
		}
	}
	return out
}
