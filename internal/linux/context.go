package linux

import "fmt"

// FieldKind says how an access to a context field is served.
type FieldKind uint8

// Kinds of context field.
const (
	FieldPlain      FieldKind = iota // bytes of the backing block
	FieldPacketData                  // address of the first packet byte
	FieldPacketEnd                   // address past the last packet byte
	FieldPacketMeta                  // address of the metadata before the packet
	FieldPacketLen                   // length of the packet
	FieldPointer                     // 64-bit address stored in the backing block
	FieldShort                       // stores keep the low 16 bits only
	FieldQueue                       // as FieldShort, and a store of 0xffff or more does nothing
)

// Access says what a program may do with a context field.
type Access uint8

// Accesses.
const (
	ReadOnly Access = iota
	ReadWrite
	Hidden // neither; the field exists in the structure only
)

// ContextField is one field as a program sees it.
type ContextField struct {
	Name   string
	Off    uint32 // in the structure that programs see, bytes
	Size   uint32 // of one access, bytes; an array is several fields unless Any is set
	Back   uint32 // offset in the backing block
	Kind   FieldKind
	Access Access
	Narrow bool // aligned loads of a part are allowed (bpf_ctx_narrow_access_ok)
	Any    bool // aligned loads and stores of any size inside the field are allowed
	// Width is how many bytes Linux keeps for the field, 0 for Size. A load of a part that is at
	// least as wide gives the value from its first byte on, whatever its offset: the verifier
	// shifts loads that are narrower than what is kept, and only those (convert_ctx_accesses).
	Width uint8
}

// Context is the layout of one context structure. A Context without fields is plain bytes of
// any length, such as pt_regs or a tracepoint record.
type Context struct {
	Name     string
	Size     uint32 // bytes that programs may address; 0: as long as the input
	BackSize uint32 // bytes of the backing block
	Fields   []ContextField
	Writable bool // plain bytes may be written

	at []uint8 // offset → index into Fields plus 1
	// dataAt, endAt and metaAt are the offsets of the packet pointers, past Size where there is none.
	dataAt, endAt, metaAt uint32
}

func newContext(c Context) *Context {
	c.at = make([]uint8, c.Size)
	c.dataAt, c.endAt, c.metaAt = c.Size, c.Size, c.Size
	for i, f := range c.Fields {
		if f.Access != Hidden {
			switch f.Kind {
			case FieldPacketData:
				c.dataAt = f.Off
			case FieldPacketEnd:
				c.endAt = f.Off
			case FieldPacketMeta:
				c.metaAt = f.Off
			}
		}
		for o := f.Off; o < f.Off+f.Size; o++ {
			c.at[o] = uint8(i + 1)
		}
		c.BackSize = max(c.BackSize, f.Back+f.Size)
	}
	return &c
}

// PacketPointer says which packet pointer the four bytes at off are: FieldPacketData,
// FieldPacketEnd, FieldPacketMeta, or FieldPlain for none. It is Field for the commonest loads.
func (c *Context) PacketPointer(off uint32) FieldKind {
	switch off {
	case c.dataAt:
		return FieldPacketData
	case c.endAt:
		return FieldPacketEnd
	case c.metaAt:
		return FieldPacketMeta
	}
	return FieldPlain
}

// Field returns the field that an access of size bytes at off falls into, nil where Linux's
// verifier rejects the access.
func (c *Context) Field(off, size uint32, write bool) *ContextField {
	if off >= c.Size || c.at[off] == 0 {
		return nil
	}
	f := &c.Fields[c.at[off]-1]
	switch {
	case f.Access == Hidden, write && f.Access != ReadWrite:
		return nil
	case off == f.Off && size == f.Size:
		return f
	case f.Any:
		if off%size != 0 || off+size > f.Off+f.Size {
			return nil
		}
		return f
	case write || !f.Narrow || off+size > f.Off+f.Size || off%size != 0:
		return nil
	}
	return f
}

// Shift is how many bytes into the field's value a load of size bytes at off starts.
func (f *ContextField) Shift(off, size uint32) uint32 {
	if f.Width != 0 && size >= uint32(f.Width) {
		return 0
	}
	return off - f.Off
}

// Describe says what is wrong with an access that Field refused.
func (c *Context) Describe(off, size uint32, verb string) string {
	if off >= c.Size || c.at[off] == 0 {
		return fmt.Sprintf("%s of %d bytes at offset %d of struct %s: no field is there", verb, size, off, c.Name)
	}
	f := c.Fields[c.at[off]-1]
	why := fmt.Sprintf("%s takes %d bytes at offset %d", f.Name, f.Size, f.Off)
	switch {
	case f.Access == Hidden:
		why = f.Name + " is not available to this program type"
	case verb == "write" && f.Access != ReadWrite:
		why = f.Name + " is read-only for this program type"
	case f.Any:
		why = f.Name + " takes aligned accesses that stay inside it"
	}
	return fmt.Sprintf("%s of %d bytes at offset %d of struct %s: %s", verb, size, off, c.Name, why)
}
