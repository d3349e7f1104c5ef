package maps

import (
	"encoding/binary"
	"fmt"
	"strings"
	"sync"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/mem"
)

// ProgRef is a loaded program as a PROG_ARRAY needs it.
type ProgRef interface {
	Desc() uint64       // address of the program's descriptor: what a slot holds
	ID() uint32         // what bpf(2) returns when a slot is looked up
	Name() string       // for messages
	Owner() linux.Owner // what must agree between the programs of one map
	TailCalls() bool    // can reach a tail call
	Ref()               // keep the program loaded
	Unref()             // undo one Ref
}

// ProgArray is BPF_MAP_TYPE_PROG_ARRAY (kernel/bpf/arraymap.c), the targets of tail calls. A
// slot is one 64-bit word outside the Go heap, at mem.MapData of the map's descriptor plus eight
// times the index: the address of a program's descriptor, or 0. A chain that runs while slots
// are changed sees the old program or the new one.
//
// A new map has one user reference, its maker's (see UserUnref).
type ProgArray struct {
	*Common
	region *mem.Region

	mu      sync.Mutex
	progs   map[uint32]ProgRef // what keeps the programs in the slots loaded
	owner   linux.Owner
	owned   bool
	profile linux.Profile
	users   int
	closed  bool
}

// OwnerError says that a program does not fit the owner of a PROG_ARRAY. It unwraps to EINVAL.
type OwnerError struct {
	Map   string
	Slot  int64 // index of the slot, -1 when a program that uses the map was loaded
	Prog  string
	Diffs []linux.FieldDiff // never empty
}

func (e *OwnerError) Error() string {
	where := fmt.Sprintf("map %s[%d]: program %s", e.Map, e.Slot, e.Prog)
	if e.Slot < 0 {
		where = fmt.Sprintf("map %s: program %s, which tail-calls through it,", e.Map, e.Prog)
	}
	why := make([]string, len(e.Diffs))
	for i, d := range e.Diffs {
		why[i] = d.String()
	}
	return where + " is not compatible: " + strings.Join(why, "; ") + ": " + linux.EINVAL.Error()
}

// Unwrap returns EINVAL, which is all that Linux says.
func (e *OwnerError) Unwrap() error { return linux.EINVAL }

const (
	fdArrayFlags = linux.MapNUMANode | linux.MapReadOnly | linux.MapWriteOnly
	slotSize     = 8
)

// checkFDArray holds the rules of fd_array_map_alloc_check, for arrays whose values are file
// descriptors in bpf(2).
func checkFDArray(c *Common, flags uint32) error {
	switch {
	case c.KeySize != 4:
		return c.fail(linux.EINVAL, "key_size is %d, but the index of an array has 4 bytes", c.KeySize)
	case c.ValueSize != 4:
		return c.fail(linux.EINVAL, "value_size is %d, but a file descriptor has 4 bytes", c.ValueSize)
	case c.MaxEntries == 0:
		return c.fail(linux.EINVAL, "max_entries is 0; set it in the map definition")
	case c.Flags&^flags != 0:
		return c.fail(linux.EINVAL, "map_flags %#x are not allowed for this type", c.Flags&^flags)
	}
	return nil
}

// allocSlots makes the map's array of words and registers m.
func (c *Common) allocSlots(m Map) (*mem.Region, error) {
	region, err := c.host.Space.Alloc(mem.Layout{
		Kind: mem.KindInternal, Name: c.Name, Owner: m, Size: slotSize * uint64(c.MaxEntries),
	})
	if err != nil {
		return nil, c.fail(linux.ENOMEM, "%v", err)
	}
	if err := c.register(m); err != nil {
		region.Free()
		return nil, c.fail(linux.ENOMEM, "%v", err)
	}
	mem.Store64(c.Desc+mem.MapData, region.Base)
	mem.Store32(c.Desc+mem.MapStride, slotSize)
	return region, nil
}

func newProgArray(c *Common) (Map, error) {
	if err := checkFDArray(c, fdArrayFlags); err != nil {
		return nil, err
	}
	p := &ProgArray{Common: c, progs: map[uint32]ProgRef{}, profile: linux.Linux618(), users: 1}
	region, err := c.allocSlots(p)
	if err != nil {
		return nil, err
	}
	p.region = region
	return p, nil
}

