package gen

import (
	"math/rand/v2"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/cilium/ebpf"
)

// VerifyProg is one program for verifiers: many of them break a rule. Wide loads of maps hold an
// index into VerifyMaps (BPF_PSEUDO_MAP_IDX).
type VerifyProg struct {
	Made    []string // the templates and mutations that made it
	Type    ebpf.ProgramType
	Attach  ebpf.AttachType
	Flags   uint32
	License string
	Insns   []isa.Insn
	Funcs   []VerifyFunc // func_info, sorted; empty without BTF
	// Maps are the program's own, nil for VerifyMaps.
	Maps []*ebpf.MapSpec
}

// MapSpecs are the maps that wide loads refer to.
func (p *VerifyProg) MapSpecs() []*ebpf.MapSpec {
	if p.Maps != nil {
		return p.Maps
	}
	return VerifyMaps()
}

// VerifyFunc says which of VerifyFuncs a function of the program is.
type VerifyFunc struct{ Insn, Func int }

// Clone copies the program.
func (p *VerifyProg) Clone() *VerifyProg {
	c := *p
	c.Made = append([]string(nil), p.Made...)
	c.Insns = append([]isa.Insn(nil), p.Insns...)
	c.Funcs = append([]VerifyFunc(nil), p.Funcs...)
	return &c
}

// vkind is a kind of program: type, attach type and flags.
type vkind struct {
	weight int
	typ    ebpf.ProgramType
	attach ebpf.AttachType
	flags  uint32
	ctx    string // struct of the context, for global functions
	size   int    // bytes of the context, roughly
	// data, end and meta are the context's packet pointers, -1 where there is none.
	data, end, meta int
	ptrSize         uint8 // size of a load of them
	ret             [2]int32
}

const (
	verifySleepable = linux.ProgramSleepable
	verifyFrags     = 1 << 5 // BPF_F_XDP_HAS_FRAGS
)

