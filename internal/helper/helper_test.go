package helper

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/carom-bpf/carom/internal/isa"
	kasm "github.com/carom-bpf/carom/internal/isa/asm"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/maps"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/carom-bpf/carom/internal/vm"
	"github.com/carom-bpf/carom/trace"
	"github.com/carom-bpf/carom/world"
	"github.com/cilium/ebpf"
	ebpfasm "github.com/cilium/ebpf/asm"
)

// outSize is the size of the value of the map "out", in which programs leave what they found.
const outSize = 256

// scenario is a program in kernel syntax and the maps around it.
type scenario struct {
	name string
	text string
	typ  ebpf.ProgramType // Syscall unless set
	data []byte           // packet
	in   []byte           // value of the map "in"
	ro   []byte           // value of the read-only map "ro"
	maps []maps.Spec
	// user is memory of the task that runs the program; USER in text is its address.
	user []byte
	// want are the first words of "out".
	want []uint64
	// wantBytes are bytes of "out" at offset 64.
	wantBytes []byte
	world     *world.World
	// local says that Linux does not run this one; why says the reason.
	local string
}

func (s *scenario) progType() ebpf.ProgramType {
	if s.typ == ebpf.UnspecifiedProgram {
		return ebpf.Syscall
	}
	return s.typ
}

// specs lists the maps of the scenario, "out" first.
func (s *scenario) specs() []maps.Spec {
	all := []maps.Spec{{Name: "out", Type: ebpf.Array, KeySize: 4, ValueSize: outSize, MaxEntries: 1}}
	if s.in != nil {
		all = append(all, maps.Spec{Name: "in", Type: ebpf.Array, KeySize: 4, ValueSize: uint32(len(s.in)), MaxEntries: 1})
	}
	if s.ro != nil {
		all = append(all, maps.Spec{Name: "ro", Type: ebpf.Array, KeySize: 4, ValueSize: uint32(len(s.ro)), MaxEntries: 1, Flags: linux.MapReadOnlyProg})
	}
	return append(all, s.maps...)
}

// initial is what a map of the scenario holds at the start.
func (s *scenario) initial(name string) []byte {
	switch name {
	case "out":
		return bytes.Repeat([]byte{0xaa}, outSize)
	case "in":
		return s.in
	case "ro":
		return s.ro
	}
	return nil
}

// at is the text with the address of user memory.
func (s *scenario) at(user uint64) string {
	return strings.ReplaceAll(s.text, "USER", fmt.Sprintf("%#x ll", user))
}

func (s *scenario) check(t *testing.T, who string, out []byte) {
	t.Helper()
	for i, want := range s.want {
		if got := binary.LittleEndian.Uint64(out[8*i:]); got != want {
			t.Errorf("%s: word %d is %d (%#x), want %d", who, i, int64(got), got, int64(want))
		}
	}
	if got := out[64:][:len(s.wantBytes)]; !bytes.Equal(got, s.wantBytes) {
		t.Errorf("%s: bytes\n%q, want\n%q", who, got, s.wantBytes)
	}
}

// bench is a machine with one virtual CPU and the maps of a scenario.
type bench struct {
	testing.TB
	machine *vm.Machine
	cpu     *vm.CPU
	set     *Set
	maps    map[string]maps.Map
	typ     ebpf.ProgramType
	data    []byte
}

func newBench(tb testing.TB, s *scenario, custom ...vm.Helper) *bench {
	tb.Helper()
	space, err := mem.NewSpaceOf(1 << 30) // little, for emulators that pay for reserved pages
	if err != nil {
		tb.Fatal(err)
	}
	m, err := vm.NewMachineIn(space)
	if err != nil {
		tb.Fatal(err)
	}
	c, err := m.NewCPU(0)
	if err != nil {
		tb.Fatal(err)
	}
	b := &bench{tb, m, c, New(Options{}).With(custom...), map[string]maps.Map{}, s.progType(), s.data}
	tb.Cleanup(func() { c.Close(); m.Close() })
	host := &maps.Host{
		Space: m.Space, Epochs: m.Epochs, Descs: m.Maps, CPUs: 1, Readers: []*mem.Reader{c.Reader()},
		Inner: func(desc uint64) maps.Map { inner, _ := m.Maps.Lookup(desc).(maps.Map); return inner },
	}
	for _, spec := range s.specs() {
		one, err := maps.New(host, &spec, m.NextMapID())
		if err != nil {
			tb.Fatal(err)
		}
		b.maps[spec.Name] = one
		if v := s.initial(spec.Name); v != nil {
			if errno := one.SysUpdate(make([]byte, 4), v, 0); errno != linux.OK {
				tb.Fatal(errno)
			}
		}
	}
	c.World = s.world
	return b
}

