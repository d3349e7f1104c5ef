package maps

import (
	"encoding/binary"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/mem"
	"github.com/cilium/ebpf"
)

type fakeProg struct {
	desc  uint64
	id    uint32
	name  string
	owner linux.Owner
	tails bool
	refs  atomic.Int64
	gone  func() // called with the last Unref
}

func (f *fakeProg) Desc() uint64       { return f.desc }
func (f *fakeProg) ID() uint32         { return f.id }
func (f *fakeProg) Name() string       { return f.name }
func (f *fakeProg) Owner() linux.Owner { return f.owner }
func (f *fakeProg) TailCalls() bool    { return f.tails }
func (f *fakeProg) Ref()               { f.refs.Add(1) }
func (f *fakeProg) Unref() {
	if f.refs.Add(-1) == 0 && f.gone != nil {
		f.gone()
	}
}

func xdpProg(id uint32) *fakeProg {
	return &fakeProg{desc: 0x1000 + 64*uint64(id), id: id, name: "p", owner: linux.Owner{Type: ebpf.XDP, AttachType: ebpf.AttachXDP}}
}

func progArray(tb testing.TB, h *Host, entries uint32) *ProgArray {
	return refMake[*ProgArray](tb, h, Spec{Name: "jumps", Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: entries}, 1)
}

func TestProgArrayOperations(t *testing.T) {
	p := progArray(t, refHost(t, 1), 4)
	a, b := xdpProg(7), xdpProg(8)
	put := func(i uint32, prog ProgRef, flags uint64) linux.Errno { return refErrno(t, p.Put(i, prog, flags)) }
	refCheck(t, "put", put(1, a, 0), linux.OK)
	refCheck(t, "replace", put(1, b, 0), linux.OK)
	refCheck(t, "NOEXIST", put(0, a, linux.UpdateNoExist), linux.EINVAL)
	refCheck(t, "EXIST", put(1, a, linux.UpdateExist), linux.EINVAL)
	refCheck(t, "F_LOCK", put(1, a, linux.UpdateLock), linux.EINVAL)
	refCheck(t, "index", put(4, a, 0), linux.E2BIG)
	refCheck(t, "index before fd", put(4, nil, 0), linux.E2BIG)
	refCheck(t, "flags before index", put(4, nil, 1), linux.EINVAL)
	refCheck(t, "no program", put(0, nil, 0), linux.EBADF)
	value := make([]byte, 4)
	refCheck(t, "bytes", p.SysUpdate(refKey(0), value, 0), linux.EBADF)
	refCheck(t, "bytes, index", p.SysUpdate(refKey(4), value, 0), linux.E2BIG)
	refCheck(t, "lookup", p.SysLookup(refKey(1), value, 0), linux.OK)
	if id := binary.LittleEndian.Uint32(value); id != 8 {
		t.Errorf("lookup gives %d, want the id 8", id)
	}
	refCheck(t, "lookup empty", p.SysLookup(refKey(0), value, 0), linux.ENOENT)
	refCheck(t, "lookup index", p.SysLookup(refKey(4), value, 0), linux.ENOENT)
	refCheck(t, "lookup F_LOCK", p.SysLookup(refKey(1), value, linux.UpdateLock), linux.EINVAL)
	refCheck(t, "delete index", p.SysDelete(refKey(4)), linux.E2BIG)
	refCheck(t, "delete empty", p.SysDelete(refKey(0)), linux.ENOENT)
	refCheck(t, "delete", p.SysDelete(refKey(1)), linux.OK)
	refCheck(t, "delete again", p.SysDelete(refKey(1)), linux.ENOENT)
	for i := range uint32(4) {
		key := refKey(i - 1)
		if i == 0 {
			key = nil
		}
		refCheck(t, "next", p.NextKey(key, value), linux.OK)
		if got := binary.LittleEndian.Uint32(value); got != i {
			t.Errorf("next key is %d, want %d", got, i)
		}
	}
	refCheck(t, "next of last", p.NextKey(refKey(3), value), linux.ENOENT)
	refCheck(t, "next of unknown", p.NextKey(refKey(99), value), linux.OK)
	refCheck(t, "program lookup", linux.Errno(p.Lookup(0, refKey(0))), 0)
	refCheck(t, "program update", p.Update(0, refKey(0), value, 0), linux.EINVAL)
	refCheck(t, "program delete", p.Delete(0, refKey(0)), linux.EINVAL)

	refCheck(t, "put", put(2, a, 0), linux.OK)
	refCheck(t, "freeze", p.Freeze(), linux.OK)
	refCheck(t, "put frozen", put(9, nil, 9), linux.EPERM)
	refCheck(t, "delete frozen", p.SysDelete(refKey(9)), linux.EPERM)
	refCheck(t, "lookup frozen", p.SysLookup(refKey(2), value, 0), linux.OK)
}

