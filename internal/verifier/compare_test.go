package verifier

import (
	"testing"

	"github.com/carom-bpf/carom/internal/verifier/scalar"
)

// TestIDs follows check_ids and check_scalar_ids of kernel/bpf/verifier.c.
func TestIDs(t *testing.T) {
	type pair struct {
		old, cur uint32
		scalar   bool
		want     bool
	}
	for _, c := range []struct {
		name  string
		pairs []pair
	}{
		{"an id stands for one other", []pair{{5, 9, false, true}, {5, 9, false, true}, {5, 8, false, false}}},
		{"two ids do not stand for one", []pair{{5, 9, false, true}, {6, 9, false, false}}},
		{"none stands for none", []pair{{0, 0, false, true}, {0, 3, false, false}, {3, 0, false, false}}},
		{"a free scalar may be tied", []pair{{0, 3, true, true}, {0, 3, true, true}}},
		{"tied scalars are not free", []pair{{5, 0, true, true}, {5, 0, true, false}}},
		{"distances keep the base", []pair{{5, 9, true, true}, {5 | addConst64, 7 | addConst64, true, false}}},
		{"distances from the same", []pair{{5 | addConst64, 7 | addConst64, true, true}, {5, 7, true, true}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var m idMap
			m.reset(100)
			for i, p := range c.pairs {
				got := false
				if p.scalar {
					got = m.matchScalar(p.old, p.cur)
				} else {
					got = m.match(p.old, p.cur)
				}
				if got != p.want {
					t.Errorf("pair %d: %d for %d: %v, want %v", i, p.old, p.cur, got, p.want)
				}
			}
		})
	}
}

func numbers(lo, hi uint64, precise bool) reg {
	r := reg{Type: ScalarValue, Precise: precise}
	r.Scalar = scalar.Unknown()
	r.Umin, r.Umax = lo, hi
	r.Scalar.Sync()
	return r
}

// TestCovers follows regsafe of kernel/bpf/verifier.c.
func TestCovers(t *testing.T) {
	pkt := func(rng int32) reg { return reg{Type: PtrToPacket, Scalar: scalar.Const(0), Range: rng} }
	stack := func(off, frame int32) reg {
		return reg{Type: PtrToStack, Scalar: scalar.Const(0), Off: off, Frame: frame}
	}
	notInit := reg{Type: NotInit, Scalar: scalar.Unknown()}
	for _, c := range []struct {
		name     string
		old, cur reg
		how      exactness
		want     bool
	}{
		{"an imprecise scalar covers any", numbers(3, 4, false), numbers(0, 9, false), notExact, true},
		{"a precise scalar covers what is within", numbers(3, 9, true), numbers(4, 5, false), notExact, true},
		{"a precise scalar covers no more", numbers(3, 9, true), numbers(2, 5, false), notExact, false},
		{"all ranges matter in a loop", numbers(3, 9, false), numbers(2, 5, false), rangeWithin, false},
		{"all ranges matter for containment", numbers(3, 9, false), numbers(2, 5, false), contained, false},
		{"exactly the same", numbers(3, 9, false), numbers(3, 9, true), exact, true},
		{"not exactly the same", numbers(3, 9, false), numbers(3, 8, false), exact, false},
		{"what was not read covers any", notInit, stack(-8, 0), notExact, true},
		{"what was not read is not exact", notInit, stack(-8, 0), rangeWithin, false},
		{"a pointer is no number", numbers(0, 9, false), stack(-8, 0), notExact, false},
		{"more of the packet is there", pkt(8), pkt(14), notExact, true},
		{"less of the packet is there", pkt(14), pkt(8), notExact, false},
		{"past the end", pkt(beyondPacketEnd), pkt(14), notExact, false},
		{"both past the end", pkt(beyondPacketEnd), pkt(beyondPacketEnd), notExact, true},
		{"the same place on the stack", stack(-8, 1), stack(-8, 1), notExact, true},
		{"another frame", stack(-8, 1), stack(-8, 0), notExact, false},
		{"another place on the stack", stack(-8, 1), stack(-16, 1), notExact, false},
	} {
		var m idMap
		if got := m.covers(&c.old, &c.cur, c.how); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// TestCoversSlot follows stacksafe of kernel/bpf/verifier.c for a loader with CAP_PERFMON.
func TestCoversSlot(t *testing.T) {
	all := func(k slotKind) (s slot) {
		for i := range s.Kind {
			s.Kind[i] = k
		}
		s.reg = reg{Type: NotInit, Scalar: scalar.Unknown()}
		return s
	}
	spill := func(r reg) slot {
		s := all(slotSpill)
		s.reg = r
		return s
	}
	for _, c := range []struct {
		name     string
		old, cur slot
		how      exactness
		want     bool
	}{
		{"nothing covers anything", all(slotInvalid), all(slotMisc), notExact, true},
		{"anything covers nothing", all(slotMisc), all(slotInvalid), notExact, true},
		{"but not exactly", all(slotMisc), all(slotInvalid), rangeWithin, false},
		{"zero is not anything", all(slotZero), all(slotMisc), notExact, false},
		{"anything is a free scalar", spill(numbers(0, ^uint64(0), true)), all(slotMisc), notExact, true},
		{"anything is no narrow scalar", spill(numbers(0, 7, true)), all(slotMisc), notExact, false},
		{"zero is no spill", spill(numbers(0, 7, false)), all(slotZero), notExact, false},
		{"a spill within another", spill(numbers(0, 7, true)), spill(numbers(1, 2, false)), notExact, true},
		{"a spill beyond another", spill(numbers(0, 7, true)), spill(numbers(1, 9, false)), notExact, false},
	} {
		var m idMap
		old, cur := &frame{Stack: []slot{c.old}}, &frame{Stack: []slot{c.cur}}
		if got := m.coversSlot(old, cur, 0, c.how); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	var m idMap
	if m.coversSlot(&frame{Stack: []slot{spill(numbers(0, 7, false))}}, &frame{}, 0, notExact) {
		t.Error("a spill covers a slot that is not there")
	}
}
