package salesforce

import (
	"net/url"
	"slices"
	"strings"
)

// maxQuery bounds a percent-encoded query. A GET's URI and headers may have
// about 16,000 characters together (REST API Developer Guide, "Query").
const maxQuery = 14_000

// quote returns s as a SOQL string literal, with the reserved characters of the
// SOQL reference escaped and other control characters dropped.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('\'')
	for _, r := range s {
		switch r {
		case '\\', '\'', '"':
			b.WriteByte('\\')
			b.WriteRune(r)
		case '\n':
			b.WriteString(`\n`)
		case '\r':
			b.WriteString(`\r`)
		case '\t':
			b.WriteString(`\t`)
		case '\b':
			b.WriteString(`\b`)
		case '\f':
			b.WriteString(`\f`)
		default:
			if r >= ' ' && r != 0x7f {
				b.WriteRune(r)
			}
		}
	}
	b.WriteByte('\'')
	return b.String()
}

// searchTerm returns s as a quoted phrase of a SOSL search, with the SOSL
// reference's reserved characters escaped.
func searchTerm(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case strings.ContainsRune(`?&|!{}[]()^~*:\"'+-`, r):
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			b.WriteByte(' ')
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// A condition is one "field equals literal" of a WHERE clause.
type condition struct {
	field   string
	literal string // escaped
}

// A selection is a SELECT over any number of conditions, OR-ed, that is sent as
// as many statements as the length limit asks for.
type selection struct {
	columns []string
	from    string
	and     string // a further clause every row must meet
	order   string
}

// statements splits conditions over as few statements as fit. It answers none
// for no conditions: a selection never reads a whole table.
func (s selection) statements(conditions []condition) []string {
	conditions = slices.Clone(conditions)
	slices.SortFunc(conditions, func(a, b condition) int {
		if c := strings.Compare(a.field, b.field); c != 0 {
			return c
		}
		return strings.Compare(a.literal, b.literal)
	})
	conditions = slices.Compact(conditions)

	var out []string
	for len(conditions) > 0 {
		size := len(url.QueryEscape(s.statement(nil)))
		n := 0
		for n < len(conditions) {
			size += len(url.QueryEscape(conditions[n].literal + ","))
			if n == 0 || conditions[n].field != conditions[n-1].field {
				size += len(url.QueryEscape(" OR " + conditions[n].field + " IN ()"))
			}
			if n > 0 && size > maxQuery {
				break
			}
			n++
		}
		out = append(out, s.statement(conditions[:n]))
		conditions = conditions[n:]
	}
	return out
}

// statement renders one statement; conditions are sorted by field.
func (s selection) statement(conditions []condition) string {
	var b strings.Builder
	b.WriteString("SELECT " + strings.Join(s.columns, ", ") + " FROM " + s.from + " WHERE (")
	for i, c := range conditions {
		switch {
		case i == 0:
			b.WriteString(c.field + " IN (")
		case c.field != conditions[i-1].field:
			b.WriteString(") OR " + c.field + " IN (")
		default:
			b.WriteByte(',')
		}
		b.WriteString(c.literal)
	}
	b.WriteString("))")
	if s.and != "" {
		b.WriteString(" AND " + s.and)
	}
	if s.order != "" {
		b.WriteString(" ORDER BY " + s.order)
	}
	return b.String()
}

// idConditions are the conditions that a field holds one of ids; what is no
// record id is left out.
func idConditions(field string, ids []string) []condition {
	out := make([]condition, 0, len(ids))
	for _, id := range ids {
		if full, ok := id18(id); ok {
			out = append(out, condition{field, quote(full)})
		}
	}
	return out
}
