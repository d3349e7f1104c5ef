package asm

import (
	"strings"
)

type tokenKind uint8

const (
	tokEnd tokenKind = iota
	tokWord
	tokNumber
	tokPunct
)

// token is one word, number or operator of a line; col counts bytes from 0.
type token struct {
	kind tokenKind
	text string
	col  int
}

// operators in the order in which they are tried: an operator precedes its own prefixes.
var operators = [...]string{
	"s>>=", "s>=", "s<=", "s>", "s<", "s/=", "s%=",
	"<<=", ">>=", "+=", "-=", "*=", "/=", "%=", "|=", "&=", "^=", "==", "!=", ">=", "<=",
	">", "<", "&", "=", "(", ")", "[", "]", "*", "+", "-", ",", ":", "#",
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isWordStart(c byte) bool {
	return c == '_' || c == '.' || c == '$' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func isWord(c byte) bool { return isWordStart(c) || isDigit(c) }

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' }

// startsComment reports whether a comment begins at s[n]. A # inside a word separates the
// name of a helper from its number, so it begins a comment only at the start or after space.
func startsComment(s string, n int) bool {
	switch s[n] {
	case ';':
		return true
	case '/':
		return strings.HasPrefix(s[n:], "//")
	case '#':
		return n == 0 || isSpace(s[n-1])
	}
	return false
}

// lex splits a line from a column on. A byte that begins no token is reported by its column.
func lex(s string, from int) (tokens []token, bad int) {
	for n := from; n < len(s); {
		if isSpace(s[n]) {
			n++
			continue
		}
		if startsComment(s, n) {
			break
		}
		t := token{col: n}
		if op := operatorAt(s[n:]); op != "" {
			t.kind, t.text = tokPunct, op
		} else if isWord(s[n]) {
			end := n + 1
			for end < len(s) && isWord(s[end]) {
				end++
			}
			t.kind, t.text = tokWord, s[n:end]
			if isDigit(s[n]) {
				t.kind = tokNumber
			}
		} else {
			return tokens, n
		}
		tokens = append(tokens, t)
		n += len(t.text)
	}
	return tokens, -1
}

func operatorAt(s string) string {
	for _, op := range operators {
		if strings.HasPrefix(s, op) {
			return op
		}
	}
	return ""
}

// linePrefix reads what bpftool and the verifier print before an instruction: its number with
// a colon, and its opcode as two hexadecimal digits in parentheses. op is -1 without an opcode.
func linePrefix(s string) (rest int, op int) {
	n := skipSpace(s, 0)
	end := n
	for end < len(s) && isDigit(s[end]) {
		end++
	}
	if end > n && end < len(s) && s[end] == ':' {
		n = skipSpace(s, end+1)
	}
	if len(s) >= n+4 && s[n] == '(' && s[n+3] == ')' {
		hi, lo := hexDigit(s[n+1]), hexDigit(s[n+2])
		if hi >= 0 && lo >= 0 {
			return n + 4, hi<<4 | lo
		}
	}
	return n, -1
}

func skipSpace(s string, n int) int {
	for n < len(s) && isSpace(s[n]) {
		n++
	}
	return n
}

func hexDigit(c byte) int {
	switch {
	case isDigit(c):
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}
