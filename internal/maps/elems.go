package maps

import (
	"sync"
	"sync/atomic"

	"github.com/carom-bpf/carom/internal/mem"
)

// Every element of a hash table or trie starts with a header of four words. The first two
// belong to the map type and stay readable after the element was unlinked; the other two hold
// the map type's list links while the element is live and serve elems afterwards.
const (
	elemTag  = 16 // u64, epoch tag of a retired element
	elemLink = 24 // u64, next element of a free or retired list
	elemHead = 32 // size of the header
)

// userSpace stands for bpf(2) where a virtual CPU's number is expected.
const userSpace = -1

// Spare elements stand in for those that were unlinked and may still be read.
const (
	// firstSpare is how many there are from the start.
	firstSpare = 64
	// ownSpare is how many elements a run may unlink before it gets back the oldest of them,
	// although it may have kept a pointer to it. (Linux gives it back with the next update.)
	ownSpare = 4096
	// maxSpare is how many bytes of them there may be. They are used up only when a run
	// lasts while others update the map all the time.
	maxSpare = 64 << 20
)

// elems is the element memory of one map: slabs of equal elements, a free list, and the
// elements that were unlinked while virtual CPUs may still read them. Pages that were never
// used are never touched. Its state lies outside the Go heap, behind a lock word, as all that
// map locks protect does.
type elems struct {
	host   *Host
	layout mem.Layout // of a slab of elements, without Size
	values mem.Layout // of a slab of per-CPU values, without Size; no Stride where there are none
	copies uint64     // per-CPU values of one element
	slot   uint64     // offset of the address of the per-CPU values in an element
	limit  uint64     // elements at most

	state  uint64 // address of the words below
	region *mem.Region
	// walks[cpu] counts the iterations that the virtual CPU is in.
	walks []atomic.Int32

	mu    sync.Mutex
	slabs []*mem.Region
}

// Offsets in elems.state.
const (
	poolLock    = 0  // u32
	poolFree    = 8  // u64, first element of the free list
	poolNext    = 16 // u64, first element that was never used
	poolEnd     = 24 // u64, end of its slab
	poolValues  = 32 // u64, per-CPU values of poolNext
	poolTotal   = 40 // u64, elements in all slabs
	poolRetired = 48 // queues: of user space, then of each virtual CPU
)

// A queue of retired elements, in the order of their tags.
const (
	queueFirst = 0  // u64
	queueLast  = 8  // u64
	queueLen   = 16 // u64
	queueSize  = 24
)

// newElems makes room for entries elements and, from the start, first of them and a few spare
// ones; more slabs follow on demand.
func newElems(h *Host, e *elems, first, entries uint64) error {
	e.host = h
	perElem := e.layout.Stride + e.copies*e.values.Stride
	e.limit = entries + max(entries, ownSpare+firstSpare, maxSpare/perElem)
	e.walks = make([]atomic.Int32, h.CPUs)
	r, err := h.Space.Alloc(mem.Layout{Name: e.layout.Name, Size: poolRetired + queueSize*uint64(h.CPUs+1)})
	if err != nil {
		return err
	}
	e.region, e.state = r, r.Base
	if err := e.grow(first + firstSpare); err != nil {
		e.close()
		return err
	}
	return nil
}

func (p *elems) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.slabs {
		r.Free()
	}
	p.slabs = nil
	p.region.Free()
}

// grow adds a slab of at least n elements and as many as fill its chunks.
func (p *elems) grow(n uint64) error {
	l := p.layout
	n = (n*l.Stride + mem.ChunkSize - 1) &^ (mem.ChunkSize - 1) / l.Stride
	l.Size = n * l.Stride
	r, err := p.host.Space.Alloc(l)
	if err != nil {
		return err
	}
	var values uint64
	slabs := []*mem.Region{r}
	if p.values.Stride != 0 {
		v := p.values
		v.Size = n * p.copies * v.Stride
		vr, err := p.host.Space.Alloc(v)
		if err != nil {
			r.Free()
			return err
		}
		values = vr.Base
		slabs = append(slabs, vr)
	}
	p.mu.Lock()
	p.slabs = append(p.slabs, slabs...)
	p.mu.Unlock()
	mem.Store64(p.state+poolNext, r.Base)
	mem.Store64(p.state+poolEnd, r.Base+l.Size)
	mem.Store64(p.state+poolValues, values)
	mem.Store64(p.state+poolTotal, mem.Load64(p.state+poolTotal)+n)
	return nil
}

