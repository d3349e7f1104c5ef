package maps

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carom-bpf/carom/internal/engine"
	"github.com/carom-bpf/carom/internal/linux"
)

// Sizes and types of a perf ring buffer (include/uapi/linux/perf_event.h,
// kernel/events/ring_buffer.c).
const (
	perfPage       = 4096 // PAGE_SIZE of x86-64, on every platform
	perfMaxBuffer  = 1 << 30
	perfHeader     = 8  // struct perf_event_header
	perfRawSize    = 4  // the length before the raw sample
	perfLostRecord = 24 // PERF_RECORD_LOST: header, id, count
	perfTypeLost   = 2  // PERF_RECORD_LOST
	perfTypeSample = 9  // PERF_RECORD_SAMPLE

	// perfMaxRecord is the largest record: header.size has 16 bits and records are multiples of 8.
	perfMaxRecord = 1<<16 - 8
)

// PerfIndexMask is BPF_F_INDEX_MASK, the part of the flags that selects the buffer. All bits set
// are BPF_F_CURRENT_CPU.
const PerfIndexMask = 0xffffffff

// PerfArray is BPF_MAP_TYPE_PERF_EVENT_ARRAY: index i leads to the buffer that a reader has
// opened for virtual CPU i.
type PerfArray struct {
	*Common
	rings []atomic.Pointer[perfRing] // one for each virtual CPU below max_entries
}

const perfArrayFlags = fdArrayFlags | linux.MapPreserveElems

func newPerfArray(c *Common) (Map, error) {
	if err := checkFDArray(c, perfArrayFlags); err != nil {
		return nil, err
	}
	n := min(uint64(c.MaxEntries), uint64(c.host.CPUs))
	p := &PerfArray{Common: c, rings: make([]atomic.Pointer[perfRing], n)}
	if err := c.register(p); err != nil {
		return nil, c.fail(linux.ENOMEM, "%v", err)
	}
	return p, nil
}

// Output is bpf_perf_event_output on virtual CPU cpu (kernel/trace/bpf_trace.c): it appends one
// sample made of parts. The low 32 bits of flags are the index or BPF_F_CURRENT_CPU; others are
// EINVAL, so that a helper which takes a context length there (BPF_F_CTXLEN_MASK) removes it.
//
// E2BIG: the index is not below max_entries, or the sample has more than 65516 bytes (Linux
// writes a broken record then). ENOENT: nobody reads this index. EOPNOTSUPP: the index is that
// of another CPU. ENOSPC: the buffer is full; the loss is counted.
func (p *PerfArray) Output(cpu int, flags uint64, parts ...[]byte) linux.Errno {
	if flags&^PerfIndexMask != 0 {
		return linux.EINVAL
	}
	index := flags
	if index == PerfIndexMask {
		index = uint64(cpu)
	}
	if index >= uint64(p.MaxEntries) {
		return linux.E2BIG
	}
	if index >= uint64(len(p.rings)) {
		return linux.ENOENT
	}
	ring := p.rings[index].Load()
	switch {
	case ring == nil:
		return linux.ENOENT
	case ring.cpu != cpu:
		return linux.EOPNOTSUPP
	}
	return ring.write(parts)
}

// Lookup implements Map. Programs only output to this type.
func (p *PerfArray) Lookup(int, []byte) uint64 { return 0 }

// Update implements Map.
func (p *PerfArray) Update(int, []byte, []byte, uint64) linux.Errno { return linux.EINVAL }

// Delete implements Map.
func (p *PerfArray) Delete(int, []byte) linux.Errno { return linux.EINVAL }

// SysLookup implements Map. Linux has no such operation for this type.
func (p *PerfArray) SysLookup(_, _ []byte, flags uint64) linux.Errno {
	if errno := p.sysLookupFlags(flags); errno != linux.OK {
		return errno
	}
	return linux.ENOTSUPP
}

// SysUpdate implements Map. A value would be the file descriptor of a perf event: use OpenPerf.
func (p *PerfArray) SysUpdate(key, _ []byte, flags uint64) linux.Errno {
	if errno := p.checkPut(binary.LittleEndian.Uint32(key), flags); errno != linux.OK {
		return errno
	}
	return linux.EBADF
}

// SysDelete implements Map. It detaches the reader from one index.
func (p *PerfArray) SysDelete(key []byte) linux.Errno {
	if errno := p.sysWrite(); errno != linux.OK {
		return errno
	}
	i := binary.LittleEndian.Uint32(key)
	switch {
	case i >= p.MaxEntries:
		return linux.E2BIG
	case uint64(i) >= uint64(len(p.rings)) || p.rings[i].Swap(nil) == nil:
		return linux.ENOENT
	}
	return linux.OK
}

// NextKey implements Map. It visits every index.
func (p *PerfArray) NextKey(key, next []byte) linux.Errno {
	if errno := p.sysRead(); errno != linux.OK {
		return errno
	}
	return nextIndex(p.MaxEntries, key, next)
}

// Close implements Map. Readers keep what they have not read.
func (p *PerfArray) Close() {
	for i := range p.rings {
		p.rings[i].Store(nil)
	}
	p.unregister()
}

