package btfval

import (
	"encoding/json"
	"fmt"
	"strings"
)

// node is a parsed text: a word, a quoted string, a list or an object.
type node struct {
	kind  nodeKind
	text  string // word or string
	items []item
}

type nodeKind uint8

const (
	word nodeKind = iota
	quoted
	list
	object
)

// item of a list (without a name) or an object.
type item struct {
	name  string
	value node
}

// syntax parses text: JSON in which words (numbers in any base, names of
// enumerators) and member names need no quotes.
type syntax struct {
	text string
	pos  int
}

func parseText(text string) (node, error) {
	s := syntax{text: text}
	n, err := s.value(0)
	if err != nil {
		return n, err
	}
	if s.space(); s.pos < len(s.text) {
		return n, s.fail("the end")
	}
	return n, nil
}

func (s *syntax) fail(want string) error {
	rest := s.text[s.pos:]
	if len(rest) > 12 {
		rest = rest[:12] + "..."
	}
	if rest == "" {
		return &Error{"", "syntax", fmt.Sprintf("expected %s, found the end", want)}
	}
	return &Error{"", "syntax", fmt.Sprintf("expected %s at byte %d, found %q", want, s.pos, rest)}
}

func (s *syntax) space() {
	for s.pos < len(s.text) && strings.IndexByte(" \t\r\n", s.text[s.pos]) >= 0 {
		s.pos++
	}
}

// accept consumes c when it is next.
func (s *syntax) accept(c byte) bool {
	s.space()
	if s.pos < len(s.text) && s.text[s.pos] == c {
		s.pos++
		return true
	}
	return false
}

func (s *syntax) value(depth int) (node, error) {
	if depth > maxDepth {
		return node{}, s.fail("less nesting")
	}
	switch {
	case s.accept('{'):
		return s.items(object, '}', depth)
	case s.accept('['):
		return s.items(list, ']', depth)
	}
	return s.atom()
}

func (s *syntax) items(kind nodeKind, end byte, depth int) (node, error) {
	n := node{kind: kind}
	if s.accept(end) {
		return n, nil
	}
	for {
		var it item
		if kind == object {
			name, err := s.atom()
			if err != nil {
				return n, err
			}
			if !s.accept(':') {
				return n, s.fail("':'")
			}
			it.name = name.text
		}
		var err error
		if it.value, err = s.value(depth + 1); err != nil {
			return n, err
		}
		n.items = append(n.items, it)
		if s.accept(end) {
			return n, nil
		}
		if !s.accept(',') {
			return n, s.fail(fmt.Sprintf("',' or '%c'", end))
		}
	}
}

// atom is a word or a string.
func (s *syntax) atom() (node, error) {
	s.space()
	start := s.pos
	if s.pos < len(s.text) && s.text[s.pos] == '"' {
		for s.pos++; s.pos < len(s.text) && s.text[s.pos] != '"'; s.pos++ {
			if s.text[s.pos] == '\\' {
				s.pos++
			}
		}
		s.pos = min(s.pos+1, len(s.text))
		var text string
		if err := json.Unmarshal([]byte(s.text[start:s.pos]), &text); err != nil {
			s.pos = start
			return node{}, s.fail("a string in JSON's form")
		}
		return node{kind: quoted, text: text}, nil
	}
	for s.pos < len(s.text) && strings.IndexByte(" \t\r\n,:[]{}\"", s.text[s.pos]) < 0 {
		s.pos++
	}
	// The ':' of a raw value belongs to it.
	if s.text[start:s.pos] == rawPrefix[:len(rawPrefix)-1] && s.pos < len(s.text) && s.text[s.pos] == ':' {
		for s.pos++; s.pos < len(s.text) && isHex(s.text[s.pos]); s.pos++ {
		}
	}
	if s.pos == start {
		return node{}, s.fail("a value")
	}
	return node{text: s.text[start:s.pos]}, nil
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}
