package verifier

import (
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/reject"
	"github.com/cilium/ebpf"
)

// helperMem checks size bytes that register n points to and a helper reads or writes
// (check_helper_mem_access). raw is nil where all bytes must be initialised.
func (v *verifier) helperMem(n, size int, kind access, zeroOK bool, raw *rawAccess) *reject.Error {
	r := &v.state.regs()[n]
	off := int(r.Off)
	switch r.Type.base() {
	case PtrToPacket, PtrToPacketMeta:
		return v.packetAccess(n, off, size, zeroOK)
	case PtrToMapKey:
		if kind == accessWrite {
			return v.readOnly(n)
		}
		return v.regionAccess(n, off, size, r.Map.KeySize, false)
	case PtrToMapValue:
		if err := v.mapMayAccess(n, off, size, kind); err != nil {
			return err
		}
		return v.mapAccess(n, off, size, zeroOK)
	case PtrToMem:
		if kind == accessWrite && r.Type&MemRdonly != 0 {
			return v.readOnly(n)
		}
		return v.regionAccess(n, off, size, r.MemSize, zeroOK)
	case PtrToBuf:
		if kind == accessWrite && r.Type&MemRdonly != 0 {
			return v.readOnly(n)
		}
		what := "rdwr"
		if r.Type&MemRdonly != 0 {
			what = "rdonly"
		}
		return v.bufferAccess(what, n, off, size)
	case PtrToStack:
		return v.stackInitialized(n, off, size, raw, zeroOK, kind)
	case PtrToBTFID:
		var none reg
		return v.btfAccess(memAccess{reg: n, off: off, size: size, kind: accessRead, value: -1}, r, &none)
	case PtrToCtx:
		if uncheckedContext(v.prog.Type) {
			return v.contextMem(n, size, kind, zeroOK)
		}
	}
	if zeroOK && size == 0 && r.isNull() {
		return nil
	}
	return v.wrongType(n, argKinds[linux.ArgPtrToStack])
}

func (v *verifier) readOnly(n int) *reject.Error {
	r := &v.state.regs()[n]
	return v.failReg(n, v.regionCode(r), linux.EACCES, "R%d cannot write into %s", n, r.Type)
}

// uncheckedContext says that accesses to the context of a program type are not translated, so
// that all of it may be passed as memory (verifier operations without convert_ctx_access).
func uncheckedContext(t ebpf.ProgramType) bool {
	switch t {
	case ebpf.Kprobe, ebpf.TracePoint, ebpf.RawTracepoint, ebpf.RawTracepointWritable, ebpf.Tracing,
		ebpf.LSM, ebpf.StructOps, ebpf.Syscall, ebpf.LircMode2, ebpf.Netfilter, ebpf.CGroupDevice:
		return true
	}
	return false
}

// contextMem checks the last byte of the context that is passed as memory.
func (v *verifier) contextMem(n, size int, kind access, zeroOK bool) *reject.Error {
	if size == 0 {
		if zeroOK {
			return nil
		}
		return v.failReg(n, CodeContextAccess, linux.EACCES, "")
	}
	return v.checkMem(memAccess{reg: n, off: size - 1, size: 1, kind: kind, value: -1})
}

// checkSize checks a size and the memory in the register before it (check_mem_size_reg).
func (v *verifier) checkSize(n int, kind access, zeroOK bool, meta *callMeta) *reject.Error {
	r := &v.state.regs()[n]
	meta.maxSize = r.Umax
	raw := &meta.raw
	if !r.Var.IsConst() {
		// The helper may fill less than the largest size: all of it must be initialised.
		raw = nil
	}
	switch {
	case r.Smin < 0:
		return v.failReg(n, CodeArgument, linux.EACCES,
			"R%d min value is negative, either use unsigned or 'var &= const'", n)
	case r.Umin == 0 && !zeroOK:
		return v.failReg(n, CodeArgument, linux.EACCES,
			"R%d invalid zero-sized read: u64=[%d,%d]", n, int64(r.Umin), int64(r.Umax))
	case r.Umax >= maxVarSize:
		return v.failReg(n, CodeArgument, linux.EACCES,
			"R%d unbounded memory access, use 'var &= const' or 'if (var < const)'", n)
	}
	if err := v.helperMem(n-1, int(r.Umax), kind, zeroOK, raw); err != nil {
		return err
	}
	return v.markPrecise(n)
}

// maxVarSize bounds sizes that are passed to helpers (BPF_MAX_VAR_SIZ,
// include/linux/bpf_verifier.h).
const maxVarSize = 1 << 29

// checkFixedMem checks memory whose size the prototype says.
func (v *verifier) checkFixedMem(n int, arg linux.ArgType, size int, raw *rawAccess) *reject.Error {
	if err := v.helperMem(n, size, argAccess(arg), false, raw); err != nil {
		return err
	}
	if !arg.Has(linux.MemAligned) {
		return nil
	}
	return v.checkAlignment(&v.state.regs()[n], memAccess{reg: n, size: size, strict: true})
}

// checkConstString checks a string that must be known when the program is loaded
// (check_reg_const_str).
func (v *verifier) checkConstString(n int) *reject.Error {
	r := &v.state.regs()[n]
	m := r.Map
	switch {
	case m.Flags&linux.MapReadOnlyProg == 0 || !m.Frozen:
		return v.failReg(n, CodeArgument, linux.EACCES, "R%d does not point to a readonly map'", n)
	case !r.Var.IsConst():
		return v.failReg(n, CodeArgument, linux.EACCES, "R%d is not a constant address'", n)
	case !m.direct():
		return v.failReg(n, CodeArgument, linux.EACCES, "no direct value access support for this map type")
	}
	if err := v.mapAccess(n, int(r.Off), int(int32(m.ValueSize)-r.Off), false); err != nil {
		return err
	}
	if _, ok := constString(r); !ok {
		return v.failReg(n, CodeArgument, linux.EINVAL, "string is not zero-terminated")
	}
	return nil
}

// constString returns the string that a checked register points to, without its final zero.
func constString(r *reg) (string, bool) {
	off := int(r.Off) + int(int64(r.Var.Value))
	data := r.Map.Data
	if off < 0 || off > len(data) {
		return "", false
	}
	for i, c := range data[off:] {
		if c == 0 {
			return string(data[off : off+i]), true
		}
	}
	return "", false
}

// checkSnprintf checks the format of bpf_snprintf against the number of its values
// (check_bpf_snprintf_call).
func (v *verifier) checkSnprintf() *reject.Error {
	regs := v.state.regs()
	size := regs[5].Var.Value
	if size%8 != 0 {
		return v.failReg(5, CodeArgument, linux.EINVAL, "")
	}
	format, _ := constString(&regs[3])
	if !validFormat(format, int(size/8)) {
		return v.failReg(3, CodeArgument, linux.EINVAL, "Invalid format string")
	}
	return nil
}
