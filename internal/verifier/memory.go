package verifier

import (
	"encoding/binary"
	"math"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/reject"
	"github.com/carom-bpf/carom/internal/verifier/scalar"
	"github.com/cilium/ebpf"
)

// sizeOf returns the bytes that a load or store accesses.
func sizeOf(op uint8) int {
	switch op & 0x18 {
	case isa.SizeB:
		return 1
	case isa.SizeH:
		return 2
	case isa.SizeW:
		return 4
	}
	return 8
}

// memAccess is one access of an instruction to memory.
type memAccess struct {
	reg    int // that holds the address
	off    int // added to it
	size   int
	kind   access
	value  int  // register that is stored or loaded, -1 for none
	strict bool // must be aligned
	signed bool // sign-extending load
}

// load interprets a load into a register.
func (v *verifier) load(in isa.Insn) *reject.Error {
	return v.loadMem(in, false, in.Op&0xe0 == isa.ModeMEMSX)
}

// loadMem is check_load_mem.
func (v *verifier) loadMem(in isa.Insn, strict, signed bool) *reject.Error {
	if err := v.readable(in.Src); err != nil {
		return err
	}
	if err := v.writableKeep(in.Dst); err != nil {
		return err
	}
	t := v.state.regs()[in.Src].Type
	err := v.checkMem(memAccess{
		reg: int(in.Src), off: int(in.Off), size: sizeOf(in.Op), kind: accessRead,
		value: int(in.Dst), strict: strict, signed: signed,
	})
	if err != nil {
		return err
	}
	if err := v.samePointer(t, in.Class() == isa.ClassLDX); err != nil {
		return err
	}
	v.state.regs()[in.Dst].sane()
	return nil
}

// store interprets a store of a register, or an atomic operation.
func (v *verifier) store(in isa.Insn) *reject.Error {
	if in.Op&0xe0 == isa.ModeATOMIC {
		return v.atomic(in)
	}
	if in.Op&0xe0 != isa.ModeMEM || in.Imm != 0 {
		return v.fail(CodeReserved, linux.EINVAL, "BPF_STX uses reserved fields")
	}
	return v.storeReg(in, false)
}

// storeReg is check_store_reg.
func (v *verifier) storeReg(in isa.Insn, strict bool) *reject.Error {
	if err := v.readable(in.Src); err != nil {
		return err
	}
	if err := v.readable(in.Dst); err != nil {
		return err
	}
	t := v.state.regs()[in.Dst].Type
	err := v.checkMem(memAccess{
		reg: int(in.Dst), off: int(in.Off), size: sizeOf(in.Op), kind: accessWrite,
		value: int(in.Src), strict: strict,
	})
	if err != nil {
		return err
	}
	return v.samePointer(t, false)
}

// storeImm interprets a store of an immediate.
func (v *verifier) storeImm(in isa.Insn) *reject.Error {
	if in.Op&0xe0 != isa.ModeMEM || in.Src != 0 {
		return v.fail(CodeReserved, linux.EINVAL, "BPF_ST uses reserved fields")
	}
	if err := v.readable(in.Dst); err != nil {
		return err
	}
	t := v.state.regs()[in.Dst].Type
	err := v.checkMem(memAccess{
		reg: int(in.Dst), off: int(in.Off), size: sizeOf(in.Op), kind: accessWrite, value: -1,
	})
	if err != nil {
		return err
	}
	return v.samePointer(t, false)
}

