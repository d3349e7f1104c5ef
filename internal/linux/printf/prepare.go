package printf

import "encoding/binary"

// prepare packs the arguments into p.bin as bpf_bprintf_prepare does: integers
// of 4 or 8 bytes aligned to 4, characters as one byte, everything else as the
// text to print with a NUL.
func (p *Printer) prepare(format []byte, args []uint64) error {
	p.used = 0
	s := scanner{format: format, nargs: len(args)}
	for {
		conv, err := s.next()
		if err != nil {
			return err
		}
		if s.done {
			return nil
		}
		if !p.pack(&conv, args[s.nspec-1]) {
			return &Error{ENOSPC, s.pos, "the arguments with their strings need more than 512 bytes"}
		}
	}
}

// pack adds one argument; false means that there is no room.
func (p *Printer) pack(c *conversion, arg uint64) bool {
	room := binArgsSize - p.used
	switch c.verb {
	case verbChar:
		if room == 0 {
			return false
		}
		p.bin[p.used] = byte(arg)
		p.used++
	case verbString:
		return p.packString(arg, c.space)
	case verbTrace:
		var buf [maxSymbolText]byte
		return p.packText(p.appendBacktrace(buf[:0], arg))
	case verbIP:
		return p.packIP(c, arg)
	default:
		p.used = (p.used + 3) &^ 3
		if binArgsSize-p.used < c.size {
			return false
		}
		if c.size == 8 {
			binary.LittleEndian.PutUint64(p.bin[p.used:], arg)
		} else {
			binary.LittleEndian.PutUint32(p.bin[p.used:], uint32(arg))
		}
		p.used += c.size
	}
	return true
}

// packString copies a string; one that cannot be read is empty, one that is too
// long is cut to the room that is left.
func (p *Printer) packString(addr uint64, space Space) bool {
	room := p.bin[p.used:]
	if len(room) == 0 {
		return false
	}
	n := 0
	if p.Mem != nil {
		if got, ok := p.Mem.ReadString(room, addr, space); ok {
			n = max(0, min(got, len(room)-1))
		}
	}
	room[n] = 0
	p.used += n + 1
	return true
}

// packIP formats an address read from kernel memory; one that cannot be read
// is all zero. Linux checks room for the address only, and may run past its
// buffer with the text; here that is ENOSPC.
func (p *Printer) packIP(c *conversion, addr uint64) bool {
	n := 4
	if c.ip == '6' {
		n = 16
	}
	// The packed buffer serves as scratch: what is beyond used is free.
	if binArgsSize-p.used < n {
		return false
	}
	raw := p.bin[p.used : p.used+n]
	if p.Mem == nil || !p.Mem.ReadBytes(raw, addr, KernelSpace) {
		clear(raw)
	}
	var ip [16]byte
	copy(ip[:], raw)
	var text [40]byte
	if n == 4 {
		return p.packText(appendIPv4(text[:0], ip[:4], c.kind == 'i'))
	}
	return p.packText(appendIPv6(text[:0], ip[:], c.kind == 'I'))
}

func (p *Printer) packText(text []byte) bool {
	if binArgsSize-p.used < len(text)+1 {
		return false
	}
	p.used += copy(p.bin[p.used:], text)
	p.bin[p.used] = 0
	p.used++
	return true
}

// appendIPv4 writes 1.2.3.4, or 001.002.003.004 with leading zeros.
func appendIPv4(b, ip []byte, zeros bool) []byte {
	for i, v := range ip {
		if i > 0 {
			b = append(b, '.')
		}
		if zeros || v >= 100 {
			b = append(b, '0'+v/100)
		}
		if zeros || v >= 10 {
			b = append(b, '0'+v/10%10)
		}
		b = append(b, '0'+v%10)
	}
	return b
}

// appendIPv6 writes all 32 hex digits, with a colon after every fourth or none.
func appendIPv6(b, ip []byte, colons bool) []byte {
	for i, v := range ip {
		if colons && i > 0 && i%2 == 0 {
			b = append(b, ':')
		}
		b = append(b, digitsSmall[v>>4], digitsSmall[v&15])
	}
	return b
}