// vkinds are the kinds of programs with their weights.
var vkinds = [...]vkind{
	{16, ebpf.SchedCLS, 0, 0, "__sk_buff", 192, 76, 80, 140, isa.SizeW, [2]int32{-1, 2}},
	{16, ebpf.XDP, 0, 0, "xdp_md", 24, 0, 4, 8, isa.SizeW, [2]int32{0, 4}},
	{3, ebpf.XDP, 0, verifyFrags, "xdp_md", 24, 0, 4, 8, isa.SizeW, [2]int32{0, 4}},
	{8, ebpf.SocketFilter, 0, 0, "__sk_buff", 192, -1, -1, -1, 0, [2]int32{0, 1}},
	{4, ebpf.SchedACT, 0, 0, "__sk_buff", 192, 76, 80, 140, isa.SizeW, [2]int32{0, 2}},
	{5, ebpf.Kprobe, 0, 0, "pt_regs", 168, -1, -1, -1, 0, [2]int32{0, 0}},
	{4, ebpf.TracePoint, 0, 0, "", 64, -1, -1, -1, 0, [2]int32{0, 0}},
	{3, ebpf.PerfEvent, 0, 0, "bpf_perf_event_data", 184, -1, -1, -1, 0, [2]int32{0, 0}},
	{4, ebpf.RawTracepoint, 0, 0, "bpf_raw_tracepoint_args", 96, -1, -1, -1, 0, [2]int32{0, 0}},
	{2, ebpf.RawTracepointWritable, 0, 0, "bpf_raw_tracepoint_args", 96, -1, -1, -1, 0, [2]int32{0, 0}},
	{4, ebpf.CGroupSKB, ebpf.AttachCGroupInetIngress, 0, "__sk_buff", 192, 76, 80, -1, isa.SizeW, [2]int32{0, 1}},
	{3, ebpf.CGroupSKB, ebpf.AttachCGroupInetEgress, 0, "__sk_buff", 192, 76, 80, -1, isa.SizeW, [2]int32{0, 3}},
	{3, ebpf.CGroupSock, ebpf.AttachCGroupInetSockCreate, 0, "bpf_sock", 80, -1, -1, -1, 0, [2]int32{0, 1}},
	{3, ebpf.CGroupSockAddr, ebpf.AttachCGroupInet4Connect, 0, "bpf_sock_addr", 72, -1, -1, -1, 0, [2]int32{0, 1}},
	{2, ebpf.CGroupSockAddr, ebpf.AttachCGroupInet6Bind, 0, "bpf_sock_addr", 72, -1, -1, -1, 0, [2]int32{0, 3}},
	{2, ebpf.CGroupSockAddr, ebpf.AttachCGroupUDP4Recvmsg, 0, "bpf_sock_addr", 72, -1, -1, -1, 0, [2]int32{1, 1}},
	{4, ebpf.SockOps, ebpf.AttachCGroupSockOps, 0, "bpf_sock_ops", 216, -1, -1, -1, 0, [2]int32{0, 1}},
	{4, ebpf.SkSKB, 0, 0, "__sk_buff", 192, 76, 80, -1, isa.SizeW, [2]int32{0, 1}},
	{4, ebpf.SkMsg, 0, 0, "sk_msg_md", 80, 0, 8, -1, isa.SizeDW, [2]int32{0, 1}},
	{3, ebpf.LWTIn, 0, 0, "__sk_buff", 192, 76, 80, -1, isa.SizeW, [2]int32{0, 2}},
	{2, ebpf.LWTXmit, 0, 0, "__sk_buff", 192, 76, 80, -1, isa.SizeW, [2]int32{0, 2}},
	{2, ebpf.LWTSeg6Local, 0, 0, "__sk_buff", 192, 76, 80, -1, isa.SizeW, [2]int32{0, 2}},
	{2, ebpf.CGroupDevice, ebpf.AttachCGroupDevice, 0, "bpf_cgroup_dev_ctx", 12, -1, -1, -1, 0, [2]int32{0, 1}},
	{2, ebpf.CGroupSysctl, ebpf.AttachCGroupSysctl, 0, "bpf_sysctl", 8, -1, -1, -1, 0, [2]int32{0, 1}},
	{3, ebpf.CGroupSockopt, ebpf.AttachCGroupSetsockopt, 0, "bpf_sockopt", 40, -1, -1, -1, 0, [2]int32{0, 1}},
	{3, ebpf.FlowDissector, ebpf.AttachFlowDissector, 0, "__sk_buff", 192, 76, 80, -1, isa.SizeW, [2]int32{0, 0}},
	{3, ebpf.SkReuseport, ebpf.AttachSkReuseportSelect, 0, "sk_reuseport_md", 64, 0, 8, -1, isa.SizeDW, [2]int32{0, 1}},
	{3, ebpf.SkLookup, ebpf.AttachSkLookup, 0, "bpf_sk_lookup", 64, -1, -1, -1, 0, [2]int32{0, 1}},
	{3, ebpf.Syscall, 0, verifySleepable, "", 64, -1, -1, -1, 0, [2]int32{0, 0}},
	{2, ebpf.Kprobe, 0, verifySleepable, "pt_regs", 168, -1, -1, -1, 0, [2]int32{0, 0}},
}

// GenerateVerify makes the program with a number in the sequence of a seed.
func GenerateVerify(seed, number uint64) *VerifyProg {
	b := &vb{Rand: rand.New(rand.NewPCG(seed^0x766572696679, number))}
	if b.chance(15) {
		if p, ok := b.fromCase(seed, number); ok {
			if b.chance(65) {
				for range 1 + b.IntN(3) {
					p = mutate(b.Rand, p)
				}
			}
			return p
		}
	}
	b.k = b.anyKind()
	b.table = linux.Helpers(linux.HelperScope{Type: b.k.typ, Attach: b.k.attach, Sleepable: b.k.flags&verifySleepable != 0})
	b.license = "GPL"
	b.build()
	p := b.link()
	b.frame(p)
	if b.chance(25) {
		for range 1 + b.IntN(2) {
			p = mutate(b.Rand, p)
		}
	}
	return p
}

// GenerateVerifyCase is GenerateVerify for programs that nearly all are accepted: those of the
// generator of cases, as they are.
func GenerateVerifyCase(seed, number uint64) *VerifyProg {
	b := &vb{Rand: rand.New(rand.NewPCG(seed^0x766572696679, number))}
	if p, ok := b.fromCase(seed, number); ok {
		return p
	}
	return GenerateVerify(seed, number)
}

