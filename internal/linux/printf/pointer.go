package printf

import "strconv"

// maxErrno: addresses in the last page are error numbers, which Linux prints
// as they are.
const maxErrno = 4095

// pointer prints an address as %p, %px, %pK, %ps or %pS does.
func (p *Printer) pointer(o *output, c *conversion, addr uint64) {
	switch c.kind {
	case 'x':
		o.hexPointer(c, addr)
	case 's', 'S':
		var buf [maxSymbolText]byte
		text := buf[:0]
		if sym, ok := p.lookup(addr); !ok {
			text = appendHex(text, addr)
		} else if c.kind == 's' {
			text = sym.appendName(text)
		} else {
			text = sym.appendFull(text, sym.Offset)
		}
		o.string(c, text)
	default:
		if addr != 0 && addr < 1<<64-maxErrno {
			addr = uint64(p.hash(addr))
		}
		o.hexPointer(c, addr)
	}
}

func (p *Printer) hash(addr uint64) uint32 {
	if p.Hash != nil {
		return p.Hash(addr)
	}
	return HashPointer(addr)
}

// hexPointer prints 16 digits, or pads to the width that was asked for.
func (o *output) hexPointer(c *conversion, v uint64) {
	n := *c
	n.hex = true
	n.flags = n.flags&^flagSign | flagSmall
	if n.width == -1 {
		n.width = 16
		n.flags |= flagZero
	}
	o.number(&n, v)
}

func (p *Printer) lookup(addr uint64) (Symbol, bool) {
	if p.Symbol == nil {
		return Symbol{}, false
	}
	return p.Symbol(addr)
}

// appendBacktrace is %pB: the symbol of the call before a return address.
func (p *Printer) appendBacktrace(b []byte, addr uint64) []byte {
	sym, ok := p.lookup(addr - 1)
	if !ok {
		return appendHex(b, addr)
	}
	return sym.appendFull(b, sym.Offset+1)
}

func (s Symbol) appendName(b []byte) []byte {
	b = append(b, s.Name...)
	if s.Module != "" {
		b = append(b, " ["...)
		b = append(b, s.Module...)
		b = append(b, ']')
	}
	return b
}

func (s Symbol) appendFull(b []byte, offset uint64) []byte {
	b = append(b, s.Name...)
	b = appendHex(append(b, '+'), offset)
	b = appendHex(append(b, '/'), s.Size)
	return Symbol{Module: s.Module}.appendName(b)
}

func appendHex(b []byte, v uint64) []byte {
	return strconv.AppendUint(append(b, "0x"...), v, 16)
}