// link makes a program out of instructions with references, as the loader does.
func (b *bench) link(text string) *vm.Program {
	b.Helper()
	parsed, err := kasm.Parse(text)
	if err != nil {
		b.Fatal(err)
	}
	at := map[string]int{}
	for it := parsed.Iterate(); it.Next(); {
		if name := it.Ins.Symbol(); name != "" {
			at[name] = int(it.Offset)
		}
	}
	code := &vm.Code{Name: "test", Type: b.typ, Helpers: map[int]*vm.Helper{}, ByID: b.set.ByID, FuncLoads: map[int]int{}, ExceptionCallback: -1}
	for it := parsed.Iterate(); it.Next(); {
		ins := *it.Ins
		pc := int(it.Offset)
		ref := ins.Reference()
		switch {
		case ins.IsLoadFromMap():
			m := b.maps[ref]
			if m == nil {
				b.Fatalf("no map %s", ref)
			}
			value := m.Info().Desc
			if ins.Src == ebpfasm.PseudoMapValue {
				value = mem.Load64(value+mem.MapData) + uint64(ins.Constant)>>32
			}
			ins.Src, ins.Constant = 0, int64(value)
		case ins.IsLoadOfFunctionPointer():
			code.FuncLoads[pc] = at[ref]
			ins.Src, ins.Constant = 0, int64(at[ref])
		case ins.IsFunctionCall():
			ins.Constant = int64(at[ref] - pc - 1)
		case ins.IsKfuncCall():
			code.Helpers[pc] = b.set.Kfunc(ref)
			ins.Constant = 0
			if code.Helpers[pc] == nil {
				b.Fatalf("no kfunc %s", ref)
			}
		case ins.IsBuiltinCall():
			if code.Helpers[pc] = b.set.ByID(uint32(ins.Constant)); code.Helpers[pc] == nil {
				b.Fatalf("no helper %d", ins.Constant)
			}
		}
		var raw bytes.Buffer
		if _, err := ins.Marshal(&raw, binary.LittleEndian); err != nil {
			b.Fatal(err)
		}
		slots, err := isa.Decode(raw.Bytes())
		if err != nil {
			b.Fatal(err)
		}
		code.Insns = append(code.Insns, slots...)
	}
	code.Context = b.machine.Contexts.Of(b.typ, 0)
	code.Funcs = []vm.Func{{Name: "test", End: len(code.Insns)}}
	p, err := b.machine.NewProgram(code)
	if err != nil {
		b.Fatal(err)
	}
	return p
}

func (b *bench) run(p *vm.Program, res *vm.Result) error {
	if err := b.cpu.Begin(context.Background()); err != nil {
		b.Fatal(err)
	}
	defer b.cpu.End()
	return b.exec(p, res)
}

// exec is run between Begin and End.
func (b *bench) exec(p *vm.Program, res *vm.Result) error {
	b.cpu.SetPacket(b.data, vm.Packet{})
	b.cpu.UseContext(p, 64)
	return b.cpu.Run(p, b.cpu.ContextAddr(), 0, vm.Limits{}, res)
}

func (b *bench) out() []byte {
	out := make([]byte, outSize)
	b.maps["out"].SysLookup(make([]byte, 4), out, 0)
	return out
}