// TestProgArraySlot checks the words that interpreter and native code read.
func TestProgArraySlot(t *testing.T) {
	p := progArray(t, refHost(t, 1), 3)
	a := xdpProg(1)
	if err := p.Put(2, a, 0); err != nil {
		t.Fatal(err)
	}
	base := mem.Load64(p.Desc + mem.MapData)
	if got := [3]uint64{mem.Load64(base), mem.Load64(base + 8), mem.Load64(base + 16)}; got != [3]uint64{0, 0, a.desc} {
		t.Errorf("slots are %#x", got)
	}
	if lo, n := p.host.Space.Find(base).Window(base, mem.PermRead); n != 0 {
		t.Errorf("programs may read %d bytes at %#x of a PROG_ARRAY", n, lo)
	}
}

func TestProgArrayOwner(t *testing.T) {
	h := refHost(t, 1)
	tc := linux.Owner{Type: ebpf.SchedCLS}
	with := func(o linux.Owner, f func(*linux.Owner)) linux.Owner { f(&o); return o }
	cases := []struct {
		name        string
		first, then linux.Owner
		tails       bool
		fields      string // that differ, "" when the program fits
	}{
		{"same", tc, tc, false, ""},
		{"type", tc, linux.Owner{Type: ebpf.SchedACT}, false, "program type"},
		{"tcx", tc, with(tc, func(o *linux.Owner) { o.AttachType = ebpf.AttachTCXIngress }), false, "expected_attach_type"},
		{"frags", tc, with(tc, func(o *linux.Owner) { o.Frags = true }), false, "xdp_has_frags"},
		{"jited", tc, with(tc, func(o *linux.Owner) { o.Jited = true }), false, "jited"},
		{"sleepable is free in 6.18", tc, with(tc, func(o *linux.Owner) { o.Sleepable = true }), false, ""},
		{"target of tc", tc, with(tc, func(o *linux.Owner) { o.AttachTo = "f" }), false, ""},
		{"target of lsm", linux.Owner{Type: ebpf.LSM, AttachTo: "a"}, linux.Owner{Type: ebpf.LSM, AttachTo: "b"}, false, "attach target"},
		{"target of tracing", linux.Owner{Type: ebpf.Tracing, AttachTo: "a"}, linux.Owner{Type: ebpf.Tracing}, false, "attach target"},
		{"same storage", tc2(1), tc2(1), true, ""},
		{"other storage", tc2(1), tc2(2), false, "cgroup storage"},
		{"leaf without storage", tc2(1), tc2(0), false, ""},
		{"bridge without storage", tc2(1), tc2(0), true, "cgroup storage"},
		{"owner without storage", tc2(0), tc2(1), false, "cgroup storage"},
		{"extension", tc, with(tc, func(o *linux.Owner) { o.Extension = true }), false, "extension program (freplace)"},
		{"override", tc, with(tc, func(o *linux.Owner) { o.Override = true }), false, "bpf_override_return"},
		{"device", tc, with(tc, func(o *linux.Owner) { o.DevBound = true }), false, "bound to a device (XDP metadata)"},
		{"two", tc, with(tc, func(o *linux.Owner) { o.Frags, o.Jited = true, true }), false, "jited,xdp_has_frags"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := progArray(t, h, 2)
			first := &fakeProg{desc: 64, name: "first", owner: c.first}
			if err := p.BindOwner(first); err != nil {
				t.Fatal(err)
			}
			then := &fakeProg{desc: 128, name: "then", owner: c.then, tails: c.tails}
			err := p.Put(1, then, 0)
			var oe *OwnerError
			if c.fields == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if !errors.As(err, &oe) || !errors.Is(err, linux.EINVAL) {
				t.Fatalf("%v, want an OwnerError that is EINVAL", err)
			}
			var fields []string
			for _, d := range oe.Diffs {
				fields = append(fields, d.Field)
				for _, part := range []string{d.Field, d.Have, d.Want, "jumps[1]", "then"} {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("%q does not say %q", err, part)
					}
				}
			}
			if got := strings.Join(fields, ","); got != c.fields {
				t.Errorf("fields %q, want %q", got, c.fields)
			}
			if then.refs.Load() != 0 || p.Get(1) != nil {
				t.Error("a refused program was kept")
			}
		})
	}
}

func tc2(cookie uint64) linux.Owner {
	return linux.Owner{Type: ebpf.CGroupSKB, Storage: [2]uint64{cookie, 0}}
}

func TestProgArrayOwnerProfile(t *testing.T) {
	p := progArray(t, refHost(t, 1), 2)
	profile := linux.Linux618()
	profile.SleepableInOwner = true
	profile.AttachTypeInOwner = false
	p.SetProfile(profile)
	a := &fakeProg{owner: linux.Owner{Type: ebpf.Kprobe}}
	b := &fakeProg{owner: linux.Owner{Type: ebpf.Kprobe, AttachType: ebpf.AttachTraceKprobeMulti}}
	c := &fakeProg{owner: linux.Owner{Type: ebpf.Kprobe, Sleepable: true}}
	refCheck(t, "first", refErrno(t, p.Put(0, a, 0)), linux.OK)
	refCheck(t, "attach type", refErrno(t, p.Put(0, b, 0)), linux.OK)
	refCheck(t, "sleepable", refErrno(t, p.Put(0, c, 0)), linux.EINVAL)
}

