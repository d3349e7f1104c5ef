//go:build linux

package maps

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// bpf2 skips a test where bpf(2) does not work.
func bpf2(tb testing.TB) {
	tb.Helper()
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Hash, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		tb.Skipf("bpf(2) does not work here: %v", err)
	}
	m.Close()
}

// errnoOf finds the errno behind an error of cilium/ebpf.
func errnoOf(err error) linux.Errno {
	if err == nil {
		return linux.OK
	}
	for e := range linux.Errno(600) {
		if e != 0 && errors.Is(err, syscall.Errno(e)) {
			return e
		}
	}
	return 0xffff
}

func kernelSpec(s Spec) *ebpf.MapSpec {
	return &ebpf.MapSpec{Type: s.Type, KeySize: s.KeySize, ValueSize: s.ValueSize, MaxEntries: s.MaxEntries, Flags: s.Flags}
}

func kernelMap(tb testing.TB, s Spec) *ebpf.Map {
	tb.Helper()
	m, err := ebpf.NewMap(kernelSpec(s))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { m.Close() })
	return m
}

func TestHashCreateMatchesLinux(t *testing.T) {
	bpf2(t)
	for _, c := range createCases() {
		if c.memory {
			continue
		}
		m, err := ebpf.NewMap(kernelSpec(c.Spec))
		if err == nil {
			info, _ := m.Info()
			if want := c.entries(ebpf.MustPossibleCPU()); info.MaxEntries != want {
				t.Errorf("%s: max_entries %d, table says %d", c.name, info.MaxEntries, want)
			}
			m.Close()
		}
		if got := errnoOf(err); got != c.errno {
			t.Errorf("%s: Linux gives %v (%v), table says %v", c.name, got, err, c.errno)
		}
	}
}

// both runs the same operation on a map of carom and on one of Linux and compares.
type both struct {
	*testing.T
	m    Map
	k    *ebpf.Map
	cpus int
}

func newBoth(t *testing.T, s Spec) *both {
	bpf2(t)
	cpus := ebpf.MustPossibleCPU()
	return &both{t, hashMap(t, hashHost(t, cpus), s), kernelMap(t, s), cpus}
}

func (b *both) perCPU() bool {
	return b.m.Info().Type == ebpf.PerCPUHash || b.m.Info().Type == ebpf.LRUCPUHash
}

// value makes a value of 8 bytes for each copy.
func (b *both) value(v uint64) (sys []byte, kernel any) {
	if !b.perCPU() {
		return u64(v), v
	}
	var all []uint64
	for c := range b.cpus {
		sys = append(sys, u64(v+uint64(c))...)
		all = append(all, v+uint64(c))
	}
	return sys, all
}

func (b *both) same(what string, got, want linux.Errno) linux.Errno {
	b.Helper()
	if got != want {
		b.Errorf("%s: %v, Linux gives %v", what, got, want)
	}
	return want
}

func (b *both) update(key []byte, v, flags uint64) linux.Errno {
	b.Helper()
	sys, kernel := b.value(v)
	return b.same(fmt.Sprintf("update %x flags %d", key, flags),
		b.m.SysUpdate(key, sys, flags), errnoOf(b.k.Update(key, kernel, ebpf.MapUpdateFlags(flags))))
}

func (b *both) delete(key []byte) linux.Errno {
	b.Helper()
	return b.same(fmt.Sprintf("delete %x", key), b.m.SysDelete(key), errnoOf(b.k.Delete(key)))
}

func (b *both) lookup(key []byte, flags uint64) linux.Errno {
	b.Helper()
	got := make([]byte, b.m.Info().SysValueSize())
	errno := b.m.SysLookup(key, got, flags)
	var want []byte
	var err error
	if b.perCPU() {
		var all []uint64
		err = b.k.LookupWithFlags(key, &all, ebpf.MapLookupFlags(flags))
		for _, v := range all {
			want = append(want, u64(v)...)
		}
	} else {
		var v uint64
		err = b.k.LookupWithFlags(key, &v, ebpf.MapLookupFlags(flags))
		want = u64(v)
	}
	if e := b.same(fmt.Sprintf("lookup %x flags %d", key, flags), errno, errnoOf(err)); e != linux.OK {
		return e
	}
	if !slices.Equal(got, want) {
		b.Errorf("lookup %x: %x, Linux gives %x", key, got, want)
	}
	return linux.OK
}

