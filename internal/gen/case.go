package gen

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/carom-bpf/carom/internal/isa/asm"
)

// Op is a piece of a program that can be left out: lines of kernel syntax around up to two bodies.
type Op struct {
	Head []string
	Body []Op
	Mid  []string
	Else []Op
	Tail []string
}

func (o *Op) lines(out []string) []string {
	out = append(out, o.Head...)
	out = appendOps(out, o.Body)
	out = append(out, o.Mid...)
	out = appendOps(out, o.Else)
	return append(out, o.Tail...)
}

func appendOps(out []string, ops []Op) []string {
	for i := range ops {
		out = ops[i].lines(out)
	}
	return out
}

// Func is a function. Prologue and Epilogue always stay.
type Func struct {
	Name     string
	Header   string // empty for the first function of a program
	Prologue []string
	Ops      []Op
	Epilogue []string
}

func (f *Func) lines() []string {
	var out []string
	if f.Header != "" {
		out = append(out, f.Header)
	}
	out = append(out, f.Prologue...)
	out = appendOps(out, f.Ops)
	return append(out, f.Epilogue...)
}

// Prog is a program: its own function first, then the subprograms it may call.
type Prog struct {
	Name  string
	Funcs []Func
}

// Text is the program in kernel syntax, without subprograms that nothing calls: Linux refuses them.
func (p *Prog) Text() string {
	var out []string
	called := map[string]bool{}
	for i := range p.Funcs {
		f := &p.Funcs[i]
		// Functions only call later ones.
		if i > 0 && !called[f.Name] {
			continue
		}
		for _, l := range f.lines() {
			if name, ok := strings.CutPrefix(l, "call "); ok {
				called[name] = true
			}
			if _, after, ok := strings.Cut(l, "func["); ok {
				name, _, _ := strings.Cut(after, "]")
				called[name] = true
			}
			out = append(out, l)
		}
	}
	return strings.Join(out, "\n") + "\n"
}

// Slot is an element of a PROG_ARRAY.
type Slot struct {
	Map   string
	Index uint32
	Prog  string // empty for none
}

// Run is one run of a program.
type Run struct {
	Prog    string
	Data    []byte
	Context []byte
	Set     []Slot // slots that user space changes before the run
}

// Case is what both engines are given.
type Case struct {
	Name  string
	Type  ebpf.ProgramType
	Maps  map[string]*ebpf.MapSpec
	Progs []Prog
	Slots []Slot
	Runs  []Run
}

// Spec makes the collection of a case.
func (c *Case) Spec() (*ebpf.CollectionSpec, error) {
	spec := &ebpf.CollectionSpec{Maps: map[string]*ebpf.MapSpec{}, Programs: map[string]*ebpf.ProgramSpec{}}
	for i := range c.Progs {
		p := &c.Progs[i]
		insns, err := asm.Parse(p.Text())
		if err != nil {
			return nil, fmt.Errorf("program %s: %w", p.Name, err)
		}
		spec.Programs[p.Name] = &ebpf.ProgramSpec{Name: p.Name, Type: c.Type, License: "GPL", Instructions: insns}
	}
	for name, m := range c.Maps {
		spec.Maps[name] = m.Copy()
		spec.Maps[name].Contents = slices.Clone(m.Contents)
	}
	for _, s := range c.Slots {
		m := spec.Maps[s.Map]
		m.Contents = append(m.Contents, ebpf.MapKV{Key: s.Index, Value: s.Prog})
	}
	return spec, nil
}

// clone copies what minimising changes.
func (c *Case) clone() *Case {
	n := *c
	n.Progs = slices.Clone(c.Progs)
	for i := range n.Progs {
		n.Progs[i].Funcs = slices.Clone(n.Progs[i].Funcs)
	}
	n.Slots, n.Runs, n.Maps = slices.Clone(c.Slots), slices.Clone(c.Runs), maps.Clone(c.Maps)
	return &n
}

// String is the case as text: maps, slots, runs and programs.
func (c *Case) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "// case %s, programs of type %v\n", c.Name, c.Type)
	for _, name := range slices.Sorted(maps.Keys(c.Maps)) {
		m := c.Maps[name]
		fmt.Fprintf(&b, "// map %s: %v key %d value %d entries %d flags %#x\n",
			name, m.Type, m.KeySize, m.ValueSize, m.MaxEntries, m.Flags)
		for _, kv := range m.Contents {
			fmt.Fprintf(&b, "//   %v: % x\n", kv.Key, kv.Value)
		}
	}
	for _, s := range c.Slots {
		fmt.Fprintf(&b, "// slot %s[%d] = %s\n", s.Map, s.Index, s.Prog)
	}
	for _, r := range c.Runs {
		for _, s := range r.Set {
			fmt.Fprintf(&b, "// set %s[%d] = %s\n", s.Map, s.Index, s.Prog)
		}
		fmt.Fprintf(&b, "// run %s\n//   packet % x\n//   context % x\n", r.Prog, r.Data, r.Context)
	}
	for i := range c.Progs {
		p := &c.Progs[i]
		fmt.Fprintf(&b, "\n// program %s\n", p.Name)
		for _, l := range strings.Split(strings.TrimSuffix(p.Text(), "\n"), "\n") {
			if !strings.HasSuffix(l, ":") && !strings.Contains(l, "func ") {
				l = "\t" + l
			}
			b.WriteString(l + "\n")
		}
	}
	return b.String()
}
