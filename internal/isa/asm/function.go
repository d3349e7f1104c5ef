package asm

import (
	"github.com/cilium/ebpf/btf"
)

// function is a subprogram: where it starts and its type.
type function struct {
	name    string
	stmt    int
	line    int
	linkage btf.FuncLinkage
	proto   *btf.FuncProto
	// unnamed says that nothing in the text names the function, so the name is made up.
	unnamed bool
}

// btfFunc makes the type that goes on the first instruction.
func (f function) btfFunc() *btf.Func {
	return &btf.Func{Name: f.name, Type: f.proto, Linkage: f.linkage}
}

// defaultProto is int (void *ctx), the type of a program.
func defaultProto() *btf.FuncProto {
	ret, _ := scalarType("int")
	return &btf.FuncProto{
		Return: ret,
		Params: []btf.FuncParam{{Name: "ctx", Type: &btf.Pointer{Target: &btf.Void{}}}},
	}
}

// directive returns the start of a function when the line declares one: its linkage is set,
// and the cursor stands before the name.
func (l *line) directive() *function {
	words := l.tokens
	f := &function{linkage: btf.StaticFunc, stmt: len(l.src.stmts), line: l.n}
	if len(l.src.funcs) == 0 && len(l.src.stmts) == 0 {
		f.linkage = btf.GlobalFunc // the program itself
	}
	if linkage, ok := linkageOf(words[0]); ok {
		f.linkage = linkage
		words = words[1:]
	}
	if len(words) == 0 || words[0].kind != tokWord || words[0].text != "func" {
		return nil
	}
	l.pos = len(l.tokens) - len(words) + 1
	return f
}

func linkageOf(t token) (btf.FuncLinkage, bool) {
	switch t.text {
	case "static":
		return btf.StaticFunc, true
	case "global":
		return btf.GlobalFunc, true
	}
	return 0, false
}

// parseFunc reads name, parameters and type.
func (l *line) parseFunc(f *function) (err error) {
	if f.name, err = l.word("the name of a function"); err != nil {
		return err
	}
	f.proto = defaultProto()
	if l.accept("(") {
		if f.proto.Params, err = l.params(); err != nil {
			return err
		}
	}
	if t := l.peek(); t.kind == tokWord {
		if linkage, ok := linkageOf(t); ok {
			f.linkage = linkage
			l.pos++
		} else if f.proto.Return, err = l.baseType(); err != nil {
			return err
		}
	}
	if linkage, ok := linkageOf(l.peek()); ok {
		f.linkage = linkage
		l.pos++
	}
	l.accept(":")
	l.src.funcs = append(l.src.funcs, *f)
	return nil
}

// params reads the parameters up to the closing parenthesis.
func (l *line) params() (out []btf.FuncParam, err error) {
	if l.accept(")") {
		return nil, nil
	}
	for {
		p, err := l.param()
		if err != nil {
			return nil, err
		}
		out = append(out, p)
		if l.accept(")") {
			// (void) is an empty list
			if _, void := out[0].Type.(*btf.Void); void && len(out) == 1 {
				return nil, nil
			}
			return out, nil
		}
		if err := l.expect(","); err != nil {
			return nil, err
		}
	}
}

// param reads a type, any number of * and an optional name; ctx alone means void *ctx.
func (l *line) param() (btf.FuncParam, error) {
	if l.accept("ctx") {
		return btf.FuncParam{Name: "ctx", Type: &btf.Pointer{Target: &btf.Void{}}}, nil
	}
	typ, err := l.baseType()
	if err != nil {
		return btf.FuncParam{}, err
	}
	for l.accept("*") {
		typ = &btf.Pointer{Target: typ}
	}
	p := btf.FuncParam{Type: typ}
	if l.peek().kind == tokWord {
		p.Name = l.next().text
	}
	return p, nil
}

func (l *line) baseType() (btf.Type, error) {
	switch {
	case l.accept("void"):
		return &btf.Void{}, nil
	case l.accept("struct"):
		name, err := l.word("the name of a struct")
		return &btf.Struct{Name: name}, err
	}
	typ, ok := scalarType(l.peek().text)
	if !ok {
		return nil, l.fail("expected a type: void, struct, int, long, bool, u8 to u64 or s8 to s64")
	}
	l.pos++
	return typ, nil
}

func scalarType(name string) (*btf.Int, bool) {
	for _, t := range [...]btf.Int{
		{Name: "int", Size: 4, Encoding: btf.Signed}, {Name: "long", Size: 8, Encoding: btf.Signed},
		{Name: "bool", Size: 1, Encoding: btf.Bool},
		{Name: "u8", Size: 1}, {Name: "u16", Size: 2}, {Name: "u32", Size: 4}, {Name: "u64", Size: 8},
		{Name: "s8", Size: 1, Encoding: btf.Signed}, {Name: "s16", Size: 2, Encoding: btf.Signed},
		{Name: "s32", Size: 4, Encoding: btf.Signed}, {Name: "s64", Size: 8, Encoding: btf.Signed},
	} {
		if t.Name == name {
			return &t, true
		}
	}
	return nil, false
}
