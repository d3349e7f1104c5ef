package verifier

// validFormat says whether a format string of bpf_snprintf is well formed and has no more
// conversions than values (bpf_bprintf_prepare, kernel/bpf/helpers.c).
func validFormat(s string, values int) bool {
	at := func(i int) byte {
		if i < len(s) {
			return s[i]
		}
		return 0
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < 0x80 && !isPrint(c) && !isSpace(c) {
			return false
		}
		if s[i] != '%' {
			continue
		}
		if at(i+1) == '%' {
			i++
			continue
		}
		if values == 0 {
			return false
		}
		values--
		i++
		if at(i) >= 0x80 {
			return false
		}
		for at(i) == '0' || at(i) == '+' || at(i) == '-' || at(i) == ' ' {
			i++
		}
		for d := at(i); d >= '1' && d <= '9'; {
			i++
			for at(i) >= '0' && at(i) <= '9' {
				i++
			}
			break
		}
		last, ok := conversion(at, i)
		if !ok {
			return false
		}
		i = last
	}
	return true
}

// conversion reads a conversion that begins at i and returns where its last character is.
func conversion(at func(int) byte, i int) (last int, ok bool) {
	switch at(i) {
	case 'p':
		return pointerConversion(at, i)
	case 's':
		return i, endsWord(at(i + 1))
	case 'c':
		return i, true
	}
	for n := 0; n < 2 && at(i) == 'l'; n++ {
		i++
	}
	switch at(i) {
	case 'i', 'd', 'u', 'x', 'X':
		return i, true
	}
	return i, false
}

// pointerConversion reads what follows %p.
func pointerConversion(at func(int) byte, i int) (last int, ok bool) {
	next := at(i + 1)
	switch {
	case endsWord(next):
		return i, true
	case (next == 'k' || next == 'u') && at(i+2) == 's':
		return i + 2, endsWord(at(i + 3))
	case next == 'K', next == 'x', next == 's', next == 'S', next == 'B':
		return i + 1, true
	case (next == 'i' || next == 'I') && (at(i+2) == '4' || at(i+2) == '6'):
		return i + 2, true
	}
	return i, false
}

// endsWord says that a conversion is over before c.
func endsWord(c byte) bool { return c == 0 || isSpace(c) || isPunct(c) }

// isSpace, isPrint and isPunct are those of the kernel's Latin-1 table (lib/ctype.c).
func isSpace(c byte) bool { return c >= 9 && c <= 13 || c == ' ' || c == 0xa0 }

func isPrint(c byte) bool { return c >= ' ' && c < 0x7f || c >= 0xa0 }

func isPunct(c byte) bool {
	switch {
	case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		return false
	case c > ' ' && c < 0x7f:
		return true
	}
	return c > 0xa0 && c < 0xc0 || c == 0xd7 || c == 0xf7
}