func (b *both) keys() (carom, kernel []string) {
	n := b.m.Info().KeySize
	next := make([]byte, n)
	for errno := b.m.NextKey(nil, next); errno == linux.OK; errno = b.m.NextKey(slices.Clone(next), next) {
		carom = append(carom, fmt.Sprintf("%x", next))
	}
	var key any
	for {
		var next []byte
		if errnoOf(b.k.NextKey(key, &next)) != linux.OK {
			break
		}
		kernel = append(kernel, fmt.Sprintf("%x", next))
		key = next
	}
	return carom, kernel
}

func (b *both) sameKeys() {
	b.Helper()
	got, want := b.keys()
	if b.m.Info().Type != ebpf.LPMTrie { // only tries have an order that can be known
		slices.Sort(got)
		slices.Sort(want)
	}
	if !slices.Equal(got, want) {
		b.Errorf("keys %v, Linux has %v", got, want)
	}
}

// TestHashOpsMatchLinux runs the same random operations on both.
func TestHashOpsMatchLinux(t *testing.T) {
	for _, s := range []Spec{
		hashSpec(ebpf.Hash, 4, 8, 8), hashSpec(ebpf.Hash, 8, 8, 8), hashSpec(ebpf.Hash, 16, 8, 8),
		hashSpec(ebpf.Hash, 7, 8, 8), hashSpec(ebpf.Hash, 1, 8, 3),
		{Type: ebpf.Hash, KeySize: 4, ValueSize: 8, MaxEntries: 5, Flags: linux.MapNoPrealloc},
		hashSpec(ebpf.PerCPUHash, 4, 8, 8), hashSpec(ebpf.PerCPUHash, 24, 8, 8),
		// Large enough that Linux does not evict.
		hashSpec(ebpf.LRUHash, 4, 8, 2000), hashSpec(ebpf.LRUCPUHash, 4, 8, 2000),
	} {
		t.Run(fmt.Sprintf("%s/key%d", s.Type, s.KeySize), func(t *testing.T) {
			b := newBoth(t, s)
			rnd := rand.New(rand.NewPCG(1, 2))
			for i := range 600 {
				key := make([]byte, s.KeySize)
				key[rnd.IntN(len(key))] = byte(rnd.IntN(6))
				switch rnd.IntN(8) {
				case 0, 1, 2:
					b.update(key, rnd.Uint64()>>1, 0)
				case 3:
					b.update(key, rnd.Uint64()>>1, uint64(rnd.IntN(7)))
				case 4, 5:
					b.delete(key)
				default:
					b.lookup(key, uint64(rnd.IntN(10)/9*(1+rnd.IntN(4))))
				}
				if i%20 == 0 {
					b.sameKeys()
				}
			}
		})
	}
}

// TestHashFullMatchesLinux: what each type says when there is no room.
func TestHashFullMatchesLinux(t *testing.T) {
	for _, c := range []struct {
		Spec
		full linux.Errno
	}{
		{hashSpec(ebpf.Hash, 4, 8, 2), linux.E2BIG},
		{Spec{Type: ebpf.Hash, KeySize: 4, ValueSize: 8, MaxEntries: 2, Flags: 1}, linux.E2BIG},
		{hashSpec(ebpf.PerCPUHash, 4, 8, 2), linux.E2BIG},
	} {
		b := newBoth(t, c.Spec)
		b.update(u32(1), 1, 0)
		b.update(u32(2), 2, 0)
		if e := b.update(u32(3), 3, 0); e != c.full {
			t.Errorf("%s: %v when full", c.Type, e)
		}
		b.update(u32(3), 3, linux.UpdateExist)
		b.update(u32(1), 3, linux.UpdateNoExist)
		b.update(u32(1), 4, 0)
		b.lookup(u32(1), 0)
		b.delete(u32(2))
		b.update(u32(3), 3, 0)
		b.sameKeys()
	}
}

