package asm

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"sort"

	"github.com/cilium/ebpf/btf"

	"github.com/carom-bpf/carom/internal/isa"
)

// linker knows the slot of every statement and the functions and labels by name.
type linker struct {
	src      *source
	slots    []int      // slot of each statement, and the number of all slots at the end
	declared []function // by func lines, which alone make scopes
}

// link resolves labels and functions: it completes src.funcs with the functions that only
// calls tell of, and fills in every distance.
func (s *source) link() error {
	k := &linker{src: s, slots: make([]int, 0, len(s.stmts)+1), declared: slices.Clone(s.funcs)}
	at := 0
	for _, st := range s.stmts {
		k.slots = append(k.slots, at)
		at += st.slots()
	}
	k.slots = append(k.slots, at)
	if err := k.checkNames(); err != nil {
		return err
	}
	if err := k.functions(); err != nil {
		return err
	}
	for n := range s.stmts {
		if err := k.resolve(n); err != nil {
			return err
		}
	}
	return nil
}

// checkNames refuses functions and labels that are ambiguous or hold no instruction.
func (k *linker) checkNames() error {
	s := k.src
	seen := map[string]bool{}
	for n, f := range s.funcs {
		switch {
		case seen[f.name]:
			return s.errorAt(f.line, 0, "function %s is declared twice", f.name)
		case f.stmt == len(s.stmts), n+1 < len(s.funcs) && s.funcs[n+1].stmt == f.stmt:
			return s.errorAt(f.line, 0, "function %s has no instruction", f.name)
		}
		seen[f.name] = true
	}
	type scoped struct {
		fn   int
		name string
	}
	labels := map[scoped]bool{}
	for _, l := range s.labels {
		key := scoped{k.scope(l.stmt, l.line), l.name}
		if labels[key] {
			return s.errorAt(l.line, 0, "label %s is declared twice in its function", l.name)
		}
		labels[key] = true
	}
	return nil
}

// scope is the index of the declared function in which a line stands, -1 before the first.
func (k *linker) scope(stmt, line int) int {
	return sort.Search(len(k.declared), func(n int) bool {
		f := k.declared[n]
		return f.stmt > stmt || f.stmt == stmt && f.line > line
	}) - 1
}

// label finds a label in the function of the statement, or else the only one of that name.
func (k *linker) label(name string, from stmt, at int) (stmtIndex int, err error) {
	scope := k.scope(at, from.line)
	found := -1
	count := 0
	for _, l := range k.src.labels {
		if l.name != name {
			continue
		}
		if k.scope(l.stmt, l.line) == scope {
			return l.stmt, nil
		}
		found = l.stmt
		count++
	}
	switch count {
	case 0:
		return 0, k.src.errorAt(from.line, from.col, "there is no label %s", name)
	case 1:
		return found, nil
	}
	return 0, k.src.errorAt(from.line, from.col, "label %s is in %d other functions and not in this one", name, count)
}

// functions adds the main program and the targets of calls that no func line declares, and
// turns calls of unknown names into helper calls.
func (k *linker) functions() error {
	s := k.src
	targets := map[int]string{}
	for n := range s.stmts {
		if err := k.callTarget(n, targets); err != nil {
			return err
		}
	}
	unnamed := len(s.stmts) > 0 && targets[0] == ""
	if unnamed {
		targets[0] = "main"
	}
	for _, f := range s.funcs {
		delete(targets, f.stmt)
	}
	for _, at := range slices.Sorted(maps.Keys(targets)) {
		f := function{stmt: at, line: s.stmts[at].line, linkage: btf.StaticFunc, proto: defaultProto()}
		f.name = k.freeName(targets[at])
		if at == 0 {
			f.linkage, f.unnamed = btf.GlobalFunc, unnamed
		}
		s.funcs = append(s.funcs, f)
	}
	sort.Slice(s.funcs, func(a, b int) bool { return s.funcs[a].stmt < s.funcs[b].stmt })
	return nil
}

// callTarget notes the function that a statement calls or takes the address of.
func (k *linker) callTarget(n int, targets map[int]string) error {
	s := k.src
	st := &s.stmts[n]
	local := st.Op == isa.ClassJMP|isa.CALL && st.Src == isa.CallLocal || st.wide && st.Src == isa.PseudoFunc
	if st.ref != refCall && st.ref != refFunc {
		// A distance that leads nowhere stays as it is: the loader has to judge it.
		at := k.slots[n] + 1 + int(st.Imm)
		if to := sort.SearchInts(k.slots, at); local && at >= 0 && to < len(s.stmts) && k.slots[to] == at {
			if targets[to] == "" {
				targets[to] = fmt.Sprintf("sub_%d", at)
			}
		}
		return nil
	}
	for _, f := range k.declared {
		if f.name == st.name {
			return nil
		}
	}
	to, err := k.label(st.name, *st, n)
	if err == nil {
		if to == len(s.stmts) {
			return s.errorAt(st.line, st.col, "function %s has no instruction", st.name)
		}
		targets[to] = st.name
		return nil
	}
	if id, ok := isa.HelperID(st.name); ok && st.ref == refCall {
		st.ref, st.name, st.Imm = refNone, "", id
		return nil
	}
	return s.errorAt(st.line, st.col, "%s is no function, label or helper", st.name)
}

// freeName returns the name, changed if another function has it already.
func (k *linker) freeName(name string) string {
	for _, f := range k.src.funcs {
		if f.name == name {
			return k.freeName(name + "_")
		}
	}
	return name
}

// resolve fills the distance of a statement that names a label or function.
func (k *linker) resolve(n int) error {
	s := k.src
	st := &s.stmts[n]
	switch st.ref {
	case refBranch, refLongJump:
		to, err := k.declaredLabel(n)
		if err != nil {
			return err
		}
		rel := k.slots[to] - k.slots[n] - 1
		if st.ref == refLongJump {
			st.Imm = int32(rel)
			break
		}
		if rel < math.MinInt16 || rel > math.MaxInt16 {
			return s.errorAt(st.line, st.col, "label %s is %d instructions away; use gotol", st.name, rel)
		}
		st.Off = int16(rel)
	case refCall, refFunc:
		f, err := k.function(n)
		if err != nil {
			return err
		}
		st.name, st.Imm = f.name, int32(k.slots[f.stmt]-k.slots[n]-1)
		if st.ref == refCall {
			st.Src = isa.CallLocal
		}
	}
	return nil
}

// declaredLabel finds the label a jump names; a function name serves as one too.
func (k *linker) declaredLabel(n int) (int, error) {
	st := k.src.stmts[n]
	to, err := k.label(st.name, st, n)
	if err != nil {
		for _, f := range k.declared {
			if f.name == st.name {
				return f.stmt, nil
			}
		}
	}
	return to, err
}

// function finds the function a statement calls: by name, or where a label of the name is.
func (k *linker) function(n int) (function, error) {
	st := k.src.stmts[n]
	for _, f := range k.declared {
		if f.name == st.name {
			return f, nil
		}
	}
	to, err := k.label(st.name, st, n)
	if err != nil {
		return function{}, err
	}
	for _, f := range k.src.funcs {
		if f.stmt == to {
			return f, nil
		}
	}
	return function{}, k.src.errorAt(st.line, st.col, "%s is no function", st.name)
}