// run executes a scenario here and checks it.
func (s *scenario) run(t *testing.T) {
	t.Helper()
	b := newBench(t, s)
	var res vm.Result
	if err := b.cpu.Begin(context.Background()); err != nil {
		t.Fatal(err)
	}
	defer b.cpu.End()
	user, err := b.cpu.AddMemory("user", s.user, mem.PermRead)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.exec(b.link(s.at(user)), &res); err != nil {
		t.Fatal(err)
	}
	s.check(t, "carom", b.out())
}

// lines collects what programs print.
type lines []string

func (l *lines) Event(e *trace.Event) {
	if e.Kind == trace.Printk {
		*l = append(*l, string(e.Text))
	}
}

func errno(e linux.Errno) uint64 { return e.Neg() }

func TestScenarios(t *testing.T) {
	for _, s := range allScenarios() {
		t.Run(s.name, s.run)
	}
}

func allScenarios() []scenario {
	var all []scenario
	for _, family := range [][]scenario{
		mapScenarios(), probeScenarios(), textScenarios(), loopScenarios(), ringScenarios(),
		kfuncScenarios(), taskScenarios(),
	} {
		all = append(all, family...)
	}
	return all
}

func TestSetIsNeverChanged(t *testing.T) {
	base := New(Options{})
	custom := base.With(
		vm.Helper{Proto: linux.Proto{ID: 5, Name: "mine"}, Func: func(*vm.Call) uint64 { return 1 }},
		vm.Helper{Proto: linux.Proto{ID: 70000, Name: "far"}, Func: func(*vm.Call) uint64 { return 2 }},
		vm.Helper{Proto: linux.Proto{Name: "kf"}, Func: func(*vm.Call) uint64 { return 3 }},
		vm.Helper{Proto: linux.Proto{ID: 6, Name: "no body"}},
	)
	if n := base.Name(5); n != "bpf_ktime_get_ns" {
		t.Errorf("base has %s at 5", n)
	}
	if base.ByID(70000) != nil || base.Kfunc("kf") != nil {
		t.Error("With changed its receiver")
	}
	if custom.Name(5) != "mine" || custom.Name(70000) != "far" || custom.Kfunc("kf").Func(nil) != 3 || custom.Name(6) != "bpf_trace_printk" {
		t.Error("With did not add its rows")
	}
	if base.ByID(0) != nil || base.ByID(255) != nil || base.ByID(1<<32-1) != nil {
		t.Error("a helper where there is none")
	}
	if n := base.Name(211); n != "bpf_cgrp_storage_delete" {
		t.Errorf("name of 211 is %q", n)
	}
}

// TestNamesAreThoseOfLinux compares the rows with the table of numbers and names.
func TestNamesAreThoseOfLinux(t *testing.T) {
	set := New(Options{})
	for id := range uint32(denseIDs) {
		if h := set.ByID(id); h != nil && h.Name != isa.HelperName(int32(id)) {
			t.Errorf("helper %d is %s, Linux calls it %s", id, h.Name, isa.HelperName(int32(id)))
		}
	}
}

func TestWrongMapTypeFails(t *testing.T) {
	s := &scenario{maps: []maps.Spec{
		{Name: "progs", Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 2},
		{Name: "perf", Type: ebpf.PerfEventArray, KeySize: 4, ValueSize: 4, MaxEntries: 2},
	}}
	for _, c := range []struct{ call, mapName, want string }{
		{"bpf_map_lookup_elem", "progs", "map progs: cannot pass map_type 3 into func bpf_map_lookup_elem#1"},
		{"bpf_map_update_elem", "perf", "map perf: cannot pass map_type 4 into func bpf_map_update_elem#2"},
		{"bpf_ringbuf_output", "out", "map out: cannot pass map_type 2 into func bpf_ringbuf_output#130"},
	} {
		b := newBench(t, s)
		var res vm.Result
		err := b.run(b.link(fmt.Sprintf(`
			*(u32 *)(r10 -4) = 0
			r1 = map[%s] ll
			r2 = r10
			r2 += -4
			r3 = 0
			r4 = 0
			call %s
			r0 = 0
			exit`, c.mapName, c.call)), &res)
		if e, ok := err.(*vm.Error); !ok || e.Reason != c.want {
			t.Errorf("%s(%s): %v, want %q", c.call, c.mapName, err, c.want)
		}
	}
}
