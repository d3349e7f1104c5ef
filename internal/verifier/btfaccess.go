package verifier

import (
	"slices"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/reject"
	"github.com/cilium/ebpf"
)

// trustedFlags say that a pointer is as the kernel handed it over (BPF_REG_TRUSTED_MODIFIERS).
const trustedFlags = MemAlloc | PtrTrusted | NonOwnRef

// trusted says that a register may be relied on (is_trusted_reg).
func (r *reg) trusted() bool {
	if r.RefID != 0 {
		return true
	}
	clean := r.Type.flags()&^trustedFlags == 0
	switch r.Type.base() {
	case PtrToSocket, PtrToSockCommon, PtrToTCPSock, ConstPtrToMap:
		return clean
	}
	return r.Type&trustedFlags != 0 && clean
}

// ownsObject says that the program allocated what t points to (type_is_ptr_alloc_obj).
func (t RegType) ownsObject() bool {
	return t.base() == PtrToBTFID && t&MemAlloc != 0 && t&PtrUntrusted == 0
}

// setBTF makes r a pointer to an object (mark_btf_ld_reg).
func (v *verifier) setBTF(r *reg, o *object, flags RegType) {
	r.setPointer(PtrToBTFID | flags)
	r.BTF = o
	if flags.mayBeNull() {
		r.ID = v.newID()
	}
}

// btfAccess checks an access through a pointer to a kernel structure, or to an object of the
// program (check_ptr_to_btf_access).
func (v *verifier) btfAccess(a memAccess, r *reg, result *reg) *reject.Error {
	o := r.BTF
	deny := func(errno linux.Errno, format string, args ...any) *reject.Error {
		return v.failReg(a.reg, CodeAccess, errno, format, args...)
	}
	switch {
	case !v.prog.GPL && o.Kernel:
		return v.failReg(a.reg, CodeLicence, linux.EINVAL,
			"Cannot access kernel 'struct %s' from non-GPL compatible program", o)
	case a.off < 0:
		return deny(linux.EACCES, "R%d is ptr_%s invalid negative access: off=%d", a.reg, o, a.off)
	case !r.Var.IsConst() || r.Var.Value != 0:
		return deny(linux.EACCES, "R%d is ptr_%s invalid variable offset: off=%d, var_off=%s", a.reg, o, a.off, r.Var)
	case r.Type&MemUser != 0:
		return deny(linux.EACCES, "R%d is ptr_%s access user memory: off=%d", a.reg, o, a.off)
	case r.Type&MemPercpu != 0:
		return deny(linux.EACCES, "R%d is ptr_%s access percpu memory: off=%d", a.reg, o, a.off)
	}
	if a.kind == accessWrite && r.Type&MemAlloc == 0 {
		if allowed, err := v.writesKernel(a, o); allowed || err != nil {
			return err
		}
	}
	if a.kind == accessWrite && !r.Type.ownsObject() {
		return deny(linux.EACCES, "only read is supported")
	}
	if o.Type == nil {
		return v.unsupported("the members of struct " + o.Name + " without the types (BTF) of a kernel")
	}
	w, what, err := v.structAccess(a.reg, o, r.Type, a.off, a.size)
	if err != nil {
		return err
	}
	switch {
	case what == foundPtr && r.Type&MemAlloc != 0, what == foundScalar:
		return nil
	case what == foundOther:
		result.setPointer(PtrToMem | MemRdonly | PtrUntrusted)
		return nil
	}
	v.setBTFIfLoaded(a, result, v.typeOf(w.target), v.pointerFlags(r, w))
	return nil
}

// setBTFIfLoaded is setBTF for an access that loads a register; checks on behalf of helpers must
// not take an id.
func (v *verifier) setBTFIfLoaded(a memAccess, result *reg, o *object, flags RegType) {
	if a.kind == accessRead && a.value >= 0 {
		v.setBTF(result, o, flags)
	}
}