// TestProgArrayOwnerSticks: the owner outlives the program and the map's content; a refused
// program does not become the owner.
func TestProgArrayOwnerSticks(t *testing.T) {
	p := progArray(t, refHost(t, 1), 2)
	ext := &fakeProg{owner: linux.Owner{Type: ebpf.SchedCLS, Extension: true}}
	refCheck(t, "extension", refErrno(t, p.Put(0, ext, 0)), linux.EINVAL)
	if _, ok := p.Owner(); ok {
		t.Error("a refused program became the owner")
	}
	a := xdpProg(1)
	refCheck(t, "put", refErrno(t, p.Put(0, a, 0)), linux.OK)
	refCheck(t, "delete", p.SysDelete(refKey(0)), linux.OK)
	p.UserUnref()
	refCheck(t, "other type", refErrno(t, p.Put(0, &fakeProg{owner: linux.Owner{Type: ebpf.SchedCLS}}, 0)), linux.EINVAL)
	refCheck(t, "same type", refErrno(t, p.Put(0, xdpProg(2), 0)), linux.OK)
	err := p.BindOwner(&fakeProg{name: "late", owner: linux.Owner{Type: ebpf.SchedCLS}})
	var oe *OwnerError
	if !errors.As(err, &oe) || oe.Slot != -1 || !strings.Contains(err.Error(), "late") {
		t.Errorf("load of another type: %v", err)
	}
}

// TestProgArrayReplaceNeverEmpty reads the slot as a tail call does while it is replaced.
func TestProgArrayReplaceNeverEmpty(t *testing.T) {
	p := progArray(t, refHost(t, 1), 1)
	a, b := xdpProg(1), xdpProg(2)
	if err := p.Put(0, a, 0); err != nil {
		t.Fatal(err)
	}
	slot := mem.Load64(p.Desc + mem.MapData)
	var stop atomic.Bool
	var wrong atomic.Uint64
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; !stop.Load(); i++ {
			if v := mem.AtomicLoad64(slot); v != a.desc && v != b.desc {
				wrong.Store(v + 1)
			}
			if i%4096 == 0 {
				runtime.Gosched()
			}
		}
	})
	n := 1_000_000
	if testing.Short() {
		n = 100_000
	}
	for range n / 2 {
		_ = p.Put(0, b, 0)
		_ = p.Put(0, a, 0)
	}
	stop.Store(true)
	wg.Wait()
	if v := wrong.Load(); v != 0 {
		t.Errorf("a reader saw slot word %#x", v-1)
	}
	if a.refs.Load() != 1 || b.refs.Load() != 0 {
		t.Errorf("references %d and %d, want 1 and 0", a.refs.Load(), b.refs.Load())
	}
}

func TestProgArrayReleasesAfterRun(t *testing.T) {
	h := refHost(t, 1)
	p := progArray(t, h, 1)
	a, b := xdpProg(1), xdpProg(2)
	_ = p.Put(0, a, 0)
	h.Epochs.Enter(h.Readers[0])
	_ = p.Put(0, b, 0)
	if a.refs.Load() != 1 {
		t.Error("the replaced program lost its reference while a run may be in it")
	}
	h.Epochs.Leave(h.Readers[0])
	if a.refs.Load() != 0 {
		t.Error("the replaced program kept its reference after the run")
	}
}

// TestProgArrayCycle: a program in the array that it uses itself goes away with the last user
// reference, even though it holds the map.
func TestProgArrayCycle(t *testing.T) {
	p := progArray(t, refHost(t, 1), 4)
	unloaded := 0
	self := xdpProg(1)
	self.refs.Store(1) // the loader's handle
	self.gone = func() { unloaded++; p.Clear() /* as the program's release of its maps may */ }
	_ = p.Put(0, self, 0)
	_ = p.Put(3, self, 0)
	self.Unref()
	p.UserRef()
	p.UserUnref()
	if unloaded != 0 {
		t.Fatal("unloaded while the map has a user")
	}
	p.UserUnref()
	if unloaded != 1 || p.Get(0) != nil || mem.Load64(p.slot(3)) != 0 {
		t.Errorf("unloaded %d times, slot 0 holds %v", unloaded, p.Get(0))
	}
	// Reopened by id: empty but usable, and cleared again.
	p.UserRef()
	b := xdpProg(2)
	refCheck(t, "put", refErrno(t, p.Put(0, b, 0)), linux.OK)
	p.UserUnref()
	if b.refs.Load() != 0 {
		t.Error("not cleared the second time")
	}
}

func TestProgArrayClose(t *testing.T) {
	p := progArray(t, refHost(t, 1), 1)
	a := xdpProg(1)
	_ = p.Put(0, a, 0)
	p.Close()
	if a.refs.Load() != 0 {
		t.Error("Close kept a reference")
	}
	refCheck(t, "put", refErrno(t, p.Put(0, a, 0)), linux.EBADF)
}
