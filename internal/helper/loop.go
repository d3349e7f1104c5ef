package helper

import (
	"sync"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/maps"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/carom-bpf/carom/internal/vm"
)

func loopHelpers() []vm.Helper {
	walkers := &sync.Pool{New: func() any { return newWalker() }}
	return []vm.Helper{
		{Proto: proto(linux.FuncLoop), Func: loop},
		{Proto: proto(linux.FuncForEachMapElem), Func: func(k *vm.Call) uint64 {
			w := walkers.Get().(*walker)
			ret := w.walk(k)
			w.call = nil
			walkers.Put(w)
			return ret
		}},
	}
}

// loop calls callback(i, ctx) until it returns other than 0, and returns how many calls it made
// (kernel/bpf/bpf_iter.c, bpf_loop). Linux replaces a call that has one callback and no flags by
// instructions (inline_bpf_loop, kernel/bpf/verifier.c), which compare all 64 bits of the count
// and return E2BIG as a negative number of 32 bits; that is what programs see.
func loop(k *vm.Call) uint64 {
	n, fn, ctx := k.Args[0], k.Args[1], k.Args[2]
	switch {
	case k.Args[3] != 0:
		return linux.EINVAL.Neg()
	case n > linux.MaxLoops:
		return int32Result(-int64(linux.E2BIG))
	}
	for i := range n {
		r0, ok := k.Invoke(fn, i, ctx)
		if !ok {
			return 0
		}
		if r0 != 0 {
			return i + 1
		}
	}
	return n
}

// walker is one bpf_for_each_map_elem. It is pooled, with its method value, so that a walk
// allocates nothing.
type walker struct {
	call    *vm.Call
	visitor func(key []byte, value uint64) bool
	desc    uint64
	fn, ctx uint64
	key     uint64 // where the callback sees the key
}

func newWalker() *walker {
	w := new(walker)
	w.visitor = w.visit
	return w
}

func (w *walker) visit(key []byte, value uint64) bool {
	copy(mem.Bytes(w.key, uint64(len(key))), key)
	r0, ok := w.call.Invoke(w.fn, w.desc, w.key, value, w.ctx)
	return ok && r0 == 0
}

// walk calls callback(map, key, value, ctx) for each element until it returns other than 0, and
// returns how many elements it visited. The key is a copy.
func (w *walker) walk(k *vm.Call) uint64 {
	m, ok := mapArg(k, forEach, 164, "bpf_for_each_map_elem")
	if !ok {
		return 0
	}
	it, ok := m.(maps.Iterator)
	if !ok {
		return k.FailMap(0, "a map that can be walked")
	}
	if k.Args[3] != 0 {
		return linux.EINVAL.Neg()
	}
	mark := k.CPU.ScratchMark()
	defer k.CPU.ScratchRelease(mark)
	w.key = k.CPU.Scratch(uint64(m.Info().KeySize))
	if w.key == 0 {
		return k.Fail("no memory is left for a key of %d bytes", m.Info().KeySize)
	}
	w.call, w.desc, w.fn, w.ctx = k, k.Args[0], k.Args[1], k.Args[2]
	return uint64(it.ForEach(k.CPU.ID, w.visitor))
}
