package maps

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carom-bpf/carom/internal/engine"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/mem"
)

// Layout of a BPF ring buffer (kernel/bpf/ringbuf.c, include/uapi/linux/bpf.h). Each record
// starts with a header of two 32-bit words, its length with two flags and its page offset.
const (
	ringPage    = 4096
	ringHeader  = 8       // BPF_RINGBUF_HDR_SZ
	ringBusy    = 1 << 31 // BPF_RINGBUF_BUSY_BIT
	ringDiscard = 1 << 30 // BPF_RINGBUF_DISCARD_BIT
	ringMaxSize = 1<<30 - 1
)

// Flags of Submit, Discard and Output.
const (
	RingbufNoWakeup    = 1 << 0 // BPF_RB_NO_WAKEUP
	RingbufForceWakeup = 1 << 1 // BPF_RB_FORCE_WAKEUP
)

// What Query answers.
const (
	RingbufAvailData = 0 // BPF_RB_AVAIL_DATA: bytes that are not consumed, with headers
	RingbufRingSize  = 1 // BPF_RB_RING_SIZE
	RingbufConsPos   = 2 // BPF_RB_CONS_POS
	RingbufProdPos   = 3 // BPF_RB_PROD_POS
)

// Ringbuf is BPF_MAP_TYPE_RINGBUF. max_entries is its size in bytes. The data area is twice as
// long, so that a record which starts near the end stays in one piece; Linux maps the same pages
// twice for this. A record is never in two places, so nothing has to be mirrored here.
type Ringbuf struct {
	*Common
	region *mem.Region
	mask   uint64

	mu      sync.Mutex
	prod    uint64 // position after the last reserved record
	pend    uint64 // no record before it is busy
	cons    uint64 // position of the first record that is not consumed
	waiting bool   // a reader waits for the record at cons to become ready
	closed  bool
	readers atomic.Pointer[[]*poller]
}

func newRingbuf(c *Common) (Map, error) {
	switch {
	case c.KeySize != 0 || c.ValueSize != 0:
		return nil, c.fail(linux.EINVAL, "key_size is %d and value_size %d; a ring buffer has neither", c.KeySize, c.ValueSize)
	case c.MaxEntries == 0 || c.MaxEntries&(c.MaxEntries-1) != 0 || c.MaxEntries%ringPage != 0:
		return nil, c.fail(linux.EINVAL, "max_entries is %d; the size in bytes must be a power of two and a multiple of %d", c.MaxEntries, ringPage)
	case c.Flags&^linux.MapNUMANode != 0:
		return nil, c.fail(linux.EINVAL, "map_flags %#x are not allowed for this type", c.Flags&^linux.MapNUMANode)
	}
	r := &Ringbuf{Common: c, mask: uint64(c.MaxEntries) - 1}
	r.readers.Store(&[]*poller{})
	// Without Perm no window opens: a virtual CPU grants access to the records it has reserved.
	region, err := c.host.Space.Alloc(mem.Layout{
		Kind: mem.KindRingbuf, Name: c.Name, Owner: r, Size: 2 * uint64(c.MaxEntries),
	})
	if err != nil {
		return nil, c.fail(linux.ENOMEM, "%v", err)
	}
	r.region = region
	if err := c.register(r); err != nil {
		region.Free()
		return nil, c.fail(linux.ENOMEM, "%v", err)
	}
	return r, nil
}

// step is the distance from a record of this length to the next one.
func step(size uint64) uint64 { return (size + ringHeader + 7) &^ 7 }

func (r *Ringbuf) header(pos uint64) *uint32 { return mem.Word32(r.region.Base + pos&r.mask) }

// Reserve is bpf_ringbuf_reserve without its flags, which must be 0: it returns the address of
// size bytes, or 0 when the buffer is full. The caller alone may use them, until it hands them
// to Submit or Discard.
func (r *Ringbuf) Reserve(size uint64) (addr uint64) {
	if size > ringMaxSize {
		return 0
	}
	n := step(size)
	r.mu.Lock()
	defer r.mu.Unlock()
	if n > r.mask+1 || r.closed {
		return 0
	}
	for r.pend < r.prod {
		h := *r.header(r.pend)
		if h&ringBusy != 0 {
			break
		}
		r.pend += step(uint64(h &^ ringDiscard))
	}
	// Neither unread records nor the span from the oldest busy record may reach the full size.
	next := r.prod + n
	if next-r.cons > r.mask || next-r.pend > r.mask {
		return 0
	}
	at := r.region.Base + r.prod&r.mask
	mem.Store32(at, uint32(size)|ringBusy)
	mem.Store32(at+4, uint32(r.prod&r.mask)/ringPage)
	r.prod = next
	return at + ringHeader
}