// checkMem checks one access and sets the register that is loaded (check_mem_access).
func (v *verifier) checkMem(a memAccess) *reject.Error {
	regs := v.state.regs()
	r := &regs[a.reg]
	if err := v.checkAlignment(r, a); err != nil {
		return err
	}
	v.noteAccess(r.Type)
	a.off += int(r.Off)
	load := a.kind == accessRead && a.value >= 0
	var err *reject.Error
	result := reg{Type: ScalarValue, Scalar: scalar.Unknown()}
	switch base := r.Type.base(); {
	case r.Type == PtrToMapKey:
		if a.kind == accessWrite {
			return v.failReg(a.reg, CodeAccess, linux.EACCES, "write to change key R%d not allowed", a.reg)
		}
		err = v.regionAccess(a.reg, a.off, a.size, r.Map.KeySize, false)
	case r.Type == PtrToMapValue:
		err = v.mapValue(a, r, &result)
	case base == PtrToMem:
		err = v.memAccess(a, r)
		load = load || err == nil && a.value >= 0 && r.Type&MemRdonly != 0
	case r.Type == PtrToCtx:
		err = v.ctxAccess(a, r, &result)
	case r.Type == PtrToStack:
		if err = v.stackBounds(a.reg, a.off, a.size, a.kind); err != nil {
			return err
		}
		if a.kind == accessWrite {
			return v.stackWrite(a.reg, a.off, a.size, a.value)
		}
		if err = v.stackRead(a.reg, a.off, a.size, a.value); err != nil || !load {
			return err
		}
		v.narrow(&regs[a.value], a)
		return nil
	case r.Type.isPacket():
		if a.kind == accessWrite && !v.packet.Store {
			return v.failReg(a.reg, CodePacketAccess, linux.EACCES, "cannot write into packet")
		}
		err = v.packetAccess(a.reg, a.off, a.size, false)
	case r.Type == PtrToFlowKeys:
		err = v.flowKeys(a)
	case r.Type.isSock() && !r.Type.mayBeNull():
		if a.kind == accessWrite {
			return v.failReg(a.reg, CodeAccess, linux.EACCES, "R%d cannot write into %s", a.reg, r.Type)
		}
		err = v.sockAccess(a, r)
	case r.Type == PtrToTPBuffer:
		err = v.bufferAccess("tracepoint", a.reg, a.off, a.size)
	case base == PtrToBTFID && !r.Type.mayBeNull():
		err = v.btfAccess(a, r, &result)
	case r.Type == ConstPtrToMap:
		err = v.mapStructAccess(a, r, &result)
	case base == PtrToBuf && !r.Type.mayBeNull():
		err = v.buf(a, r)
	case r.Type == PtrToArena:
	default:
		return v.invalidMem(a.reg, r.Type)
	}
	if err != nil || !load {
		return err
	}
	regs[a.value] = result
	v.narrow(&regs[a.value], a)
	return nil
}

// narrow cuts a loaded number to the size of the load.
func (v *verifier) narrow(d *reg, a memAccess) {
	if a.size < 8 && d.Type == ScalarValue {
		if a.signed {
			d.Scalar.CoerceSX(a.size)
		} else {
			d.Scalar.Coerce(a.size)
		}
	}
}

func (v *verifier) invalidMem(n int, t RegType) *reject.Error {
	code := CodeAccess
	if t.mayBeNull() {
		code = CodeNullAccess
	}
	return v.failReg(n, code, linux.EACCES, "R%d invalid mem access '%s'", n, t)
}

// memAccess checks an access to memory of known size.
func (v *verifier) memAccess(a memAccess, r *reg) *reject.Error {
	rdonly := r.Type&MemRdonly != 0
	switch {
	case rdonly && r.Type&PtrUntrusted != 0 && a.kind == accessRead:
		return nil
	case r.Type.mayBeNull():
		return v.invalidMem(a.reg, r.Type)
	case a.kind == accessWrite && rdonly:
		return v.failReg(a.reg, CodeAccess, linux.EACCES, "R%d cannot write into %s", a.reg, r.Type)
	}
	return v.regionAccess(a.reg, a.off, a.size, r.MemSize, false)
}

// regionAccess checks an access to a region of a known size (check_mem_region_access).
func (v *verifier) regionAccess(n, off, size int, limit uint32, zeroOK bool) *reject.Error {
	r := &v.state.regs()[n]
	if r.Smin < 0 {
		sum, over := addSigned(r.Smin, int64(off))
		if r.Smin == math.MinInt64 || over || sum != int64(int32(sum)) || sum < 0 {
			return v.negativeMin(n, r)
		}
	}
	if err := v.inRegion(n, int(int32(r.Smin+int64(off))), size, limit, zeroOK); err != nil {
		return v.outside(err, n, "R%d min value is outside of the allowed memory range")
	}
	if r.Umax >= maxVarOff {
		return v.failReg(n, v.regionCode(r), linux.EACCES,
			"R%d unbounded memory access, make sure to bounds check any such access", n)
	}
	if err := v.inRegion(n, int(int32(r.Umax+uint64(off))), size, limit, zeroOK); err != nil {
		return v.outside(err, n, "R%d max value is outside of the allowed memory range")
	}
	return nil
}

