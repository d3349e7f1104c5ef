//go:build linux

package maps

import (
	"testing"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

func liveSpec(s Spec, key, value btf.Type) ebpf.MapSpec {
	return ebpf.MapSpec{
		Name: "m", Type: s.Type, KeySize: s.KeySize, ValueSize: s.ValueSize, MaxEntries: s.MaxEntries,
		Flags: s.Flags, MapExtra: s.Extra, Key: key, Value: value,
	}
}

// bytesType is a BTF type of so many bytes.
func bytesType(n uint32) btf.Type {
	switch n {
	case 1, 2, 4, 8:
		return &btf.Int{Name: "n", Size: n}
	}
	return &btf.Array{Index: &btf.Int{Name: "i", Size: 4}, Type: &btf.Int{Name: "u8", Size: 1}, Nelems: n}
}

func liveScript(t *testing.T, s *script) {
	t.Helper()
	m := liveMap(t, liveSpec(s.spec, s.key, s.value))
	keyOf := func(b []byte) any {
		if b == nil {
			return nil
		}
		return b
	}
	runScript(t, s, int(s.spec.ValueSize), func(o sysOp, out []byte) linux.Errno {
		switch o.op {
		case "lookup":
			return liveErrno(m.LookupWithFlags(keyOf(o.key), out, ebpf.MapLookupFlags(o.flags)))
		case "update":
			return liveErrno(m.Update(keyOf(o.key), o.value, ebpf.MapUpdateFlags(o.flags)))
		case "delete":
			return liveErrno(m.Delete(keyOf(o.key)))
		case "next":
			return liveErrno(m.NextKey(keyOf(o.key), out))
		case "pop":
			return liveErrno(m.LookupAndDeleteWithFlags(keyOf(o.key), out, ebpf.MapLookupFlags(o.flags)))
		}
		return liveErrno(m.Freeze())
	})
}

func liveCreated(t *testing.T, rows []created) {
	t.Helper()
	liveMap(t, ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	for _, c := range rows {
		if c.spec.Flags&linux.MapNUMANode != 0 {
			continue // cilium/ebpf sets the node along with it
		}
		s := liveSpec(c.spec, nil, nil)
		if c.btf {
			s.Key, s.Value = bytesType(c.spec.KeySize), bytesType(c.spec.ValueSize)
		}
		m, err := ebpf.NewMap(&s)
		if err == nil {
			m.Close()
		}
		refCheck(t, "kernel: "+describe(c), liveErrno(err), c.want)
	}
}

func TestScriptsMatchLinux(t *testing.T) {
	liveMap(t, ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	for _, s := range scripts() {
		t.Run(s.name, func(t *testing.T) { liveScript(t, &s) })
	}
}

func TestCreationMatchesLinux(t *testing.T) { liveCreated(t, createRows()) }

// TestBloomMatchesLinux compares which values a filter with seed 0 takes for others.
func TestBloomMatchesLinux(t *testing.T) {
	for _, size := range []uint32{1, 3, 4, 8, 12, 13, 16, 24, 25, 37} {
		for _, hashes := range []uint64{0, 1, 7} {
			s := Spec{Type: ebpf.BloomFilter, ValueSize: size, MaxEntries: 50, Extra: hashes, Flags: linux.MapZeroSeed}
			live := liveMap(t, liveSpec(s, nil, nil))
			ours := refMake[Map](t, refHost(t, 1), s, 1)
			value := func(i int) []byte {
				b := make([]byte, size)
				for j := range b {
					b[j] = byte(i*(j+1) + i>>8)
				}
				return b
			}
			taken := 0
			for i := range 30 {
				refCheck(t, "kernel: push", liveErrno(live.Put(nil, value(i))), linux.OK)
				refCheck(t, "push", ours.SysUpdate(nil, value(i), 0), linux.OK)
			}
			for i := range 1000 {
				want := liveErrno(live.Lookup(nil, value(i)))
				if got := ours.SysLookup(nil, value(i), 0); got != want {
					t.Fatalf("size %d, %d hashes, value %d: %v, the kernel has %v", size, hashes, i, got, want)
				}
				if want == linux.OK {
					taken++
				}
			}
			if size > 1 && (taken < 30 || taken == 1000) {
				t.Errorf("size %d: %d of 1000 are taken", size, taken)
			}
		}
	}
}