// pointerFlags says how far a pointer is trusted that was read through r.
func (v *verifier) pointerFlags(r *reg, w *walk) RegType {
	flags := w.flags
	safe := func(list int) bool { return v.isSafe(r.BTF, list, w.member, w.target) }
	switch {
	case r.Type&PtrUntrusted != 0:
		return PtrUntrusted
	case !r.trusted() && r.Type&MemRCU == 0:
		return flags &^ (trustedFlags | MemRCU)
	case safe(safeTrusted):
		return flags | PtrTrusted
	case safe(safeTrustedOrNull):
		return flags | PtrTrusted | MaybeNull
	case !v.inRCU() || r.Type.mayBeNull():
		return PtrUntrusted
	case safe(safeRCU):
		return flags | MemRCU
	case safe(safeRCUOrNull):
		return flags&^PtrUntrusted | MemRCU | MaybeNull
	case flags&MemRCU != 0:
		return flags | MaybeNull
	case flags&(MemPercpu|MemUser) != 0:
		return flags
	}
	return flags &^ (trustedFlags | MemRCU)
}

// writesKernel says whether a program of this type may write to a member of a kernel structure
// (btf_struct_access of struct bpf_verifier_ops).
func (v *verifier) writesKernel(a memAccess, o *object) (bool, *reject.Error) {
	if o.Type == nil || !o.Kernel {
		return false, nil
	}
	if v.hook != nil && v.hook.ops == "tcp_congestion_ops" {
		return v.writesTCP(a, o)
	}
	switch v.prog.Type {
	case ebpf.SchedCLS, ebpf.SchedACT, ebpf.XDP:
		if o.Name != "nf_conn" && o.Name != "nf_conn___init" {
			break
		}
		return v.writesMember(a, o, "nf_conn", []string{"mark"})
	}
	return false, nil
}

// writesTCP is bpf_tcp_ca_btf_struct_access (net/ipv4/bpf_tcp_ca.c).
func (v *verifier) writesTCP(a memAccess, o *object) (bool, *reject.Error) {
	if o.Name != "tcp_sock" {
		return false, nil
	}
	return v.writesMember(a, o, o.Name, []string{
		"sk_pacing_rate", "sk_pacing_status", "icsk_ca_priv", "pending", "snd_cwnd", "snd_cwnd_cnt",
		"snd_cwnd_stamp", "snd_ssthresh", "ecn_flags", "app_limited",
	})
}

// writesMember allows a write at the beginning of one of the members; the private data of
// congestion control may be written anywhere.
func (v *verifier) writesMember(a memAccess, o *object, name string, members []string) (bool, *reject.Error) {
	member, start, end := fieldBounds(o, a.off, members)
	switch {
	case member == "", start != a.off && member != "icsk_ca_priv":
		return false, v.failReg(a.reg, CodeAccess, linux.EACCES, "no write support to %s at off %d", name, a.off)
	case a.off+a.size > end:
		return false, v.failReg(a.reg, CodeAccess, linux.EACCES,
			"write access at off %d with size %d beyond the member of %s ended at %d", a.off, a.size, name, end)
	}
	return true, nil
}

// fieldBounds returns the member of one of the names that holds an offset, and its bounds.
// Structures on the way are entered.
func fieldBounds(o *object, off int, names []string) (name string, start, end int) {
	t, base := o.Type, 0
	for {
		s := composite(skipModifiers(t))
		if s == nil {
			return "", 0, 0
		}
		next := false
		for i := range s.members {
			m := &s.members[i]
			lo := base + int(m.Offset/8)
			_, size, known := elements(m.Type)
			if !known || off < lo || off >= lo+size {
				continue
			}
			if slices.Contains(names, m.Name) {
				return m.Name, lo, lo + size
			}
			t, base, next = m.Type, lo, true
			break
		}
		if !next {
			return "", 0, 0
		}
	}
}

