package liveness

// lookup finds the function in the chain up to a frame, or makes it with its callers.
func (a *Analysis) lookup(c *Chain, frame int) *instance {
	if in := a.last; in != nil && in.chain.Frame == frame && in.is(c) {
		return in
	}
	siblings, outer := &a.roots, (*instance)(nil)
	for f := 0; ; f++ {
		in := find(*siblings, c, f)
		if in == nil {
			in = a.add(c, f, outer)
			*siblings = append(*siblings, in)
		}
		if f == frame {
			a.last = in
			return in
		}
		siblings, outer = &in.inner, in
	}
}

// is reports whether the chain leads to the function as far as the chain of that goes.
func (in *instance) is(c *Chain) bool {
	for f := in.chain.Frame; f >= 0; f-- {
		if in.chain.Starts[f] != c.Starts[f] {
			return false
		}
		if f > 0 && in.chain.Callsites[f-1] != c.Callsites[f-1] {
			return false
		}
	}
	return true
}

// find looks among the functions with one caller for that of frame f. Few calls have another
// callee than the one before at the same site, so the last step of the chain decides.
func find(list []*instance, c *Chain, f int) *instance {
	for _, in := range list {
		if in.start == int(c.Starts[f]) && (f == 0 || in.chain.Callsites[f-1] == c.Callsites[f-1]) {
			return in
		}
	}
	return nil
}

func (a *Analysis) add(c *Chain, f int, outer *instance) *instance {
	in := &instance{chain: c.key(f), outer: outer, start: int(c.Starts[f])}
	in.end, in.post = a.graph.Function(in.start)
	in.seen = make([]bool, in.end-in.start)
	return in
}

// at gives the sets of an instruction for a frame, nil when the function never touched it.
func (in *instance) at(frame, slot int) *masks {
	if in.frames[frame] == nil {
		return nil
	}
	return &in.frames[frame][slot-in.start]
}

func (in *instance) alloc(frame, slot int) *masks {
	if in.frames[frame] == nil {
		in.frames[frame] = make([]masks, in.end-in.start)
	}
	return in.at(frame, slot)
}

func (in *instance) live(frame, slot int) uint64 {
	if m := in.at(frame, slot); m != nil {
		return m.live
	}
	return 0
}

func (in *instance) read(frame, slot int, mask uint64) {
	m := in.alloc(frame, slot)
	if more := m.mayRead | mask; more != m.mayRead {
		in.updated = in.updated || more&^m.live != 0
		m.mayRead = more
	}
}

func (in *instance) commit(slot int, writes *[8]uint64) {
	seen := &in.seen[slot-in.start]
	for f := 0; f <= in.chain.Frame; f++ {
		mask := writes[f]
		if mask == 0 && !*seen {
			continue
		}
		if mask == 0 && in.frames[f] == nil {
			continue
		}
		m := in.alloc(f, slot)
		if *seen {
			mask &= m.mustWrite
		}
		in.updated = in.updated || m.mustWrite != mask
		in.dropped = in.dropped || m.mustWrite&^mask != 0
		m.mustWrite = mask
	}
	*seen = true
}

// update propagates within a function until nothing changes, then to its caller.
func (a *Analysis) update(in *instance) {
	for f := range in.chain.Frame + 1 {
		sets := in.frames[f]
		if sets == nil {
			continue
		}
		if in.dropped {
			for n := range sets {
				sets[n].written = 0
			}
		}
		for in.propagate(a.graph, sets) {
		}
	}
	if in.outer != nil {
		in.report()
	}
	in.updated, in.dropped = false, false
}

// propagate runs once over the function for one frame. It reports whether anything changed.
func (in *instance) propagate(g Graph, sets []masks) (changed bool) {
	for _, n := range in.post {
		succ := g.Successors(int(n))
		if succ[0] < 0 {
			continue
		}
		next := &sets[int(succ[0])-in.start]
		after, written := next.live, next.written
		if succ[1] >= 0 {
			next = &sets[int(succ[1])-in.start]
			after |= next.live
			written &= next.written
		}
		m := &sets[int(n)-in.start]
		before := after&^m.mustWrite | m.mayRead
		written |= m.mustWrite
		if before != m.live || written != m.written {
			m.live, m.written = before, written
			changed = true
		}
	}
	return changed
}

// report passes what a function does to the frames of its callers on to its call.
func (in *instance) report() {
	var writes [8]uint64
	site := int(in.chain.Callsites[in.chain.Frame-1])
	for f := range in.chain.Frame {
		if m := in.at(f, in.start); m != nil {
			writes[f] = m.written
			in.outer.read(f, site, m.live)
		}
	}
	in.outer.commit(site, &writes)
}
