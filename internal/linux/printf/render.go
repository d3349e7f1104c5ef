package printf

import (
	"bytes"
	"encoding/binary"
)

const (
	digitsSmall = "0123456789abcdef"
	digitsBig   = "0123456789ABCDEF"

	// maxSymbolText holds a symbol with offset, size and module
	// (KSYM_SYMBOL_LEN in Linux is about this).
	maxSymbolText = 704
)

// output writes what fits and counts all of it.
type output struct {
	buf []byte
	n   int
}

func (o *output) byte(c byte) {
	if o.n < len(o.buf) {
		o.buf[o.n] = c
	}
	o.n++
}

func (o *output) text(b []byte) {
	if o.n < len(o.buf) {
		copy(o.buf[o.n:], b)
	}
	o.n += len(b)
}

func (o *output) pad(c byte, count int) {
	for i := 0; i < count && o.n+i < len(o.buf); i++ {
		o.buf[o.n+i] = c
	}
	o.n += max(count, 0)
}

// render is bstr_printf: it prints the packed arguments. The format was
// accepted by prepare.
func (p *Printer) render(dst, format []byte) int {
	o := output{buf: dst}
	s := scanner{format: format, nargs: MaxArgs}
	pos, arg := 0, 0
	for {
		conv, err := s.next()
		literalEnd := len(format)
		if !s.done {
			literalEnd = bytesBefore(format, pos)
		}
		for ; pos < literalEnd; pos++ {
			if o.byte(format[pos]); format[pos] == '%' {
				pos++ // "%%"
			}
		}
		if s.done || err != nil {
			break
		}
		arg = p.renderOne(&o, &conv, arg)
		pos = conv.end
		if conv.alnum || conv.verb == verbIP || conv.verb == verbTrace || conv.verb == verbPtr {
			// lib/vsprintf.c takes all letters and digits for pointer extensions.
			for pos < len(format) && isAlnum(format[pos]) {
				pos++
			}
		}
	}
	if len(dst) > 0 {
		dst[min(o.n, len(dst)-1)] = 0
	}
	return o.n
}

// bytesBefore is the offset of the next '%' that starts a conversion.
func bytesBefore(format []byte, pos int) int {
	for ; pos < len(format); pos++ {
		if format[pos] != '%' {
			continue
		}
		if pos+1 < len(format) && format[pos+1] == '%' {
			pos++
			continue
		}
		break
	}
	return min(pos, len(format))
}

// renderOne prints one packed argument and returns the offset of the next.
func (p *Printer) renderOne(o *output, c *conversion, arg int) int {
	switch c.verb {
	case verbChar:
		if c.flags&flagLeft == 0 {
			o.pad(' ', int(c.width)-1)
		}
		o.byte(p.bin[arg])
		if c.flags&flagLeft != 0 {
			o.pad(' ', int(c.width)-1)
		}
		return arg + 1
	case verbString:
		text := p.packedText(arg)
		if !c.alnum {
			o.string(c, text)
			return arg + len(text) + 1
		}
		return o.prepared(text, arg)
	case verbIP, verbTrace:
		return o.prepared(p.packedText(arg), arg)
	}
	arg = (arg + 3) &^ 3
	if c.size == 8 {
		v := binary.LittleEndian.Uint64(p.bin[arg:])
		if c.verb == verbPtr {
			p.pointer(o, c, v)
		} else {
			o.number(c, v)
		}
		return arg + 8
	}
	v := binary.LittleEndian.Uint32(p.bin[arg:])
	if c.flags&flagSign != 0 {
		o.number(c, uint64(int64(int32(v))))
	} else {
		o.number(c, uint64(v))
	}
	return arg + 4
}

func (p *Printer) packedText(arg int) []byte {
	text := p.bin[min(arg, binArgsSize):]
	if n := bytes.IndexByte(text, 0); n >= 0 {
		return text[:n]
	}
	return text
}

// prepared copies text that prepare made. Once the output is full Linux skips
// it without counting it or moving on to the next argument.
func (o *output) prepared(text []byte, arg int) int {
	if o.n >= len(o.buf) {
		return arg
	}
	o.text(text)
	return arg + len(text) + 1
}

func (o *output) string(c *conversion, text []byte) {
	gap := int(c.width) - len(text)
	if c.flags&flagLeft == 0 {
		o.pad(' ', gap)
	}
	o.text(text)
	if c.flags&flagLeft != 0 {
		o.pad(' ', gap)
	}
}

// number is the kernel's number(): sign, zero padding, left adjustment.
func (o *output) number(c *conversion, v uint64) {
	width := int(c.width)
	var sign byte
	if c.flags&flagSign != 0 {
		switch {
		case int64(v) < 0:
			sign, v = '-', -v
		case c.flags&flagPlus != 0:
			sign = '+'
		case c.flags&flagSpace != 0:
			sign = ' '
		}
		if sign != 0 {
			width--
		}
	}
	base, digits := uint64(10), digitsSmall
	if c.hex {
		base = 16
		if c.flags&flagSmall == 0 {
			digits = digitsBig
		}
	}
	var buf [20]byte
	i := len(buf)
	for {
		i--
		buf[i] = digits[v%base]
		if v /= base; v == 0 {
			break
		}
	}
	gap := width - (len(buf) - i)
	if c.flags&(flagZero|flagLeft) == 0 {
		o.pad(' ', gap)
	}
	if sign != 0 {
		o.byte(sign)
	}
	if c.flags&flagZero != 0 && c.flags&flagLeft == 0 {
		o.pad('0', gap)
	}
	o.text(buf[i:])
	if c.flags&flagLeft != 0 {
		o.pad(' ', gap)
	}
}