// Submit is bpf_ringbuf_submit of a record that Reserve has returned. EINVAL says that addr is
// not that of a reserved record. Unknown flags are ignored, as on Linux.
func (r *Ringbuf) Submit(addr, flags uint64) linux.Errno { return r.commit(addr, flags, 0) }

// Discard is bpf_ringbuf_discard: the reader will not see the record.
func (r *Ringbuf) Discard(addr, flags uint64) linux.Errno { return r.commit(addr, flags, ringDiscard) }

func (r *Ringbuf) commit(addr, flags uint64, mark uint32) linux.Errno {
	off := addr - ringHeader - r.region.Base
	if off > r.mask || off%8 != 0 {
		return linux.EINVAL
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return linux.EINVAL
	}
	h := r.header(off)
	if *h&ringBusy == 0 {
		return linux.EINVAL
	}
	*h = *h&^ringBusy | mark
	// A reader that has caught up waits for exactly this record.
	caughtUp := r.cons&r.mask == off
	switch {
	case flags&RingbufForceWakeup != 0,
		caughtUp && flags&RingbufNoWakeup == 0,
		caughtUp && r.waiting:
		r.wake()
	}
	return linux.OK
}

func (r *Ringbuf) wake() {
	r.waiting = false
	for _, p := range *r.readers.Load() {
		poke(p.wake)
	}
}

// Output is bpf_ringbuf_output: reserve, copy and submit. EINVAL: unknown flags; EAGAIN: full.
func (r *Ringbuf) Output(data []byte, flags uint64) linux.Errno {
	if flags&^(RingbufNoWakeup|RingbufForceWakeup) != 0 {
		return linux.EINVAL
	}
	addr := r.Reserve(uint64(len(data)))
	if addr == 0 {
		return linux.EAGAIN
	}
	copy(mem.Bytes(addr, uint64(len(data))), data)
	return r.Submit(addr, flags)
}

// Query is bpf_ringbuf_query. An unknown question gets 0.
func (r *Ringbuf) Query(flags uint64) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch flags {
	case RingbufAvailData:
		return r.prod - r.cons
	case RingbufRingSize:
		return r.mask + 1
	case RingbufConsPos:
		return r.cons
	case RingbufProdPos:
		return r.prod
	}
	return 0
}

// Lookup implements Map. A ring buffer has no elements.
func (r *Ringbuf) Lookup(int, []byte) uint64 { return 0 }

// Update implements Map.
func (r *Ringbuf) Update(int, []byte, []byte, uint64) linux.Errno { return linux.ENOTSUPP }

// Delete implements Map.
func (r *Ringbuf) Delete(int, []byte) linux.Errno { return linux.ENOTSUPP }

// SysLookup implements Map.
func (r *Ringbuf) SysLookup(_, _ []byte, flags uint64) linux.Errno {
	if errno := r.sysLookupFlags(flags); errno != linux.OK {
		return errno
	}
	return linux.ENOTSUPP
}

// SysUpdate implements Map.
func (r *Ringbuf) SysUpdate([]byte, []byte, uint64) linux.Errno {
	if errno := r.sysWrite(); errno != linux.OK {
		return errno
	}
	return linux.ENOTSUPP
}

// SysDelete implements Map.
func (r *Ringbuf) SysDelete([]byte) linux.Errno {
	if errno := r.sysWrite(); errno != linux.OK {
		return errno
	}
	return linux.ENOTSUPP
}

// NextKey implements Map.
func (r *Ringbuf) NextKey([]byte, []byte) linux.Errno { return linux.ENOTSUPP }