// outside puts Linux's second line after the first.
func (v *verifier) outside(err *reject.Error, n int, format string) *reject.Error {
	next := v.failReg(n, err.Code, err.Errno, format, n)
	next.Before = append(next.Before, err.Message)
	next.Found, next.Needed = err.Found, err.Needed
	return next
}

func (v *verifier) negativeMin(n int, r *reg) *reject.Error {
	return v.failReg(n, v.regionCode(r), linux.EACCES,
		"R%d min value is negative, either use unsigned index or do a if (index >=0) check.", n)
}

func (v *verifier) regionCode(r *reg) reject.Code {
	switch r.Type.base() {
	case PtrToMapValue, PtrToMapKey:
		return CodeMapAccess
	case PtrToPacket, PtrToPacketMeta:
		return CodePacketAccess
	}
	return CodeAccess
}

// inRegion checks one offset against the size of what a register points to (__check_mem_access).
func (v *verifier) inRegion(n, off, size int, limit uint32, zeroOK bool) *reject.Error {
	if off >= 0 && (size > 0 || size == 0 && zeroOK) && uint64(off)+uint64(size) <= uint64(limit) {
		return nil
	}
	r := &v.state.regs()[n]
	code := v.regionCode(r)
	switch r.Type {
	case PtrToMapKey:
		return v.failReg(n, code, linux.EACCES,
			"invalid access to map key, key_size=%d off=%d size=%d", int32(limit), off, size)
	case PtrToMapValue:
		return v.failReg(n, code, linux.EACCES,
			"invalid access to map value, value_size=%d off=%d size=%d", int32(limit), off, size)
	case PtrToPacket, PtrToPacketMeta, PtrToPacketEnd:
		return v.failReg(n, code, linux.EACCES,
			"invalid access to packet, off=%d size=%d, R%d(id=%d,off=%d,r=%d)", off, size, n, r.ID, off, int32(limit))
	}
	return v.failReg(n, code, linux.EACCES,
		"invalid access to memory, mem_size=%d off=%d size=%d", limit, off, size)
}

// mapValue checks an access to a map value; loads from frozen maps are constants.
func (v *verifier) mapValue(a memAccess, r *reg, result *reg) *reject.Error {
	if err := v.mapMayAccess(a.reg, a.off, a.size, a.kind); err != nil {
		return err
	}
	if err := v.mapBounds(a.reg, a.off, a.size, false); err != nil {
		return err
	}
	if err := v.fieldAccess(a.reg, a.off, a.size, true); err != nil {
		return err
	}
	m := r.Map
	if r.Var.IsConst() {
		if f := fieldAt(m.Fields, int64(a.off)+int64(r.Var.Value)); f != nil && f.Kind != FieldStruct {
			return v.kptrAccess(a, f, result)
		}
	}
	if a.kind == accessWrite || a.value < 0 || m.Data == nil || !r.Var.IsConst() || !m.Frozen ||
		m.Flags&linux.MapReadOnlyProg == 0 || !m.direct() {
		return nil
	}
	off := a.off + int(r.Var.Value)
	if off < 0 || off+a.size > len(m.Data) {
		return nil
	}
	result.setConst(readValue(m.Data[off:], a.size, a.signed))
	return nil
}

// direct says that wide loads may point into the map's values (map_direct_value_addr).
func (m *Map) direct() bool { return m.Type == ebpf.Array || m.Type == ebpf.Arena }

func readValue(b []byte, size int, signed bool) uint64 {
	var u uint64
	switch size {
	case 1:
		u = uint64(b[0])
	case 2:
		u = uint64(binary.LittleEndian.Uint16(b))
	case 4:
		u = uint64(binary.LittleEndian.Uint32(b))
	default:
		return binary.LittleEndian.Uint64(b)
	}
	if signed {
		shift := 64 - 8*size
		return uint64(int64(u<<shift) >> shift)
	}
	return u
}

// mapMayAccess checks the map's flags (check_map_access_type).
func (v *verifier) mapMayAccess(n, off, size int, kind access) *reject.Error {
	m := v.state.regs()[n].Map
	switch {
	case kind == accessWrite && m.readOnly():
		return v.failReg(n, CodeMapAccess, linux.EACCES,
			"write into map forbidden, value_size=%d off=%d size=%d", m.ValueSize, off, size)
	case kind == accessRead && m.Flags&linux.MapWriteOnlyProg != 0:
		return v.failReg(n, CodeMapAccess, linux.EACCES,
			"read from map forbidden, value_size=%d off=%d size=%d", m.ValueSize, off, size)
	}
	return nil
}

