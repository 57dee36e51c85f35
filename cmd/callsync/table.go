package main

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// A table prints rows in aligned columns. On a terminal that is too narrow the
// dispensable columns are left out, then the widest are cut until the table
// fits; elsewhere it is printed whole.
type table struct {
	head  []string
	rows  [][]styled
	right map[int]bool // columns aligned to the right
	// dispensable are columns to leave out, the first one first.
	dispensable []int
	indent      string
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
	shown := t.fit(widths, p.width)
	for _, row := range rows {
		line := t.indent
		for n, i := range shown {
			if i >= len(row) {
				break
			}
			if n > 0 {
				line += strings.Repeat(" ", gutter)
			}
			text := cut(row[i].text, widths[i])
			pad := strings.Repeat(" ", widths[i]-columns(text))
			if painted := p.paint(styled{text, row[i].c}); t.right[i] {
				line += pad + painted
			} else {
				line += painted + pad
			}
		}
		_, _ = p.w.Write([]byte(strings.TrimRight(line, " ") + "\n"))
	}
}

// fit decides which columns are shown on a terminal of so many columns, 0 for
// none, and narrows widths accordingly.
func (t *table) fit(widths []int, terminal int) (shown []int) {
	for i := range widths {
		shown = append(shown, i)
	}
	if terminal == 0 {
		return shown
	}
	spare := func() int {
		room := terminal - columns(t.indent) - gutter*(len(shown)-1)
		for _, i := range shown {
			room -= widths[i]
		}
		return room
	}
	for _, drop := range t.dispensable {
		if spare() >= 0 {
			break
		}
		shown = slices.DeleteFunc(shown, func(i int) bool { return i == drop })
	}
	for over := -spare(); over > 0; over-- {
		widest := slices.MaxFunc(shown, func(a, b int) int { return widths[a] - widths[b] })
		if widths[widest] <= minColumn {
			break
		}
		widths[widest]--
	}
	return shown
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
