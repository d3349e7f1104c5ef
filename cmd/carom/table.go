package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// maxColumns is how wide text for people gets.
const maxColumns = 100

// minColumn is how far a column is cut.
const minColumn = 8

// table is text in columns. A column whose header begins with '>' is aligned to the right.
type table struct {
	head []string
	rows [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// write prints the table, and nothing when it has no rows. Cells that make it too wide are cut,
// those of the last left-aligned column first.
func (t *table) write(w io.Writer) error {
	if len(t.rows) == 0 {
		return nil
	}
	right := make([]bool, len(t.head))
	head := make([]string, len(t.head))
	for i, h := range t.head {
		right[i] = strings.HasPrefix(h, ">")
		head[i] = strings.TrimPrefix(h, ">")
	}
	widths := t.widths(head, right)
	var b strings.Builder
	for _, row := range append([][]string{head}, t.rows...) {
		var line strings.Builder
		for i, cell := range row {
			if i > 0 {
				line.WriteString("  ")
			}
			cell = cut(cell, widths[i])
			space := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if right[i] {
				line.WriteString(space + cell)
			} else {
				line.WriteString(cell + space)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	b.WriteString("\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func (t *table) widths(head []string, right []bool) []int {
	widths := make([]int, len(head))
	total := 2 * (len(head) - 1)
	for i, h := range head {
		widths[i] = utf8.RuneCountInString(h)
		for _, r := range t.rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(r[i]))
		}
		total += widths[i]
	}
	for i := len(head) - 1; i >= 0 && total > maxColumns; i-- {
		if right[i] {
			continue
		}
		n := max(widths[i]-(total-maxColumns), minColumn)
		if n < widths[i] {
			total -= widths[i] - n
			widths[i] = n
		}
	}
	return widths
}

// cut shortens text to n characters.
func cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}

// hexDump prints bytes as hexdump -C does.
func hexDump(w io.Writer, b []byte) {
	skipping := false
	for i := 0; i < len(b); i += 16 {
		row := b[i:min(i+16, len(b))]
		if i > 0 && i+16 < len(b) && string(row) == string(b[i-16:i]) {
			if !skipping {
				fmt.Fprintln(w, "  *")
			}
			skipping = true
			continue
		}
		skipping = false
		var digits, text strings.Builder
		for k, c := range row {
			if k == 8 {
				digits.WriteByte(' ')
			}
			fmt.Fprintf(&digits, "%02x ", c)
			if c < 0x20 || c > 0x7e {
				c = '.'
			}
			text.WriteByte(c)
		}
		fmt.Fprintf(w, "  %08x  %-49s |%s|\n", i, digits.String(), text.String())
	}
}
