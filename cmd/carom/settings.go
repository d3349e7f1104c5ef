package main

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/internal/btfval"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// slot is a --slot MAP[INDEX]=PROG.
type slot struct {
	mapName string
	index   uint32
	program string
}

// setting is a --set MAP[KEY]=VALUE, or VARIABLE=VALUE, which has no key.
type setting struct {
	name, key, value string
	isMap            bool
}

// splitElement takes NAME[KEY]=VALUE apart. Brackets, braces and strings nest in KEY. Without a
// bracket before the first '=', there is no key.
func splitElement(text string) (name, key, value string, hasKey bool, err error) {
	bracket, equal := strings.IndexByte(text, '['), strings.IndexByte(text, '=')
	if equal < 0 {
		return "", "", "", false, fmt.Errorf("it has no '='")
	}
	if bracket < 0 || equal < bracket {
		return strings.TrimSpace(text[:equal]), "", text[equal+1:], false, nil
	}
	end := closing(text, bracket)
	if end < 0 {
		return "", "", "", false, fmt.Errorf("the '[' is not closed")
	}
	rest := strings.TrimSpace(text[end+1:])
	if !strings.HasPrefix(rest, "=") {
		return "", "", "", false, fmt.Errorf("'=' is missing behind ']'")
	}
	return strings.TrimSpace(text[:bracket]), text[bracket+1 : end], rest[1:], true, nil
}

// closing returns where the bracket that opens at start closes, -1 if it doesn't.
func closing(text string, start int) int {
	depth, inString := 0, false
	for i := start; i < len(text); i++ {
		switch c := text[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '[' || c == '{':
			depth++
		case c == ']' || c == '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

func parseSlot(text string) (slot, error) {
	name, key, prog, hasKey, err := splitElement(text)
	if err != nil || !hasKey {
		return slot{}, usagef("--slot %s: write it as MAP[INDEX]=PROGRAM, for example jmp_table[0]=target", text)
	}
	digits, base := strings.TrimSpace(key), 10
	if strings.HasPrefix(digits, "0x") || strings.HasPrefix(digits, "0X") {
		digits, base = digits[2:], 16
	}
	index, err := strconv.ParseUint(digits, base, 32)
	if err != nil {
		return slot{}, usagef("--slot %s: the index %q is not a number of 32 bits; write it in decimal or as 0x hexadecimal", text, key)
	}
	return slot{name, uint32(index), strings.TrimSpace(prog)}, nil
}

func parseSlots(texts []string, spec *ebpf.CollectionSpec) ([]slot, error) {
	var all []slot
	for _, text := range texts {
		s, err := parseSlot(text)
		if err != nil {
			return nil, err
		}
		m, err := findMap(spec, s.mapName, "--slot "+text)
		if err != nil {
			return nil, err
		}
		switch {
		case m.Type != ebpf.ProgramArray:
			return nil, usagef("--slot %s: map %s is a %s; slots are those of a ProgramArray, use --set for other maps", text, m.Name, m.Type)
		case s.index >= m.MaxEntries:
			return nil, usagef("--slot %s: map %s has %d slots; use an index from 0 to %d", text, m.Name, m.MaxEntries, int64(m.MaxEntries)-1)
		case spec.Programs[s.program] == nil:
			return nil, usagef("--slot %s: the object has no program %q; it has %s", text, s.program, names(spec.Programs))
		}
		all = append(all, s)
	}
	return all, nil
}

func findMap(spec *ebpf.CollectionSpec, name, what string) (*ebpf.MapSpec, error) {
	if m := spec.Maps[name]; m != nil {
		return m, nil
	}
	return nil, usagef("%s: the object has no map %q; it has %s", what, name, names(spec.Maps))
}

// applySlots fills program arrays as a loader would.
func applySlots(coll *carom.Collection, slots []slot) error {
	for _, s := range slots {
		if err := coll.Maps[s.mapName].Put(s.index, coll.Programs[s.program]); err != nil {
			return fmt.Errorf("--slot %s[%d]=%s: %w", s.mapName, s.index, s.program, err)
		}
	}
	return nil
}

// parseSettings checks all --set. Variables, constants among them, are set in the spec at once;
// the elements of maps are returned for later.
func parseSettings(texts []string, spec *ebpf.CollectionSpec) ([]setting, error) {
	var later []setting
	for _, text := range texts {
		name, key, value, hasKey, err := splitElement(text)
		switch {
		case err != nil:
			return nil, usagef("--set %s: %w; write MAP[KEY]=VALUE or VARIABLE=VALUE", text, err)
		case hasKey:
			m, err := findMap(spec, name, "--set "+text)
			if err != nil {
				return nil, err
			}
			if m.Type == ebpf.ProgramArray {
				return nil, usagef("--set %s: map %s holds programs; use --slot", text, name)
			}
			later = append(later, setting{name, key, value, true})
		default:
			if err := setVariable(spec, name, value); err != nil {
				return nil, usagef("--set %s: %w", text, err)
			}
		}
	}
	return later, nil
}

func setVariable(spec *ebpf.CollectionSpec, name, value string) error {
	v := spec.Variables[name]
	if v == nil {
		if spec.Maps[name] != nil {
			return fmt.Errorf("%s is a map; write %s[KEY]=VALUE", name, name)
		}
		return fmt.Errorf("the object has no variable %q; it has %s", name, names(spec.Variables))
	}
	b, err := btfval.Parse(variableType(v.Type), int(v.Size()), value)
	if err != nil {
		return err
	}
	return v.Set(b)
}

func variableType(v *btf.Var) btf.Type {
	if v == nil {
		return nil
	}
	return v.Type
}

// applySettings stores elements of maps; every virtual CPU gets the value in a per-CPU map.
func applySettings(coll *carom.Collection, settings []setting) error {
	for _, s := range settings {
		if err := applySetting(coll.Maps[s.name], s); err != nil {
			return fmt.Errorf("--set %s[%s]: %w", s.name, s.key, err)
		}
	}
	return nil
}

func applySetting(m *carom.Map, s setting) error {
	key, err := parseKey(m, s.key)
	if err != nil {
		return usageError{fmt.Errorf("key: %w", err)}
	}
	value, err := btfval.Parse(known(m.ValueType()), int(m.ValueSize()), s.value)
	if err != nil {
		return usageError{fmt.Errorf("value: %w", err)}
	}
	if n := m.Copies(); n > 1 || isPerCPU(m.Type()) {
		value = append(value, make([]byte, -len(value)&7)...)
		value = slices.Repeat(value, n)
	}
	return m.Put(key, value)
}

// parseKey reads a key by its type. The index of an array without one is a number.
func parseKey(m *carom.Map, text string) ([]byte, error) {
	typ := known(m.KeyType())
	if n, err := strconv.ParseUint(strings.TrimSpace(text), 0, 32); typ == nil && m.KeySize() == 4 && err == nil {
		return binary.LittleEndian.AppendUint32(nil, uint32(n)), nil
	}
	return btfval.Parse(typ, int(m.KeySize()), text)
}

// known returns nil for the types that say nothing.
func known(t btf.Type) btf.Type {
	if _, void := t.(*btf.Void); void {
		return nil
	}
	return t
}

func isPerCPU(t ebpf.MapType) bool {
	return t == ebpf.PerCPUArray || t == ebpf.PerCPUHash || t == ebpf.LRUCPUHash
}
