// Package mem owns the memory that programs see.
//
// A Space reserves one large, inaccessible range of addresses and hands out chunks of it. What
// lies there never moves and is invisible to Go's garbage collector, so that registers can hold
// real addresses and interpreter, native code and helpers share one memory. Every address maps
// to its Region with a subtraction, a shift and one load; a Region knows its elements, their
// valid size and what a program may do with them.
//
// Every use of unsafe for data is in this package.
package mem

import (
	"errors"
	"fmt"
	"sort"
	"sync"
	"sync/atomic"
)

// ChunkSize is the granularity, in bytes, at which a Space hands out memory.
const ChunkSize = 1 << chunkShift

const (
	chunkShift = 16
	maxReserve = 64 << 30
	minReserve = 1 << 30
)

// ErrNoMemory says that a Space, or the system below it, has no room for a request.
var ErrNoMemory = errors.New("out of memory for BPF objects")

// Space is a range of reserved addresses and the regions in it. It is safe for concurrent use;
// address lookup takes no lock.
type Space struct {
	base uint64
	size uint64

	// owner[chunk] is the id of the region there, 0 for none.
	owner   []uint32
	regions atomic.Pointer[[]*Region]
	readers *Epochs // who may hold what Find returned, nil for nobody

	mu      sync.Mutex
	free    []extent // sorted, never adjacent
	freeIDs []uint32
	closed  bool
}

type extent struct{ first, n uint64 } // in chunks

// NewSpace reserves addresses: 64 GiB, or less, down to 1 GiB, where the system refuses that.
// Nothing is committed until it is allocated.
func NewSpace() (*Space, error) { return NewSpaceOf(maxReserve) }

// NewSpaceOf is NewSpace with at most limit bytes, a power of two from 1 GiB on.
func NewSpaceOf(limit uint64) (*Space, error) {
	var lastErr error
	for size := limit; size >= minReserve; size /= 2 {
		base, err := reserve(size)
		if err != nil {
			lastErr = err
			continue
		}
		s := &Space{size: size, owner: make([]uint32, size>>chunkShift)}
		s.base = base
		// The first chunk stays inaccessible, so that no region starts where another Space ends.
		s.free = []extent{{1, size>>chunkShift - 1}}
		none := make([]*Region, 1, 64) // id 0 means no region
		s.regions.Store(&none)
		return s, nil
	}
	return nil, fmt.Errorf("reserving address space: %w: %w", ErrNoMemory, lastErr)
}

// GuardWith makes Free keep a region's memory until every reader that ran when it was taken out of
// the address table has left. Without it, an address that a program made up could be found in a
// region just before that is freed, and used just after. It is called before the first Alloc.
func (s *Space) GuardWith(e *Epochs) { s.readers = e }

// Layout says what a region holds. The zero Stride means one element as long as the region.
type Layout struct {
	Kind  Kind
	Name  string // what error messages call it, for example the map's name
	Owner any    // the object behind it, for example the map

	Size   uint64 // bytes wanted, rounded up to chunks
	Stride uint64 // distance between elements, in bytes

	// The part of an element that a program may touch with Perm.
	ValueOff, ValueSize uint64
	Perm                Perm
}

// Alloc commits zeroed memory and makes it a region.
func (s *Space) Alloc(l Layout) (*Region, error) {
	if l.Size == 0 {
		return nil, fmt.Errorf("allocating %s: size is 0", l.Name)
	}
	if l.Size > s.size {
		return nil, fmt.Errorf("allocating %d bytes for %s: %w", l.Size, l.Name, ErrNoMemory)
	}
	n := (l.Size + ChunkSize - 1) >> chunkShift
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, fmt.Errorf("allocating %s: the address space is closed", l.Name)
	}
	first, ok := s.take(n)
	if !ok {
		return nil, fmt.Errorf("allocating %d bytes for %s: %w", l.Size, l.Name, ErrNoMemory)
	}
	base := s.base + first<<chunkShift
	if err := commit(base, n<<chunkShift); err != nil {
		s.give(extent{first, n})
		return nil, fmt.Errorf("allocating %d bytes for %s: %w: %w", l.Size, l.Name, ErrNoMemory, err)
	}
	if l.Stride == 0 {
		l.Stride = n << chunkShift
		if l.ValueSize == 0 {
			l.ValueSize = l.Size
		}
	}
	r := &Region{Layout: l, Base: base, chunks: n, space: s}
	r.id = s.addRegion(r)
	for c := first; c < first+n; c++ {
		atomic.StoreUint32(&s.owner[c], r.id)
	}
	return r, nil
}

