package userspace

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carom-bpf/carom/internal/engine"
	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/load"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

func testHost(t *testing.T) *Host {
	t.Helper()
	h, err := NewHost()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.machine.Close)
	return h
}

// usage is everything that a Host has given out.
func usage(h *Host) string {
	m := h.machine
	m.Epochs.Reclaim()
	regions, n := m.Space.Used()
	return fmt.Sprintf("%d regions, %d bytes, %d maps, %d programs, %d pins", regions, n, m.Maps.Len(), m.Progs.Len(), len(h.pins))
}

func testObjects(t *testing.T) map[string]*ebpf.CollectionSpec {
	t.Helper()
	files, err := filepath.Glob("../../caromtest/testdata/*.o")
	if err != nil || len(files) == 0 {
		t.Fatalf("no objects: %v", err)
	}
	specs := map[string]*ebpf.CollectionSpec{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		spec, err := load.Object(file, data)
		if err != nil {
			t.Fatal(err)
		}
		specs[filepath.Base(file)] = spec
	}
	return specs
}

// TestNothingIsLeft loads, runs and closes every object of the corpus, and looks for memory,
// maps and programs that remain. Some objects are refused on purpose; those leave nothing either.
func TestNothingIsLeft(t *testing.T) {
	h := testHost(t)
	before := usage(h)
	loaded := 0
	for name, spec := range testObjects(t) {
		for range 3 {
			c, err := h.Engine(Options{}).Load(spec, &engine.Options{CPUs: 3})
			if err != nil {
				if after := usage(h); after != before {
					t.Fatalf("%s, which fails to load (%v), leaves %s, were %s", name, err, after, before)
				}
				continue
			}
			loaded++
			if err := c.SetCounting(true); err != nil {
				t.Fatal(err)
			}
			for _, p := range c.ProgramNames() {
				// What comes out is for others to check.
				_ = c.Program(p).Run(context.Background(), &engine.Input{Data: make([]byte, 64), Budget: 100000}, &engine.Result{})
			}
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			if after := usage(h); after != before {
				t.Fatalf("%s leaves %s, were %s", name, after, before)
			}
		}
	}
	if loaded == 0 {
		t.Fatal("no object could be loaded")
	}
}

func xdpReturn(n int32) *ebpf.ProgramSpec {
	return &ebpf.ProgramSpec{Name: "prog", Type: ebpf.XDP, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, n), asm.Return()}}
}

func table(typ ebpf.MapType, key, value, entries uint32) *ebpf.MapSpec {
	return &ebpf.MapSpec{Name: "m", Type: typ, KeySize: key, ValueSize: value, MaxEntries: entries}
}

