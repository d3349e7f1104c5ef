package mem

import (
	"errors"
	"math"
	"testing"
)

func testSpace(t *testing.T) *Space {
	t.Helper()
	s, err := NewSpaceOf(minReserve)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func alloc(t *testing.T, s *Space, l Layout) *Region {
	t.Helper()
	r, err := s.Alloc(l)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSpaceFreeMergesNeighbours(t *testing.T) {
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}} {
		s := testSpace(t)
		whole := s.free[0]
		var r [3]*Region
		for i := range r {
			r[i] = alloc(t, s, Layout{Name: "r", Size: uint64(i+1) * ChunkSize})
		}
		for _, i := range order {
			r[i].Free()
			r[i].Free() // has no effect
		}
		if len(s.free) != 1 || s.free[0] != whole {
			t.Errorf("freed in order %v: free extents are %v, want only %v", order, s.free, whole)
		}
		if regions, bytes := s.Used(); regions != 0 || bytes != 0 {
			t.Errorf("freed in order %v: %d regions and %d bytes are left", order, regions, bytes)
		}
	}
}

func TestSpaceAllocRefuses(t *testing.T) {
	s := testSpace(t)
	for _, size := range []uint64{s.size, s.size + 1, math.MaxUint64 - ChunkSize + 1, math.MaxUint64} {
		if r, err := s.Alloc(Layout{Name: "huge", Size: size}); !errors.Is(err, ErrNoMemory) {
			t.Errorf("%d bytes: region %v, error %v, want ErrNoMemory", size, r, err)
		}
	}
	if _, err := s.Alloc(Layout{Name: "empty"}); err == nil {
		t.Error("a region of 0 bytes")
	}
	if regions, bytes := s.Used(); regions != 0 || bytes != 0 {
		t.Errorf("refused requests left %d regions and %d bytes", regions, bytes)
	}
}

func TestSpaceFind(t *testing.T) {
	s := testSpace(t)
	a := alloc(t, s, Layout{Name: "a", Size: ChunkSize + 1})
	b := alloc(t, s, Layout{Name: "b", Size: 1})
	for _, c := range []struct {
		name string
		addr uint64
		want *Region
	}{
		{"before the space", s.base - 1, nil}, {"first chunk", s.base, nil},
		{"start", a.Base, a}, {"second chunk", a.Base + ChunkSize, a}, {"end of its chunks", a.Base + 2*ChunkSize - 1, a},
		{"next region", a.Base + 2*ChunkSize, b}, {"behind the last", b.Base + ChunkSize, nil},
		{"end of the space", s.base + s.size, nil}, {"NULL", 0, nil}, {"-1", math.MaxUint64, nil},
	} {
		if got := s.Find(c.addr); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	a.Free()
	if s.Find(b.Base) != b || s.Find(a.Base) != nil {
		t.Error("freeing one region changed what Find says of another")
	}
}

func TestNearest(t *testing.T) {
	s := testSpace(t)
	r := alloc(t, s, Layout{Name: "r", Size: 100})
	all := func(*Region) bool { return true }
	for _, c := range []struct {
		addr uint64
		want int64
	}{{r.Base - 3, -3}, {r.Base, 0}, {r.Base + 99, 0}, {r.Base + 100, 1}, {r.Base + 107, 8}} {
		if got, d := s.Nearest(c.addr, all); got != r || d != c.want {
			t.Errorf("base%+d: distance %d, want %d", int64(c.addr-r.Base), d, c.want)
		}
	}
	if got, _ := s.Nearest(r.Base, func(*Region) bool { return false }); got != nil {
		t.Errorf("a region that is not wanted: %v", got)
	}
	if got, _ := s.Nearest(8, all); got != nil {
		t.Errorf("NULL + 8 is near %v", got)
	}
}

// TestFreeWaitsForReaders is about addresses that a program made up: who found a region before it
// was freed may use it until it leaves.
func TestFreeWaitsForReaders(t *testing.T) {
	s, e := testSpace(t), NewEpochs()
	s.GuardWith(e)
	reader := e.NewReader()
	e.Enter(reader)
	r := alloc(t, s, Layout{Name: "r", Size: 1})
	Store64(r.Base, 7)
	generation := e.Generation()
	r.Free()
	if s.Find(r.Base) != nil {
		t.Error("a freed region can still be found")
	}
	if e.Generation() == generation {
		t.Error("freeing a region does not tell readers to forget it")
	}
	if got := Load64(r.Base); got != 7 {
		t.Errorf("a reader sees %d, want 7", got)
	}
	if _, bytes := s.Used(); bytes != ChunkSize {
		t.Errorf("%d bytes in use, want one chunk until the reader leaves", bytes)
	}
	e.Leave(reader)
	if _, bytes := s.Used(); bytes != 0 {
		t.Errorf("%d bytes in use after the reader left, want 0", bytes)
	}
}

func TestWindow(t *testing.T) {
	s := testSpace(t)
	r := alloc(t, s, Layout{Name: "r", Size: 3 * 24, Stride: 24, ValueOff: 8, ValueSize: 12, Perm: PermRead})
	for _, c := range []struct {
		name  string
		off   int64
		perm  Perm
		lo, n uint64
	}{
		{name: "before the value", off: 7, perm: PermRead},
		{name: "first byte", off: 8, perm: PermRead, lo: 8, n: 12},
		{name: "last byte", off: 19, perm: PermRead, lo: 8, n: 12},
		{name: "behind the value", off: 20, perm: PermRead},
		{name: "second element", off: 24 + 8, perm: PermRead, lo: 24 + 8, n: 12},
		{name: "last element", off: 48 + 19, perm: PermRead, lo: 48 + 8, n: 12},
		{name: "behind the region", off: 72 + 8, perm: PermRead},
		{name: "not writable", off: 8, perm: PermWrite},
		{name: "not read-write", off: 8, perm: PermRW},
		{name: "before the region", off: -1, perm: PermRead},
	} {
		lo, n := r.Window(r.Base+uint64(c.off), c.perm)
		if n != c.n || n != 0 && lo != r.Base+c.lo {
			t.Errorf("%s: window at %d of %d bytes, want %d of %d", c.name, lo-r.Base, n, c.lo, c.n)
		}
	}
	one := alloc(t, s, Layout{Name: "one", Size: 10, Perm: PermRW})
	if lo, n := one.Window(one.Base+9, PermRW); lo != one.Base || n != 10 {
		t.Errorf("region of one element: window at %d of %d bytes, want 0 of 10", lo-one.Base, n)
	}
}