// refuse makes the error of an operation other than create.
func (c *Common) refuse(op string, errno linux.Errno, reason string, args ...any) error {
	return &Error{Map: c.Name, Op: op, Errno: errno, Reason: fmt.Sprintf(reason, args...)}
}

// SetProfile sets the kernel version whose owner rules hold. It must precede the first use.
func (p *ProgArray) SetProfile(profile linux.Profile) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.profile = profile
}

// Owner returns the owner, false while there is none.
func (p *ProgArray) Owner() (linux.Owner, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.owner, p.owned
}

// bind compares prog with the owner, or makes it the owner of a map without one. The caller
// holds the lock.
func (p *ProgArray) bind(prog ProgRef, slot int64, refused []linux.FieldDiff) error {
	o := prog.Owner()
	o.TailCalls = prog.TailCalls()
	diffs := refused
	if len(diffs) == 0 && p.owned {
		diffs = p.owner.Diff(o, p.profile)
	}
	if len(diffs) != 0 {
		return &OwnerError{Map: p.Name, Slot: slot, Prog: prog.Name(), Diffs: diffs}
	}
	if !p.owned {
		p.owner, p.owned = o, true
	}
	return nil
}

// BindOwner is called at the end of the load of a program that uses the map: the first program
// becomes the map's owner, every later one must agree with it. A program that was refused for
// another reason must not get here, as it does not become the owner. Errors are *OwnerError.
func (p *ProgArray) BindOwner(prog ProgRef) error {
	// Extensions and device-bound programs may use a PROG_ARRAY; they may not be in one.
	refused := linux.Owner{Override: prog.Owner().Override}.Refused()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bind(prog, -1, refused)
}

// checkPut holds the order of bpf_fd_array_map_update_elem before the file descriptor is looked
// at: permission, flags, index.
func (c *Common) checkPut(index uint32, flags uint64) linux.Errno {
	switch {
	case c.sysWrite() != linux.OK:
		return linux.EPERM
	case flags != linux.UpdateAny:
		return linux.EINVAL
	case index >= c.MaxEntries:
		return linux.E2BIG
	}
	return linux.OK
}

// putError explains an errno of checkPut.
func (c *Common) putError(errno linux.Errno, index uint32) error {
	switch errno {
	case linux.EPERM:
		return c.refuse("update", errno, "the map is frozen or read-only for user space")
	case linux.E2BIG:
		return c.refuse("update", errno, "index %d is not below max_entries %d; raise max_entries", index, c.MaxEntries)
	}
	return c.refuse("update", errno, "only the flag BPF_ANY is allowed for this type")
}

// Put makes prog the target of tail calls to index and takes a reference on it. The program it
// replaces loses the map's reference once no run can be in it. Errors are *Error with EPERM
// (frozen or read-only), EINVAL (flags other than BPF_ANY), E2BIG (index) or EBADF (no program
// or map closed), in this order, and then *OwnerError.
func (p *ProgArray) Put(index uint32, prog ProgRef, flags uint64) error {
	if errno := p.checkPut(index, flags); errno != linux.OK {
		return p.putError(errno, index)
	}
	if prog == nil {
		return p.refuse("update", linux.EBADF, "no program; use Delete to empty a slot")
	}
	old, err := p.swap(index, prog)
	if err != nil {
		return err
	}
	p.release(old)
	return nil
}

func (p *ProgArray) swap(index uint32, prog ProgRef) (old ProgRef, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, p.refuse("update", linux.EBADF, "the map is closed")
	}
	if err := p.bind(prog, int64(index), prog.Owner().Refused()); err != nil {
		return nil, err
	}
	prog.Ref()
	old = p.progs[index]
	p.progs[index] = prog
	mem.AtomicStore64(p.slot(index), prog.Desc())
	return old, nil
}

func (p *ProgArray) slot(index uint32) uint64 { return p.region.Base + slotSize*uint64(index) }