func TestLPMMatchesLinux(t *testing.T) {
	for _, s := range []Spec{hashSpec(ebpf.LPMTrie, 8, 8, 24), hashSpec(ebpf.LPMTrie, 5, 8, 300),
		hashSpec(ebpf.LPMTrie, 20, 8, 40), hashSpec(ebpf.LPMTrie, 17, 8, 40), hashSpec(ebpf.LPMTrie, 12, 8, 3)} {
		t.Run(fmt.Sprintf("key%d", s.KeySize), func(t *testing.T) {
			b := newBoth(t, s)
			rnd := rand.New(rand.NewPCG(3, 4))
			bits := int(s.KeySize-4) * 8
			for i := range 1500 {
				key := make([]byte, s.KeySize)
				copy(key, u32(uint32(rnd.IntN(bits+2)))) // sometimes one bit too long
				for j := range key[4:] {
					key[4+j] = byte(rnd.IntN(2) * rnd.IntN(2) * 0x81)
				}
				switch rnd.IntN(8) {
				case 0, 1, 2:
					b.update(key, rnd.Uint64()>>1, 0)
				case 3:
					b.update(key, rnd.Uint64()>>1, uint64(rnd.IntN(7)))
				case 4, 5:
					b.delete(key)
				default:
					b.lookup(key, 0)
				}
				next := make([]byte, s.KeySize)
				var want []byte
				if b.same("next key", b.m.NextKey(key, next), errnoOf(b.k.NextKey(key, &want))) == linux.OK &&
					!slices.Equal(next, want) {
					t.Fatalf("key after %x: %x, Linux says %x", key, next, want)
				}
				if i%50 == 0 {
					b.sameKeys()
				}
			}
		})
	}
}

// TestHashProgramOnLinux holds what a program sees, on Linux, as the values that
// TestHashOldPointer and TestPerCPUHashProgram assert for carom.
func TestHashProgramOnLinux(t *testing.T) {
	bpf2(t)
	for _, c := range []struct {
		typ  ebpf.MapType
		want uint32
	}{{ebpf.Hash, 11}, {ebpf.LRUHash, 11}, {ebpf.PerCPUHash, 22}, {ebpf.LPMTrie, 11}} {
		m := kernelMap(t, hashSpec(c.typ, 8, 8, 16))
		prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SocketFilter, License: "GPL", Instructions: updateThenRead(m.FD())})
		if err != nil {
			t.Fatal(err)
		}
		defer prog.Close()
		if got, err := prog.Run(&ebpf.RunOptions{Data: make([]byte, 64)}); err != nil || got != c.want {
			t.Errorf("%s: %d, %v; want %d", c.typ, got, err, c.want)
		}
		if c.typ == ebpf.PerCPUHash {
			var all []uint64
			if err := m.Lookup(u64(0), &all); err != nil {
				t.Fatal(err)
			}
			slices.Sort(all)
			if all[len(all)-1] != 22 || all[0] != 0 && len(all) > 1 {
				t.Errorf("per-CPU values after a program's update: %v", all)
			}
		}
	}
}

// updateThenRead stores 11, looks it up, stores 22, and returns what the old pointer reads.
func updateThenRead(fd int) asm.Instructions {
	update := func(v int32) asm.Instructions {
		return asm.Instructions{
			asm.Mov.Imm(asm.R1, v), asm.StoreMem(asm.RFP, -16, asm.R1, asm.DWord),
			asm.LoadMapPtr(asm.R1, fd),
			asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -8),
			asm.Mov.Reg(asm.R3, asm.RFP), asm.Add.Imm(asm.R3, -16),
			asm.Mov.Imm(asm.R4, 0),
			asm.FnMapUpdateElem.Call(),
		}
	}
	insns := asm.Instructions{asm.Mov.Imm(asm.R1, 0), asm.StoreMem(asm.RFP, -8, asm.R1, asm.DWord)}
	insns = append(insns, update(11)...)
	insns = append(insns,
		asm.LoadMapPtr(asm.R1, fd), asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -8),
		asm.FnMapLookupElem.Call(), asm.JEq.Imm(asm.R0, 0, "out"), asm.Mov.Reg(asm.R6, asm.R0))
	insns = append(insns, update(22)...)
	return append(insns, asm.LoadMem(asm.R0, asm.R6, 0, asm.DWord), asm.Return().WithSymbol("out"))
}
