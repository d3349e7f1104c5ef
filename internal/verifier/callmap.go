package verifier

import (
	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/reject"
	"github.com/cilium/ebpf"
)

// isXSK says that lookups give XDP sockets.
func (m *Map) isXSK() bool { return m.Type == ebpf.XSKMap }

// isSock says that lookups give sockets.
func (m *Map) isSock() bool { return m.Type == ebpf.SockMap || m.Type == ebpf.SockHash }

// constKeys says that a constant key inside of the map is always found
// (can_elide_value_nullness). An inner map of any size may have fewer elements than its template.
func (m *Map) constKeys() bool {
	return (m.Type == ebpf.Array || m.Type == ebpf.PerCPUArray) && m.Flags&linux.MapInnerMap == 0
}

// checkKey checks a key and notes its value where it is a constant.
func (v *verifier) checkKey(n int, meta *callMeta) *reject.Error {
	size := meta.m.KeySize
	if err := v.helperMem(n, int(size), accessRead, false, nil); err != nil {
		return err
	}
	if !v.profile.ConstKeyNonNull || !meta.m.constKeys() {
		return nil
	}
	var err *reject.Error
	meta.key, err = v.constKey(n, int(size))
	return err
}

// constKey returns the key that a register points to, -1 where it is not a constant on the
// stack (get_constant_map_key).
func (v *verifier) constKey(n, size int) (int64, *reject.Error) {
	r := &v.state.regs()[n]
	if r.Type != PtrToStack || !r.Var.IsConst() {
		return -1, nil
	}
	spi, at := slotOf(int(r.Off) + int(int64(r.Var.Value)))
	s := &v.frameOf(r).Stack[spi]
	if s.run(at, slotZero) >= size {
		return 0, nil
	}
	if !s.isSpilledScalar() || s.run(at, slotSpill) != size || !s.Var.IsConst() {
		return -1, nil
	}
	b := &v.backtrack
	b.frame = v.state.frameNo()
	b.slots[r.Frame] |= 1 << spi
	var changed bool
	if err := v.walkBack(v.state, &changed); err != nil {
		return -1, err
	}
	return int64(s.Var.Value), nil
}

// run counts the bytes of a kind from one byte of the slot up.
func (s *slot) run(at int, kind slotKind) int {
	n := 0
	for ; at >= 0 && s.Kind[at] == kind; at-- {
		n++
	}
	return n
}

// readOnly says that programs may not write to the map's values. Linux sets the flag for those
// that hold network devices (dev_map_init_map, kernel/bpf/devmap.c).
func (m *Map) readOnly() bool {
	return m.Flags&linux.MapReadOnlyProg != 0 || m.Type == ebpf.DevMap || m.Type == ebpf.DevMapHash
}

// recordMap notes the map of a call (record_func_map).
func (v *verifier) recordMap(meta *callMeta) *reject.Error {
	writes := false
	switch meta.proto.ID {
	case linux.FuncMapDeleteElem, linux.FuncMapUpdateElem, linux.FuncMapPushElem, linux.FuncMapPopElem:
		writes = true
	case linux.FuncTailCall, linux.FuncMapLookupElem, linux.FuncMapPeekElem, linux.FuncForEachMapElem,
		linux.FuncRedirectMap, linux.FuncMapLookupPerCPUElem:
	default:
		return nil
	}
	if meta.m == nil {
		return nil
	}
	if writes && meta.m.readOnly() {
		return v.fail(CodeMapAccess, linux.EACCES, "write into map forbidden")
	}
	aux := &v.aux[v.insn]
	if aux.mapPtr == nil {
		aux.mapPtr = meta.m
	} else if aux.mapPtr != meta.m {
		aux.mapPoison = true
	}
	return nil
}

// checkMapHelper checks that the helper takes the map (check_map_func_compatibility).
func (v *verifier) checkMapHelper(meta *callMeta) *reject.Error {
	m, p := meta.m, meta.proto
	aux := &v.aux[v.insn]
	if m == nil || aux.mapOK == m {
		return nil
	}
	if linux.HelperTakesMap(v.scope(), m.Type, p.ID) {
		aux.mapOK = m
		return nil
	}
	e := v.fail(CodeMapUse, linux.EINVAL, "cannot pass map_type %d into func %s#%d", uint32(m.Type), p.Name, p.ID)
	if m.isSock() && (p.ID == linux.FuncMapUpdateElem || p.ID == linux.FuncMapDeleteElem) {
		e.Before = append(e.Before, "cannot update sockmap in this context")
	}
	e.Found = "map " + m.Name + " of type " + m.Type.String()
	return e
}

// scope is what decides which helpers the program may call.
func (v *verifier) scope() linux.HelperScope {
	return linux.HelperScope{
		Type: v.prog.Type, Attach: v.prog.AttachType, To: v.prog.AttachTo, Sleepable: v.sleepable,
	}
}

// checkMaps checks how many maps the program uses, and that it has one cgroup storage of each
// type (__add_used_map and check_map_prog_compatibility, kernel/bpf/verifier.c). What is wrong
// with a single map is left to the analysis of the instructions, which comes later.
func (v *verifier) checkMaps() *reject.Error {
	used := make([]*Map, 0, 8)
	for i := 0; i+1 < len(v.insns); i++ {
		in := v.insns[i]
		if in.Op != opWideLoad {
			continue
		}
		m := v.mapOf(in)
		at := i
		i++
		if m == nil || contains(used, m) {
			continue
		}
		if len(used) >= linux.MaxUsedMaps {
			return reject.At(at, CodeMapUse, linux.E2BIG,
				"The total number of maps per program has reached the limit of %d", linux.MaxUsedMaps)
		}
		if v.checkMap(at, m) != nil {
			return nil
		}
		if isStorage(m) {
			for _, o := range used {
				if o.Type == m.Type {
					return reject.At(at, CodeMapUse, linux.EBUSY, "only one cgroup storage of each type is allowed")
				}
			}
		}
		used = append(used, m)
	}
	return nil
}

// opWideLoad is the operation of the first slot of a wide load.
const opWideLoad = isa.ClassLD | isa.ModeIMM | isa.SizeDW

// mapOf returns the map that a wide load loads, nil if it loads none.
func (v *verifier) mapOf(in isa.Insn) *Map {
	switch in.Src {
	case isa.PseudoMapFD, isa.PseudoMapValue, isa.PseudoMapIdx, isa.PseudoMapIdxValue:
		if in.Imm >= 0 && int(in.Imm) < len(v.prog.Maps) {
			return v.prog.Maps[in.Imm]
		}
	}
	return nil
}

func contains(maps []*Map, m *Map) bool {
	for _, o := range maps {
		if o == m {
			return true
		}
	}
	return false
}

// isStorage says that a map is a cgroup storage, of which a program has one of each type.
func isStorage(m *Map) bool {
	return m.Type == ebpf.CGroupStorage || m.Type == ebpf.PerCPUCGroupStorage
}