// frame changes what is around the instructions, seldom.
func (b *vb) frame(p *VerifyProg) {
	switch b.IntN(60) {
	case 0, 1:
		p.Made = append(p.Made, "strict")
		p.Flags |= 1 // BPF_F_STRICT_ALIGNMENT
	case 2:
		p.Made = append(p.Made, "flags")
		p.Flags |= one(b.Rand, uint32(verifySleepable), verifyFrags, 1<<1, 1<<20)
	case 3:
		p.Made = append(p.Made, "attach")
		p.Attach = ebpf.AttachType(b.IntN(60))
	}
}

func (b *vb) anyKind() *vkind {
	weights := make([]int, len(vkinds))
	for i := range vkinds {
		weights[i] = vkinds[i].weight
	}
	return &vkinds[b.pick(weights)]
}

// build makes the main program: some templates between a prologue and an epilogue.
func (b *vb) build() {
	b.btf = b.chance(40)
	b.function(0)
	b.mov(6, 1)
	if b.chance(60) {
		for r := 7; r <= 9; r++ {
			b.movImm(r, b.imm())
		}
	}
	if b.chance(70) { // a stack that can be read
		for i := 1; i <= 4; i++ {
			b.storeImm(isa.SizeDW, isa.FP, -8*i, b.imm())
		}
	}
	all := templates()
	weights := make([]int, len(all))
	for i, t := range all {
		weights[i] = t.weight
	}
	for range 1 + b.pick([]int{8, 3, 1}) {
		t := all[b.pick(weights)]
		b.made = append(b.made, t.name)
		t.make(b)
		if b.ended {
			break
		}
	}
	if !b.ended {
		b.epilogue()
	}
	for len(b.queue) > 0 {
		q := b.queue[0]
		b.queue = b.queue[1:]
		b.bind(q.label)
		b.function(q.fn)
		q.make()
	}
}

// epilogue ends the program with a result that its type allows.
func (b *vb) epilogue() {
	for _, l := range b.outs {
		b.bind(l)
	}
	b.outs = nil
	low, high := b.k.ret[0], b.k.ret[1]
	switch b.IntN(12) {
	case 0:
		b.movImm(0, high+1)
	default:
		b.movImm(0, low+int32(b.IntN(int(high-low)+1)))
	}
	b.exit()
}

// template makes a part of a program. It finds the context in r6 and may write all registers but
// that one.
type template struct {
	weight int
	name   string
	make   func(*vb)
}

// templates is a function because some templates contain others.
func templates() []template {
	return []template{
		{6, "uninit", (*vb).tUninit},
		{26, "helper", (*vb).tHelper},
		{10, "lookup", (*vb).tLookup},
		{40, "range", (*vb).tRange},
		{14, "packet", (*vb).tPacket},
		{10, "packet-var", (*vb).tPacketVar},
		{16, "stack", (*vb).tStack},
		{8, "stack-var", (*vb).tStackVar},
		{6, "stack-call", (*vb).tStackCall},
		{12, "ctx", (*vb).tContext},
		{12, "arith", (*vb).tArith},
		{6, "pointer-compare", (*vb).tCompare},
		{8, "loop", (*vb).tLoop},
		{12, "subprog", (*vb).tSubprog},
		{10, "global", (*vb).tGlobal},
		{4, "depth", (*vb).tDepth},
		{8, "tail-call", (*vb).tTailCall},
		{6, "atomic", (*vb).tAtomic},
		{4, "return", (*vb).tReturn},
		{8, "reserved", (*vb).tReserved},
		{4, "jump", (*vb).tJump},
		{2, "gpl", (*vb).tLicense},
		{5, "map-mismatch", (*vb).tMapMismatch},
		{4, "rodata", (*vb).tRodata},
		{8, "linked", (*vb).tLinked},
		{10, "precision", (*vb).tPrecision},
		{5, "ringbuf", (*vb).tRingbuf},
		{4, "socket", (*vb).tSocket},
		{4, "lock", (*vb).tLock},
		{4, "ld-abs", (*vb).tLegacy},
		{4, "wide", (*vb).tWide},
		{5, "spill", (*vb).tSpill},
		{5, "inner-map", (*vb).tInner},
		{4, "sock-field", (*vb).tSockField},
		{4, "div", (*vb).tDiv},
	}
}
