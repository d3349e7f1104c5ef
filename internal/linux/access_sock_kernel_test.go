package linux_test

import (
	"strings"
	"testing"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// source is a program that leaves a pointer in R6, never NULL, and the rules of its reads.
type source struct {
	name   string
	typ    ebpf.ProgramType
	attach ebpf.AttachType
	insns  asm.Instructions
	rules  *linux.CtxRules
	last   int
}

// orLeave ends the program where R0 is NULL and keeps it in R6.
func orLeave() asm.Instructions {
	return asm.Instructions{
		asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.JNE).SetSource(asm.ImmSource), Dst: asm.R0, Offset: 2},
		asm.Mov.Imm(asm.R0, 1), asm.Return(), asm.Mov.Reg(asm.R6, asm.R0)}
}

func join(parts ...asm.Instructions) asm.Instructions {
	var all asm.Instructions
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func sources(t *testing.T) []source {
	t.Helper()
	sk := join(asm.Instructions{asm.LoadMem(asm.R0, asm.R1, linux.SKBSk, asm.DWord)}, orLeave())
	tcp := join(sk, asm.Instructions{asm.Mov.Reg(asm.R1, asm.R6), asm.FnSkFullsock.Call()}, orLeave(),
		asm.Instructions{asm.Mov.Reg(asm.R1, asm.R6), asm.FnTcpSock.Call()}, orLeave())
	all := []source{
		{"sock", ebpf.CGroupSockAddr, ebpf.AttachCGroupInet4Connect,
			asm.Instructions{asm.LoadMem(asm.R6, asm.R1, 64, asm.DWord)}, linux.NewSocketRules(), 80},
		{"sock_common", ebpf.CGroupSKB, 0, sk, linux.NewSockCommonRules(), 80},
		{"tcp_sock", ebpf.CGroupSKB, 0, tcp, linux.NewTCPSockRules(), 112},
	}
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.XSKMap, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		t.Logf("xdp_sock is left out: %v", err)
		return all
	}
	t.Cleanup(func() { m.Close() })
	return append(all, source{"xdp_sock", ebpf.XDP, 0, join(asm.Instructions{
		asm.Mov.Reg(asm.R2, asm.R10), asm.Add.Imm(asm.R2, -4), asm.StoreImm(asm.R2, 0, 0, asm.Word),
		asm.LoadMapPtr(asm.R1, m.FD()), asm.FnMapLookupElem.Call()}, orLeave()), linux.NewXDPSockRules(), 4})
}

func TestSocketReadsAsKernel(t *testing.T) {
	kernelLoads(t)
	n := 0
	for _, s := range sources(t) {
		end := asm.Instructions{asm.Mov.Imm(asm.R0, 1), asm.Return()}
		if p, err := load(s.typ, s.attach, 0, join(s.insns, end), false); err != nil {
			t.Errorf("%s: %v", s.name, err)
			continue
		} else {
			p.Close()
		}
		for off := 0; off < s.last+9; off++ {
			for size := 1; size <= 8; size *= 2 {
				if !*allAccesses && (off*7+size)%11 != 0 || s.name == "tcp_sock" && size == 4 && (off == 84 || off == 92) {
					continue // the two reads are a bug of the kernel's, see NewTCPSockRules
				}
				read := asm.LoadMem(asm.R2, asm.R6, int16(off), asmSizes[size])
				_, ok := s.rules.Load(off, size)
				n++
				if want := accepts(t, s.typ, s.attach, join(s.insns, asm.Instructions{read}, end)); ok != want {
					t.Errorf("%s: read of %d at %d: table %v, kernel %v", s.name, size, off, ok, want)
				}
				if size == 8 {
					continue
				}
				read.OpCode = read.OpCode.SetMode(asm.MemSXMode)
				if want := accepts(t, s.typ, s.attach, join(s.insns, asm.Instructions{read}, end)); ok != want {
					t.Errorf("%s: signed read of %d at %d: table %v, kernel %v", s.name, size, off, ok, want)
				}
			}
		}
		write := asm.Instructions{asm.Mov.Imm(asm.R2, 0), asm.StoreMem(asm.R6, 0, asm.R2, asm.Word)}
		if _, err := load(s.typ, s.attach, 0, join(s.insns, write, end), true); !strings.Contains(kernelLog(err), "R6 cannot write into "+s.name) {
			t.Errorf("%s: write: %v", s.name, err)
		}
	}
	t.Logf("%d reads compared", n)
}

