package kernel

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom/internal/engine"
	"github.com/carom-bpf/carom/internal/linux"
)

// kmap is a map in the kernel. Values of per-CPU maps travel in bpf(2)'s layout: one value for
// each possible CPU, each padded to 8 bytes.
type kmap struct {
	m      *ebpf.Map
	name   string
	id     uint32
	copies int
	owner  *arrayOwner
	pinned atomic.Bool // with its collection
	// aliases are the ids of programs whose variants are in slots, by the ids of these.
	aliases map[uint32]uint32
}

func newMap(m *ebpf.Map, name string) (*kmap, error) {
	info, err := m.Info()
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", name, wrap(err))
	}
	id, _ := info.ID()
	w := &kmap{m: m, name: name, id: uint32(id), copies: 1, owner: &arrayOwner{}}
	switch m.Type() {
	case ebpf.PerCPUArray, ebpf.PerCPUHash, ebpf.LRUCPUHash, ebpf.PerCPUCGroupStorage:
		if w.copies, err = ebpf.PossibleCPU(); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func (m *kmap) Name() string       { return m.name }
func (m *kmap) ID() uint32         { return m.id }
func (m *kmap) Type() ebpf.MapType { return m.m.Type() }
func (m *kmap) KeySize() uint32    { return m.m.KeySize() }
func (m *kmap) ValueSize() uint32  { return m.m.ValueSize() }
func (m *kmap) MaxEntries() uint32 { return m.m.MaxEntries() }
func (m *kmap) Flags() uint32      { return m.m.Flags() }
func (m *kmap) Copies() int        { return m.copies }
func (m *kmap) FD() int            { return m.m.FD() }

func (m *kmap) perCPU() bool {
	switch m.m.Type() {
	case ebpf.PerCPUArray, ebpf.PerCPUHash, ebpf.LRUCPUHash, ebpf.PerCPUCGroupStorage:
		return true
	}
	return false
}

func (m *kmap) stride() int { return int(m.m.ValueSize()+7) &^ 7 }

// Lookup gives the id of the program that was put into a slot, not that of its variant.
func (m *kmap) Lookup(key, value []byte, flags uint64) error {
	if len(m.aliases) > 0 {
		defer m.unalias(value)
	}
	return m.read(value, func(out any) error {
		return m.m.LookupWithFlags(key, out, ebpf.MapLookupFlags(flags))
	})
}

func (m *kmap) LookupAndDelete(key, value []byte, flags uint64) error {
	return m.read(value, func(out any) error {
		return m.m.LookupAndDeleteWithFlags(key, out, ebpf.MapLookupFlags(flags))
	})
}

func (m *kmap) unalias(value []byte) {
	if len(value) < 4 {
		return
	}
	if id := m.aliases[binary.NativeEndian.Uint32(value)]; id != 0 {
		binary.NativeEndian.PutUint32(value, id)
	}
}

// read has cilium/ebpf fill value, or its copies for each CPU.
func (m *kmap) read(value []byte, get func(out any) error) error {
	if !m.perCPU() {
		return wrap(get(value))
	}
	values := make([][]byte, m.copies)
	if err := get(values); err != nil {
		return wrap(err)
	}
	for i, v := range values {
		copy(value[i*m.stride():], v)
	}
	return nil
}

func (m *kmap) Update(key, value []byte, flags uint64) error {
	if !m.perCPU() {
		return wrap(m.m.Update(key, value, ebpf.MapUpdateFlags(flags)))
	}
	values := make([][]byte, m.copies)
	for i := range values {
		values[i] = value[i*m.stride():][:m.m.ValueSize()]
	}
	return wrap(m.m.Update(key, values, ebpf.MapUpdateFlags(flags)))
}

func (m *kmap) Delete(key []byte) error { return wrap(m.m.Delete(key)) }

func (m *kmap) NextKey(key, next []byte) error {
	if key == nil {
		return wrap(m.m.NextKey(nil, next))
	}
	return wrap(m.m.NextKey(bytes.Clone(key), next))
}

func (m *kmap) Freeze() error { return wrap(m.m.Freeze()) }

func (m *kmap) UpdateProgram(key []byte, p engine.Program, flags uint64) error {
	k, ok := p.(*program)
	if !ok {
		return fmt.Errorf("program %s is not one of the kernel engine: %w", p.Name(), linux.EBADF)
	}
	if err := wrap(m.m.Update(key, k.forSlot(), ebpf.MapUpdateFlags(flags))); err != nil {
		return m.explainInsert(key, k, err)
	}
	if k.facts != nil {
		m.owner.settle(k.facts)
	}
	return nil
}

func (m *kmap) UpdateMap(key []byte, inner engine.Map, flags uint64) error {
	k, ok := inner.(*kmap)
	if !ok {
		return fmt.Errorf("map %s is not one of the kernel engine: %w", inner.Name(), linux.EBADF)
	}
	return wrap(m.m.Update(key, k.m, ebpf.MapUpdateFlags(flags)))
}

// Pin makes a file on bpffs.
func (m *kmap) Pin(path string) error { return wrap(m.m.Pin(path)) }

func (m *kmap) Unpin() error { return wrap(m.m.Unpin()) }

func (m *kmap) IsPinned() bool { return m.m.IsPinned() || m.pinned.Load() }

func (m *kmap) Clone() (engine.Map, error) {
	dup, err := m.m.Clone()
	if err != nil {
		return nil, wrap(err)
	}
	return &kmap{m: dup, name: m.name, id: m.id, copies: m.copies, owner: m.owner, aliases: m.aliases}, nil
}

func (m *kmap) Close() error { return wrap(m.m.Close()) }
