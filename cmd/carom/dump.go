package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/carom-bpf/carom"
	"github.com/carom-bpf/carom/internal/btfval"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// elementLine is an element of a map for --json.
type elementLine struct {
	Kind   string     `json:"kind"` // element
	Map    string     `json:"map"`
	Key    decoded    `json:"key"`
	Value  *decoded   `json:"value,omitempty"`
	Values []cpuValue `json:"values,omitempty"` // of a per-CPU map
}

type cpuValue struct {
	CPU   int     `json:"cpu"`
	Value decoded `json:"value"`
}

// checkDumps finds mistakes before anything runs.
func checkDumps(spec *ebpf.CollectionSpec, asked []string) error {
	for _, name := range asked {
		m, err := findMap(spec, name, "--dump "+name)
		if err != nil {
			return err
		}
		if m.Type == ebpf.PerfEventArray || m.Type == ebpf.RingBuf {
			return usagef("--dump %s: a %s has no elements; its records are printed as they come", name, m.Type)
		}
	}
	return nil
}

// dumpMap prints all elements: NAME[KEY] = VALUE, in the syntax of --set.
func dumpMap(out io.Writer, coll *carom.Collection, name string, asJSON bool) error {
	m := coll.Maps[name]
	var key, value []byte
	it := m.Iterate()
	next := func() bool { return it.Next(&key, &value) }
	if isHash(m.Type()) {
		sorted := sortElements(it)
		next = func() bool {
			if len(sorted) == 0 {
				return false
			}
			key, value, sorted = sorted[0].key, sorted[0].value, sorted[1:]
			return true
		}
	}
	for next() {
		e := elementLine{Kind: "element", Map: name, Key: decode(m.KeyType(), key)}
		if isPerCPU(m.Type()) {
			size, stride := int(m.ValueSize()), int(m.ValueSize()+7)&^7
			for cpu := range m.Copies() {
				e.Values = append(e.Values, cpuValue{cpu, decode(m.ValueType(), value[cpu*stride:][:size])})
			}
		} else {
			v := elementValue(coll, m, value)
			e.Value = &v
		}
		if err := printElement(out, &e, asJSON); err != nil {
			return err
		}
	}
	if err := it.Err(); err != nil {
		return fmt.Errorf("--dump %s: %w", name, err)
	}
	return nil
}

func isHash(t ebpf.MapType) bool {
	switch t {
	case ebpf.Hash, ebpf.PerCPUHash, ebpf.LRUHash, ebpf.LRUCPUHash, ebpf.HashOfMaps:
		return true
	}
	return false
}

type element struct{ key, value []byte }

// sortElements reads all elements. Hash tables have a random order, and the same run has to print
// the same bytes. Keys are compared from their last byte, which puts integers in order.
func sortElements(it *carom.MapIterator) []element {
	var all []element
	var e element
	for it.Next(&e.key, &e.value) {
		all = append(all, e)
		e = element{}
	}
	slices.SortFunc(all, func(a, b element) int {
		for i := len(a.key) - 1; i >= 0; i-- {
			if c := int(a.key[i]) - int(b.key[i]); c != 0 {
				return c
			}
		}
		return 0
	})
	return all
}

// elementValue decodes a value; in a program array it is the program's name.
func elementValue(coll *carom.Collection, m *carom.Map, value []byte) decoded {
	if m.Type() == ebpf.ProgramArray && len(value) == 4 {
		id := ebpf.ProgramID(binary.LittleEndian.Uint32(value))
		for _, p := range coll.Programs {
			if p.ID() == id {
				return decoded{p.Name(), p.Name()}
			}
		}
	}
	return decode(m.ValueType(), value)
}

// decoded is a value for JSON and its text.
type decoded struct {
	value any
	text  string
}

// MarshalJSON writes the value.
func (d decoded) MarshalJSON() ([]byte, error) { return json.Marshal(d.value) }

// decode turns bytes into something to print. Four bytes without a type, such as the index of an
// array, are a number.
func decode(t btf.Type, b []byte) decoded {
	if t = known(t); t != nil {
		v, err := btfval.Value(t, b)
		if err == nil {
			var text []byte
			if text, err = btfval.Format(nil, t, b); err == nil {
				return decoded{v, string(text)}
			}
		}
	}
	if len(b) == 4 {
		n := binary.LittleEndian.Uint32(b)
		return decoded{n, fmt.Sprint(n)}
	}
	return decoded{btfval.Raw(b), fmt.Sprintf("hex:%x", b)}
}

func printElement(out io.Writer, e *elementLine, asJSON bool) error {
	if asJSON {
		return writeJSON(out, e)
	}
	if e.Values == nil {
		_, err := fmt.Fprintf(out, "%s[%s] = %s\n", e.Map, e.Key.text, e.Value.text)
		return err
	}
	for _, v := range e.Values {
		if _, err := fmt.Fprintf(out, "%s[%s] cpu %d = %s\n", e.Map, e.Key.text, v.CPU, v.Value.text); err != nil {
			return err
		}
	}
	return nil
}