// addRegion stores r in the table and returns its id. The table is replaced, never changed in
// place, because Find reads it without a lock.
func (s *Space) addRegion(r *Region) uint32 {
	old := *s.regions.Load()
	if n := len(s.freeIDs); n > 0 {
		id := s.freeIDs[n-1]
		s.freeIDs = s.freeIDs[:n-1]
		next := append([]*Region(nil), old...)
		next[id] = r
		s.regions.Store(&next)
		return id
	}
	// Appending past len is invisible to holders of the old, shorter slice.
	next := append(old, r)
	s.regions.Store(&next)
	return uint32(len(next) - 1)
}

// Free takes the region out of the address table and returns its memory: at once, or, in a Space
// with readers, when those that may have found it have left. Nothing may hand out its addresses
// any more.
func (r *Region) Free() {
	if !r.unlink() {
		return
	}
	if e := r.space.readers; e != nil {
		e.Retire(r.release)
		return
	}
	r.release()
}

// unlink makes Find forget the region, and reports whether it had not been freed before.
func (r *Region) unlink() bool {
	s := r.space
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.freed || s.closed {
		return false
	}
	r.freed = true
	first := (r.Base - s.base) >> chunkShift
	for c := first; c < first+r.chunks; c++ {
		atomic.StoreUint32(&s.owner[c], 0)
	}
	next := append([]*Region(nil), *s.regions.Load()...)
	next[r.id] = nil
	s.regions.Store(&next)
	s.freeIDs = append(s.freeIDs, r.id)
	return true
}

func (r *Region) release() {
	s := r.space
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	decommit(r.Base, r.chunks<<chunkShift)
	s.give(extent{(r.Base - s.base) >> chunkShift, r.chunks})
}

// Close gives all addresses back. No region may be in use.
func (s *Space) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	release(s.base, s.size)
}

// Find returns the region that holds addr, or nil.
func (s *Space) Find(addr uint64) *Region {
	off := addr - s.base
	if off >= s.size {
		return nil
	}
	id := atomic.LoadUint32(&s.owner[off>>chunkShift])
	if id == 0 {
		return nil
	}
	return (*s.regions.Load())[id]
}

// Used returns how many regions there are and how many bytes they and those that wait for readers
// take.
func (s *Space) Used() (regions int, bytes uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range *s.regions.Load() {
		if r != nil {
			regions++
		}
	}
	chunks := s.size>>chunkShift - 1
	for _, e := range s.free {
		chunks -= e.n
	}
	return regions, chunks << chunkShift
}

// Nearest returns the region whose memory is closest to addr, for error messages, and how many
// bytes away addr is: negative before its start, positive past its end, 0 inside. Only regions
// that keep accepts count. It returns nil when none lies within 1 GiB.
func (s *Space) Nearest(addr uint64, keep func(*Region) bool) (r *Region, distance int64) {
	const reach = 1 << 30
	best := int64(reach)
	for _, c := range *s.regions.Load() {
		if c == nil || !keep(c) {
			continue
		}
		end := c.Base + c.Layout.Size
		var d int64
		switch {
		case addr >= c.Base && addr < end:
			return c, 0
		case addr >= end && addr-end < reach:
			d = int64(addr-end) + 1
		case addr < c.Base && c.Base-addr < reach:
			d = -int64(c.Base - addr)
		default:
			continue
		}
		if abs(d) < best {
			best, r, distance = abs(d), c, d
		}
	}
	return r, distance
}

func abs(d int64) int64 {
	if d < 0 {
		return -d
	}
	return d
}

// take removes the first free run of n chunks.
func (s *Space) take(n uint64) (uint64, bool) {
	for i := range s.free {
		e := &s.free[i]
		if e.n < n {
			continue
		}
		first := e.first
		e.first += n
		e.n -= n
		if e.n == 0 {
			s.free = append(s.free[:i], s.free[i+1:]...)
		}
		return first, true
	}
	return 0, false
}

// give returns a run of chunks and joins it with its neighbours.
func (s *Space) give(e extent) {
	i := sort.Search(len(s.free), func(i int) bool { return s.free[i].first > e.first })
	s.free = append(s.free, extent{})
	copy(s.free[i+1:], s.free[i:])
	s.free[i] = e
	if i+1 < len(s.free) && e.first+e.n == s.free[i+1].first {
		s.free[i].n += s.free[i+1].n
		s.free = append(s.free[:i+1], s.free[i+2:]...)
	}
	if i > 0 && s.free[i-1].first+s.free[i-1].n == s.free[i].first {
		s.free[i-1].n += s.free[i].n
		s.free = append(s.free[:i], s.free[i+1:]...)
	}
}
