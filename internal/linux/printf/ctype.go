package printf

// The kernel's character classes (lib/ctype.c). They cover Latin-1, unlike
// those of Go's unicode package for bytes or of the C locale: 0xA0 is a space,
// 0xA1 to 0xBF are punctuation, 0xC0 and above are letters but for the two
// arithmetic signs.

func isASCII(c byte) bool { return c < 0x80 }

func isSpace(c byte) bool { return c >= '\t' && c <= '\r' || c == ' ' || c == 0xa0 }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isAlnum(c byte) bool {
	return isDigit(c) || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' ||
		c >= 0xc0 && c != 0xd7 && c != 0xf7
}

func isPunct(c byte) bool {
	return c > ' ' && c < 0x7f && !isAlnum(c) || c > 0xa0 && c < 0xc0 || c == 0xd7 || c == 0xf7
}

func isPrint(c byte) bool {
	return c == ' ' || c == 0xa0 || isPunct(c) || isAlnum(c)
}
