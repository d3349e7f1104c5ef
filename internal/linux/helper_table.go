package linux

import (
	"slices"
	"strings"
	"sync"

	"github.com/cilium/ebpf"
)

// ProgramSleepable is BPF_F_SLEEPABLE, a flag of programs (include/uapi/linux/bpf.h).
const ProgramSleepable = 1 << 4

// HelperScope is what decides which helpers a program may call. An extension program has the
// scope of the program that it extends.
type HelperScope struct {
	Type   ebpf.ProgramType
	Attach ebpf.AttachType // expected_attach_type
	// To is what the program is attached to: the iterator or LSM hook, or "ops:member" of a
	// struct_ops program.
	To        string
	Sleepable bool // BPF_F_SLEEPABLE
}

// HelperTable is the helpers that one kind of program may call. It never changes.
type HelperTable struct {
	rows [MaxFuncID + 1]*Proto
}

// Proto returns the prototype by which the program calls a helper, nil when it may not. The
// prototype is shared: do not write to it.
func (t *HelperTable) Proto(id uint32) *Proto {
	if id > MaxFuncID {
		return nil
	}
	return t.rows[id]
}

// tableKey is what a table depends on.
type tableKey struct {
	scope   HelperScope
	release Release
	lacks   Feature
}

// helperTables keeps a table for each scope that was asked for.
type helperTables struct {
	sets   map[string]*helperSet
	byType map[ebpf.ProgramType]*helperSet
	known  map[string]bool           // targets that make a difference
	older  map[string][]helperChange // by set
	made   sync.Map                  // tableKey to *HelperTable
}

var tables = sync.OnceValue(func() *helperTables {
	t := &helperTables{
		sets: map[string]*helperSet{}, byType: map[ebpf.ProgramType]*helperSet{}, known: map[string]bool{},
		older: map[string][]helperChange{},
	}
	for _, c := range helperChanges() {
		t.older[c.set] = append(t.older[c.set], c)
	}
	all := helperSets()
	for i := range all {
		set := &all[i]
		t.sets[set.name] = set
		for _, typ := range set.types {
			t.byType[typ] = set
		}
		for _, c := range set.when {
			for _, to := range c.to {
				t.known[to] = true
			}
		}
	}
	return t
})

// Helpers returns the helpers for programs of this scope in Linux 6.18. The table is empty for
// types that it does not have.
func Helpers(scope HelperScope) *HelperTable { return Linux618().Helpers(scope) }

// Helpers returns the helpers for programs of this scope.
func (p Profile) Helpers(scope HelperScope) *HelperTable {
	t := tables()
	if !t.known[scope.To] {
		scope.To, _, _ = strings.Cut(scope.To, ":") // "ops:member" counts as "ops"
	}
	if !t.known[scope.To] {
		scope.To = ""
	}
	key := tableKey{scope, p.Release, p.Lacks}
	if have, ok := t.made.Load(key); ok {
		return have.(*HelperTable)
	}
	table := new(HelperTable)
	if set := t.byType[scope.Type]; set != nil && p.HasProgramType(scope.Type) {
		t.fill(table, set, key)
	}
	for id, row := range table.rows {
		if row != nil && (uint32(id) > p.LastHelper() || row.Needs&p.Lacks != 0) {
			table.rows[id] = nil
		}
	}
	have, _ := t.made.LoadOrStore(key, table)
	return have.(*HelperTable)
}

// HelperFor returns the prototype by which a program of this type, attach type and flags calls a
// helper, and whether it may. Use Helpers where the target of the program is known, or for
// repeated questions.
func HelperFor(t ebpf.ProgramType, attach ebpf.AttachType, flags, id uint32) (*Proto, bool) {
	p := Helpers(HelperScope{Type: t, Attach: attach, Sleepable: flags&ProgramSleepable != 0}).Proto(id)
	return p, p != nil
}

func (t *helperTables) fill(table *HelperTable, set *helperSet, key tableKey) {
	for _, name := range set.of {
		t.fill(table, t.sets[name], key)
	}
	table.apply(set.add, set.drop)
	for i := range set.when {
		if c := &set.when[i]; c.matches(key.scope) {
			table.apply(c.add, c.drop)
		}
	}
	for _, c := range t.older[set.name] {
		if key.release < c.before && (key.scope.Sleepable || !c.sleepable) {
			table.apply(c.had, c.lacked)
		}
	}
}

func (t *HelperTable) apply(add []string, drop []uint32) {
	for _, symbol := range add {
		if p := protos().bySymbol[symbol]; p != nil {
			t.rows[p.ID] = p
		}
	}
	for _, id := range drop {
		t.rows[id] = nil
	}
}

func (c *helperCase) matches(s HelperScope) bool {
	ops, _, _ := strings.Cut(s.To, ":")
	switch {
	case c.sleepable && !s.Sleepable,
		len(c.attach) > 0 && !slices.Contains(c.attach, s.Attach),
		slices.Contains(c.notAttach, s.Attach),
		len(c.to) > 0 && !slices.Contains(c.to, s.To) && !slices.Contains(c.to, ops):
		return false
	}
	return true
}
