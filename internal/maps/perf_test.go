package maps

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/carom-bpf/carom/internal/engine"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/cilium/ebpf"
)

var (
	_ engine.PerfReader    = (*PerfBuffer)(nil)
	_ engine.RingbufReader = (*RingbufReader)(nil)
)

const currentCPU = PerfIndexMask

func perfArray(tb testing.TB, cpus int, entries uint32) *PerfArray {
	return refMake[*PerfArray](tb, refHost(tb, cpus), Spec{Type: ebpf.PerfEventArray, KeySize: 4, ValueSize: 4, MaxEntries: entries}, 1)
}

func openPerf(tb testing.TB, p *PerfArray, size int, opts PerfOptions) *PerfBuffer {
	tb.Helper()
	b, err := p.OpenPerf(size, opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { b.Close() })
	b.SetDeadline(time.Unix(1, 0))
	return b
}

func TestPerfErrors(t *testing.T) {
	p := perfArray(t, 2, 3)
	data := make([]byte, 5)
	refCheck(t, "no reader", p.Output(0, currentCPU, data), linux.ENOENT)
	refCheck(t, "index", p.Output(0, 3, data), linux.E2BIG)
	refCheck(t, "flags", p.Output(0, 1<<60|currentCPU, data), linux.EINVAL)
	b := openPerf(t, p, 4096, PerfOptions{})
	refCheck(t, "this CPU", p.Output(1, 1, data), linux.OK)
	refCheck(t, "other CPU", p.Output(0, 1, data), linux.EOPNOTSUPP)
	refCheck(t, "no such CPU", p.Output(0, 2, data), linux.ENOENT)
	if err := b.Pause(); err != nil {
		t.Fatal(err)
	}
	refCheck(t, "paused", p.Output(0, currentCPU, data), linux.ENOENT)
	if err := b.Resume(); err != nil {
		t.Fatal(err)
	}
	refCheck(t, "resumed", p.Output(0, currentCPU, data), linux.OK)
	value := make([]byte, 4)
	refCheck(t, "lookup", p.SysLookup(refKey(9), value, 0), linux.ENOTSUPP)
	refCheck(t, "delete index", p.SysDelete(refKey(9)), linux.E2BIG)
	refCheck(t, "delete", p.SysDelete(refKey(1)), linux.OK)
	refCheck(t, "delete again", p.SysDelete(refKey(1)), linux.ENOENT)
	refCheck(t, "update", p.SysUpdate(refKey(0), value, 0), linux.EBADF)
	refCheck(t, "update NOEXIST", p.SysUpdate(refKey(9), value, 1), linux.EINVAL)
	refCheck(t, "update index", p.SysUpdate(refKey(9), value, 0), linux.E2BIG)
	b.Close()
	refCheck(t, "closed", p.Output(0, currentCPU, data), linux.ENOENT)
	if _, err := b.Read(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Read after Close: %v", err)
	}
	if err := errors.Join(b.Pause(), b.Resume(), b.Flush()); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	for _, bad := range []struct {
		size int
		opts PerfOptions
	}{{0, PerfOptions{}}, {-1, PerfOptions{}}, {1 << 40, PerfOptions{}}, {4096, PerfOptions{Watermark: 4096}}, {4096, PerfOptions{Watermark: 1, WakeupEvents: 1}}} {
		if _, err := p.OpenPerf(bad.size, bad.opts); refErrno(t, err) != linux.EINVAL {
			t.Errorf("OpenPerf(%+v): %v", bad, err)
		}
	}
}

// perfSizes are sample lengths and what the reader sees of them in a buffer of 4096 bytes; 0: it
// does not fit. Measured on Linux 6.18.
func perfSizes() [][2]int {
	return [][2]int{{0, 4}, {1, 4}, {4, 4}, {5, 12}, {8, 12}, {12, 12}, {13, 20}, {20, 20}, {2000, 2004}, {4072, 4076}, {4076, 4076}, {4077, 0}, {4084, 0}}
}

