package mem

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
)

func TestTable(t *testing.T) {
	s := testSpace(t)
	table, err := NewTable(s, KindMapDesc)
	if err != nil {
		t.Fatal(err)
	}
	add := func(obj any) (uint64, uint32) {
		t.Helper()
		addr, index, err := table.Add(obj)
		if err != nil {
			t.Fatal(err)
		}
		return addr, index
	}
	a, ia := add("a")
	b, ib := add("b")
	if ia == 0 || ib == 0 || b != a+DescSize {
		t.Fatalf("descriptors %d at %#x and %d at %#x; want none with index 0 and %d bytes between", ia, a, ib, b, DescSize)
	}
	Store64(a+MapData, 1)
	if n := table.Len(); n != 2 {
		t.Errorf("%d objects, want 2", n)
	}
	table.Remove(ia)
	if table.Lookup(a) != nil || table.Object(ia) != nil || table.Lookup(b) != "b" {
		t.Error("removing one object changed another, or nothing")
	}
	if c, ic := add("c"); c != a || ic != ia || Load64(c+MapData) != 0 {
		t.Errorf("the freed descriptor is not used again, or not clear: %d at %#x", ic, c)
	}
	for _, addr := range []uint64{0, a + 1, table.Base - DescSize, table.Base, table.Base + DescSize*MaxDescs} {
		if got := table.Lookup(addr); got != nil {
			t.Errorf("address %#x is %v, want nothing", addr, got)
		}
	}
	if !table.Contains(b) || table.Contains(b+8) || table.Contains(table.Base+DescSize*MaxDescs) {
		t.Error("Contains")
	}
}

func TestTableFull(t *testing.T) {
	s := testSpace(t)
	table, err := NewTable(s, KindProgDesc)
	if err != nil {
		t.Fatal(err)
	}
	for range MaxDescs - 1 {
		if _, _, err := table.Add(1); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := table.Add(1); !errors.Is(err, ErrTooMany) {
		t.Errorf("one too many: %v, want ErrTooMany", err)
	}
}

func TestPool(t *testing.T) {
	s := testSpace(t)
	p := NewPool(s, "p")
	if regions, _ := s.Used(); regions != 0 {
		t.Error("an empty pool commits memory")
	}
	var last uint64
	for n := range uint64(200) {
		addr, err := p.Alloc(n*37 + 1)
		if err != nil {
			t.Fatal(err)
		}
		if addr%64 != 0 || addr == last {
			t.Fatalf("piece %d at %#x, the one before at %#x", n, addr, last)
		}
		for i, b := range Bytes(addr, n*37+1) {
			if b != 0 {
				t.Fatalf("piece %d: byte %d is %#x, want 0", n, i, b)
			}
		}
		copy(Bytes(addr, n*37+1), bytes.Repeat([]byte{0xff}, int(n*37+1)))
		last = addr
	}
	if _, err := p.Alloc(s.size); !errors.Is(err, ErrNoMemory) {
		t.Errorf("a piece as large as the space: %v", err)
	}
	p.Free()
	if regions, n := s.Used(); regions != 0 || n != 0 {
		t.Errorf("after Free: %d regions, %d bytes", regions, n)
	}
}

func TestCopyWords(t *testing.T) {
	s := testSpace(t)
	r := alloc(t, s, Layout{Name: "r", Size: 256})
	src := make([]byte, 64)
	for i := range src {
		src[i] = byte(i + 1)
	}
	for at := range uint64(9) {
		for n := range 33 {
			clear(r.Bytes())
			CopyWords(r.Base+at, src[:n])
			want := append(append(make([]byte, at), src[:n]...), 0)
			if got := Bytes(r.Base, uint64(len(want))); !bytes.Equal(got, want) {
				t.Fatalf("%d bytes to offset %d: %x, want %x", n, at, got, want)
			}
			back := make([]byte, n)
			ReadWords(back, r.Base+at)
			if !bytes.Equal(back, src[:n]) {
				t.Fatalf("%d bytes from offset %d: %x", n, at, back)
			}
		}
	}
}

func TestAtomicSizes(t *testing.T) {
	s := testSpace(t)
	r := alloc(t, s, Layout{Name: "r", Size: 64})
	const before = 0x1122334455667788
	for k := range 4 {
		size := uint64(1) << k
		mask := uint64(1)<<(8*size) - 1
		for off := uint64(0); off < 8; off += size {
			t.Run(fmt.Sprintf("%d bytes at %d", size, off), func(t *testing.T) {
				Store64(r.Base, before)
				if got, want := LoadAcquire(r.Base+off, k), before>>(8*off)&mask; got != want {
					t.Errorf("load: %#x, want %#x", got, want)
				}
				StoreRelease(r.Base+off, k, 0xa1a2a3a4a5a6a7a8)
				want := before&^(mask<<(8*off)) | 0xa1a2a3a4a5a6a7a8&mask<<(8*off)
				if got := Load64(r.Base); got != want {
					t.Errorf("store: %#x, want %#x", got, want)
				}
			})
		}
	}
	Store64(r.Base, before)
	if old := Xor32(r.Base, 0xff); old != 0x55667788 || Load64(r.Base) != before^0xff {
		t.Errorf("xor of 4 bytes: old %#x, now %#x", old, Load64(r.Base))
	}
	if old := Xor64(r.Base, 0xff); old != before^0xff || Load64(r.Base) != before {
		t.Errorf("xor of 8 bytes: old %#x, now %#x", old, Load64(r.Base))
	}
	if old := CmpXchg32(r.Base, 1, 2); old != 0x55667788 || Load64(r.Base) != before {
		t.Errorf("failed exchange of 4 bytes: old %#x, now %#x", old, Load64(r.Base))
	}
	if old := CmpXchg32(r.Base, 0x55667788, 2); old != 0x55667788 || Load64(r.Base) != 0x1122334400000002 {
		t.Errorf("exchange of 4 bytes: old %#x, now %#x", old, Load64(r.Base))
	}
	if old := CmpXchg64(r.Base, 0x1122334400000002, 3); old != 0x1122334400000002 || Load64(r.Base) != 3 {
		t.Errorf("exchange of 8 bytes: old %#x, now %#x", old, Load64(r.Base))
	}
	Lock(r.Base + 8)
	if TryLock(r.Base + 8) {
		t.Error("a held lock was taken")
	}
	Unlock(r.Base + 8)
	if !TryLock(r.Base + 8) {
		t.Error("a free lock was not taken")
	}
}
