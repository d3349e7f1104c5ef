package mem

import (
	"sync"
	"sync/atomic"
)

// Epochs decides when memory that was unlinked may be used again: when every reader that ran
// at that moment has left. A reader is a virtual CPU; entering and leaving cost one store each,
// and unlinking never waits.
type Epochs struct {
	now        atomic.Uint64
	generation atomic.Uint64
	readers    atomic.Pointer[[]*Reader]

	mu      sync.Mutex
	retired []retired
	pending atomic.Int64
}

// Reader is one virtual CPU's word, padded so that no two share a cache line.
type Reader struct {
	_    [64]byte
	word atomic.Uint64 // the epoch at entry, 0 outside a run
	_    [56]byte
}

type retired struct {
	tag  uint64
	free func()
}

// NewEpochs returns an Epochs without readers.
func NewEpochs() *Epochs {
	e := &Epochs{}
	e.now.Store(1)
	e.readers.Store(&[]*Reader{})
	return e
}

// NewReader adds a reader.
func (e *Epochs) NewReader() *Reader {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := &Reader{}
	next := append(append([]*Reader(nil), *e.readers.Load()...), r)
	e.readers.Store(&next)
	return r
}

// RemoveReader removes a reader that is outside a run.
func (e *Epochs) RemoveReader(r *Reader) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var next []*Reader
	for _, o := range *e.readers.Load() {
		if o != r {
			next = append(next, o)
		}
	}
	e.readers.Store(&next)
}

// Enter marks the start of a run.
func (e *Epochs) Enter(r *Reader) { r.word.Store(e.now.Load()) }

// Leave marks the end of a run and frees what has become unreachable.
func (e *Epochs) Leave(r *Reader) {
	r.word.Store(0)
	if e.pending.Load() != 0 {
		e.Reclaim()
	}
}

// Again is Leave and Enter. Both are left out when nothing was unlinked since the reader entered:
// what it may hold is then what it could find anew.
func (e *Epochs) Again(r *Reader) {
	if e.now.Load() != r.word.Load() || e.pending.Load() != 0 {
		e.Leave(r)
		e.Enter(r)
	}
}

// Tag returns the tag of something that has just been unlinked. It may be reused once Safe
// accepts the tag.
func (e *Epochs) Tag() uint64 { return e.now.Add(1) }

// Safe reports whether every reader that could hold what was unlinked with this tag has left.
func (e *Epochs) Safe(tag uint64) bool { return e.SafeBut(tag, nil) }

// SafeBut is Safe without regard to one reader, nil for none.
func (e *Epochs) SafeBut(tag uint64, but *Reader) bool {
	for _, r := range *e.readers.Load() {
		if w := r.word.Load(); r != but && w != 0 && w < tag {
			return false
		}
	}
	return true
}

// Retire runs free once no reader can hold what was unlinked before the call. It never waits:
// free runs now, at the end of a run, or in a later call.
func (e *Epochs) Retire(free func()) {
	e.generation.Add(1) // before the tag, so that who enters after the tag sees it
	tag := e.Tag()
	e.mu.Lock()
	e.retired = append(e.retired, retired{tag, free})
	e.pending.Add(1)
	e.mu.Unlock()
	e.Reclaim()
}

// Reclaim frees what has become unreachable.
func (e *Epochs) Reclaim() {
	e.mu.Lock()
	var ready []func()
	keep := e.retired[:0]
	for _, r := range e.retired {
		if e.Safe(r.tag) {
			ready = append(ready, r.free)
		} else {
			keep = append(keep, r)
		}
	}
	clear(e.retired[len(keep):])
	e.retired = keep
	e.pending.Add(-int64(len(ready)))
	e.mu.Unlock()
	for _, free := range ready {
		free()
	}
}

// Generation changes whenever something was handed to Retire: who entered before that may keep
// addresses across runs that are no longer good.
func (e *Epochs) Generation() uint64 { return e.generation.Load() }
