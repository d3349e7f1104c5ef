package maps

import (
	"encoding/binary"
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/cilium/ebpf"
)

func ringMap(tb testing.TB, size uint32) *Ringbuf {
	return refMake[*Ringbuf](tb, refHost(tb, 2), Spec{Name: "events", Type: ebpf.RingBuf, MaxEntries: size}, 1)
}

func openRing(tb testing.TB, r *Ringbuf) *RingbufReader {
	tb.Helper()
	rd, err := r.OpenRingbuf()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { rd.Close() })
	rd.SetDeadline(time.Unix(1, 0))
	return rd
}

func TestRingbufCreate(t *testing.T) {
	h := refHost(t, 1)
	for _, c := range []struct {
		key, value, size uint32
		want             linux.Errno
	}{
		{0, 0, 0, linux.EINVAL}, {0, 0, 1, linux.EINVAL}, {0, 0, 2048, linux.EINVAL}, {0, 0, 4095, linux.EINVAL},
		{0, 0, 12288, linux.EINVAL}, {4, 0, 4096, linux.EINVAL}, {0, 4, 4096, linux.EINVAL},
		{0, 0, 4096, linux.OK}, {0, 0, 8192, linux.OK},
	} {
		m, err := New(h, &Spec{Type: ebpf.RingBuf, KeySize: c.key, ValueSize: c.value, MaxEntries: c.size}, 1)
		refCheck(t, "create", refErrno(t, err), c.want)
		if err == nil {
			m.Close()
		}
	}
}

// ringFill is how many records of a size fit in 4096 bytes, and the bytes in use then.
type ringFill struct{ size, fit, avail int }

// ringFills were measured on Linux 6.18.
func ringFills() []ringFill {
	return []ringFill{
		{0, 511, 4088}, {1, 255, 4080}, {8, 255, 4080}, {9, 170, 4080}, {100, 36, 4032}, {4000, 1, 4008},
		{4079, 1, 4088}, {4080, 1, 4088}, {4081, 0, 0}, {4087, 0, 0}, {4088, 0, 0}, {4096, 0, 0},
	}
}

func TestRingbufFill(t *testing.T) {
	r := ringMap(t, 4096)
	rd := openRing(t, r)
	consumed := uint64(0)
	for _, c := range ringFills() {
		data := make([]byte, c.size)
		fit := 0
		for r.Output(data, 0) == linux.OK {
			fit++
		}
		refCheck(t, "full", r.Output(data, 0), linux.EAGAIN)
		got := [6]uint64{uint64(fit), r.Query(RingbufAvailData), r.Query(RingbufRingSize), r.Query(RingbufConsPos), r.Query(RingbufProdPos), r.Query(4)}
		want := [6]uint64{uint64(c.fit), uint64(c.avail), 4096, consumed, consumed + uint64(c.avail), 0}
		if got != want || rd.AvailableBytes() != c.avail {
			t.Errorf("size %d: %v, want %v", c.size, got, want)
		}
		consumed += uint64(c.avail)
		for i := range c.fit {
			rec, err := rd.Read()
			left := c.avail - (i+1)*c.avail/c.fit
			if err != nil || len(rec.RawSample) != c.size || rec.Remaining != left {
				t.Fatalf("size %d, record %d: %d bytes, %d remaining, %v; want %d remaining", c.size, i, len(rec.RawSample), rec.Remaining, err, left)
			}
		}
		if _, err := rd.Read(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("empty: %v", err)
		}
	}
	refCheck(t, "flags", r.Output(nil, 4), linux.EINVAL)
	if r.Reserve(1<<30) != 0 || r.Reserve(1<<63) != 0 {
		t.Error("reserved more than the buffer has")
	}
}

// TestRingbufOrder: records come in the order of reservation, and a busy one holds back the rest.
func TestRingbufOrder(t *testing.T) {
	r := ringMap(t, 4096)
	rd := openRing(t, r)
	var at [4]uint64
	for i := range at {
		if at[i] = r.Reserve(8); at[i] == 0 {
			t.Fatal("full")
		}
		mem.Store64(at[i], uint64(i))
	}
	if lo, n := r.host.Space.Find(at[0]).Window(at[0], mem.PermRead); n != 0 {
		t.Errorf("the region grants %d bytes at %#x", n, lo)
	}
	refCheck(t, "submit 2", r.Submit(at[2], 0), linux.OK)
	refCheck(t, "discard 1", r.Discard(at[1], 0), linux.OK)
	if _, err := rd.Read(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read past a busy record: %v", err)
	}
	refCheck(t, "submit 0", r.Submit(at[0], RingbufNoWakeup), linux.OK)
	refCheck(t, "submit twice", r.Submit(at[0], 0), linux.EINVAL)
	refCheck(t, "submit in the middle", r.Submit(at[3]+8, 0), linux.EINVAL)
	refCheck(t, "submit elsewhere", r.Submit(64, 0), linux.EINVAL)
	for _, want := range []uint64{0, 2} {
		rec, err := rd.Read()
		if err != nil || binary.LittleEndian.Uint64(rec.RawSample) != want {
			t.Errorf("got %v, %v; want %d", rec.RawSample, err, want)
		}
	}
	if got := r.Query(RingbufAvailData); got != 16 {
		t.Errorf("%d bytes left, want those of the busy record, 16", got)
	}
	refCheck(t, "discard 3", r.Discard(at[3], 0), linux.OK)
	if _, err := rd.Read(); !errors.Is(err, os.ErrDeadlineExceeded) || r.Query(RingbufAvailData) != 0 {
		t.Errorf("after the discard: %v, %d bytes left", err, r.Query(RingbufAvailData))
	}
}