func TestReleasedCPU(t *testing.T) {
	c, err := testHost(t).Engine(Options{}).Load(&ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{"p": xdpReturn(2)}}, &engine.Options{CPUs: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	cpu, err := c.Pin(context.Background(), 0)
	if err != nil {
		t.Fatal(err)
	}
	cpu.Release()
	cpu.Release() // has no effect
	err = cpu.Run(context.Background(), c.Program("p"), &engine.Input{Data: make([]byte, 64)}, &engine.Result{})
	if !errors.Is(err, os.ErrClosed) {
		t.Errorf("a run on a released virtual CPU: %v", err)
	}
}

// TestHostileSpecs: a spec that a program made up is refused, or loaded, but does no harm.
func TestHostileSpecs(t *testing.T) {
	one := func(m *ebpf.MapSpec) *ebpf.CollectionSpec {
		return &ebpf.CollectionSpec{ByteOrder: binary.LittleEndian, Maps: map[string]*ebpf.MapSpec{"m": m},
			Programs: map[string]*ebpf.ProgramSpec{"prog": xdpReturn(2)}}
	}
	with := func(m *ebpf.MapSpec, kv ...ebpf.MapKV) *ebpf.CollectionSpec {
		m.Contents = kv
		return one(m)
	}
	prog := func(insns ...asm.Instruction) *ebpf.CollectionSpec {
		s := one(table(ebpf.Array, 4, 8, 1))
		s.Programs["prog"].Instructions = insns
		return s
	}
	self := table(ebpf.ArrayOfMaps, 4, 4, 1)
	self.InnerMap = self
	a, b := table(ebpf.ArrayOfMaps, 4, 4, 1), table(ebpf.ArrayOfMaps, 4, 4, 1)
	a.InnerMap, b.InnerMap = b, a
	pinned := one(table(ebpf.Array, 4, 4, 1))
	pinned.Maps["m"].Pinning = ebpf.PinByName
	pinned.Programs["prog"].Instructions = asm.Instructions{asm.BuiltinFunc(9999).Call(), asm.Return()}
	array := func() *ebpf.MapSpec { return table(ebpf.Array, 4, 4, 1) }
	const huge = 1<<32 - 1
	for _, tt := range []struct {
		name string
		spec *ebpf.CollectionSpec
		want string // part of the error, empty when it loads
	}{
		{"nothing", &ebpf.CollectionSpec{}, "neither programs nor maps"},
		{"a nil map", one(nil), "map m"},
		{"a nil program", &ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{"p": nil}}, "program p"},
		{"a nil variable", &ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{"p": xdpReturn(1)}, Variables: map[string]*ebpf.VariableSpec{"v": nil}}, "variable v"},
		{"array, all sizes as large as can be", one(table(ebpf.Array, 4, huge, huge)), "map m"},
		{"array of 2^32 entries", one(table(ebpf.Array, 4, 8, huge)), ""},
		{"per-CPU array of 2^32 entries", one(table(ebpf.PerCPUArray, 4, 32768, huge)), "map m"},
		{"hash of 2^32 entries", one(table(ebpf.Hash, 4, 8, huge)), "map m"},
		{"hash with a huge value", one(table(ebpf.Hash, 4, huge, huge)), "map m"},
		{"hash with a huge key", one(table(ebpf.Hash, huge, 4, 1)), "map m"},
		{"LRU hash of 2^32 entries", one(table(ebpf.LRUHash, huge, huge, huge)), "map m"},
		{"per-CPU hash of 2^32 entries", one(table(ebpf.PerCPUHash, 4, 32768, huge)), "map m"},
		{"ring buffer of 2^31 bytes", one(table(ebpf.RingBuf, 0, 0, 1<<31)), ""},
		{"PROG_ARRAY of 2^32 entries", one(table(ebpf.ProgramArray, 4, 4, huge)), ""},
		{"LPM trie with huge keys", one(table(ebpf.LPMTrie, huge, huge, huge)), "map m"},
		{"map type that does not exist", one(table(ebpf.MapType(9999), 4, 4, 1)), "map m"},
		{"map of itself", one(self), "map m"},
		{"maps of each other", one(a), "map m"},
		{"contents: nil key", with(array(), ebpf.MapKV{Key: nil, Value: uint32(1)}), "map m"},
		{"contents: nil value", with(array(), ebpf.MapKV{Key: uint32(0), Value: nil}), "map m"},
		{"contents: nil pointer", with(array(), ebpf.MapKV{Key: uint32(0), Value: (*uint32)(nil)}), "map m"},
		{"contents: a function", with(array(), ebpf.MapKV{Key: uint32(0), Value: func() {}}), "map m"},
		{"contents: a channel as key", with(array(), ebpf.MapKV{Key: make(chan int), Value: uint32(1)}), "map m"},
		{"contents: key past the end", with(array(), ebpf.MapKV{Key: uint32(1), Value: uint32(1)}), "map m"},
		{"slot: a number", with(table(ebpf.ProgramArray, 4, 4, 1), ebpf.MapKV{Key: uint32(0), Value: 7}), "program 7"},
		{"slot: nobody", with(table(ebpf.ProgramArray, 4, 4, 1), ebpf.MapKV{Key: uint32(0), Value: "x"}), "program x"},
		{"inner map: nobody", with(&ebpf.MapSpec{Type: ebpf.ArrayOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 1, InnerMap: array()},
			ebpf.MapKV{Key: uint32(0), Value: "x"}), "map x"},
		{"pinned, then a failure", pinned, "9999"},
		{"no instructions", prog(), "no instructions"},
		{"negative helper", prog(asm.BuiltinFunc(0x0fffffff).Call(), asm.Return()), "helper"},
		{"helper -1", prog(asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Call), Constant: -1}, asm.Return()), "helper"},
		{"an opcode that does not exist", prog(asm.Instruction{OpCode: 0xff}, asm.Return()), ""},
		{"call out of range", prog(asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Call), Src: asm.PseudoCall, Constant: 1 << 30}, asm.Return()), ""},
		{"function out of range", prog(asm.Instruction{OpCode: asm.LoadImmOp(asm.DWord), Dst: asm.R1, Src: asm.PseudoFunc, Constant: 1 << 30}, asm.Return()), ""},
		{"function before the start", prog(asm.Instruction{OpCode: asm.LoadImmOp(asm.DWord), Dst: asm.R1, Src: asm.PseudoFunc, Constant: -1 << 30}, asm.Return()), ""},
		{"jump to nowhere", prog(asm.Ja.Label("x"), asm.Return()), "\"x\""},
		{"function that is not there", prog(asm.Call.Label("f"), asm.Return()), "\"f\""},
		{"map that is not there", prog(asm.LoadMapPtr(asm.R1, 0).WithReference("x"), asm.Return()), "map x"},
		{"map value past the end", prog(asm.LoadMapValue(asm.R1, 0, 8).WithReference("m"), asm.Return()), "offset 8"},
		{"map value far past the end", prog(asm.LoadMapValue(asm.R1, 0, huge).WithReference("m"), asm.Return()), "offset 4294967295"},
		{"BTF object that nobody resolved", prog(asm.Instruction{OpCode: asm.LoadImmOp(asm.DWord), Dst: asm.R1, Src: isa.PseudoBTFID, Constant: 1}, asm.Return()), "pseudo source 3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := testHost(t)
			before := usage(h)
			c, err := h.Engine(Options{Verify: VerifySkip}).Load(tt.spec, &engine.Options{CPUs: 2})
			switch {
			case err == nil && tt.want != "":
				t.Errorf("it loads; want an error with %q", tt.want)
			case err != nil && (tt.want == "" || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("error %q, want one with %q", err, tt.want)
			}
			if err == nil {
				_ = c.Program("prog").Run(context.Background(), &engine.Input{Data: bytes.Repeat([]byte{1}, 64)}, &engine.Result{})
				_ = c.Close()
			}
			if after := usage(h); after != before {
				t.Errorf("left: %s, were %s", after, before)
			}
		})
	}
}