func TestPerfSampleSizes(t *testing.T) {
	p := perfArray(t, 1, 1)
	b := openPerf(t, p, 1, PerfOptions{})
	if b.BufferSize() != 4096 {
		t.Errorf("BufferSize is %d, want 4096", b.BufferSize())
	}
	for _, c := range perfSizes() {
		data := bytes.Repeat([]byte{0xa5}, c[0])
		want := linux.OK
		if c[1] == 0 {
			want = linux.ENOSPC
		}
		refCheck(t, "output", p.Output(0, currentCPU, data[:c[0]/2], data[c[0]/2:]), want)
		rec, err := b.Read()
		if c[1] == 0 {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("size %d: %v, want a passed deadline", c[0], err)
			}
			continue
		}
		padded := append(append([]byte(nil), data...), make([]byte, c[1]-c[0])...)
		if err != nil || !bytes.Equal(rec.RawSample, padded) || rec.LostSamples != 0 || rec.Remaining != 0 {
			t.Errorf("size %d: %d bytes, %d lost, %d remaining, %v; want %d bytes", c[0], len(rec.RawSample), rec.LostSamples, rec.Remaining, err, c[1])
		}
		if _, err := b.Read(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("size %d: second read: %v", c[0], err)
		}
	}
	b = openPerf(t, p, 1<<18, PerfOptions{})
	refCheck(t, "largest", p.Output(0, currentCPU, make([]byte, 65516)), linux.OK)
	refCheck(t, "too large", p.Output(0, currentCPU, make([]byte, 65517)), linux.E2BIG)
	if rec, err := b.Read(); len(rec.RawSample) != 65516 {
		t.Errorf("%d bytes, %v; want 65516", len(rec.RawSample), err)
	}
}

// perfLoss fills a buffer of 4096 bytes with 500 samples, reads three records, writes five
// samples and reads the rest, as TestPerfMatchesLinux does with the kernel.
type perfLoss struct {
	size, stored, again int    // samples that fit at first, and of the five
	lostAt              int    // number of the LOST record among those read then
	lost                uint64 // what it says
	records             int    // read then
	last                uint64 // lost samples that the next sample announces
}

func perfLosses() []perfLoss {
	return []perfLoss{{8, 170, 2, 168, 330, 170, 3}, {12, 170, 2, 168, 330, 170, 3}, {100, 36, 3, 34, 464, 37, 2}}
}

func runPerfLoss(t *testing.T, size int, output func() linux.Errno, read func() (PerfRecord, error)) perfLoss {
	t.Helper()
	got := perfLoss{size: size}
	for range 500 {
		if output() == linux.OK {
			got.stored++
		}
	}
	for range 3 {
		if rec, err := read(); err != nil || rec.LostSamples != 0 {
			t.Fatalf("%+v, %v", rec, err)
		}
	}
	for range 5 {
		if output() == linux.OK {
			got.again++
		}
	}
	for {
		rec, err := read()
		if err != nil {
			break
		}
		got.records++
		if rec.LostSamples != 0 {
			got.lostAt, got.lost = got.records, rec.LostSamples
			if len(rec.RawSample) != 0 {
				t.Error("a LOST record has a sample")
			}
		}
	}
	output()
	rec, _ := read()
	got.last = rec.LostSamples
	return got
}