// TestRingbufPendingSpan: the span from the oldest busy record limits reservations even where the
// consumer has nothing to read.
func TestRingbufPendingSpan(t *testing.T) {
	r := ringMap(t, 4096)
	busy := r.Reserve(8)
	n := 0
	for r.Output(make([]byte, 8), 0) == linux.OK {
		n++
	}
	if n != 254 {
		t.Errorf("%d records behind a busy one, want 254", n)
	}
	r.Discard(busy, 0)
	if r.Reserve(8) != 0 {
		t.Error("a discarded record frees room before it is consumed")
	}
}

func TestRingbufWakeup(t *testing.T) {
	r := ringMap(t, 4096)
	rd := openRing(t, r)
	woken := func() bool { return seen(rd.poll.wake) }
	out := func(flags uint64) bool { r.Output([]byte("x"), flags); return woken() }
	for _, c := range []struct {
		flags uint64
		want  bool
	}{
		{RingbufNoWakeup, false},                     // caught up, but silent
		{0, false},                                   // the reader has unread records
		{RingbufForceWakeup, true},                   //
		{RingbufForceWakeup | RingbufNoWakeup, true}, // force wins
	} {
		if got := out(c.flags); got != c.want {
			t.Errorf("flags %d: woken %v, want %v", c.flags, got, c.want)
		}
	}
	for range 4 {
		if _, err := rd.Read(); err != nil {
			t.Fatal(err)
		}
	}
	if !out(0) {
		t.Error("not woken after catching up")
	}
	// Silent records come with a flush.
	for range 2 {
		_, _ = rd.Read() // the record, and the deadline behind it
	}
	out(RingbufNoWakeup)
	rd.SetDeadline(time.Time{})
	if err := rd.Flush(); err != nil {
		t.Fatal(err)
	}
	if rec, err := rd.Read(); err != nil || string(rec.RawSample) != "x" {
		t.Errorf("got %q, %v", rec.RawSample, err)
	}
	if _, err := rd.Read(); err != ErrFlushed {
		t.Errorf("got %v, want ErrFlushed", err)
	}
}

func TestRingbufSystemCalls(t *testing.T) {
	r := ringMap(t, 4096)
	refCheck(t, "lookup", r.SysLookup(nil, nil, 0), linux.ENOTSUPP)
	refCheck(t, "update", r.SysUpdate(nil, nil, 0), linux.ENOTSUPP)
	refCheck(t, "delete", r.SysDelete(nil), linux.ENOTSUPP)
	refCheck(t, "next", r.NextKey(nil, nil), linux.ENOTSUPP)
}

func TestRingbufClose(t *testing.T) {
	r := ringMap(t, 4096)
	rd := openRing(t, r)
	rd.SetDeadline(time.Time{})
	failed := make(chan error)
	go func() { _, err := rd.Read(); failed <- err }()
	rd.Close()
	if err := <-failed; !errors.Is(err, os.ErrClosed) {
		t.Errorf("Read: %v", err)
	}
	if err := rd.Flush(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Flush: %v", err)
	}
	if err := rd.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	refCheck(t, "output without a reader", r.Output([]byte("late"), 0), linux.OK)
	late := openRing(t, r)
	late.SetDeadline(time.Time{})
	if rec, err := late.Read(); err != nil || string(rec.RawSample) != "late" {
		t.Errorf("a reader opened later: %q, %v", rec.RawSample, err)
	}
	r.Close()
	if _, err := late.Read(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Read of a closed map: %v", err)
	}
	if r.Reserve(8) != 0 {
		t.Error("reserved in a closed map")
	}
}

func TestRingbufDoesNotAllocate(t *testing.T) {
	r := ringMap(t, 1<<16)
	rd := openRing(t, r)
	data := make([]byte, 32)
	rec := RingbufRecord{RawSample: make([]byte, 0, 64)}
	if n := testing.AllocsPerRun(100, func() {
		r.Output(data, 0)
		r.Submit(r.Reserve(16), 0)
		_ = rd.ReadInto(&rec)
		_ = rd.ReadInto(&rec)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestRingbufConcurrent: several producers with records of different sizes; every record arrives
// whole and, for one producer, in order.
func TestRingbufConcurrent(t *testing.T) {
	const producers, records = 4, 5000
	r := ringMap(t, 4096)
	rd := openRing(t, r)
	rd.SetDeadline(time.Time{})
	var wg sync.WaitGroup
	for p := range uint64(producers) {
		wg.Go(func() {
			for i := range uint64(records) {
				n := 2 + (i+p)%5
				addr := r.Reserve(8 * n)
				for ; addr == 0; addr = r.Reserve(8 * n) {
					time.Sleep(time.Microsecond)
				}
				if i%7 == 6 {
					r.Discard(addr, 0)
					addr = 0
				}
				for w := range n {
					if addr != 0 {
						mem.Store64(addr+8*w, p<<32|i)
					}
				}
				if addr != 0 {
					r.Submit(addr, 0)
				}
			}
		})
	}
	var rec RingbufRecord
	var last [producers]uint64
	for range producers * (records - records/7) {
		if err := rd.ReadInto(&rec); err != nil {
			t.Fatal(err)
		}
		v := binary.LittleEndian.Uint64(rec.RawSample)
		for w := 8; w < len(rec.RawSample); w += 8 {
			if binary.LittleEndian.Uint64(rec.RawSample[w:]) != v {
				t.Fatalf("torn record % x", rec.RawSample)
			}
		}
		p, i := v>>32, v&0xffffffff
		if p >= producers || len(rec.RawSample) != int(8*(2+(i+p)%5)) || i < last[p] {
			t.Fatalf("producer %d: record %d after %d, %d bytes", p, i, last[p], len(rec.RawSample))
		}
		last[p] = i
	}
	wg.Wait()
}
