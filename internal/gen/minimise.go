package gen

// Minimise leaves out of a case what is not needed for keep to hold: runs, slots, operations, and
// branches around operations. It makes at most tries attempts.
func Minimise(c *Case, tries int, keep func(*Case) bool) *Case {
	m := &minimiser{best: c, tries: tries, keep: keep}
	for again := true; again && m.tries > 0; {
		again = m.runs()
		again = m.slots() || again
		again = m.programs() || again
		for p := range m.best.Progs {
			for f := range m.best.Progs[p].Funcs {
				again = m.function(p, f) || again
			}
		}
	}
	return m.best
}

type minimiser struct {
	best  *Case
	tries int
	keep  func(*Case) bool
}

// try takes a smaller case when it is still good.
func (m *minimiser) try(c *Case) bool {
	if m.tries <= 0 {
		return false
	}
	m.tries--
	if !m.keep(c) {
		return false
	}
	m.best = c
	return true
}

func (m *minimiser) runs() bool {
	done := false
	for i := len(m.best.Runs) - 1; i >= 0 && len(m.best.Runs) > 1; i-- {
		c := m.best.clone()
		c.Runs = append(c.Runs[:i], c.Runs[i+1:]...)
		done = m.try(c) || done
	}
	return done
}

func (m *minimiser) slots() bool {
	done := false
	for i := range m.best.Runs {
		for j := len(m.best.Runs[i].Set) - 1; j >= 0; j-- {
			c := m.best.clone()
			c.Runs[i].Set = append(append([]Slot{}, c.Runs[i].Set[:j]...), c.Runs[i].Set[j+1:]...)
			done = m.try(c) || done
		}
	}
	for i := len(m.best.Slots) - 1; i >= 0; i-- {
		c := m.best.clone()
		c.Slots = append(c.Slots[:i], c.Slots[i+1:]...)
		done = m.try(c) || done
	}
	return done
}

// programs leaves out programs that nothing runs or jumps to.
func (m *minimiser) programs() bool {
	done := false
	for i := len(m.best.Progs) - 1; i >= 0; i-- {
		c := m.best.clone()
		used := false
		for _, s := range c.Slots {
			used = used || s.Prog == c.Progs[i].Name
		}
		for _, r := range c.Runs {
			used = used || r.Prog == c.Progs[i].Name
			for _, s := range r.Set {
				used = used || s.Prog == c.Progs[i].Name
			}
		}
		if used {
			continue
		}
		c.Progs = append(c.Progs[:i], c.Progs[i+1:]...)
		done = m.try(c) || done
	}
	return done
}

// function leaves out operations: half of them, a quarter, and so on, then looks into bodies.
func (m *minimiser) function(p, f int) bool {
	done := false
	get := func() []Op { return m.best.Progs[p].Funcs[f].Ops }
	with := func(ops []Op) bool {
		c := m.best.clone()
		c.Progs[p].Funcs[f].Ops = ops
		return m.try(c)
	}
	for n := (len(get()) + 1) / 2; n > 0; n /= 2 {
		for at := len(get()) - n; at >= 0; at -= n {
			if at+n <= len(get()) {
				done = with(without(get(), at, n)) || done
			}
		}
	}
	for i := len(get()) - 1; i >= 0; i-- {
		for progress := true; progress && i < len(get()); {
			progress = false
			for _, o := range smaller(get()[i]) {
				ops := without(get(), i, 1)
				ops = append(ops[:i:i], append(o, ops[i:]...)...)
				if with(ops) {
					progress, done = true, true
					break
				}
			}
		}
	}
	return done
}

func without(ops []Op, at, n int) []Op {
	return append(append([]Op{}, ops[:at]...), ops[at+n:]...)
}

// smaller lists what an operation with a body may be replaced by.
func smaller(o Op) [][]Op {
	var out [][]Op
	if len(o.Body)+len(o.Else) > 0 && len(o.Tail) > 0 && o.bare() {
		out = append(out, o.Body)
		if o.Else != nil {
			out = append(out, o.Else)
		}
	}
	in := func(list []Op, put func(*Op, []Op)) {
		for i := range list {
			n := o
			put(&n, without(list, i, 1))
			out = append(out, []Op{n})
			for _, s := range smaller(list[i]) {
				n := o
				l := without(list, i, 1)
				put(&n, append(l[:i:i], append(append([]Op{}, s...), l[i:]...)...))
				out = append(out, []Op{n})
			}
		}
	}
	in(o.Body, func(n *Op, l []Op) { n.Body = l })
	in(o.Else, func(n *Op, l []Op) { n.Else = l })
	return out
}

// bare says that the bodies stand for themselves: a branch, not an access to a pointer.
func (o *Op) bare() bool { return o.Mid != nil || len(o.Tail) == 1 && len(o.Head) == 1 }