// alloc returns an element that nobody can read, 0 where there is none.
func (p *elems) alloc(cpu int) uint64 {
	mem.Lock(p.state + poolLock)
	e := p.take(cpu)
	mem.Unlock(p.state + poolLock)
	return e
}

func (p *elems) take(cpu int) uint64 {
	if e := mem.Load64(p.state + poolFree); e != 0 {
		mem.Store64(p.state+poolFree, mem.Load64(e+elemLink))
		return e
	}
	own := p.queue(cpu)
	if e := p.pop(own, nil); e != 0 {
		return e
	}
	if e := p.bump(); e != 0 {
		return e
	}
	for q := p.state + poolRetired; q <= p.queue(p.host.CPUs-1); q += queueSize {
		if e := p.pop(q, nil); e != 0 {
			return e
		}
	}
	// What an iteration stands on must not change into another element.
	walking := cpu >= 0 && p.walks[cpu].Load() != 0
	mayReuse := cpu >= 0 && !walking && cpu < len(p.host.Readers)
	if mayReuse && mem.Load64(own+queueLen) >= ownSpare {
		if e := p.pop(own, p.host.Readers[cpu]); e != 0 {
			return e
		}
	}
	total := mem.Load64(p.state + poolTotal)
	if total < p.limit || walking {
		step := max(min(total, ownSpare), firstSpare)
		if !walking {
			step = min(step, p.limit-total)
		}
		if p.grow(step) == nil {
			return p.bump()
		}
	}
	if mayReuse {
		return p.pop(own, p.host.Readers[cpu])
	}
	return 0
}

// bump takes an element that was never used.
func (p *elems) bump() uint64 {
	e := mem.Load64(p.state + poolNext)
	if e == mem.Load64(p.state+poolEnd) {
		return 0
	}
	mem.Store64(p.state+poolNext, e+p.layout.Stride)
	if p.values.Stride != 0 {
		values := mem.Load64(p.state + poolValues)
		mem.Store64(e+p.slot, values)
		mem.Store64(p.state+poolValues, values+p.copies*p.values.Stride)
	}
	return e
}

func (p *elems) queue(cpu int) uint64 {
	return p.state + poolRetired + queueSize*uint64(cpu+1)
}

// pop takes the oldest element of a queue when no virtual CPU but the given one can read it.
// No other element of the queue is ready where the first is not.
func (p *elems) pop(queue uint64, but *mem.Reader) uint64 {
	e := mem.Load64(queue + queueFirst)
	if e == 0 || !p.host.Epochs.SafeBut(mem.Load64(e+elemTag), but) {
		return 0
	}
	mem.Store64(queue+queueFirst, mem.Load64(e+elemLink))
	mem.Store64(queue+queueLen, mem.Load64(queue+queueLen)-1)
	return e
}

// retire takes back an element that cpu has unlinked.
func (p *elems) retire(cpu int, e uint64) {
	mem.Lock(p.state + poolLock)
	defer mem.Unlock(p.state + poolLock)
	tag := p.host.Epochs.Tag()
	if p.host.Epochs.Safe(tag) {
		p.push(e)
		return
	}
	mem.Store64(e+elemTag, tag)
	mem.Store64(e+elemLink, 0)
	q := p.queue(cpu)
	if mem.Load64(q+queueFirst) == 0 {
		mem.Store64(q+queueFirst, e)
	} else {
		mem.Store64(mem.Load64(q+queueLast)+elemLink, e)
	}
	mem.Store64(q+queueLast, e)
	mem.Store64(q+queueLen, mem.Load64(q+queueLen)+1)
}

// release takes back an element that was never linked.
func (p *elems) release(e uint64) {
	mem.Lock(p.state + poolLock)
	p.push(e)
	mem.Unlock(p.state + poolLock)
}

func (p *elems) push(e uint64) {
	mem.Store64(e+elemLink, mem.Load64(p.state+poolFree))
	mem.Store64(p.state+poolFree, e)
}
