package carom

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom/internal/linux"
)

// MapBatchCursor is where the next BatchLookup or BatchLookupAndDelete of a map goes on. The zero
// value starts at the beginning. It belongs to the map that it was first used with.
type MapBatchCursor struct {
	m    *Map
	last []byte // key that was returned last
	done bool
}

// batchCommand is one of bpf(2)'s commands for several elements.
type batchCommand uint8

const (
	batchLookup batchCommand = 1 << iota
	batchUpdate
	batchDelete
	batchLookupDelete
)

// batchCommands are those that a type has (map_lookup_batch and its kin in kernel/bpf).
func batchCommands(t ebpf.MapType) batchCommand {
	switch t {
	case ebpf.Array, ebpf.PerCPUArray, ebpf.ArrayOfMaps:
		return batchLookup | batchUpdate
	case ebpf.LPMTrie:
		return batchLookup | batchUpdate | batchDelete
	case ebpf.Hash, ebpf.PerCPUHash, ebpf.LRUHash, ebpf.LRUCPUHash, ebpf.HashOfMaps:
		return batchLookup | batchUpdate | batchDelete | batchLookupDelete
	}
	return 0
}

// checkBatch refuses commands that the type does not have (ENOTSUPP) and flags that the command
// does not have (EINVAL).
func (m *Map) checkBatch(c batchCommand, opts *ebpf.BatchOptions) error {
	if batchCommands(m.Type())&c == 0 {
		return linux.ENOTSUPP
	}
	if opts == nil {
		return nil
	}
	// No map of user space has a lock that BPF_F_LOCK could mean.
	reads := c&(batchLookup|batchLookupDelete) != 0
	if opts.ElemFlags != 0 || opts.Flags != 0 && reads && batchCommands(m.Type())&batchLookupDelete != 0 {
		return linux.EINVAL
	}
	return nil
}

// BatchLookup fills the slices keysOut and valuesOut with the next elements and returns how many
// there are. It wraps ebpf.ErrKeyNotExist at the end of the map, where the last elements may come
// with it. A per-CPU map takes one value for each key and virtual CPU.
//
// Elements that are added or deleted meanwhile may be missed or seen twice.
func (m *Map) BatchLookup(cursor *MapBatchCursor, keysOut, valuesOut any, opts *ebpf.BatchOptions) (int, error) {
	n, err := m.batchRead(batchLookup, cursor, keysOut, valuesOut, opts)
	return n, m.fail("batch lookup", err)
}

// BatchLookupAndDelete is BatchLookup that deletes the elements which it returns.
func (m *Map) BatchLookupAndDelete(cursor *MapBatchCursor, keysOut, valuesOut any, opts *ebpf.BatchOptions) (int, error) {
	n, err := m.batchRead(batchLookupDelete, cursor, keysOut, valuesOut, opts)
	return n, m.fail("batch lookup and delete", err)
}

func (m *Map) batchRead(c batchCommand, cursor *MapBatchCursor, keysOut, valuesOut any, opts *ebpf.BatchOptions) (int, error) {
	if err := m.checkBatch(c, opts); err != nil {
		return 0, err
	}
	keys, values, err := m.batchSlices(keysOut, valuesOut)
	switch {
	case err != nil:
		return 0, err
	case cursor == nil:
		return 0, errors.New("the cursor is nil")
	case cursor.m != nil && cursor.m != m:
		return 0, errors.New("the cursor belongs to another map")
	}
	cursor.m = m
	// Hash tables say at once that the last element was returned, other types the next time.
	eager := batchCommands(m.Type())&batchLookupDelete != 0
	get := m.core.Lookup
	if c == batchLookupDelete {
		get = m.core.LookupAndDelete
	}
	n := 0
	for n < keys.Len() && !cursor.done {
		key, value := make([]byte, m.KeySize()), make([]byte, m.sysValueSize())
		if err := m.core.NextKey(cursor.last, key); err != nil {
			return n, cursor.end(err)
		}
		err := get(key, value, 0)
		if c == batchLookup {
			cursor.last = key // else the first key that is left is next
		}
		if errors.Is(err, linux.ENOENT) {
			continue // deleted meanwhile, or an empty slot
		}
		if err == nil {
			err = errors.Join(unmarshal(keys.Index(n).Addr().Interface(), key), m.batchValueOut(values, n, value))
		}
		if err != nil {
			return 0, err
		}
		n++
	}
	if cursor.done {
		return n, linux.ENOENT
	}
	if eager && n > 0 {
		if err := m.core.NextKey(cursor.last, make([]byte, m.KeySize())); err != nil {
			return n, cursor.end(err)
		}
	}
	return n, nil
}

