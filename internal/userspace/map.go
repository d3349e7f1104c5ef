package userspace

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"github.com/carom-bpf/carom/internal/engine"
	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/maps"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/cilium/ebpf"
)

// mapObject is a map and the count of what keeps it: handles, pins, programs and other maps. It
// implements maps.MapRef.
type mapObject struct {
	maps.Map
	host *Host
	cpus int // virtual CPUs that per-CPU values are made for
	refs atomic.Int64
}

// newMapObject wraps a fresh map. The result has no reference yet.
func (h *Host) newMapObject(mh *maps.Host, spec *maps.Spec) (*mapObject, error) {
	m, err := maps.New(mh, spec, h.machine.NextMapID())
	if err != nil {
		return nil, err
	}
	return &mapObject{Map: m, host: h, cpus: mh.CPUs}, nil
}

// Ref implements maps.MapRef.
func (o *mapObject) Ref() { o.refs.Add(1) }

// Unref implements maps.MapRef. The last one frees the map once no run can reach it.
func (o *mapObject) Unref() {
	if o.refs.Add(-1) == 0 {
		o.host.machine.Epochs.Retire(o.Close)
	}
}

// open returns a new user reference.
func (o *mapObject) open() *mapHandle {
	o.Ref()
	if p, ok := o.Map.(*maps.ProgArray); ok {
		p.UserRef()
	}
	return &mapHandle{obj: o}
}

// mapHandle is one user reference to a map, as a file descriptor is. It implements engine.Map.
type mapHandle struct {
	obj *mapObject

	mu     sync.RWMutex // held for reading while an operation runs
	closed bool
}

var errMapClosed = fmt.Errorf("the map handle is closed: %w", os.ErrClosed)

// use runs op unless the handle is closed.
func (h *mapHandle) use(op func(m maps.Map) error) error {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.closed {
		return errMapClosed
	}
	return op(h.obj.Map)
}

func (h *mapHandle) info() *maps.Common { return h.obj.Info() }

func (h *mapHandle) Name() string       { return h.info().Name }
func (h *mapHandle) ID() uint32         { return h.info().ID }
func (h *mapHandle) Type() ebpf.MapType { return h.info().Type }
func (h *mapHandle) KeySize() uint32    { return h.info().KeySize }
func (h *mapHandle) ValueSize() uint32  { return h.info().ValueSize }
func (h *mapHandle) MaxEntries() uint32 { return h.info().MaxEntries }
func (h *mapHandle) Flags() uint32      { return h.info().Flags }
func (h *mapHandle) FD() int            { return -1 }

func (h *mapHandle) Copies() int {
	switch h.Type() {
	case ebpf.PerCPUArray, ebpf.PerCPUHash, ebpf.LRUCPUHash, ebpf.PerCPUCGroupStorage:
		return h.obj.cpus
	}
	return 1
}

func (h *mapHandle) checkKey(key []byte) error {
	if len(key) != int(h.KeySize()) {
		return fmt.Errorf("the key has %d bytes, the map's have %d: %w", len(key), h.KeySize(), linux.EINVAL)
	}
	return nil
}

func (h *mapHandle) checkValue(value []byte) error {
	if want := h.info().SysValueSize(); len(value) != want {
		return fmt.Errorf("the value has %d bytes, the map's have %d: %w", len(value), want, linux.EINVAL)
	}
	return nil
}

func (h *mapHandle) Lookup(key, value []byte, flags uint64) error {
	return h.use(func(m maps.Map) error {
		if err := errors.Join(h.checkKey(key), h.checkValue(value)); err != nil {
			return err
		}
		return m.SysLookup(key, value, flags).Err()
	})
}

func (h *mapHandle) LookupAndDelete(key, value []byte, flags uint64) error {
	return h.use(func(m maps.Map) error {
		if err := errors.Join(h.checkKey(key), h.checkValue(value)); err != nil {
			return err
		}
		l, ok := m.(maps.LookupDeleter)
		if !ok {
			return linux.ENOTSUPP
		}
		return l.SysLookupDelete(key, value, flags).Err()
	})
}

func (h *mapHandle) Update(key, value []byte, flags uint64) error {
	return h.use(func(m maps.Map) error {
		if err := errors.Join(h.checkKey(key), h.checkValue(value)); err != nil {
			return err
		}
		return m.SysUpdate(key, value, flags).Err()
	})
}

func (h *mapHandle) Delete(key []byte) error {
	return h.use(func(m maps.Map) error {
		if err := h.checkKey(key); err != nil {
			return err
		}
		return m.SysDelete(key).Err()
	})
}

func (h *mapHandle) NextKey(key, next []byte) error {
	return h.use(func(m maps.Map) error {
		if key != nil {
			if err := h.checkKey(key); err != nil {
				return err
			}
		}
		return m.NextKey(key, next).Err()
	})
}

func (h *mapHandle) Freeze() error {
	return h.use(func(m maps.Map) error { return m.Info().Freeze().Err() })
}

