package verifier

import (
	"fmt"

	"github.com/carom-bpf/carom/internal/linux"
	"github.com/carom-bpf/carom/internal/verifier/reject"
	"github.com/cilium/ebpf/btf"
)

// found is what lies at an offset of a structure (enum bpf_struct_walk_result, kernel/bpf/btf.c).
type found uint8

const (
	foundScalar found = iota
	foundPtr          // a pointer to a structure
	foundOther        // a pointer to something else
	foundStruct       // the beginning of a structure
)

// walk looks for the member at an offset of a structure.
type walk struct {
	off, size int
	flags     RegType // of pointers; PtrUntrusted is set where the way leads through a union
	target    btf.Type
	member    string // of the pointer
}

// walkError is why there is nothing at an offset.
type walkError struct {
	errno linux.Errno
	text  string
}

func (w *walk) refuse(errno linux.Errno, format string, args ...any) (found, *walkError) {
	return 0, &walkError{errno, fmt.Sprintf(format, args...)}
}

// in looks into a structure (btf_struct_walk). Where another structure begins at the offset, it
// is the target.
func (w *walk) in(t btf.Type) (found, *walkError) {
	for {
		t = skipModifiers(t)
		s := composite(t)
		if s == nil {
			return w.refuse(linux.EINVAL, "Type '%s' is not a struct", nameOf(t))
		}
		if s.union && len(s.members) != 1 {
			w.flags |= PtrUntrusted
		}
		if uint32(w.off+w.size) > s.size {
			next, result, err := w.flexible(s)
			if next == nil {
				return result, err
			}
			t = next
			continue
		}
		next, result, err := w.members(s)
		if next == nil {
			return result, err
		}
		t = next
	}
}

// flexible looks behind the end of a structure, where its last member may be an array of any
// length. It returns the structure to go on with.
func (w *walk) flexible(s *layout) (btf.Type, found, *walkError) {
	beyond := &walkError{linux.EACCES,
		fmt.Sprintf("access beyond struct %s at off %d size %d", s.name, uint32(w.off), uint32(w.size))}
	if len(s.members) == 0 {
		return nil, 0, beyond
	}
	last := s.members[len(s.members)-1]
	array, ok := skipModifiers(last.Type).(*btf.Array)
	start := int(last.Offset / 8)
	if !ok || array.Nelems != 0 || w.off < start {
		return nil, 0, beyond
	}
	elem := skipModifiers(array.Type)
	if _, ok := elem.(*btf.Int); ok {
		return nil, foundScalar, nil
	}
	inner := composite(elem)
	if inner == nil || inner.size == 0 {
		return nil, 0, beyond
	}
	w.off = (w.off - start) % int(inner.size)
	return elem, 0, nil
}

// members looks through the members of a structure. It returns the structure to go on with.
func (w *walk) members(s *layout) (btf.Type, found, *walkError) {
	for i := range s.members {
		m := &s.members[i]
		start := int(m.Offset / 8)
		if w.off+w.size <= start {
			break
		}
		if m.BitfieldSize != 0 {
			end := int(m.Offset+m.BitfieldSize+7) / 8
			if w.off <= start && end <= w.off+w.size {
				return nil, foundScalar, nil
			}
			continue
		}
		if w.off < start {
			break
		}
		t, size, ok := elements(m.Type)
		if !ok {
			_, err := w.refuse(linux.EFAULT, "field %s doesn't have size", shownName(m.Name))
			return nil, 0, err
		}
		if w.off >= start+size {
			continue
		}
		return w.member1(s, m, t, start, size)
	}
	_, err := w.refuse(linux.EINVAL, "struct %s doesn't have field at offset %d", s.name, w.off)
	return nil, 0, err
}

