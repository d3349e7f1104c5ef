// Package btfval turns the bytes of map keys, map values and global variables
// into something to read, and text into such bytes, through their BTF type.
//
// Printing follows "bpftool map dump" for a map with BTF: a structure is
// {"field": value, ...}, integers are printed by their signedness, an array of
// char that holds a printable text is a string, an enumerator is its name, a
// pointer is hexadecimal, and without BTF there are bytes in hexadecimal. It
// differs in three things: members of an anonymous structure or union appear in
// the structure around it, as C code sees them; a bit-field is printed as the
// number it is, not as raw bits; and a float is printed.
//
// All bytes are little-endian.
package btfval