// mapBounds checks the bounds of a map value.
func (v *verifier) mapBounds(n, off, size int, zeroOK bool) *reject.Error {
	return v.regionAccess(n, off, size, v.state.regs()[n].Map.ValueSize, zeroOK)
}

// mapAccess checks bounds and special fields of a map value that a helper accesses
// (check_map_access).
func (v *verifier) mapAccess(n, off, size int, zeroOK bool) *reject.Error {
	if err := v.mapBounds(n, off, size, zeroOK); err != nil {
		return err
	}
	return v.fieldAccess(n, off, size, false)
}

// packetAccess checks an access to packet data (check_packet_access).
func (v *verifier) packetAccess(n, off, size int, zeroOK bool) *reject.Error {
	r := &v.state.regs()[n]
	if r.Smin < 0 {
		return v.negativeMin(n, r)
	}
	if r.Range < 0 {
		return v.failReg(n, CodePacketAccess, linux.EINVAL, "R%d offset is outside of the packet", n)
	}
	if err := v.inRegion(n, off, size, uint32(r.Range), zeroOK); err != nil {
		return v.outside(err, n, "R%d offset is outside of the packet")
	}
	return nil
}

// ctxAccess checks an access to the context (check_ctx_access).
func (v *verifier) ctxAccess(a memAccess, r *reg, result *reg) *reject.Error {
	if err := v.fixedOffset(a.reg, r, false); err != nil {
		return err
	}
	if v.ctx == nil || v.ctx.BTF {
		return v.btfContext(a, result)
	}
	l, ok := linux.CtxLoad{}, false
	switch {
	case a.kind == accessWrite:
		ok = v.ctx.Store(a.off, a.size)
	case a.signed:
		l, ok = v.ctx.LoadSigned(a.off, a.size)
	default:
		l, ok = v.ctx.Load(a.off, a.size)
	}
	if !ok {
		return v.failReg(a.reg, CodeContextAccess, linux.EACCES,
			"invalid bpf_context access off=%d size=%d", a.off, a.size)
	}
	v.aux[v.insn].ctxField = l.FieldSize
	v.noteContext(a.off + a.size)
	if a.kind == accessRead && l.Value != linux.CtxScalar {
		result.setPointer(ctxTypes[l.Value])
		if result.Type.mayBeNull() {
			result.ID = v.newID()
		}
		if l.Value == linux.CtxTrustedBTF {
			result.BTF = v.named(l.BTF)
		}
	}
	return nil
}

// ctxTypes are the kinds of register that context loads give.
var ctxTypes = [...]RegType{
	linux.CtxScalar:           ScalarValue,
	linux.CtxPacket:           PtrToPacket,
	linux.CtxPacketMeta:       PtrToPacketMeta,
	linux.CtxPacketEnd:        PtrToPacketEnd,
	linux.CtxSockCommonOrNull: PtrToSockCommon | MaybeNull,
	linux.CtxSocket:           PtrToSocket,
	linux.CtxSocketOrNull:     PtrToSocket | MaybeNull,
	linux.CtxFlowKeys:         PtrToFlowKeys,
	linux.CtxTPBuffer:         PtrToTPBuffer,
	linux.CtxTrustedBTF:       PtrToBTFID | PtrTrusted,
}

// fixedOffset refuses pointers with an offset where there must be none (__check_ptr_off_reg).
func (v *verifier) fixedOffset(n int, r *reg, constOK bool) *reject.Error {
	switch {
	case r.Off < 0:
		return v.failReg(n, CodeAccess, linux.EACCES, "negative offset %s ptr R%d off=%d disallowed", r.Type, n, r.Off)
	case !constOK && r.Off != 0:
		return v.failReg(n, CodeAccess, linux.EACCES,
			"dereference of modified %s ptr R%d off=%d disallowed", r.Type, n, r.Off)
	case !r.Var.IsConst() || r.Var.Value != 0:
		return v.failReg(n, CodeAccess, linux.EACCES, "variable %s access var_off=%s disallowed", r.Type, r.Var)
	}
	return nil
}