// perfRing is the ring buffer of one virtual CPU, with the accounting of
// kernel/events/ring_buffer.c so that loss starts at the same record.
type perfRing struct {
	cpu    int
	poller *poller

	mu         sync.Mutex
	data       []byte // a power of two long
	head, tail uint64
	lost       uint64 // samples lost since the last record
	watermark  uint64 // bytes between two wakeups
	woken      uint64 // position up to which wakeups were given
	perWakeup  uint64 // samples between two wakeups, 0: watermark only
	samples    uint64 // since the last wakeup
}

// write appends a sample, after a record of the samples lost before it if there are any.
func (r *perfRing) write(parts [][]byte) linux.Errno {
	n := uint64(0)
	for _, part := range parts {
		n += uint64(len(part))
	}
	size := perfHeader + (n+perfRawSize+7)&^7
	if size > perfMaxRecord {
		return linux.E2BIG
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	need := size
	if r.lost != 0 {
		need += perfLostRecord
	}
	// One byte always stays free (CIRC_SPACE).
	if uint64(len(r.data))-1-(r.head-r.tail) < need {
		r.lost++
		return linux.ENOSPC
	}
	if r.lost != 0 {
		r.put(perfTypeLost, perfLostRecord)
		var b [16]byte // id of the event, 0 here, and the count
		binary.LittleEndian.PutUint64(b[8:], r.lost)
		r.copyIn(b[:])
		r.lost = 0
	}
	end := r.head + size
	r.put(perfTypeSample, uint16(size))
	var length [perfRawSize]byte
	binary.LittleEndian.PutUint32(length[:], uint32(size-perfHeader-perfRawSize))
	r.copyIn(length[:])
	for _, part := range parts {
		r.copyIn(part)
	}
	var zero [8]byte
	r.copyIn(zero[:end-r.head])
	r.notify()
	return linux.OK
}

func (r *perfRing) put(kind uint32, size uint16) {
	var b [perfHeader]byte
	binary.LittleEndian.PutUint32(b[:], kind)
	binary.LittleEndian.PutUint16(b[6:], size)
	r.copyIn(b[:])
}

func (r *perfRing) copyIn(b []byte) {
	at := r.head & uint64(len(r.data)-1)
	n := copy(r.data[at:], b)
	copy(r.data, b[n:])
	r.head += uint64(len(b))
}

func (r *perfRing) copyOut(b []byte) {
	at := r.tail & uint64(len(r.data)-1)
	n := copy(b, r.data[at:])
	copy(b[n:], r.data)
	r.tail += uint64(len(b))
}

// notify wakes the reader after as many bytes or samples as it has asked for.
func (r *perfRing) notify() {
	wake := false
	if r.head-r.woken > r.watermark {
		r.woken += r.watermark
		wake = true
	}
	if r.perWakeup != 0 {
		if r.samples++; r.samples >= r.perWakeup {
			r.samples = 0
			wake = true
		}
	}
	if wake {
		poke(r.poller.wake)
	}
}

// limit is how far the reader may read without looking at the producer again.
func (r *perfRing) limit() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.head
}

// read takes the next record before end. It returns false at end.
func (r *perfRing) read(rec *PerfRecord, end uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tail == end {
		return false
	}
	var h [perfHeader]byte
	r.copyOut(h[:])
	rec.CPU, rec.LostSamples = r.cpu, 0
	if binary.LittleEndian.Uint32(h[:]) == perfTypeLost {
		var b [16]byte
		r.copyOut(b[:])
		rec.LostSamples = binary.LittleEndian.Uint64(b[8:])
		rec.RawSample = rec.RawSample[:0]
	} else {
		var length [perfRawSize]byte
		r.copyOut(length[:])
		rec.RawSample = resize(rec.RawSample, int(binary.LittleEndian.Uint32(length[:])))
		r.copyOut(rec.RawSample)
	}
	rec.Remaining = int(end - r.tail)
	return true
}

func resize(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}

// PerfRecord is a sample or a count of lost samples. RawSample is what the program has written,
// followed by 0 to 7 bytes of zero padding, as Linux rounds samples so that their length plus 4
// is a multiple of 8; it is empty where LostSamples is not 0.
type PerfRecord = engine.PerfRecord

// PerfOptions control when a reader wakes up. At most one of them may be set.
type PerfOptions struct {
	// WakeupEvents is how many samples a buffer must hold before Read looks at it.
	WakeupEvents int
	// Watermark is how many bytes a buffer must hold before Read looks at it; the default is to
	// read at once.
	Watermark int
}

// PerfBuffer reads the samples of a PERF_EVENT_ARRAY. Its methods mirror perf.Reader of
// cilium/ebpf.
type PerfBuffer struct {
	array *PerfArray
	rings []*perfRing
	poll  *poller

	mu      sync.Mutex // for reading
	order   []perfSpan // rings that may hold records, the last one first
	pending error      // to return once these are empty

	pauseMu sync.Mutex
}

