//go:build linux

package helper

import (
	"errors"
	"os"
	"reflect"
	"runtime"
	"testing"

	"github.com/carom-bpf/carom/internal/isa/asm"
	"github.com/carom-bpf/carom/internal/maps"
	"github.com/cilium/ebpf"
	ebpfasm "github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// needKernel skips a test where bpf(2) does not work.
func needKernel(t *testing.T) {
	t.Helper()
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		t.Skipf("bpf(2) does not work here: %v", err)
	}
	m.Close()
}

// flagSleepable is BPF_F_SLEEPABLE, which programs of type syscall need.
const flagSleepable = 1 << 4

func (s *scenario) kernelMap(t *testing.T, spec maps.Spec) *ebpf.Map {
	t.Helper()
	m, err := ebpf.NewMap(&ebpf.MapSpec{Name: spec.Name, Type: spec.Type, KeySize: spec.KeySize, ValueSize: spec.ValueSize, MaxEntries: spec.MaxEntries, Flags: spec.Flags})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	if v := s.initial(spec.Name); v != nil {
		if err := m.Put(uint32(0), v); err != nil {
			t.Fatal(err)
		}
	}
	if spec.Name == "ro" {
		if err := m.Freeze(); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// linux executes the scenario in the kernel and returns "out". Each made map is shown to watch.
func (s *scenario) linux(t *testing.T, kernel *btf.Spec, watch func(name string, m *ebpf.Map)) []byte {
	t.Helper()
	user := uint64(0)
	if s.user != nil {
		var pin runtime.Pinner
		pin.Pin(&s.user[0])
		defer pin.Unpin()
		user = uint64(reflect.ValueOf(s.user).Pointer())
	}
	insns, err := asm.Parse(s.at(user))
	if err != nil {
		t.Fatal(err)
	}
	if insns, err = asm.ResolveKfuncs(insns, kernel); err != nil {
		t.Skip(err)
	}
	var out *ebpf.Map
	for _, spec := range s.specs() {
		m := s.kernelMap(t, spec)
		if spec.Name == "out" {
			out = m
		}
		watch(spec.Name, m)
		if err := insns.AssociateMap(spec.Name, m); err != nil && !errors.Is(err, ebpfasm.ErrUnreferencedSymbol) {
			t.Fatal(err)
		}
	}
	spec := &ebpf.ProgramSpec{Type: s.progType(), License: "GPL", Instructions: insns}
	opts := &ebpf.RunOptions{Data: s.data}
	switch spec.Type {
	case ebpf.Syscall:
		spec.Flags = flagSleepable
	case ebpf.RawTracepoint:
		opts.Data = nil
	}
	p, err := ebpf.NewProgram(spec)
	if err != nil {
		t.Fatalf("%+v", err)
	}
	defer p.Close()
	if _, err := p.Run(opts); err != nil {
		t.Fatal(err)
	}
	value := make([]byte, outSize)
	if err := out.Lookup(uint32(0), value); err != nil {
		t.Fatal(err)
	}
	return value
}

func TestScenariosAgreeWithLinux(t *testing.T) {
	needKernel(t)
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		t.Skipf("no kernel BTF: %v", err)
	}
	// A task's name is that of its thread.
	runtime.LockOSThread()
	comm, err := os.ReadFile("/proc/thread-self/comm")
	if err != nil {
		t.Skip(err)
	}
	rename := func(name string) {
		if err := os.WriteFile("/proc/thread-self/comm", []byte(name), 0); err != nil {
			t.Skip(err)
		}
	}
	for _, s := range allScenarios() {
		if s.local != "" {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			rename(testComm)
			defer rename(string(comm))
			s.check(t, "Linux", s.linux(t, kernel, func(string, *ebpf.Map) {}))
		})
	}
}