func TestPerfLoss(t *testing.T) {
	for _, want := range perfLosses() {
		p := perfArray(t, 1, 1)
		b := openPerf(t, p, 4096, PerfOptions{})
		data := make([]byte, want.size)
		got := runPerfLoss(t, want.size, func() linux.Errno { return p.Output(0, currentCPU, data) }, b.Read)
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

func TestPerfOutputDoesNotAllocate(t *testing.T) {
	p := perfArray(t, 1, 1)
	b := openPerf(t, p, 1<<16, PerfOptions{})
	data := make([]byte, 64)
	var rec PerfRecord
	rec.RawSample = make([]byte, 0, 128)
	if n := testing.AllocsPerRun(100, func() {
		p.Output(0, currentCPU, data[:8], data)
	}); n != 0 {
		t.Errorf("Output allocates %v times", n)
	}
	if n := testing.AllocsPerRun(50, func() { _ = b.ReadInto(&rec) }); n != 0 {
		t.Errorf("ReadInto allocates %v times", n)
	}
}

func TestPerfBlockingRead(t *testing.T) {
	p := perfArray(t, 2, 2)
	b := openPerf(t, p, 4096, PerfOptions{})
	b.SetDeadline(time.Time{})
	got := make(chan PerfRecord)
	failed := make(chan error)
	go func() {
		for {
			rec, err := b.Read()
			if err != nil {
				failed <- err
				if errors.Is(err, os.ErrClosed) {
					return
				}
				continue
			}
			got <- rec
		}
	}()
	p.Output(1, currentCPU, []byte("four"))
	if rec := <-got; rec.CPU != 1 || string(rec.RawSample) != "four" {
		t.Errorf("got %+v", rec)
	}
	b.SetDeadline(time.Unix(1, 0)) // ends a read that waits
	if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("deadline: %v", err)
	}
	// The reader may have met its deadline again before it is removed.
	b.SetDeadline(time.Time{})
	next := func() error {
		for err := range failed {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				return err
			}
		}
		return nil
	}
	go b.Flush()
	if err := next(); !errors.Is(err, ErrFlushed) {
		t.Errorf("Flush: %v", err)
	}
	b.Close()
	if err := next(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Close: %v", err)
	}
}

// TestPerfFlush: what is below the watermark is returned first.
func TestPerfFlush(t *testing.T) {
	for _, opts := range []PerfOptions{{Watermark: 4000}, {WakeupEvents: 50}} {
		p := perfArray(t, 1, 1)
		b := openPerf(t, p, 8192, opts)
		b.SetDeadline(time.Time{})
		p.Output(0, currentCPU, []byte("a123"))
		p.Output(0, currentCPU, []byte("b123"))
		if len(b.poll.wake) != 0 {
			t.Error("woken below the watermark")
		}
		if err := b.Flush(); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"a123", "b123"} {
			if rec, err := b.Read(); err != nil || string(rec.RawSample) != want {
				t.Errorf("got %q, %v; want %q", rec.RawSample, err, want)
			}
		}
		if _, err := b.Read(); err != ErrFlushed {
			t.Errorf("got %v, want ErrFlushed", err)
		}
		for range 300 {
			p.Output(0, currentCPU, []byte("c123"))
		}
		if len(b.poll.wake) == 0 {
			t.Error("not woken above the watermark")
		}
	}
}

func TestPerfConcurrent(t *testing.T) {
	const cpus, samples = 4, 20000
	p := perfArray(t, cpus, cpus)
	b := openPerf(t, p, 4096, PerfOptions{})
	b.SetDeadline(time.Time{})
	for cpu := range cpus {
		go func() {
			for i := range uint32(samples) {
				p.Output(cpu, currentCPU, refKey(i))
			}
			for p.Output(cpu, currentCPU, refKey(samples)) != linux.OK {
				time.Sleep(time.Microsecond)
			}
		}()
	}
	var rec PerfRecord
	var next, extra [cpus]uint32
	for done := 0; done < cpus; {
		if err := b.ReadInto(&rec); err != nil {
			t.Fatal(err)
		}
		if rec.LostSamples != 0 {
			extra[rec.CPU] += uint32(rec.LostSamples)
			next[rec.CPU] += uint32(rec.LostSamples)
			continue
		}
		got := uint32(rec.RawSample[0]) | uint32(rec.RawSample[1])<<8 | uint32(rec.RawSample[2])<<16
		switch {
		case got == samples:
			done++ // attempts to write the last one may be among the lost
			if next[rec.CPU] < samples {
				t.Errorf("CPU %d: the last sample came after %d", rec.CPU, next[rec.CPU])
			}
		case got != next[rec.CPU]:
			t.Fatalf("CPU %d: sample %d after %d were written or lost", rec.CPU, got, next[rec.CPU])
		default:
			next[rec.CPU]++
		}
	}
}
