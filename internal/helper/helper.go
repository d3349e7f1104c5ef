// Package helper has the bodies of the helpers and kernel functions (kfuncs) that programs
// call, as Linux defines them. Each is a row of a table: a prototype and a function over a
// vm.Call, which is its only way to memory. One file holds one family.
//
// A row reports an error to the program by returning a negative error number, where Linux does.
// Where Linux's verifier would have refused the program, the row ends the run with an error.
package helper

import (
	"maps"

	"github.com/carom-bpf/carom/internal/isa"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/linux/printf"
	"github.com/carom-bpf/carom/internal/vm"
	"github.com/carom-bpf/carom/world"
)

// Options are what a Set may be told. The zero value is the default.
type Options struct {
	// Symbol names an address for %ps, %pS and %pB; nil prints it as hex.
	Symbol func(addr uint64) (printf.Symbol, bool)
}

// Set is a collection of helpers, by number, and of kfuncs, by name. It never changes and is
// safe for concurrent use.
type Set struct {
	dense  [denseIDs]*vm.Helper
	sparse map[uint32]*vm.Helper // numbers that Linux does not use
	kfuncs map[string]*vm.Helper
}

// denseIDs is above the highest helper number of Linux, 211.
const denseIDs = 256

// New makes the set of all helpers and kfuncs. Runs without a clock of their own share one that
// starts now.
func New(opts Options) *Set {
	return new(Set).With(rows(opts)...)
}

// rows lists the families.
func rows(opts Options) []vm.Helper {
	clock := world.RealClock()
	var all []vm.Helper
	for _, family := range [][]vm.Helper{
		mapHelpers(), queueHelpers(), stackHelpers(), tailCallHelpers(), timeHelpers(clock), taskHelpers(), printHelpers(opts),
		probeHelpers(), perfHelpers(), ringbufHelpers(), loopHelpers(), stringHelpers(),
		lockHelpers(), packetHelpers(), storageHelpers(), localStorageHelpers(), cgroupHelpers(), socketHelpers(),
		iterKfuncs(), sectionKfuncs(), stringKfuncs(),
	} {
		all = append(all, family...)
	}
	return all
}

// With returns a copy of the set to which rows are added; a row takes the place of one with the
// same number, or of the kfunc of the same name when its number is 0. Rows without a function
// are left out, except for bpf_tail_call, which the machine serves itself.
func (s *Set) With(custom ...vm.Helper) *Set {
	out := &Set{dense: s.dense, sparse: maps.Clone(s.sparse), kfuncs: maps.Clone(s.kfuncs)}
	if out.sparse == nil {
		out.sparse = map[uint32]*vm.Helper{}
	}
	if out.kfuncs == nil {
		out.kfuncs = map[string]*vm.Helper{}
	}
	for i := range custom {
		h := new(vm.Helper)
		*h = custom[i]
		switch {
		case h.Func == nil && h.ID != linux.FuncTailCall:
		case h.ID == 0:
			out.kfuncs[h.Name] = h
		case h.ID < denseIDs:
			out.dense[h.ID] = h
		default:
			out.sparse[h.ID] = h
		}
	}
	return out
}

// ByID returns the helper of this number, nil where there is none.
func (s *Set) ByID(id uint32) *vm.Helper {
	if id < denseIDs {
		return s.dense[id]
	}
	return s.sparse[id]
}

// Kfunc returns the kernel function of this name, nil where there is none.
func (s *Set) Kfunc(name string) *vm.Helper { return s.kfuncs[name] }

// Name returns the name of a helper: that of the set, else the one that Linux has for the
// number, else the empty string.
func (s *Set) Name(id uint32) string {
	if h := s.ByID(id); h != nil && h.Name != "" {
		return h.Name
	}
	return isa.HelperName(int32(id))
}

// proto is the prototype that Linux has for a helper.
func proto(id uint32) linux.Proto {
	p, _ := linux.Helper(id)
	return p
}

// kfunc is the prototype of a kernel function.
func kfunc(name string) linux.Proto {
	k, _ := linux.KernelFunc("bpf_" + name)
	return k.Proto
}

// int32Result is what a kernel function of type int leaves in R0: Linux extends neither the
// sign nor anything else, the upper half is 0.
func int32Result(v int64) uint64 { return uint64(uint32(v)) }