// mapObjects are the kernel's structures behind map pointers (map_btf_id of struct bpf_map_ops).
var mapObjects = map[ebpf.MapType]string{
	ebpf.Hash: "bpf_htab", ebpf.LRUHash: "bpf_htab", ebpf.PerCPUHash: "bpf_htab", ebpf.LRUCPUHash: "bpf_htab",
	ebpf.HashOfMaps: "bpf_htab", ebpf.Array: "bpf_array", ebpf.PerCPUArray: "bpf_array",
	ebpf.ProgramArray: "bpf_array", ebpf.PerfEventArray: "bpf_array", ebpf.CGroupArray: "bpf_array",
	ebpf.ArrayOfMaps: "bpf_array", ebpf.StackTrace: "bpf_stack_map", ebpf.LPMTrie: "lpm_trie",
	ebpf.DevMap: "bpf_dtab", ebpf.DevMapHash: "bpf_dtab", ebpf.SockMap: "bpf_stab", ebpf.SockHash: "bpf_shtab",
	ebpf.CPUMap: "bpf_cpu_map", ebpf.XSKMap: "xsk_map", ebpf.CGroupStorage: "bpf_cgroup_storage_map",
	ebpf.PerCPUCGroupStorage: "bpf_cgroup_storage_map", ebpf.ReusePortSockArray: "reuseport_array",
	ebpf.Queue: "bpf_queue_stack", ebpf.Stack: "bpf_queue_stack", ebpf.SkStorage: "bpf_local_storage_map",
	ebpf.InodeStorage: "bpf_local_storage_map", ebpf.TaskStorage: "bpf_local_storage_map",
	ebpf.CgroupStorage: "bpf_local_storage_map", ebpf.RingBuf: "bpf_ringbuf_map",
	ebpf.UserRingbuf: "bpf_ringbuf_map", ebpf.BloomFilter: "bpf_bloom_filter", ebpf.Arena: "bpf_arena",
	ebpf.StructOpsMap: "bpf_struct_ops_map",
}

// mapStructAccess checks a read of a map's own structure (check_ptr_to_map_access).
func (v *verifier) mapStructAccess(a memAccess, r *reg, result *reg) *reject.Error {
	name := mapObjects[r.Map.Type]
	switch {
	case name == "":
		return v.failReg(a.reg, CodeAccess, linux.ENOTSUPP,
			"map_ptr access not supported for map type %d", uint32(r.Map.Type))
	case a.off < 0:
		return v.failReg(a.reg, CodeAccess, linux.EACCES, "R%d is %s invalid negative access: off=%d", a.reg, name, a.off)
	case a.kind == accessWrite:
		return v.failReg(a.reg, CodeAccess, linux.EACCES, "only read from %s is supported", name)
	}
	o := v.named(name)
	if o.Type == nil {
		return v.unsupported("the members of struct " + name + " without the types (BTF) of a kernel")
	}
	w, what, err := v.structAccess(a.reg, o, PtrToBTFID, a.off, a.size)
	if err != nil {
		return err
	}
	switch what {
	case foundOther:
		result.setPointer(PtrToMem | MemRdonly | PtrUntrusted)
	case foundPtr:
		v.setBTFIfLoaded(a, result, v.typeOf(w.target), w.flags)
	}
	return nil
}

// samePointer checks that an instruction uses the same kind of pointer on all paths, where the
// kinds are translated differently (save_aux_ptr_type). A plain load may read through pointers
// to memory and objects of different trust: it is then translated as one that may fault.
func (v *verifier) samePointer(t RegType, load bool) *reject.Error {
	have := &v.aux[v.insn].ptrType
	switch {
	case *have == NotInit:
		*have = t
	case t == *have || mayMismatch(t) && mayMismatch(*have):
	case load && readsObject(t) && readsObject(*have):
		merged := PtrToBTFID
		if t.base() == PtrToMem || have.base() == PtrToMem {
			merged = PtrToMem
		}
		*have = merged | (t|*have)&(PtrUntrusted|MemRdonly)
	default:
		return v.fail(CodeAccess, linux.EINVAL, "same insn cannot be used with different pointers")
	}
	return nil
}

// readsObject is is_ptr_to_mem_or_btf_id.
func readsObject(t RegType) bool { return t.base() == PtrToMem || t.base() == PtrToBTFID }

// mayMismatch is reg_type_mismatch_ok.
func mayMismatch(t RegType) bool {
	switch t.base() {
	case PtrToCtx, PtrToSocket, PtrToSockCommon, PtrToTCPSock, PtrToXDPSock, PtrToBTFID, PtrToArena:
		return false
	}
	return true
}