func TestFlowKeysAsKernel(t *testing.T) {
	kernelLoads(t)
	keys := asm.LoadMem(asm.R3, asm.R1, linux.SKBFlowKeys, asm.DWord)
	for _, off := range []int{-1, 0, 1, 3, 47, 48, 49, 52, 53, 54, 55, 56} {
		for size := 1; size <= 8; size *= 2 {
			want := off >= 0 && off+size <= linux.FlowKeysSize
			read := asm.Instructions{keys, asm.LoadMem(asm.R2, asm.R3, int16(off), asmSizes[size]), asm.Mov.Imm(asm.R0, 0), asm.Return()}
			if accepts(t, ebpf.FlowDissector, 0, read) != want {
				t.Errorf("read of %d at %d: kernel %v", size, off, !want)
			}
			write := asm.Instructions{keys, asm.Mov.Imm(asm.R2, 0), asm.StoreMem(asm.R3, int16(off), asm.R2, asmSizes[size]), asm.Mov.Imm(asm.R0, 0), asm.Return()}
			if accepts(t, ebpf.FlowDissector, 0, write) != want {
				t.Errorf("write of %d at %d: kernel %v", size, off, !want)
			}
		}
	}
}

// packetPointers returns the instructions that leave a packet pointer with 8 readable bytes in
// R2; the program goes on behind them.
func packetPointers(rules *linux.CtxRules, rest asm.Instructions) asm.Instructions {
	find := func(value linux.CtxValue) asm.Instruction {
		for off := 0; off < 256; off++ {
			for size := 4; size <= 8; size += 4 {
				if l, ok := rules.Load(off, size); ok && l.Value == value {
					return asm.LoadMem(asm.R2, asm.R1, int16(off), asmSizes[size])
				}
			}
		}
		return asm.Instruction{}
	}
	data, end := find(linux.CtxPacket), find(linux.CtxPacketEnd)
	if data.OpCode == 0 || end.OpCode == 0 {
		return nil
	}
	end.Dst = asm.R3
	skip := asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.JLE).SetSource(asm.RegSource), Dst: asm.R4, Src: asm.R3, Offset: 2}
	return join(asm.Instructions{data, end, asm.Mov.Reg(asm.R4, asm.R2), asm.Add.Imm(asm.R4, 8), skip,
		asm.Mov.Imm(asm.R0, 1), asm.Return()}, rest, asm.Instructions{asm.Mov.Imm(asm.R0, 1), asm.Return()})
}

func TestPacketRightsAsKernel(t *testing.T) {
	kernelLoads(t)
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		t.Skip(err)
	}
	defer m.Close()
	n := 0
	for typ, attaches := range variants() {
		rules := linux.NewCtxRules(typ, attaches[0], nil)
		if rules == nil {
			continue
		}
		rights := linux.PacketRightsOf(typ)
		for _, c := range []struct {
			want bool
			text string
			rest asm.Instructions
		}{
			{true, "", asm.Instructions{asm.LoadMem(asm.R5, asm.R2, 0, asm.DWord)}},
			{rights.Store, "cannot write into packet", asm.Instructions{asm.StoreImm(asm.R2, 0, 0, asm.Word)}},
			{rights.Pass, "helper access to the packet is not allowed",
				asm.Instructions{asm.LoadMapPtr(asm.R1, m.FD()), asm.FnMapLookupElem.Call()}},
			{rights.PassAny, "helper access to the packet is not allowed",
				asm.Instructions{asm.Mov.Reg(asm.R1, asm.R2), asm.Mov.Imm(asm.R2, 4), asm.FnTracePrintk.Call()}},
		} {
			insns := packetPointers(rules, c.rest)
			if insns == nil {
				break
			}
			n++
			p, err := load(typ, attaches[0], 0, insns, true)
			if err == nil {
				p.Close()
			}
			if (err == nil) != c.want || err != nil && !strings.Contains(kernelLog(err), c.text) {
				t.Errorf("%v: %v: table %v, kernel %v", typ, c.rest, c.want, err)
			}
		}
		compareLegacy(t, typ, attaches[0])
	}
	t.Logf("%d packet accesses compared", n)
}

func compareLegacy(t *testing.T, typ ebpf.ProgramType, a ebpf.AttachType) {
	t.Helper()
	if !accepts(t, typ, a, asm.Instructions{asm.Mov.Imm(asm.R0, 1), asm.Return()}) {
		return
	}
	insns := asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1), asm.LoadAbs(0, asm.Byte), asm.Mov.Imm(asm.R0, 1), asm.Return()}
	if want := accepts(t, typ, a, insns); want != linux.LegacyPacketLoads(typ) {
		t.Errorf("%v: LD_ABS: kernel %v", typ, want)
	}
}