// flowKeysSize is the size of struct bpf_flow_keys (include/uapi/linux/bpf.h).
const flowKeysSize = 56

func (v *verifier) flowKeys(a memAccess) *reject.Error {
	if a.off < 0 || uint64(a.off)+uint64(a.size) > flowKeysSize {
		return v.failReg(a.reg, CodeAccess, linux.EACCES,
			"invalid access to flow keys off=%d size=%d", a.off, a.size)
	}
	return nil
}

// sockAccess checks a read of a socket's field (check_sock_access).
func (v *verifier) sockAccess(a memAccess, r *reg) *reject.Error {
	if r.Smin < 0 {
		return v.negativeMin(a.reg, r)
	}
	l, ok := v.sockRules(r.Type.base()).Load(a.off, a.size)
	if !ok {
		return v.failReg(a.reg, CodeAccess, linux.EACCES,
			"R%d invalid %s access off=%d size=%d", a.reg, r.Type, a.off, a.size)
	}
	v.aux[v.insn].ctxField = l.FieldSize
	return nil
}

// sockRules returns the rules of a socket structure.
func (v *verifier) sockRules(t RegType) *linux.CtxRules {
	if v.socks[t] == nil {
		switch t {
		case PtrToSockCommon:
			v.socks[t] = linux.NewSockCommonRules()
		case PtrToTCPSock:
			v.socks[t] = linux.NewTCPSockRules()
		case PtrToXDPSock:
			v.socks[t] = linux.NewXDPSockRules()
		default:
			v.socks[t] = linux.NewSocketRules()
		}
	}
	return v.socks[t]
}

// bufferAccess checks an access to a buffer whose size is known when the program is attached.
func (v *verifier) bufferAccess(what string, n, off, size int) *reject.Error {
	r := &v.state.regs()[n]
	if off < 0 {
		return v.failReg(n, CodeAccess, linux.EACCES,
			"R%d invalid %s buffer access: off=%d, size=%d", n, what, off, size)
	}
	if !r.Var.IsConst() || r.Var.Value != 0 {
		return v.failReg(n, CodeAccess, linux.EACCES,
			"R%d invalid variable buffer offset: off=%d, var_off=%s", n, off, r.Var)
	}
	return nil
}

// buf checks an access to a read-only or writable buffer.
func (v *verifier) buf(a memAccess, r *reg) *reject.Error {
	what := "rdwr"
	if r.Type&MemRdonly != 0 {
		what = "rdonly"
		if a.kind == accessWrite {
			return v.failReg(a.reg, CodeAccess, linux.EACCES, "R%d cannot write into %s", a.reg, r.Type)
		}
	}
	return v.bufferAccess(what, a.reg, a.off, a.size)
}

// checkAlignment checks that an access is aligned where that matters (check_ptr_alignment).
func (v *verifier) checkAlignment(r *reg, a memAccess) *reject.Error {
	strict := a.strict || v.strict || r.Type == PtrToStack
	if !strict || a.size == 1 || r.Type == PtrToArena {
		return nil
	}
	if r.Type.isPacket() {
		const ipAlign = 2 // NET_IP_ALIGN where alignment matters
		if !r.Var.Add(scalar.TnumConst(uint64(int64(ipAlign + int(r.Off) + a.off)))).IsAligned(uint64(a.size)) {
			return v.failReg(a.reg, CodeAlignment, linux.EACCES,
				"misaligned packet access off %d+%s+%d+%d size %d", ipAlign, r.Var, r.Off, a.off, a.size)
		}
		return nil
	}
	if r.Var.Add(scalar.TnumConst(uint64(int64(int(r.Off) + a.off)))).IsAligned(uint64(a.size)) {
		return nil
	}
	return v.failReg(a.reg, CodeAlignment, linux.EACCES,
		"misaligned %saccess off %s+%d+%d size %d", alignNames[r.Type], r.Var, r.Off, a.off, a.size)
}

// alignNames name what a misaligned access is to.
var alignNames = map[RegType]string{
	PtrToFlowKeys: "flow keys ", PtrToMapKey: "key ", PtrToMapValue: "value ", PtrToCtx: "context ",
	PtrToStack: "stack ", PtrToSocket: "sock ", PtrToSockCommon: "sock_common ",
	PtrToTCPSock: "tcp_sock ", PtrToXDPSock: "xdp_sock ",
}
