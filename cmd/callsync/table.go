package main

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// A table prints rows in aligned columns. On a terminal that is too narrow it
// leaves out dispensable columns, those that say nothing first, until the rest
// fits with its widest columns cut as far as they may be; elsewhere it is printed
// whole.
type table struct {
	head  []string
	rows  [][]styled
	right map[int]bool // columns aligned to the right
	// dispensable are columns to leave out, the first one first.
	dispensable []int
	// least is how far a column may be cut, where that is not minColumn: one of
	// ids, which are there to be copied, not at all.
	least  map[int]int
	indent string
	// empty are columns that are left out, too, if they say nothing.
	empty []int
	// wraps is the last column, if it is not to be cut: the dispensable ones before it
	// make room, and what still does not fit goes on below.
	wraps int
}

// whole is the least of a column that is not to be cut.
const whole = 1 << 20

func newTable(head ...string) *table {
	return &table{head: head, right: map[int]bool{}, least: map[int]int{}}
}

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

// legibleColumns is how wide a column that wraps is at least, as long as others can
// make room for it.
const legibleColumns = 40

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
			if i == t.wraps && i > 0 && columns(row[i].text) > widths[i] {
				line += p.below(row[i], columns(t.indent)+t.before(i, shown, widths), widths[i])
				continue
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

// before is how many columns of the terminal those before one take.
func (t *table) before(column int, shown, widths []int) int {
	sum := 0
	for _, i := range shown {
		if i == column {
			break
		}
		sum += widths[i] + gutter
	}
	return sum
}

// below is text in lines of so many columns, those after the first behind a margin.
func (p *printer) below(s styled, margin, width int) string {
	lines := broken(s.text, width)
	for i, line := range lines {
		lines[i] = p.paint(styled{line, s.c})
	}
	return strings.Join(lines, "\n"+strings.Repeat(" ", margin))
}

// broken breaks text between words into lines of so many columns. A word that is
// longer is cut.
func broken(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		word = cut(word, width)
		if line != "" && columns(line)+1+columns(word) > width {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	return append(lines, line)
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
	// over is how many columns too wide the table is where each of its columns is
	// as wide as that.
	over := func(width func(i int) int) int {
		sum := columns(t.indent) + gutter*(len(shown)-1)
		for _, i := range shown {
			sum += width(i)
		}
		return sum - terminal
	}
	full := func(i int) int { return widths[i] }
	least := func(i int) int { return min(widths[i], t.leastOf(i)) }
	drop := func(column int) { shown = slices.DeleteFunc(shown, func(i int) bool { return i == column }) }
	for _, i := range slices.Concat(t.empty, t.dispensable) {
		if over(full) > 0 && t.mute(i) {
			drop(i)
		}
	}
	legible := func(i int) int {
		if i == t.wraps {
			return min(widths[i], legibleColumns)
		}
		return widths[i]
	}
	for _, i := range t.dispensable {
		if t.wraps > 0 && i != t.wraps && over(legible) > 0 {
			drop(i)
		}
	}
	for _, i := range t.dispensable {
		if over(least) > 0 {
			drop(i)
		}
	}
	narrow := func(least func(i int) int) {
		for n := over(full); n > 0; n-- {
			widest := slices.MaxFunc(shown, func(a, b int) int { return (widths[a] - least(a)) - (widths[b] - least(b)) })
			if widths[widest] <= least(widest) {
				break
			}
			widths[widest]--
		}
	}
	narrow(least)
	narrow(func(i int) int {
		if t.leastOf(i) == whole {
			return widths[i]
		}
		return min(widths[i], minColumn)
	})
	narrow(func(i int) int { return min(widths[i], minColumn) }) // not even ids fit
	return shown
}

func (t *table) leastOf(column int) int {
	if n, ok := t.least[column]; ok {
		return n
	}
	return minColumn
}

// mute reports whether a column has nothing in any row.
func (t *table) mute(column int) bool {
	return !slices.ContainsFunc(t.rows, func(row []styled) bool {
		return column < len(row) && row[column].text != "" && row[column].text != orDash("")
	})
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
