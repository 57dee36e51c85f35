package main

import (
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// A table prints rows in aligned columns. On a terminal the widest columns are
// cut until the table fits; elsewhere nothing is cut.
type table struct {
	head   []string
	rows   [][]styled
	right  map[int]bool // columns aligned to the right
	indent string
}

func newTable(head ...string) *table { return &table{head: head, right: map[int]bool{}} }

// row adds a row of strings and styled cells.
func (t *table) row(cells ...any) {
	row := make([]styled, len(cells))
	for i, c := range cells {
		switch c := c.(type) {
		case styled:
			row[i] = styled{clean(c.text), c.c}
		case string:
			row[i] = styled{clean(c), plain}
		default:
			panic("a table cell is a string or styled")
		}
	}
	t.rows = append(t.rows, row)
}

const gutter = 2

// minColumn is how far a column may be cut.
const minColumn = 8

func (t *table) print(p *printer) {
	rows := t.rows
	if len(t.head) > 0 {
		head := make([]styled, len(t.head))
		for i, h := range t.head {
			head[i] = styled{strings.ToUpper(h), dim}
		}
		rows = append([][]styled{head}, rows...)
	}
	widths := t.widths(rows)
	if p.width > 0 {
		shrink(widths, p.width-columns(t.indent)-gutter*(len(widths)-1))
	}
	for _, row := range rows {
		var b strings.Builder
		b.WriteString(t.indent)
		for i, cell := range row {
			text := cut(cell.text, widths[i])
			pad := strings.Repeat(" ", widths[i]-columns(text))
			painted := p.paint(styled{text, cell.c})
			switch {
			case t.right[i]:
				b.WriteString(pad + painted)
			case i == len(row)-1:
				b.WriteString(painted)
			default:
				b.WriteString(painted + pad)
			}
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", gutter))
			}
		}
		line := strings.TrimRight(b.String(), " ")
		_, _ = p.w.Write([]byte(line + "\n"))
	}
}

func (t *table) widths(rows [][]styled) []int {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], columns(cell.text))
		}
	}
	return widths
}

// shrink takes columns off the widest until the sum fits room.
func shrink(widths []int, room int) {
	for {
		sum, widest := 0, 0
		for i, w := range widths {
			sum += w
			if w > widths[widest] {
				widest = i
			}
		}
		if len(widths) == 0 || sum <= room || widths[widest] <= minColumn {
			return
		}
		widths[widest]--
	}
}

// cut shortens s to n columns, with an ellipsis in place of what is missing.
func cut(s string, n int) string {
	if columns(s) <= n {
		return s
	}
	var b strings.Builder
	used := 0
	for _, r := range s {
		w := runeColumns(r)
		if used+w > n-1 {
			break
		}
		used += w
		b.WriteRune(r)
	}
	return b.String() + "…"
}

// columns is how wide a terminal shows s.
func columns(s string) int {
	n := 0
	for _, r := range s {
		n += runeColumns(r)
	}
	return n
}

func runeColumns(r rune) int {
	switch {
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case r >= 0x1f300 && r <= 0x1faff:
		return 2
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}
