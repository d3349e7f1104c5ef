package verifier

import (
	"debug/dwarf"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ErrNoDWARF is returned by ReadLocals for objects without DWARF.
var ErrNoDWARF = errors.New("the object has no DWARF")

// ReadLocals reads the local variables of the functions of an object from its DWARF, with those of
// functions that were inlined into them. It returns ErrNoDWARF when the object has none, as after
// llvm-strip -g.
func ReadLocals(r io.ReaderAt) (map[string][]Variable, error) {
	f, err := elf.NewFile(r)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	d, err := readDWARF(f)
	if err != nil {
		return nil, err
	}
	out := map[string][]Variable{}
	for rd := d.Reader(); ; {
		e, err := rd.Next()
		if err != nil {
			return nil, fmt.Errorf("DWARF: %w", err)
		}
		if e == nil {
			return out, nil
		}
		if e.Tag != dwarf.TagSubprogram {
			continue
		}
		name, _ := e.Val(dwarf.AttrName).(string)
		if !e.Children || name == "" || e.Val(dwarf.AttrInline) != nil {
			rd.SkipChildren()
			continue
		}
		vars, err := locals(d, rd)
		if err != nil {
			return nil, fmt.Errorf("DWARF of %s: %w", name, err)
		}
		if len(vars) > 0 {
			out[name] = vars
		}
	}
}

// readDWARF takes the sections as they are: their relocations are against section symbols, whose
// value is 0, with the addend in place, so that there is nothing to add in an object file.
func readDWARF(f *elf.File) (*dwarf.Data, error) {
	sections := map[string][]byte{}
	for _, s := range f.Sections {
		name, ok := strings.CutPrefix(s.Name, ".debug_")
		if !ok || s.Type != elf.SHT_PROGBITS {
			continue
		}
		b, err := s.Data()
		if err != nil {
			return nil, fmt.Errorf("section %s: %w", s.Name, err)
		}
		sections[name] = b
	}
	if len(sections["info"]) == 0 {
		return nil, ErrNoDWARF
	}
	d, err := dwarf.New(sections["abbrev"], nil, nil, sections["info"], sections["line"], nil, sections["ranges"], sections["str"])
	if err != nil {
		return nil, fmt.Errorf("DWARF: %w", err)
	}
	for _, name := range []string{"addr", "line_str", "str_offsets", "rnglists", "loclists"} {
		if err := d.AddSection(".debug_"+name, sections[name]); err != nil {
			return nil, fmt.Errorf("DWARF: %w", err)
		}
	}
	return d, nil
}

// locals reads the variables below a function, whose entry was read last.
func locals(d *dwarf.Data, rd *dwarf.Reader) ([]Variable, error) {
	var out []Variable
	for depth := 1; depth > 0; {
		e, err := rd.Next()
		if err != nil || e == nil {
			return out, err
		}
		if e.Tag == 0 {
			depth--
			continue
		}
		if e.Children {
			depth++
		}
		if e.Tag != dwarf.TagVariable {
			continue
		}
		if s, ok := variableOf(d, e); ok {
			out = append(out, s)
		}
	}
	return out, nil
}

// variableOf returns name and size of a variable; those of a function that was inlined are at
// its origin.
func variableOf(d *dwarf.Data, e *dwarf.Entry) (Variable, bool) {
	if e.Val(dwarf.AttrConstValue) != nil {
		return Variable{}, false
	}
	if o, ok := e.Val(dwarf.AttrAbstractOrigin).(dwarf.Offset); ok {
		rd := d.Reader()
		rd.Seek(o)
		origin, err := rd.Next()
		if err != nil || origin == nil {
			return Variable{}, false
		}
		e = origin
	}
	name, _ := e.Val(dwarf.AttrName).(string)
	at, ok := e.Val(dwarf.AttrType).(dwarf.Offset)
	if name == "" || !ok {
		return Variable{}, false
	}
	t, err := d.Type(at)
	if err != nil || t.Size() <= 0 {
		return Variable{}, false
	}
	return Variable{name, int(t.Size())}, true
}
