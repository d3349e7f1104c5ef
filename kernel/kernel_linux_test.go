package kernel_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/internal/isa/asm"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/kernel"
	"github.com/carom-bpf/carom/trace"
)

func needKernel(t *testing.T) {
	t.Helper()
	if err := kernel.Available(); err != nil {
		t.Skip(err)
	}
}

func program(t *testing.T, kind ebpf.ProgramType, text string) *ebpf.ProgramSpec {
	t.Helper()
	insns, err := asm.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return &ebpf.ProgramSpec{Type: kind, License: "GPL", Instructions: insns}
}

func load(t *testing.T, spec *ebpf.CollectionSpec, opts carom.Options) *carom.Collection {
	t.Helper()
	needKernel(t)
	opts.Engine = kernel.Engine(kernel.Options{})
	coll, err := carom.NewCollection(spec, &opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := coll.Close(); err != nil {
			t.Error(err)
		}
	})
	return coll
}

// passing is a program for each type that returns 7 and has no maps.
func passing(t *testing.T, kinds ...ebpf.ProgramType) *ebpf.CollectionSpec {
	spec := &ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{}}
	for _, k := range kinds {
		spec.Programs[k.String()] = program(t, k, "r0 = 7\nexit")
	}
	return spec
}

func TestRunGivesPacketAndContext(t *testing.T) {
	spec := passing(t)
	spec.Programs["mark"] = program(t, ebpf.SchedCLS, `
		r0 = *(u32 *)(r1 +8)
		r2 = 0x1234
		*(u32 *)(r1 +8) = r2
		exit`)
	p := load(t, spec, carom.Options{}).Programs["mark"]
	packet := append(make([]byte, 14), bytes.Repeat([]byte{0xaa}, 50)...)
	ctx := make([]byte, linux.SKBSize)
	binary.LittleEndian.PutUint32(ctx[8:], 77)
	in := &carom.Input{Data: packet, Context: ctx, ContextOut: true}
	var res carom.Result
	for range 2 {
		if err := p.RunInput(t.Context(), in, &res); err != nil {
			t.Fatal(err)
		}
		if res.Return != 77 || !bytes.Equal(res.Data, packet) || len(res.Context) != linux.SKBSize {
			t.Fatalf("return %d, packet % x, %d bytes of context", res.Return, res.Data, len(res.Context))
		}
		if mark := binary.LittleEndian.Uint32(res.Context[8:]); mark != 0x1234 {
			t.Errorf("mark %#x after the run, want 0x1234", mark)
		}
	}
	before := &res.Data[0]
	if err := p.RunInput(t.Context(), in, &res); err != nil || &res.Data[0] != before {
		t.Errorf("the buffer of the result was not reused (%v)", err)
	}
	if res.Duration <= 0 {
		t.Errorf("duration %v, want more than 0", res.Duration)
	}
}

