package carom_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom"
)

// batchMap is what carom.Map and ebpf.Map have in common.
type batchMap struct {
	update     func(keys, values any, o *ebpf.BatchOptions) (int, error)
	remove     func(keys any, o *ebpf.BatchOptions) (int, error)
	lookup     func(keys, values any) (int, error)
	lookupTake func(keys, values any) (int, error)
}

func ofCarom(m *carom.Map) batchMap {
	var a, b carom.MapBatchCursor
	return batchMap{m.BatchUpdate, m.BatchDelete,
		func(k, v any) (int, error) { return m.BatchLookup(&a, k, v, nil) },
		func(k, v any) (int, error) { return m.BatchLookupAndDelete(&b, k, v, nil) }}
}

func ofKernel(m *ebpf.Map) batchMap {
	var a, b ebpf.MapBatchCursor
	return batchMap{m.BatchUpdate, m.BatchDelete,
		func(k, v any) (int, error) { return m.BatchLookup(&a, k, v, nil) },
		func(k, v any) (int, error) { return m.BatchLookupAndDelete(&b, k, v, nil) }}
}

// checkBatches has what Linux 6.18 answers.
func checkBatches(t *testing.T, typ ebpf.MapType, m batchMap) {
	t.Helper()
	expect := func(what string, n, wantN int, err error, want error) {
		t.Helper()
		if n != wantN || (err == nil) != (want == nil) || want != nil && !errors.Is(err, want) {
			t.Errorf("%v: %s: %d, %v; want %d, %v", typ, what, n, err, wantN, want)
		}
	}
	fails := func(what string, n, wantN int, err error) {
		t.Helper()
		if err == nil || n != wantN {
			t.Errorf("%v: %s: %d, %v; want %d and an error", typ, what, n, err, wantN)
		}
	}
	n, err := m.update([]uint32{0, 1, 2}, []uint64{10, 11, 12}, nil)
	expect("update", n, 3, err, nil)
	n, err = m.update([]uint32{0, 1, 2, 3}, []uint64{20, 21, 22, 23}, nil)
	fails("update of too many", n, 3, err)
	_, err = m.update([]uint32{0}, []uint64{1}, &ebpf.BatchOptions{ElemFlags: uint64(ebpf.UpdateNoExist)})
	if err == nil {
		t.Errorf("%v: BPF_NOEXIST is taken", typ)
	}
	keys, values := make([]uint32, 3), make([]uint64, 3)
	n, err = m.lookup(keys, values)
	hash := typ == ebpf.Hash
	if hash {
		expect("lookup of all", n, 3, err, ebpf.ErrKeyNotExist)
	} else {
		expect("lookup of all", n, 3, err, nil)
		n, err = m.lookup(keys, values)
		expect("lookup behind the end", n, 0, err, ebpf.ErrKeyNotExist)
	}
	slices.Sort(keys)
	slices.Sort(values)
	if !slices.Equal(keys, []uint32{0, 1, 2}) || !slices.Equal(values, []uint64{20, 21, 22}) {
		t.Errorf("%v: keys %v, values %v", typ, keys, values)
	}
	n, err = m.remove([]uint32{1, 7, 2}, nil)
	if !hash {
		_, takeErr := m.lookupTake(keys, values)
		if err == nil || takeErr == nil {
			t.Errorf("%v: elements of an array are deleted: %d, %v, %v", typ, n, err, takeErr)
		}
		return
	}
	expect("delete", n, 1, err, ebpf.ErrKeyNotExist)
	n, err = m.lookupTake(keys, values)
	expect("lookup and delete", n, 2, err, ebpf.ErrKeyNotExist)
	n, err = m.remove([]uint32{0}, nil)
	expect("delete of what was taken", n, 0, err, ebpf.ErrKeyNotExist)
}

func batchSpec(typ ebpf.MapType) *ebpf.MapSpec {
	return &ebpf.MapSpec{Name: "m", Type: typ, KeySize: 4, ValueSize: 8, MaxEntries: 3}
}

func TestMapBatches(t *testing.T) {
	for _, typ := range []ebpf.MapType{ebpf.Array, ebpf.Hash} {
		m := mapsOf(t, map[string]*ebpf.MapSpec{"m": batchSpec(typ)}, 1)["m"]
		checkBatches(t, typ, ofCarom(m))
	}
}

// TestMapBatchesMatchLinux checks the same of the kernel.
func TestMapBatchesMatchLinux(t *testing.T) {
	for _, typ := range []ebpf.MapType{ebpf.Array, ebpf.Hash} {
		m, err := ebpf.NewMap(batchSpec(typ))
		if err != nil {
			t.Skipf("bpf(2) does not work here: %v", err)
		}
		defer m.Close()
		checkBatches(t, typ, ofKernel(m))
	}
}