// member1 looks into the member that covers the offset. t is its type, or that of the elements of
// an array, size that of the whole member.
func (w *walk) member1(s *layout, m *btf.Member, t btf.Type, start, size int) (btf.Type, found, *walkError) {
	end := start + size
	one, err := btf.Sizeof(t)
	if err != nil || one == 0 {
		_, e := w.refuse(linux.EFAULT, "field %s doesn't have size", shownName(m.Name))
		return nil, 0, e
	}
	start += (w.off - start) / one * one
	if composite(t) != nil {
		if w.off == start {
			w.target = t
			return nil, foundStruct, nil
		}
		w.off -= start
		return t, 0, nil
	}
	if p, ok := t.(*btf.Pointer); ok {
		if one != w.size || w.off != start {
			_, e := w.refuse(linux.EACCES, "cannot access ptr member %s with moff %d in struct %s with off %d size %d",
				shownName(m.Name), start, s.name, w.off, w.size)
			return nil, 0, e
		}
		to := skipModifiers(p.Target)
		if composite(to) == nil {
			return nil, foundOther, nil
		}
		w.target, w.member = to, m.Name
		w.flags |= flagOfTag(tagOf(p))
		return nil, foundPtr, nil
	}
	if w.off+w.size > end && w.flags&PtrUntrusted == 0 {
		_, e := w.refuse(linux.EACCES, "access beyond the end of member %s (mend:%d) in struct %s with off %d size %d",
			shownName(m.Name), end, s.name, w.off, w.size)
		return nil, 0, e
	}
	return nil, foundScalar, nil
}

// elements strips qualifiers and dimensions of arrays from a type. The size is that of the whole.
func elements(t btf.Type) (elem btf.Type, size int, ok bool) {
	elem, n := skipModifiers(t), 1
	for {
		a, isArray := elem.(*btf.Array)
		if !isArray {
			break
		}
		n *= int(a.Nelems)
		elem = skipModifiers(a.Type)
	}
	one, ok := sizeOfType(elem)
	return elem, n * int(one), ok
}

func nameOf(t btf.Type) string {
	if t == nil {
		return ""
	}
	return t.TypeName()
}

// holds says that the wanted structure lies at an offset of an object (btf_struct_ids_match). A
// strict match is one of the object itself.
func (o *object) holds(off int, want *object, strict bool) bool {
	ok, _ := o.find(off, want, strict)
	return ok
}

// holds is the same for the log, which has why the way ends.
func (v *verifier) holds(o *object, off int, want *object, strict bool) bool {
	ok, err := o.find(off, want, strict)
	if err != nil && v.log != nil {
		v.log.linef("%s", err.text)
	}
	return ok
}

func (o *object) find(off int, want *object, strict bool) (bool, *walkError) {
	switch {
	case off == 0 && o == want:
		return true, nil
	case strict || o.Type == nil || want.Type == nil:
		return false, nil
	}
	t := o.Type
	for {
		w := walk{off: off, size: 1}
		result, err := w.in(t)
		if err != nil || result != foundStruct {
			return false, err
		}
		if w.target == want.Type {
			return true, nil
		}
		t, off = w.target, 0
	}
}

// structAccess finds what a load from an object gives (btf_struct_access).
func (v *verifier) structAccess(n int, o *object, t RegType, off, size int) (*walk, found, *reject.Error) {
	if t&MemAlloc != 0 && t&PtrUntrusted == 0 {
		for _, f := range o.fields {
			if off < int(f.Off+f.Size) && int(f.Off) < off+size {
				return nil, 0, v.failReg(n, CodeAccess, linux.EACCES, "direct access to %s is disallowed", f.Name)
			}
		}
	}
	at, flags := o.Type, RegType(0)
	for {
		w := &walk{off: off, size: size, flags: flags}
		result, err := w.in(at)
		if err != nil {
			return nil, 0, v.failReg(n, CodeAccess, err.errno, "%s", err.text)
		}
		if result != foundStruct {
			return w, result, nil
		}
		at, off, flags = w.target, 0, w.flags
	}
}