// end notes that there are no more keys.
func (c *MapBatchCursor) end(err error) error {
	c.done = c.done || errors.Is(err, linux.ENOENT)
	return err
}

// BatchUpdate stores values under keys, both slices, and returns how many were stored before an
// error. No flag such as ebpf.UpdateNoExist is allowed (EINVAL). A per-CPU map takes one value for
// each key and virtual CPU.
func (m *Map) BatchUpdate(keys, values any, opts *ebpf.BatchOptions) (int, error) {
	const op = "batch update"
	if err := m.checkBatch(batchUpdate, opts); err != nil {
		return 0, m.fail(op, err)
	}
	k, v, err := m.batchSlices(keys, values)
	if err != nil {
		return 0, m.fail(op, err)
	}
	copies := m.batchCopies()
	for i := range k.Len() {
		value := v.Index(i * copies).Interface()
		if isPerCPU(m.Type()) {
			value = v.Slice(i*copies, (i+1)*copies).Interface()
		}
		if err := m.Update(k.Index(i).Interface(), value, ebpf.UpdateAny); err != nil {
			return i, err
		}
	}
	return k.Len(), nil
}

// BatchDelete removes keys, a slice, and returns how many were removed before an error, which is
// ebpf.ErrKeyNotExist for a key that is not there.
func (m *Map) BatchDelete(keys any, opts *ebpf.BatchOptions) (int, error) {
	const op = "batch delete"
	if err := m.checkBatch(batchDelete, opts); err != nil {
		return 0, m.fail(op, err)
	}
	k := reflect.ValueOf(keys)
	if k.Kind() != reflect.Slice {
		return 0, m.fail(op, fmt.Errorf("keys: %T is no slice: %w", keys, linux.EINVAL))
	}
	for i := range k.Len() {
		if err := m.Delete(k.Index(i).Interface()); err != nil {
			return i, err
		}
	}
	return k.Len(), nil
}

// batchCopies is how many values of a slice belong to one key.
func (m *Map) batchCopies() int {
	if isPerCPU(m.Type()) {
		return m.core.Copies()
	}
	return 1
}

func (m *Map) batchSlices(keys, values any) (k, v reflect.Value, err error) {
	k, v = reflect.ValueOf(keys), reflect.ValueOf(values)
	switch {
	case k.Kind() != reflect.Slice:
		err = fmt.Errorf("keys: %T is no slice: %w", keys, linux.EINVAL)
	case v.Kind() != reflect.Slice:
		err = fmt.Errorf("values: %T is no slice: %w", values, linux.EINVAL)
	case v.Len() != k.Len()*m.batchCopies():
		err = fmt.Errorf("%d values for %d keys, there must be %d: %w", v.Len(), k.Len(), k.Len()*m.batchCopies(), linux.EINVAL)
	}
	return k, v, err
}

// batchValueOut decodes the value of the n-th key.
func (m *Map) batchValueOut(values reflect.Value, n int, b []byte) error {
	copies, size := m.batchCopies(), int(m.ValueSize())
	stride := len(b) / copies
	var errs []error
	for i := range copies {
		errs = append(errs, unmarshal(values.Index(n*copies+i).Addr().Interface(), b[i*stride:][:size]))
	}
	return errors.Join(errs...)
}