// Close implements Map. It closes the readers, too.
func (r *Ringbuf) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	r.closed = true
	for _, p := range *r.readers.Load() {
		p.close()
	}
	r.unregister()
	r.region.Free()
}

// RingbufRecord is one record of a ring buffer. Remaining counts bytes with headers.
type RingbufRecord = engine.RingbufRecord

// RingbufReader reads the records of a ring buffer in the order of their reservation. Its methods
// mirror ringbuf.Reader of cilium/ebpf. Several readers of one map share its records.
type RingbufReader struct {
	ring *Ringbuf
	poll *poller

	mu       sync.Mutex
	haveData bool
	pending  error // to return once everything is read
}

// OpenRingbuf returns a new reader.
func (r *Ringbuf) OpenRingbuf() (*RingbufReader, error) {
	rd := &RingbufReader{ring: r, poll: newPoller()}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, r.refuse("read", linux.EBADF, "the map is closed")
	}
	next := append(append([]*poller(nil), *r.readers.Load()...), rd.poll)
	r.readers.Store(&next)
	rd.haveData = r.prod != r.cons
	return rd, nil
}

// BufferSize is the size of the buffer in bytes.
func (rd *RingbufReader) BufferSize() int { return int(rd.ring.MaxEntries) }

// AvailableBytes is how many bytes, headers included, are not consumed yet.
func (rd *RingbufReader) AvailableBytes() int { return int(rd.ring.Query(RingbufAvailData)) }

// SetDeadline limits how long Read waits, also one that is waiting now; the zero time removes the
// limit. With a time that has passed, Read returns only what is there.
func (rd *RingbufReader) SetDeadline(t time.Time) { rd.poll.setDeadline(t) }

// Flush makes Read return what is in the buffer now and then ErrFlushed.
func (rd *RingbufReader) Flush() error {
	if rd.poll.isClosed() {
		return errRingClosed()
	}
	poke(rd.poll.flush)
	return nil
}

// Close ends a Read that waits. A second Close does nothing.
func (rd *RingbufReader) Close() error {
	r := rd.ring
	r.mu.Lock()
	defer r.mu.Unlock()
	rd.poll.close()
	var next []*poller
	for _, p := range *r.readers.Load() {
		if p != rd.poll {
			next = append(next, p)
		}
	}
	r.readers.Store(&next)
	return nil
}

func errRingClosed() error { return fmt.Errorf("ring buffer: %w", os.ErrClosed) }

// Read waits for a record. Errors wrap os.ErrDeadlineExceeded once everything has been read,
// os.ErrClosed after Close, or are ErrFlushed.
func (rd *RingbufReader) Read() (RingbufRecord, error) {
	var rec RingbufRecord
	err := rd.ReadInto(&rec)
	return rec, err
}

// ReadInto is Read with a record, and the memory of its sample, that the caller reuses.
func (rd *RingbufReader) ReadInto(rec *RingbufRecord) error {
	rd.mu.Lock()
	defer rd.mu.Unlock()
	for {
		if rd.poll.isClosed() {
			return errRingClosed()
		}
		if rd.haveData {
			ok, err := rd.ring.consume(rec)
			if ok || err != nil {
				return err
			}
			rd.haveData = false
		}
		if err := rd.pending; err != nil {
			rd.pending = nil
			return err
		}
		// Records submitted without a wakeup are returned before a deadline or a flush is.
		rd.pending = rd.poll.wait()
		rd.haveData = true
	}
}

// consume takes the first record that was not discarded. It returns false when there is none or
// when it is not submitted yet, in which case its submission will wake the readers.
func (r *Ringbuf) consume(rec *RingbufRecord) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false, errRingClosed()
	}
	for r.cons < r.prod {
		h := *r.header(r.cons)
		if h&ringBusy != 0 {
			r.waiting = true
			return false, nil
		}
		size := uint64(h &^ ringDiscard)
		from := r.region.Base + r.cons&r.mask + ringHeader
		r.cons += step(size)
		if h&ringDiscard != 0 {
			continue
		}
		rec.RawSample = resize(rec.RawSample, int(size))
		copy(rec.RawSample, mem.Bytes(from, size))
		rec.Remaining = int(r.prod - r.cons)
		return true, nil
	}
	return false, nil
}
