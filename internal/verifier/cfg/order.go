package cfg

import "github.com/carom-bpf/carom/internal/isa"

// link computes the successors of every instruction (bpf_insn_successors, kernel/bpf/liveness.c).
func (a *analysis) link() {
	a.Succ = make([][2]int32, len(a.Insns))
	for s := range a.Subprogs {
		sub := &a.Subprogs[s]
		for n := sub.Start; n < sub.End; n++ {
			a.Succ[n] = successors(int32(n), a.Insns[n], sub)
		}
	}
}

func successors(n int32, i isa.Insn, sub *Subprog) [2]int32 {
	switch i.Class() {
	case isa.ClassLD:
		if i.Op == isa.LDDW {
			return [2]int32{n + 2, None}
		}
		if isPacketLoad(i) && sub.Start > 0 {
			return [2]int32{n + 1, int32(sub.Exit)}
		}
	case isa.ClassJMP, isa.ClassJMP32:
		switch i.Op & 0xf0 {
		case isa.EXIT:
			return [2]int32{None, None}
		case isa.CALL:
			if isTailCall(i) {
				return [2]int32{n + 1, int32(sub.Exit)}
			}
		case isa.JA:
			return [2]int32{n + jumpOffset(i) + 1, None}
		default:
			return [2]int32{n + 1, n + int32(i.Off) + 1}
		}
	}
	return [2]int32{n + 1, None}
}

// order computes the postorder of every subprogram (compute_postorder).
func (a *analysis) order() {
	const seen, done = 1, 2
	clear(a.state)
	state, stack := a.state, a.stack
	post := make([]int32, 0, len(a.Insns))
	for s := range a.Subprogs {
		sub := &a.Subprogs[s]
		sub.PostorderStart = len(post)
		stack = append(stack[:0], int32(sub.Start))
		for len(stack) > 0 {
			top := stack[len(stack)-1]
			if state[top]&done != 0 {
				post = append(post, top)
				stack = stack[:len(stack)-1]
				continue
			}
			for _, to := range a.Succ[top] {
				if to >= 0 && state[to] == 0 {
					state[to] = seen
					stack = append(stack, to)
				}
			}
			state[top] = seen | done
		}
		sub.PostorderEnd = len(post)
	}
	a.Postorder, a.stack = post, stack
}

// loops is the state of the search for strongly connected components: Tarjan's algorithm, in
// the form of Pearce that keeps one number per vertex, without recursion.
type loops struct {
	*analysis
	pre, low []uint32 // order of discovery; the earliest that can be reached, or offStack
	open     []int32  // vertices whose component is not known yet
	next     uint32
	id       uint32
}

const offStack = ^uint32(0)

// findLoops numbers the strongly connected components that have an edge (compute_scc).
func (a *analysis) findLoops() {
	n := len(a.Insns)
	numbers := make([]uint32, 3*n)
	a.SCC = numbers[:n:n]
	l := &loops{analysis: a, pre: numbers[n : 2*n], low: numbers[2*n:], open: make([]int32, 0, n), next: 1, id: 1}
	for i := range n {
		if l.pre[i] == 0 {
			l.search(int32(i))
		}
		if a.Insns[i].IsWide() {
			l.pre[i+1] = offStack // not an instruction
		}
	}
	a.Loops = int(l.id) - 1
}

func (l *loops) search(root int32) {
	stack := append(l.stack[:0], root)
	for len(stack) > 0 {
		w := stack[len(stack)-1]
		if l.pre[w] == 0 {
			l.pre[w], l.low[w] = l.next, l.next
			l.next++
			l.open = append(l.open, w)
		}
		if to := l.visit(w); to >= 0 {
			stack = append(stack, to)
			continue
		}
		stack = stack[:len(stack)-1]
		if l.low[w] == l.pre[w] {
			l.close(w)
		}
	}
	l.stack = stack
}

// visit lowers the number of w to that of its successors and gives one that was not seen yet.
func (l *loops) visit(w int32) int32 {
	for _, to := range l.Succ[w] {
		if to < 0 {
			continue
		}
		if l.pre[to] == 0 {
			return to
		}
		l.low[w] = min(l.low[w], l.low[to])
	}
	return None
}

// close takes the component with the root w off the stack.
func (l *loops) close(w int32) {
	last := len(l.open) - 1
	loop := l.open[last] != w || l.Succ[w][0] == w || l.Succ[w][1] == w
	for ; ; last-- {
		t := l.open[last]
		l.low[t] = offStack
		if loop {
			l.SCC[t] = l.id
		}
		if t == w {
			break
		}
	}
	l.open = l.open[:last]
	if loop {
		l.id++
		l.Subprogs[l.SubprogAt(int(w))].HasLoop = true
	}
}