func TestRunErrors(t *testing.T) {
	coll := load(t, passing(t, ebpf.SchedCLS, ebpf.Kprobe), carom.Options{})
	p := coll.Programs["SchedCLS"]
	var res carom.Result
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tt := range []struct {
		name string
		ctx  context.Context
		p    *carom.Program
		in   carom.Input
		want error
	}{
		{"packet shorter than a link header", t.Context(), p, carom.Input{Data: make([]byte, 13)}, linux.EINVAL},
		{"canceled", canceled, p, carom.Input{Data: make([]byte, 64)}, context.Canceled},
		{"registers", t.Context(), p, carom.Input{Registers: []carom.Register{{Name: "ax"}}}, carom.ErrUnsupported},
		{"memory", t.Context(), p, carom.Input{Memory: []carom.Memory{{Name: "m"}}}, carom.ErrUnsupported},
		{"no test run", t.Context(), coll.Programs["Kprobe"], carom.Input{}, linux.ENOTSUPP},
	} {
		if err := tt.p.RunInput(tt.ctx, &tt.in, &res); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestCPUsArePinned(t *testing.T) {
	spec := passing(t)
	spec.Programs["cpu"] = program(t, ebpf.SchedCLS, "call bpf_get_smp_processor_id\nexit")
	coll := load(t, spec, carom.Options{})
	var before, after unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		t.Fatal(err)
	}
	for n := range coll.CPUs() {
		if !before.IsSet(n) {
			continue
		}
		cpu, err := coll.CPU(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		var res carom.Result
		if err := cpu.Run(t.Context(), coll.Programs["cpu"], &carom.Input{Data: make([]byte, 64)}, &res); err != nil {
			t.Fatal(err)
		}
		if res.Return != uint64(n) || res.CPU != n || cpu.Number() != n {
			t.Errorf("ran on CPU %d, result says %d, want %d", res.Return, res.CPU, n)
		}
		cpu.Release()
	}
	if err := unix.SchedGetaffinity(0, &after); err != nil || after != before {
		t.Errorf("the thread's CPUs are %v after the runs, were %v (%v)", after, before, err)
	}
	if _, err := coll.CPU(t.Context(), coll.CPUs()); err == nil {
		t.Error("got a CPU that does not exist")
	}
}

func TestMapErrorsAreTheSameAsInUserSpace(t *testing.T) {
	spec := passing(t, ebpf.SchedCLS)
	spec.Maps = map[string]*ebpf.MapSpec{
		"hash":  {Type: ebpf.Hash, KeySize: 4, ValueSize: 8, MaxEntries: 1},
		"table": {Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 2},
	}
	coll := load(t, spec, carom.Options{})
	hash, table, p := coll.Maps["hash"], coll.Maps["table"], coll.Programs["SchedCLS"]
	var value uint64
	var key uint32
	for _, tt := range []struct {
		name string
		err  error
		want []error
	}{
		{"lookup", hash.Lookup(uint32(1), &value), []error{linux.ENOENT, ebpf.ErrKeyNotExist}},
		{"put", hash.Put(uint32(1), uint64(5)), nil},
		{"put again", hash.Update(uint32(1), uint64(5), ebpf.UpdateNoExist), []error{linux.EEXIST, ebpf.ErrKeyExist}},
		{"put too many", hash.Put(uint32(2), uint64(5)), []error{linux.E2BIG}},
		{"next key", hash.NextKey(nil, &key), nil},
		{"next key at the end", hash.NextKey(uint32(1), &key), []error{linux.ENOENT, ebpf.ErrKeyNotExist}},
		{"lookup and delete", hash.LookupAndDelete(uint32(1), &value), nil},
		{"delete", hash.Delete(uint32(1)), []error{linux.ENOENT}},
		{"slot", table.Put(uint32(1), p), nil},
		{"slot with flags", table.Update(uint32(1), p, ebpf.UpdateNoExist), []error{linux.EINVAL}},
		{"no such slot", table.Put(uint32(2), p), []error{linux.E2BIG}},
		{"no program", table.Put(uint32(0), uint32(9999)), []error{linux.EBADF}},
		{"slot lookup and delete", table.LookupAndDelete(uint32(1), &key), []error{linux.ENOTSUPP, carom.ErrUnsupported}},
		{"freeze", table.Freeze(), nil},
		{"frozen", table.Delete(uint32(1)), []error{linux.EPERM}},
	} {
		if len(tt.want) == 0 && tt.err != nil {
			t.Errorf("%s: %v", tt.name, tt.err)
		}
		for _, w := range tt.want {
			if !errors.Is(tt.err, w) {
				t.Errorf("%s: %v, want %v", tt.name, tt.err, w)
			}
		}
	}
	if value != 5 || key != 1 {
		t.Errorf("read key %d and value %d, want 1 and 5", key, value)
	}
	var id uint32
	if err := table.Lookup(uint32(1), &id); err != nil || id != uint32(p.ID()) {
		t.Errorf("slot 1 holds program %d (%v), want %d", id, err, p.ID())
	}
}

func TestPerCPUValues(t *testing.T) {
	spec := passing(t, ebpf.SchedCLS)
	spec.Maps = map[string]*ebpf.MapSpec{"m": {Type: ebpf.PerCPUHash, KeySize: 4, ValueSize: 12, MaxEntries: 4}}
	m := load(t, spec, carom.Options{}).Maps["m"]
	want := make([][12]byte, m.Copies())
	for i := range want {
		want[i] = [12]byte{0: byte(i + 1), 11: 0xff}
	}
	if err := m.Put(uint32(1), want); err != nil {
		t.Fatal(err)
	}
	var got [][12]byte
	if err := m.Lookup(uint32(1), &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v (%v), want %v", got, err, want)
	}
	var raw []byte
	if err := m.Lookup(uint32(1), &raw); err != nil || len(raw) != 16*m.Copies() || raw[11] != 0xff {
		t.Errorf("raw value % x (%v)", raw, err)
	}
}

func TestPinAndClone(t *testing.T) {
	needKernel(t)
	dir := t.TempDir()
	if err := unix.Mount("bpffs", dir, "bpf", 0, ""); err != nil {
		t.Skipf("cannot mount a bpffs: %v", err)
	}
	defer func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	spec := passing(t, ebpf.SchedCLS)
	spec.Maps = map[string]*ebpf.MapSpec{"m": {Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1}}
	m := load(t, spec, carom.Options{}).Maps["m"]
	path := filepath.Join(dir, "m")
	if err := m.Pin(path); err != nil || !m.IsPinned() {
		t.Fatalf("pinned %v: %v", m.IsPinned(), err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	dup, err := m.Clone()
	if err != nil {
		t.Fatal(err)
	}
	if dup.ID() != m.ID() || dup.FD() == m.FD() {
		t.Errorf("clone has id %d and fd %d, the map %d and %d", dup.ID(), dup.FD(), m.ID(), m.FD())
	}
	if err := errors.Join(dup.Close(), m.Unpin()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the pin is still there: %v", err)
	}
}

func TestReaders(t *testing.T) {
	spec := passing(t)
	spec.Maps = map[string]*ebpf.MapSpec{
		"events": {Type: ebpf.PerfEventArray},
		"ring":   {Type: ebpf.RingBuf, MaxEntries: 4096},
	}
	spec.Programs["send"] = program(t, ebpf.SchedCLS, `
		r6 = r1
		*(u64 *)(r10 -8) = 0x55
		r1 = map[ring] ll
		r2 = r10
		r2 += -8
		r3 = 8
		r4 = 0
		call bpf_ringbuf_output
		r1 = r6
		r2 = map[events] ll
		r3 = 0xffffffff ll
		r4 = r10
		r4 += -8
		r5 = 8
		call bpf_perf_event_output
		exit`)
	coll := load(t, spec, carom.Options{})
	events, err := carom.NewPerfReader(coll.Maps["events"], 4096)
	if err != nil {
		t.Fatal(err)
	}
	defer events.Close()
	ring, err := carom.NewRingbufReader(coll.Maps["ring"])
	if err != nil {
		t.Fatal(err)
	}
	defer ring.Close()
	if ret, _, err := coll.Programs["send"].Test(make([]byte, 64)); err != nil || ret != 0 {
		t.Fatalf("returned %d: %v", int32(ret), err)
	}
	want := []byte{0x55, 0, 0, 0, 0, 0, 0, 0}
	events.SetDeadline(time.Now().Add(5 * time.Second))
	ring.SetDeadline(time.Now().Add(5 * time.Second))
	if r, err := events.Read(); err != nil || !bytes.HasPrefix(r.RawSample, want) || r.LostSamples != 0 {
		t.Errorf("perf record %v: %v", r, err)
	}
	if r, err := ring.Read(); err != nil || !bytes.Equal(r.RawSample, want) {
		t.Errorf("ring buffer record %v: %v", r, err)
	}
	ring.SetDeadline(time.Now().Add(-time.Second))
	if _, err := ring.Read(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read past the deadline: %v", err)
	}
}

func TestUnsupported(t *testing.T) {
	coll := load(t, passing(t, ebpf.SchedCLS), carom.Options{})
	_, edges := coll.Edges()
	for name, err := range map[string]error{
		"edges":    edges,
		"counting": coll.SetCounting(carom.CountOn),
		"sink":     coll.SetSink(trace.SinkFunc(func(*trace.Event) {})),
	} {
		if !errors.Is(err, carom.ErrUnsupported) {
			t.Errorf("%s: %v, want ErrUnsupported", name, err)
		}
	}
	_, err := carom.NewCollection(passing(t, ebpf.SchedCLS), &carom.Options{
		Engine: kernel.Engine(kernel.Options{}), Helpers: []carom.Helper{{Proto: linux.Proto{ID: 5000, Name: "my_helper"}}},
	})
	if !errors.Is(err, carom.ErrUnsupported) || !strings.Contains(err.Error(), "my_helper") {
		t.Errorf("custom helper: %v, want an error that names it", err)
	}
}

func TestRefusedProgramLeavesNothing(t *testing.T) {
	needKernel(t)
	spec := passing(t, ebpf.XDP)
	spec.Maps = map[string]*ebpf.MapSpec{"m": {Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1}}
	spec.Programs["bad"] = program(t, ebpf.SchedCLS, "r0 = r5\nexit")
	before := openBPF(t)
	for range 3 {
		_, err := carom.NewCollection(spec, &carom.Options{Engine: kernel.Engine(kernel.Options{})})
		var v *ebpf.VerifierError
		if !errors.Is(err, linux.EACCES) || !errors.As(err, &v) || !strings.Contains(err.Error(), "bad") {
			t.Fatalf("%v, want EACCES of the verifier for program bad", err)
		}
	}
	if after := openBPF(t); after != before {
		t.Errorf("%d BPF file descriptors are open, were %d", after, before)
	}
}

func TestSpecIsNotChanged(t *testing.T) {
	spec := passing(t)
	spec.Maps = map[string]*ebpf.MapSpec{"m": {Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1}}
	spec.Programs["p"] = program(t, ebpf.SchedCLS, "r1 = map[m][0]+0 ll\nr0 = 0\nexit")
	before := spec.Programs["p"].Instructions[0]
	load(t, spec, carom.Options{})
	load(t, spec, carom.Options{})
	if after := spec.Programs["p"].Instructions[0]; !reflect.DeepEqual(after, before) {
		t.Errorf("the instruction is %v after loading, was %v", after, before)
	}
}

// openBPF counts file descriptors of maps and programs.
func openBPF(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range entries {
		to, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err == nil && (strings.Contains(to, "bpf-map") || strings.Contains(to, "bpf-prog")) {
			n++
		}
	}
	return n
}
