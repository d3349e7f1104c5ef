package liveness

import "github.com/carom-bpf/carom/internal/linux"

// masks are the sets of one instruction for one frame.
type masks struct {
	mayRead   uint64 // slots that the instruction may read
	mustWrite uint64 // slots that it writes whenever it is executed
	written   uint64 // slots that it or all that follows in the function writes
	live      uint64 // slots that may be read at or after it before they are written
}

// instance is a function in one chain of calls.
type instance struct {
	fn       *Function
	outer    *instance // the caller; nil for frame 0
	frame    int
	callsite int32 // of the caller
	inner    []*instance
	index    map[uint64]*instance // inner by call and callee, when there are many

	updated bool // something changed since the last propagation
	frames  [linux.MaxFrames][]masks
	dirty   [linux.MaxFrames]int32 // lowest rank of what changed, clean if nothing did
	dropped [linux.MaxFrames]bool  // some mustWrite lost slots
	seen    []bool                 // by instruction: mustWrite is set
}

const clean = int32(1<<31 - 1)

// many is the number of callees from which on a table is quicker than a look at each.
const many = 8

// lookup finds the function at the end of a chain, or makes it with its callers.
func (t *Tracker) lookup(c *Chain) *instance {
	if t.last != nil && t.last.frame == c.Frame && t.last.is(c) {
		return t.last
	}
	in := t.root(c.Starts[0])
	for f := 1; f <= c.Frame; f++ {
		in = t.callee(in, c.Callsites[f-1], c.Starts[f])
	}
	t.last = in
	return in
}

// is reports whether a chain of as many frames leads to the function.
func (in *instance) is(c *Chain) bool {
	for f := c.Frame; f > 0; f-- {
		if in.fn.Start != int(c.Starts[f]) || in.callsite != c.Callsites[f-1] {
			return false
		}
		in = in.outer
	}
	return in.fn.Start == int(c.Starts[0])
}

func (t *Tracker) root(start int32) *instance {
	for _, in := range t.roots {
		if in.fn.Start == int(start) {
			return in
		}
	}
	in := t.add(nil, 0, start)
	t.roots = append(t.roots, in)
	return in
}

func (t *Tracker) callee(outer *instance, callsite, start int32) *instance {
	key := uint64(callsite)<<32 | uint64(start)
	if outer.index != nil {
		if in := outer.index[key]; in != nil {
			return in
		}
	} else {
		for _, in := range outer.inner {
			if in.callsite == callsite && in.fn.Start == int(start) {
				return in
			}
		}
	}
	in := t.add(outer, callsite, start)
	outer.inner = append(outer.inner, in)
	if len(outer.inner) == many {
		outer.index = make(map[uint64]*instance, 2*many)
		for _, o := range outer.inner {
			outer.index[uint64(o.callsite)<<32|uint64(o.fn.Start)] = o
		}
	} else if outer.index != nil {
		outer.index[key] = in
	}
	return in
}

func (t *Tracker) add(outer *instance, callsite, start int32) *instance {
	in := &instance{fn: t.function(int(start)), outer: outer, callsite: callsite}
	if outer != nil {
		in.frame = outer.frame + 1
	}
	in.seen = make([]bool, in.fn.End-in.fn.Start)
	for f := range in.dirty {
		in.dirty[f] = clean
	}
	return in
}

// alloc gives the sets of an instruction for a frame.
func (in *instance) alloc(frame, insn int) *masks {
	if in.frames[frame] == nil {
		in.frames[frame] = make([]masks, in.fn.End-in.fn.Start)
	}
	return &in.frames[frame][insn-in.fn.Start]
}

// live gives the slots that are live before an instruction.
func (in *instance) live(frame, insn int) uint64 {
	if in.frames[frame] == nil {
		return 0
	}
	return in.frames[frame][insn-in.fn.Start].live
}

func (t *Tracker) changed(in *instance, frame, insn int) {
	in.updated = true
	in.dirty[frame] = min(in.dirty[frame], t.rank[insn])
}

func (t *Tracker) read(in *instance, frame, insn int, mask uint64) {
	m := in.alloc(frame, insn)
	if m.mayRead|mask == m.mayRead {
		return
	}
	m.mayRead |= mask
	if m.mayRead&^m.live != 0 {
		t.changed(in, frame, insn)
	}
}

func (t *Tracker) commit(in *instance, insn int, writes *[linux.MaxFrames]uint64) {
	seen := &in.seen[insn-in.fn.Start]
	for f := 0; f <= in.frame; f++ {
		mask := writes[f]
		if mask == 0 && (!*seen || in.frames[f] == nil) {
			continue
		}
		m := in.alloc(f, insn)
		if *seen {
			mask &= m.mustWrite
		}
		if m.mustWrite&^mask != 0 {
			in.dropped[f] = true
		}
		if m.mustWrite != mask {
			m.mustWrite = mask
			t.changed(in, f, insn)
		}
	}
	*seen = true
}

// update propagates within a function until nothing changes, then to its caller. A frame for
// which nothing was reported is as it was.
func (t *Tracker) update(in *instance) {
	for f := range in.frame + 1 {
		from := in.dirty[f]
		if from == clean {
			continue
		}
		sets := in.frames[f]
		if in.fn.HasLoop {
			if in.dropped[f] {
				// Around a loop the old sets would keep each other.
				from = 0
				for n := range sets {
					sets[n].written = 0
				}
			}
			for t.propagate(in.fn, sets, from) {
				from = 0
			}
		} else {
			t.propagate(in.fn, sets, from)
		}
		in.dirty[f], in.dropped[f] = clean, false
	}
	in.updated = false
	if in.outer != nil {
		t.report(in)
	}
}

// propagate runs once over a function, from an instruction's rank on: what has a lower one does
// not depend on it but through a loop. It reports whether anything changed.
func (t *Tracker) propagate(fn *Function, sets []masks, from int32) (changed bool) {
	start := int32(fn.Start)
	for _, insn := range fn.Postorder[from:] {
		succ := t.prog.Succ[insn]
		if succ[0] < 0 {
			continue
		}
		next := &sets[succ[0]-start]
		after, written := next.live, next.written
		if succ[1] >= 0 {
			next = &sets[succ[1]-start]
			after |= next.live
			written &= next.written
		}
		m := &sets[insn-start]
		before := after&^m.mustWrite | m.mayRead
		written |= m.mustWrite
		if before != m.live || written != m.written {
			m.live, m.written = before, written
			changed = true
		}
	}
	return changed
}

// report passes on to the call what a function does to the frames of its callers.
func (t *Tracker) report(in *instance) {
	var writes [linux.MaxFrames]uint64
	for f := range in.frame {
		if in.frames[f] == nil {
			continue
		}
		entry := &in.frames[f][0]
		writes[f] = entry.written
		t.read(in.outer, f, int(in.callsite), entry.live)
	}
	t.commit(in.outer, int(in.callsite), &writes)
}
