package printf

// verb is the kind of a conversion, by what it takes from the argument.
type verb uint8

const (
	verbInt    verb = iota // %d %i %u %x %X
	verbChar               // %c
	verbString             // %s %pks %pus
	verbIP                 // %pi4 %pI4 %pi6 %pI6
	verbTrace              // %pB: a symbol, printed while packing
	verbPtr                // %p %px %pK %ps %pS: the address itself
)

// flags of a conversion.
const (
	flagLeft = 1 << iota
	flagPlus
	flagSpace
	flagZero
	flagSign  // print a sign (%d, %i)
	flagSmall // lower-case hex
)

// maxWidth is FIELD_WIDTH_MAX: Linux cuts a larger width to it.
const maxWidth = 1<<23 - 1

// conversion is one accepted conversion of a format.
type conversion struct {
	verb  verb
	flags uint8
	width int32 // -1: none
	size  int   // bytes of an integer argument: 4 or 8
	hex   bool
	kind  byte  // verbPtr: 0, 'x', 'K', 's', 'S'; verbIP: 'i' or 'I'
	ip    byte  // verbIP: '4' or '6'
	space Space // verbString
	alnum bool  // verbString: written as %pks or %pus
	end   int   // offset of the first byte after the conversion
}

// scanner is the format parser of bpf_bprintf_prepare.
type scanner struct {
	format []byte // without NUL
	nargs  int
	nspec  int
	pos    int
	done   bool
}

// at reads a byte, or the NUL at the end.
func (s *scanner) at(i int) byte {
	if i < len(s.format) {
		return s.format[i]
	}
	return 0
}

func (s *scanner) refuse(reason string) error {
	return &Error{EINVAL, min(s.pos, len(s.format)), reason}
}

// next finds the next conversion; done is set when there is none.
func (s *scanner) next() (conversion, error) {
	for ; s.pos < len(s.format); s.pos++ {
		c := s.format[s.pos]
		if isASCII(c) && !isPrint(c) && !isSpace(c) {
			return conversion{}, s.refuse("control character; only printable text and white space are accepted")
		}
		if c != '%' {
			continue
		}
		if s.at(s.pos+1) == '%' {
			s.pos++
			continue
		}
		if s.nspec >= s.nargs {
			return conversion{}, s.refuse("more conversions than arguments")
		}
		s.pos++
		conv, err := s.conversion()
		s.nspec++
		s.pos = conv.end
		return conv, err
	}
	s.done = true
	return conversion{}, nil
}

// conversion parses behind the '%'.
func (s *scanner) conversion() (conversion, error) {
	c := conversion{width: -1, size: 4}
	s.flags(&c)
	switch s.at(s.pos) {
	case 'p':
		return c, s.pointer(&c)
	case 's':
		c.verb, c.end = verbString, s.pos+1
		return c, s.stringEnd(c.end)
	case 'c':
		c.verb, c.end = verbChar, s.pos+1
		return c, nil
	}
	for n := 0; n < 2 && s.at(s.pos) == 'l'; n++ {
		c.size = 8
		s.pos++
	}
	c.end = s.pos + 1
	switch s.at(s.pos) {
	case 'd', 'i':
		c.flags |= flagSign
	case 'u':
	case 'x':
		c.hex = true
		c.flags |= flagSmall
	case 'X':
		c.hex = true
	default:
		return c, s.refuse("conversion is not one of d i u x X c s p; flags may be '0+- ', no '#', precision or 'h'")
	}
	return c, nil
}

func flagBit(c byte) uint8 {
	switch c {
	case '-':
		return flagLeft
	case '+':
		return flagPlus
	case ' ':
		return flagSpace
	case '0':
		return flagZero
	}
	return 0
}

func (s *scanner) flags(c *conversion) {
	for bit := flagBit(s.at(s.pos)); bit != 0; bit = flagBit(s.at(s.pos)) {
		c.flags |= bit
		s.pos++
	}
	if !isDigit(s.at(s.pos)) {
		return
	}
	for c.width = 0; isDigit(s.at(s.pos)); s.pos++ {
		c.width = c.width*10 + int32(s.at(s.pos)-'0') // wraps as the kernel's int does
	}
	c.width = max(-maxWidth, min(c.width, maxWidth))
}

// stringEnd: a string conversion must be followed by the end, white space or
// punctuation.
func (s *scanner) stringEnd(i int) error {
	if next := s.at(i); next != 0 && !isSpace(next) && !isPunct(next) {
		s.pos = i
		return s.refuse("a letter or digit right after %s; put white space or punctuation between")
	}
	return nil
}

// pointer parses the letters behind %p.
func (s *scanner) pointer(c *conversion) error {
	k := s.at(s.pos + 1)
	switch {
	case (k == 'k' || k == 'u') && s.at(s.pos+2) == 's':
		c.verb, c.alnum, c.space, c.end = verbString, true, KernelSpace, s.pos+3
		if k == 'u' {
			c.space = UserSpace
		}
		return s.stringEnd(c.end)
	case k == 0 || isSpace(k) || isPunct(k):
		c.verb, c.end = verbPtr, s.pos+1
	case k == 'x' || k == 'K' || k == 's' || k == 'S':
		c.verb, c.kind, c.end = verbPtr, k, s.pos+2
	case k == 'B':
		c.verb, c.end = verbTrace, s.pos+2
	case (k == 'i' || k == 'I') && (s.at(s.pos+2) == '4' || s.at(s.pos+2) == '6'):
		c.verb, c.kind, c.ip, c.end = verbIP, k, s.at(s.pos+2), s.pos+3
	default:
		c.end = s.pos + 1
		s.pos++
		return s.refuse("pointer conversion is not one of %p %px %pK %ps %pS %pB %pi4 %pI4 %pi6 %pI6 %pks %pus")
	}
	c.size = 8
	return nil
}
