package maps

import (
	"runtime"

	"github.com/carom-bpf/carom/internal/mem"
)

// lru keeps the elements of an evicting hash table in the order in which they came, with a
// second chance for those that were used (compare kernel/bpf/bpf_lru_list.c, which approximates
// LRU with lists of active and inactive elements). The list is circular; its state looks like
// an element, and a lock word follows. The bucket's lock is taken before the list's.
type lru struct {
	state  uint64
	region *mem.Region
}

// Links of the list, in the words that elems uses once an element is unlinked. 0 in both means
// that the element is not on the list.
const (
	lruPrev = elemTag
	lruNext = elemLink
	lruLock = elemHead // of lru.state: u32
)

// lruScans is how many used elements get a second chance in one search (LOCAL_NR_SCANS).
const lruScans = 128

func newLRU(s *mem.Space, name string) (*lru, error) {
	r, err := s.Alloc(mem.Layout{Name: name, Size: elemHead + 8})
	if err != nil {
		return nil, err
	}
	l := &lru{state: r.Base, region: r}
	mem.Store64(l.state+lruPrev, l.state)
	mem.Store64(l.state+lruNext, l.state)
	return l, nil
}

func (l *lru) close() { l.region.Free() }

// mark notes that an element was used.
func mark(e uint64) {
	if mem.Load32(e+hashRef) == 0 {
		mem.Store32(e+hashRef, 1)
	}
}

// add puts e, which is not on the list, to its front.
func (l *lru) add(e uint64) {
	mem.Lock(l.state + lruLock)
	l.link(e)
	mem.Unlock(l.state + lruLock)
}

// remove takes e off the list if it is on it.
func (l *lru) remove(e uint64) {
	mem.Lock(l.state + lruLock)
	l.unlink(e)
	mem.Unlock(l.state + lruLock)
}

func (l *lru) link(e uint64) {
	first := mem.Load64(l.state + lruNext)
	mem.Store64(e+lruPrev, l.state)
	mem.Store64(e+lruNext, first)
	mem.Store64(first+lruPrev, e)
	mem.Store64(l.state+lruNext, e)
}

func (l *lru) unlink(e uint64) {
	prev, next := mem.Load64(e+lruPrev), mem.Load64(e+lruNext)
	if prev == 0 {
		return
	}
	mem.Store64(prev+lruNext, next)
	mem.Store64(next+lruPrev, prev)
	mem.Store64(e+lruPrev, 0)
	mem.Store64(e+lruNext, 0)
}

// victim takes the oldest element that was not used off the list, or the oldest of all where a
// search finds only used ones. It returns the element and, while that cannot change, its bucket.
func (l *lru) victim(bucketOf func(e uint64) uint64) (e, bucket uint64) {
	mem.Lock(l.state + lruLock)
	defer mem.Unlock(l.state + lruLock)
	for i := 0; ; i++ {
		e = mem.Load64(l.state + lruPrev)
		if e == l.state {
			return 0, 0
		}
		used := mem.Load32(e+hashRef) != 0
		l.unlink(e)
		if !used || i == lruScans {
			return e, bucketOf(e)
		}
		mem.Store32(e+hashRef, 0)
		l.link(e)
	}
}

// evict removes one element, if it finds one. The caller holds no lock.
func (h *hash) evict(cpu int) {
	victim, b := h.lru.victim(h.bucketOf)
	if victim == 0 {
		// Others have counted their elements but not listed them yet.
		runtime.Gosched()
		return
	}
	mem.Lock(b + bucketLock)
	defer mem.Unlock(b + bucketLock)
	// The element may be gone by now, or even be a new one of the same bucket: the chain tells.
	link := b
	for e := mem.AtomicLoad64(link); e != 0; e = mem.AtomicLoad64(link) {
		if e == victim {
			h.unlink(cpu, link, e)
			return
		}
		link = e
	}
}

func (h *hash) bucketOf(e uint64) uint64 {
	return h.bucket(h.sum(mem.Bytes(e+hashKey, uint64(h.keySize))))
}
