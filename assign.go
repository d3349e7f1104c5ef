package carom

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"

	"github.com/carom-bpf/carom/internal/engine"
	"github.com/cilium/ebpf"
)

// sharedCollection closes what LoadAndAssign loaded when the last assigned handle is closed.
type sharedCollection struct {
	mu   sync.Mutex
	core engine.Collection
	refs int
}

// handle is one reference to a sharedCollection. The zero value refers to none.
type handle struct {
	shared atomic.Pointer[sharedCollection]
}

func (h *handle) hold(s *sharedCollection) {
	s.refs++
	h.shared.Store(s)
}

// release gives the reference up; a handle may be closed more than once.
func (h *handle) release() { h.shared.Swap(nil).release() }

func (s *sharedCollection) release() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refs--; s.refs == 0 {
		_ = s.core.Close()
	}
}

// field is one field of the struct given to LoadAndAssign.
type field struct {
	name  string
	value reflect.Value
}

var (
	programType  = reflect.TypeFor[*Program]()
	mapType      = reflect.TypeFor[*Map]()
	variableType = reflect.TypeFor[*Variable]()
)

// assignable lists the tagged fields of the struct that to points at.
func assignable(to any) ([]field, error) {
	v := reflect.ValueOf(to)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return nil, fmt.Errorf("%T is not a pointer to a struct", to)
	}
	seen := map[string]string{}
	var fields []field
	var walk func(s reflect.Value) error
	walk = func(s reflect.Value) error {
		for i := range s.NumField() {
			f, t := s.Field(i), s.Type().Field(i)
			tag := t.Tag.Get("ebpf")
			if tag == "" {
				switch {
				case f.Kind() == reflect.Struct:
					if err := walk(f); err != nil {
						return err
					}
				case f.Kind() == reflect.Pointer && f.Type().Elem().Kind() == reflect.Struct && !f.IsNil() && t.IsExported():
					if err := walk(f.Elem()); err != nil {
						return err
					}
				}
				continue
			}
			switch f.Type() {
			case programType, mapType, variableType:
			default:
				return fmt.Errorf("field %s has type %s; use *carom.Program, *carom.Map or *carom.Variable", t.Name, f.Type())
			}
			if !f.CanSet() {
				return fmt.Errorf("field %s cannot be set; export it", t.Name)
			}
			key := f.Type().String() + tag
			if other := seen[key]; other != "" {
				return fmt.Errorf("fields %s and %s both ask for %q", other, t.Name, tag)
			}
			seen[key] = t.Name
			fields = append(fields, field{tag, f})
		}
		return nil
	}
	if err := walk(v.Elem()); err != nil {
		return nil, err
	}
	if len(fields) == 0 {
		return nil, errors.New("the struct has no field with an ebpf tag")
	}
	return fields, nil
}

// subset is the spec of what fields ask for and of what that needs.
func subset(spec *ebpf.CollectionSpec, fields []field) (*ebpf.CollectionSpec, error) {
	if spec == nil {
		return nil, errors.New("no collection spec")
	}
	sub := &ebpf.CollectionSpec{
		Maps: map[string]*ebpf.MapSpec{}, Programs: map[string]*ebpf.ProgramSpec{},
		Variables: map[string]*ebpf.VariableSpec{}, Types: spec.Types, ByteOrder: spec.ByteOrder,
	}
	n := needs{from: spec, to: sub}
	for _, f := range fields {
		var err error
		switch f.value.Type() {
		case programType:
			err = n.program(f.name)
		case mapType:
			err = n.mapNamed(f.name)
		default:
			v := spec.Variables[f.name]
			if v == nil {
				return nil, &LoadError{Kind: "variable", Name: f.name, Err: errors.New("it is not in the collection")}
			}
			err = n.mapNamed(v.SectionName)
		}
		if err != nil {
			return nil, err
		}
	}
	for name, v := range spec.Variables {
		if sub.Maps[v.SectionName] != nil {
			sub.Variables[name] = v
		}
	}
	return sub, nil
}

// needs copies what is asked for, and follows references.
type needs struct{ from, to *ebpf.CollectionSpec }

func (n needs) program(name string) error {
	if n.to.Programs[name] != nil {
		return nil
	}
	p := n.from.Programs[name]
	if p == nil {
		return &LoadError{Kind: "program", Name: name, Err: errors.New("it is not in the collection")}
	}
	n.to.Programs[name] = p
	for i := range p.Instructions {
		ins := &p.Instructions[i]
		if ref := ins.Reference(); ins.IsLoadFromMap() && n.from.Maps[ref] != nil {
			if err := n.mapNamed(ref); err != nil {
				return err
			}
		}
	}
	return nil
}

func (n needs) mapNamed(name string) error {
	if n.to.Maps[name] != nil {
		return nil
	}
	m := n.from.Maps[name]
	if m == nil {
		return &LoadError{Kind: "map", Name: name, Err: errors.New("it is not in the collection")}
	}
	n.to.Maps[name] = m
	for _, kv := range m.Contents {
		ref, ok := kv.Value.(string)
		if !ok {
			continue
		}
		var err error
		switch m.Type {
		case ebpf.ProgramArray:
			err = n.program(ref)
		case ebpf.ArrayOfMaps, ebpf.HashOfMaps:
			err = n.mapNamed(ref)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// assign sets the field to its handle.
func (f field) assign(c *Collection, s *sharedCollection) error {
	switch f.value.Type() {
	case programType:
		p := c.Programs[f.name]
		if p == nil {
			return &LoadError{Kind: "program", Name: f.name, Err: errors.New("its section names no program type; set ProgramSpec.Type")}
		}
		p.handle.hold(s)
		f.value.Set(reflect.ValueOf(p))
	case mapType:
		m := c.Maps[f.name]
		m.handle.hold(s)
		f.value.Set(reflect.ValueOf(m))
	default:
		v := c.Variables[f.name]
		if v == nil {
			return &LoadError{Kind: "variable", Name: f.name, Err: errors.New("its section is not a map")}
		}
		f.value.Set(reflect.ValueOf(v))
	}
	return nil
}
