package vm

import (
	"context"
	"errors"
	"testing"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/cilium/ebpf"
)

// FuzzDecode runs any bytes as a program: every input must end with a result or an *Error.
func FuzzDecode(f *testing.F) {
	add := func(insns ...isa.Insn) { f.Add(isa.Encode(insns), []byte("packet bytes")) }
	exit := isa.Insn{Op: isa.ClassJMP | isa.EXIT}
	add(isa.Insn{Op: isa.ClassALU64 | isa.MOV, Imm: 7}, exit)
	add(isa.Insn{Op: isa.LDDW, Imm: 1}, isa.Insn{Imm: 2}, exit)
	add(isa.Insn{Op: isa.ClassLDX | isa.ModeMEM | isa.SizeW, Dst: 2, Src: 1}, isa.Insn{Op: isa.ClassLDX | isa.ModeMEM | isa.SizeDW, Src: 2}, exit)
	add(isa.Insn{Op: isa.ClassSTX | isa.ModeATOMIC | isa.SizeDW, Dst: 10, Src: 1, Off: -8, Imm: isa.AtomicCMPXCHG}, exit)
	add(isa.Insn{Op: isa.ClassJMP | isa.CALL, Src: 1, Imm: 1}, exit, isa.Insn{Op: isa.ClassJMP | isa.CALL, Src: 1, Imm: -2}, exit)
	add(isa.Insn{Op: isa.ClassLD | isa.ModeABS | isa.SizeH, Imm: 12}, exit)
	add(isa.Insn{Op: isa.ClassJMP | isa.JA, Off: -1})
	add(isa.Insn{Op: isa.ClassJMP | isa.JCOND, Off: -1}, exit)

	m, c := testMachine(f)
	helpers := map[uint32]*Helper{
		5: {Proto: linux.Proto{ID: 5, Name: "add"}, Func: func(k *Call) uint64 { return k.Args[0] + k.Args[1] }},
		6: {Proto: linux.Proto{ID: 6, Name: "read"}, Func: func(k *Call) uint64 {
			b, ok := k.Bytes(k.Args[0], k.Args[1])
			if !ok || len(b) == 0 {
				return 0
			}
			return uint64(b[0])
		}},
		7: {Proto: linux.Proto{ID: 7, Name: "loop"}, Func: func(k *Call) uint64 {
			r0, _ := k.Invoke(k.Args[0], k.Args[1])
			return r0
		}},
	}
	f.Fuzz(func(t *testing.T, code, packet []byte) {
		if len(code) > 4096 || len(packet) > 1500 {
			return
		}
		insns, err := isa.Decode(code[:len(code)&^7])
		if err != nil || len(insns) == 0 {
			return
		}
		prog := &Code{
			Name: "fuzz", Type: ebpf.XDP, Insns: insns, Funcs: []Func{{Name: "fuzz", End: len(insns)}},
			Helpers: map[int]*Helper{}, FuncLoads: map[int]int{}, ExceptionCallback: -1,
			ByID: func(id uint32) *Helper { return helpers[id] }, Context: m.Contexts.Of(ebpf.XDP, 0),
		}
		for n, i := range insns {
			switch {
			case i.Op == isa.ClassJMP|isa.CALL && i.Src == 0 && helpers[uint32(i.Imm)] != nil:
				prog.Helpers[n] = helpers[uint32(i.Imm)]
			case i.IsWide() && i.Src == isa.PseudoFunc && n+1 < len(insns) && (n == 0 || !insns[n-1].IsWide()):
				prog.FuncLoads[n] = int(uint32(i.Imm)) % len(insns)
			}
		}
		p, err := m.NewProgram(prog)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Release()
		if err := c.Begin(context.Background()); err != nil {
			t.Fatal(err)
		}
		defer c.End()
		c.SetPacket(packet, Packet{Writable: true})
		c.UseContext(p, 0)
		var res Result
		if err := c.Run(p, c.ContextAddr(), 0, Limits{Budget: 20000}, &res); err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Code == 0 || e.Error() == "" {
				t.Fatalf("not a run-time error: %v", err)
			}
		}
	})
}

func TestSpaceReuse(t *testing.T) {
	m, _ := testMachine(t)
	r, err := m.Space.Alloc(mem.Layout{Name: "a", Size: 1})
	if err != nil {
		t.Fatal(err)
	}
	mem.Store64(r.Base, 1)
	base := r.Base
	r.Free()
	if m.Space.Find(base) != nil {
		t.Error("freed memory has a region")
	}
	again, err := m.Space.Alloc(mem.Layout{Name: "b", Size: 1})
	if err != nil {
		t.Fatal(err)
	}
	if got := mem.Load64(again.Base); again.Base != base || got != 0 {
		t.Errorf("memory used again at %#x (was %#x) holds %#x, want 0", again.Base, base, got)
	}
}
