package carom

import (
	"fmt"

	"github.com/carom-bpf/carom/internal/load"
	"github.com/cilium/ebpf/btf"
)

// Variable is a global variable of a program: a part of the value of a .data, .bss or .rodata
// map. It is safe for concurrent use; a value of up to 8 aligned bytes is read and written whole.
type Variable struct {
	name   string
	m      *Map
	offset uint32
	size   uint32
	typ    *btf.Var
}

// Name is the variable's name.
func (v *Variable) Name() string { return v.name }

// Size is the variable's length in bytes.
func (v *Variable) Size() uint32 { return v.size }

// Type is the variable's BTF type, nil when the object has none.
func (v *Variable) Type() *btf.Var { return v.typ }

// Section is the name of the map that holds the variable.
func (v *Variable) Section() string { return v.m.Name() }

// outside is why a variable is not a part of its section, nil when it is one.
func (v *Variable) outside() error {
	if uint64(v.offset)+uint64(v.size) <= uint64(v.m.ValueSize()) {
		return nil
	}
	return &LoadError{Kind: "variable", Name: v.name,
		Err: fmt.Errorf("its %d bytes at offset %d lie outside the %d bytes of %s", v.size, v.offset, v.m.ValueSize(), v.m.Name())}
}

// Get copies the value to out, a pointer.
func (v *Variable) Get(out any) error {
	b, err := v.bytes()
	if err != nil {
		return err
	}
	if err := unmarshal(out, b[v.offset:][:v.size]); err != nil {
		return fmt.Errorf("variable %s: %w", v.name, err)
	}
	return nil
}

// Set stores a value. Constants cannot be set once they are loaded; set them in the spec.
func (v *Variable) Set(in any) error {
	b, err := load.Bytes(in, int(v.size))
	if err != nil {
		return fmt.Errorf("variable %s: %w", v.name, err)
	}
	if w, ok := v.m.core.(interface {
		StoreAt(offset uint32, value []byte) error
	}); ok {
		if err := w.StoreAt(v.offset, b); err != nil {
			return fmt.Errorf("variable %s: %w", v.name, err)
		}
		return nil
	}
	all, err := v.bytes()
	if err != nil {
		return err
	}
	copy(all[v.offset:], b)
	if err := v.m.Put(uint32(0), all); err != nil {
		return fmt.Errorf("variable %s: %w", v.name, err)
	}
	return nil
}

func (v *Variable) bytes() ([]byte, error) {
	var b []byte
	if err := v.m.Lookup(uint32(0), &b); err != nil {
		return nil, fmt.Errorf("variable %s: %w", v.name, err)
	}
	return b, nil
}