type perfSpan struct {
	ring *perfRing
	end  uint64
}

// OpenPerf makes a buffer for each virtual CPU below max_entries and attaches it, in the place
// of that of an older reader. perCPUBuffer is the size of one in bytes, rounded up to a power of
// two of pages of 4096 bytes.
func (p *PerfArray) OpenPerf(perCPUBuffer int, opts PerfOptions) (*PerfBuffer, error) {
	switch {
	case perCPUBuffer < 1 || perCPUBuffer > perfMaxBuffer:
		return nil, p.refuse("read", linux.EINVAL, "the buffer of a CPU may have 1 to %d bytes, not %d", perfMaxBuffer, perCPUBuffer)
	case opts.WakeupEvents < 0 || opts.Watermark < 0:
		return nil, p.refuse("read", linux.EINVAL, "WakeupEvents and Watermark cannot be negative")
	case opts.WakeupEvents > 0 && opts.Watermark > 0:
		return nil, p.refuse("read", linux.EINVAL, "WakeupEvents and Watermark cannot both be set")
	case opts.Watermark >= perCPUBuffer:
		return nil, p.refuse("read", linux.EINVAL, "Watermark must be smaller than the buffer of %d bytes", perCPUBuffer)
	}
	pages := (uint(perCPUBuffer) + perfPage - 1) / perfPage
	size := perfPage << bits.Len(pages-1)
	b := &PerfBuffer{array: p, poll: newPoller()}
	for cpu := range p.rings {
		ring := &perfRing{cpu: cpu, poller: b.poll, data: make([]byte, size), watermark: uint64(max(opts.Watermark, 1))}
		if opts.WakeupEvents > 0 {
			ring.watermark, ring.perWakeup = uint64(size/2), uint64(opts.WakeupEvents)
		}
		b.rings = append(b.rings, ring)
	}
	if err := b.Resume(); err != nil {
		return nil, err
	}
	return b, nil
}

// BufferSize is the size of each CPU's buffer in bytes.
func (b *PerfBuffer) BufferSize() int {
	if len(b.rings) == 0 {
		return 0
	}
	return len(b.rings[0].data)
}

// SetDeadline limits how long Read waits, also one that is waiting now; the zero time removes the
// limit. With a time that has passed, Read returns only what is there.
func (b *PerfBuffer) SetDeadline(t time.Time) { b.poll.setDeadline(t) }

// Read waits for a record. Records of one CPU come in order. Errors wrap os.ErrDeadlineExceeded
// once everything has been read, os.ErrClosed after Close, or are ErrFlushed.
func (b *PerfBuffer) Read() (PerfRecord, error) {
	var rec PerfRecord
	err := b.ReadInto(&rec)
	return rec, err
}

// ReadInto is Read with a record, and the memory of its sample, that the caller reuses.
func (b *PerfBuffer) ReadInto(rec *PerfRecord) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		if b.poll.isClosed() {
			return b.errClosed()
		}
		for n := len(b.order); n > 0; n = len(b.order) {
			last := b.order[n-1]
			if last.ring.read(rec, last.end) {
				return nil
			}
			b.order = b.order[:n-1]
		}
		if err := b.pending; err != nil {
			b.pending = nil
			return err
		}
		// Data that the watermark has not announced is returned before a deadline or a flush is.
		b.pending = b.poll.wait()
		for _, ring := range b.rings {
			b.order = append(b.order, perfSpan{ring, ring.limit()})
		}
	}
}

func (b *PerfBuffer) errClosed() error { return fmt.Errorf("perf buffer: %w", os.ErrClosed) }

// Pause detaches the buffers: programs get ENOENT until Resume.
func (b *PerfBuffer) Pause() error {
	b.pauseMu.Lock()
	defer b.pauseMu.Unlock()
	if b.poll.isClosed() {
		return b.errClosed()
	}
	if errno := b.array.sysWrite(); errno != linux.OK {
		return b.array.putError(errno, 0)
	}
	for i := range b.rings {
		b.array.rings[i].Store(nil)
	}
	return nil
}

// Resume attaches the buffers again.
func (b *PerfBuffer) Resume() error {
	b.pauseMu.Lock()
	defer b.pauseMu.Unlock()
	if b.poll.isClosed() {
		return b.errClosed()
	}
	if errno := b.array.sysWrite(); errno != linux.OK {
		return b.array.putError(errno, 0)
	}
	for i, ring := range b.rings {
		b.array.rings[i].Store(ring)
	}
	return nil
}

// Flush makes Read return what is in the buffers now and then ErrFlushed.
func (b *PerfBuffer) Flush() error {
	if b.poll.isClosed() {
		return b.errClosed()
	}
	poke(b.poll.flush)
	return nil
}

// Close ends a Read that waits and detaches the buffers: programs get ENOENT. A second Close does
// nothing.
func (b *PerfBuffer) Close() error {
	b.poll.close()
	b.pauseMu.Lock()
	defer b.pauseMu.Unlock()
	for i, ring := range b.rings {
		b.array.rings[i].CompareAndSwap(ring, nil)
	}
	return nil
}