// StoreAt overwrites a part of the only value of an array, for variables.
func (h *mapHandle) StoreAt(offset uint32, value []byte) error {
	return h.use(func(m maps.Map) error {
		if m.Info().Frozen() {
			return fmt.Errorf("%s is frozen, because programs rely on its constants; set them in the spec before loading: %w", h.Name(), linux.EPERM)
		}
		v, ok := m.(interface{ Value() (addr, size uint64) })
		if !ok {
			return linux.EINVAL
		}
		addr, size := v.Value()
		if uint64(offset)+uint64(len(value)) > size {
			return linux.E2BIG
		}
		mem.CopyWords(addr+uint64(offset), value)
		return nil
	})
}

func (h *mapHandle) UpdateProgram(key []byte, p engine.Program, flags uint64) error {
	return h.use(func(m maps.Map) error {
		array, ok := m.(*maps.ProgArray)
		if !ok {
			return fmt.Errorf("a %s holds no programs: %w", m.Info().Type, linux.EINVAL)
		}
		if err := h.checkKey(key); err != nil {
			return err
		}
		prog, ok := p.(*program)
		if !ok {
			return fmt.Errorf("program %s was loaded by another engine: %w", p.Name(), linux.EINVAL)
		}
		if prog.obj.cpus != h.obj.cpus {
			return fmt.Errorf("program %s belongs to a collection with %d virtual CPUs, the map to one with %d; load both with the same Options.CPUs: %w",
				p.Name(), prog.obj.cpus, h.obj.cpus, linux.EINVAL)
		}
		if !prog.obj.tryRef() {
			return fmt.Errorf("program %s: %w", p.Name(), os.ErrClosed)
		}
		defer prog.obj.Unref()
		return array.Put(binary.LittleEndian.Uint32(key), prog.obj, flags)
	})
}

func (h *mapHandle) UpdateMap(key []byte, inner engine.Map, flags uint64) error {
	return h.use(func(m maps.Map) error {
		outer, ok := m.(maps.MapOfMaps)
		if !ok {
			return fmt.Errorf("a %s holds no maps: %w", m.Info().Type, linux.EINVAL)
		}
		if err := h.checkKey(key); err != nil {
			return err
		}
		in, ok := inner.(*mapHandle)
		if !ok {
			return fmt.Errorf("map %s was loaded by another engine: %w", inner.Name(), linux.EINVAL)
		}
		return in.use(func(maps.Map) error {
			if in.obj.cpus != h.obj.cpus {
				return fmt.Errorf("map %s was made for %d virtual CPUs, this one for %d: %w", in.Name(), in.obj.cpus, h.obj.cpus, linux.EINVAL)
			}
			return outer.Put(key, in.obj, flags)
		})
	})
}

// Pin implements engine.Map: a name in this process.
func (h *mapHandle) Pin(path string) error {
	return h.use(func(m maps.Map) error {
		p, isArray := m.(*maps.ProgArray)
		h.obj.Ref() // first: from then on, the name may be taken away
		if isArray {
			p.UserRef()
		}
		err := h.obj.host.pin(path, h.obj)
		if err != nil {
			if isArray {
				p.UserUnref()
			}
			h.obj.Unref()
		}
		return err
	})
}

func (h *mapHandle) Unpin() error {
	return h.use(func(m maps.Map) error {
		for range h.obj.host.unpin(h.obj) {
			if p, ok := m.(*maps.ProgArray); ok {
				p.UserUnref()
			}
			h.obj.Unref()
		}
		return nil
	})
}

func (h *mapHandle) IsPinned() bool { return h.obj.host.pinned(h.obj) }

func (h *mapHandle) Clone() (engine.Map, error) {
	var c *mapHandle
	err := h.use(func(maps.Map) error {
		c = h.obj.open()
		return nil
	})
	return c, err
}

func (h *mapHandle) PerfReader(perCPUBuffer int, o engine.PerfOptions) (engine.PerfReader, error) {
	var r engine.PerfReader
	err := h.use(func(m maps.Map) error {
		p, ok := m.(*maps.PerfArray)
		if !ok {
			return fmt.Errorf("a %s has no perf events: %w", m.Info().Type, linux.EINVAL)
		}
		if o.Overwritable {
			return fmt.Errorf("overwritable perf buffers: %w in user space", engine.ErrUnsupported)
		}
		b, err := p.OpenPerf(perCPUBuffer, maps.PerfOptions{Watermark: o.Watermark})
		if err != nil {
			return err
		}
		r = b
		return nil
	})
	return r, err
}

func (h *mapHandle) RingbufReader() (engine.RingbufReader, error) {
	var r engine.RingbufReader
	err := h.use(func(m maps.Map) error {
		ring, ok := m.(*maps.Ringbuf)
		if !ok {
			return fmt.Errorf("a %s is no ring buffer: %w", m.Info().Type, linux.EINVAL)
		}
		rd, err := ring.OpenRingbuf()
		if err != nil {
			return err
		}
		r = rd
		return nil
	})
	return r, err
}

func (h *mapHandle) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil
	}
	h.closed = true
	if p, ok := h.obj.Map.(*maps.ProgArray); ok {
		p.UserUnref()
	}
	h.obj.Unref()
	return nil
}
