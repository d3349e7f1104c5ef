//go:build linux

package maps

import (
	"errors"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/perf"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"
)

// liveMap makes a map in the kernel and skips the test where bpf(2) does not work.
func liveMap(tb testing.TB, s ebpf.MapSpec) *ebpf.Map {
	tb.Helper()
	m, err := ebpf.NewMap(&s)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSYS) || errors.Is(err, ebpf.ErrNotSupported) {
		tb.Skipf("bpf(2) does not work here: %v", err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { m.Close() })
	return m
}

func liveErrno(err error) linux.Errno {
	var e syscall.Errno
	if errors.As(err, &e) {
		return linux.Errno(e)
	}
	if err != nil {
		return 0xffff // not an errno: never what a test wants
	}
	return linux.OK
}

// liveRun loads an XDP program and returns a function that runs it and gives -R0 as an errno.
func liveRun(tb testing.TB, body asm.Instructions) func() linux.Errno {
	tb.Helper()
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "GPL", Instructions: append(body, asm.Return())})
	if err != nil {
		tb.Skipf("cannot load a program: %v", err)
	}
	tb.Cleanup(func() { p.Close() })
	opts := &ebpf.RunOptions{Data: make([]byte, 64)}
	return func() linux.Errno {
		r, err := p.Run(opts)
		if err != nil {
			tb.Fatal(err)
		}
		return linux.Errno(-int32(r))
	}
}

// onCPU0 keeps the test on one CPU, as a perf buffer belongs to one.
func onCPU0(tb testing.TB) {
	runtime.LockOSThread()
	var old, one unix.CPUSet
	one.Set(0)
	if err := errors.Join(unix.SchedGetaffinity(0, &old), unix.SchedSetaffinity(0, &one)); err != nil {
		tb.Skipf("cannot choose a CPU: %v", err)
	}
	tb.Cleanup(func() {
		_ = unix.SchedSetaffinity(0, &old)
		runtime.UnlockOSThread()
	})
}

func TestPerfMatchesLinux(t *testing.T) {
	data := liveMap(t, ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 1 << 13, MaxEntries: 1})
	onCPU0(t)
	open := func() (*ebpf.Map, *perf.Reader) {
		m := liveMap(t, ebpf.MapSpec{Type: ebpf.PerfEventArray, KeySize: 4, ValueSize: 4, MaxEntries: 1})
		rd, err := perf.NewReader(m, 1)
		if err != nil {
			t.Skipf("no perf events: %v", err)
		}
		t.Cleanup(func() { rd.Close() })
		rd.SetDeadline(time.Unix(1, 0))
		return m, rd
	}
	output := func(m *ebpf.Map, size int, flags int64) func() linux.Errno {
		return liveRun(t, asm.Instructions{
			asm.Mov.Reg(asm.R6, asm.R1),
			asm.LoadMapValue(asm.R4, data.FD(), 0),
			asm.Mov.Reg(asm.R1, asm.R6),
			asm.LoadMapPtr(asm.R2, m.FD()),
			asm.LoadImm(asm.R3, flags, asm.DWord),
			asm.Mov.Imm(asm.R5, int32(size)),
			asm.FnPerfEventOutput.Call(),
		})
	}
	m, rd := open()
	for _, c := range perfSizes() {
		errno := output(m, c[0], currentCPU)()
		rec, err := rd.Read()
		if c[1] == 0 {
			refCheck(t, "kernel", errno, linux.ENOSPC)
			continue
		}
		if err != nil || len(rec.RawSample) != c[1] {
			t.Errorf("kernel: size %d: %d bytes, %v; want %d", c[0], len(rec.RawSample), err, c[1])
		}
		_, _ = rd.Read()
	}
	refCheck(t, "kernel: index", output(m, 5, 1)(), linux.E2BIG)
	refCheck(t, "kernel: flags", output(m, 5, 1<<60|currentCPU)(), linux.EINVAL)
	if err := rd.Pause(); err != nil {
		t.Fatal(err)
	}
	refCheck(t, "kernel: paused", output(m, 5, currentCPU)(), linux.ENOENT)
	for _, want := range perfLosses() {
		m, rd := open()
		got := runPerfLoss(t, want.size, output(m, want.size, currentCPU), func() (PerfRecord, error) {
			rec, err := rd.Read()
			return PerfRecord{CPU: rec.CPU, RawSample: rec.RawSample, LostSamples: rec.LostSamples, Remaining: rec.Remaining}, err
		})
		if got != want {
			t.Errorf("kernel: got %+v, want %+v", got, want)
		}
	}
}

func TestRingbufMatchesLinux(t *testing.T) {
	data := liveMap(t, ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 1 << 13, MaxEntries: 1})
	for _, c := range ringFills() {
		m := liveMap(t, ebpf.MapSpec{Type: ebpf.RingBuf, MaxEntries: 4096})
		rd, err := ringbuf.NewReader(m)
		if err != nil {
			t.Skipf("no ring buffers: %v", err)
		}
		output := liveRun(t, asm.Instructions{
			asm.LoadMapValue(asm.R2, data.FD(), 0),
			asm.LoadMapPtr(asm.R1, m.FD()),
			asm.Mov.Imm(asm.R3, int32(c.size)),
			asm.Mov.Imm(asm.R4, 0),
			asm.FnRingbufOutput.Call(),
		})
		fit, errno := 0, output()
		for ; errno == linux.OK; errno = output() {
			fit++
		}
		if fit != c.fit || rd.AvailableBytes() != c.avail || errno != linux.EAGAIN {
			t.Errorf("kernel: size %d: %d records, %d bytes, %v; want %d, %d, EAGAIN", c.size, fit, rd.AvailableBytes(), errno, c.fit, c.avail)
		}
		rd.Close()
	}
}

// TestCreateFlagsMatchLinux makes the maps of TestCreateFlags in the kernel.
func TestCreateFlagsMatchLinux(t *testing.T) {
	liveMap(t, ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	inner := Spec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1}
	kernelInner := &ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1}
	h := refHost(t, 2)
	for _, typ := range []ebpf.MapType{ebpf.ProgramArray, ebpf.ArrayOfMaps, ebpf.HashOfMaps, ebpf.PerfEventArray, ebpf.RingBuf} {
		for bit := range 13 {
			if 1<<bit == linux.MapNUMANode {
				continue // cilium/ebpf sets the node along with it
			}
			ours := Spec{Type: typ, KeySize: 4, ValueSize: 4, MaxEntries: 2, Flags: 1 << bit}
			if typ == ebpf.RingBuf {
				ours.KeySize, ours.ValueSize, ours.MaxEntries = 0, 0, 4096
			}
			theirs := &ebpf.MapSpec{Type: typ, KeySize: ours.KeySize, ValueSize: ours.ValueSize, MaxEntries: ours.MaxEntries, Flags: ours.Flags}
			if typ == ebpf.ArrayOfMaps || typ == ebpf.HashOfMaps {
				ours.Inner, theirs.InnerMap = &inner, kernelInner
			}
			m, err := New(h, &ours, 1)
			if err == nil {
				m.Close()
			}
			k, kerr := ebpf.NewMap(theirs)
			if kerr == nil {
				k.Close()
			}
			refCheck(t, typ.String()+" flag "+hex(ours.Flags), refErrno(t, err), liveErrno(kerr))
		}
	}
}