// release drops the map's reference on programs that have left their slots. The lock must not
// be held: the last reference of a program may be what keeps this map.
func (p *ProgArray) release(progs ...ProgRef) {
	for _, prog := range progs {
		if prog != nil {
			p.host.Epochs.Retire(prog.Unref)
		}
	}
}

// Get returns the program in a slot, nil where there is none. The caller gets no reference.
func (p *ProgArray) Get(index uint32) ProgRef {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.progs[index]
}

// UserRef counts a new user reference: a handle that is open, or a pin.
func (p *ProgArray) UserRef() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.users++
}

// UserUnref drops a user reference. With the last one all slots are emptied, even though
// programs still use the map (prog_array_map_clear): that is what breaks reference cycles. The
// map stays usable and may get user references again.
func (p *ProgArray) UserUnref() {
	p.mu.Lock()
	last := p.users == 1
	if p.users > 0 {
		p.users--
	}
	p.mu.Unlock()
	if last {
		p.Clear()
	}
}

// Clear empties all slots.
func (p *ProgArray) Clear() { p.release(p.clear()...) }

func (p *ProgArray) clear() []ProgRef {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	var old []ProgRef
	for i, prog := range p.progs {
		mem.AtomicStore64(p.slot(i), 0)
		old = append(old, prog)
	}
	clear(p.progs)
	return old
}

// Lookup implements Map. Programs cannot look a program up; the verifier refuses to try.
func (p *ProgArray) Lookup(int, []byte) uint64 { return 0 }

// Update implements Map. Programs cannot change a PROG_ARRAY.
func (p *ProgArray) Update(int, []byte, []byte, uint64) linux.Errno { return linux.EINVAL }

// Delete implements Map. Programs cannot change a PROG_ARRAY.
func (p *ProgArray) Delete(int, []byte) linux.Errno { return linux.EINVAL }

// sysLookupFlags holds the checks of bpf(2) before a lookup.
func (c *Common) sysLookupFlags(flags uint64) linux.Errno {
	if flags != 0 {
		return linux.EINVAL // F_LOCK needs a lock in the value, which these types never have
	}
	return c.sysRead()
}

// SysLookup implements Map. The value is the program's id; an index out of range is ENOENT.
func (p *ProgArray) SysLookup(key, value []byte, flags uint64) linux.Errno {
	if errno := p.sysLookupFlags(flags); errno != linux.OK {
		return errno
	}
	prog := p.Get(binary.LittleEndian.Uint32(key))
	if prog == nil {
		return linux.ENOENT
	}
	binary.LittleEndian.PutUint32(value, prog.ID())
	return linux.OK
}

// SysUpdate implements Map. A value would be a file descriptor, and user-space programs have
// none, so that a valid update fails with EBADF: use Put.
func (p *ProgArray) SysUpdate(key, _ []byte, flags uint64) linux.Errno {
	if errno := p.checkPut(binary.LittleEndian.Uint32(key), flags); errno != linux.OK {
		return errno
	}
	return linux.EBADF
}

// SysDelete implements Map.
func (p *ProgArray) SysDelete(key []byte) linux.Errno {
	if errno := p.sysWrite(); errno != linux.OK {
		return errno
	}
	i := binary.LittleEndian.Uint32(key)
	if i >= p.MaxEntries {
		return linux.E2BIG
	}
	p.mu.Lock()
	old, ok := p.progs[i]
	if ok {
		delete(p.progs, i)
		mem.AtomicStore64(p.slot(i), 0)
	}
	p.mu.Unlock()
	if !ok {
		return linux.ENOENT
	}
	p.release(old)
	return linux.OK
}

// NextKey implements Map. It visits every index, empty slots too.
func (p *ProgArray) NextKey(key, next []byte) linux.Errno {
	if errno := p.sysRead(); errno != linux.OK {
		return errno
	}
	return nextIndex(p.MaxEntries, key, next)
}

// Close implements Map. It drops the references on all programs.
func (p *ProgArray) Close() {
	old := p.clear()
	p.mu.Lock()
	done := p.closed
	p.closed = true
	p.mu.Unlock()
	if done {
		return
	}
	p.unregister()
	p.region.Free()
	p.release(old...)
}
