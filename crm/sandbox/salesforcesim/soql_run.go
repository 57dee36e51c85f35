package salesforcesim

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

const (
	maxSOQL      = 100_000 // characters
	defaultBatch = 2000    // records in one answer
	minBatch     = 200
)

// planLike matches % and _ without regard to case.
func (c *call) planLike(q *selectQuery, col *column, x comparison) (plan, *apiError) {
	f := col.f
	if f.Type == "id" || f.Type == "reference" || f.Type == "boolean" || f.Type == "date" || f.Type == "datetime" || f.numeric() {
		return plan{}, bad("INVALID_QUERY_FILTER_OPERATOR", "invalid operator on "+f.Type+" field")
	}
	if x.values[0].kind != litString {
		return plan{}, bad("INVALID_FIELD", where(q.src, x.path.pos)+"value of filter criterion for field '"+f.Name+
			"' must be of type string and should be enclosed in quotes")
	}
	raw, e := unescape(x.values[0].raw, true)
	if e != nil {
		return plan{}, e
	}
	pattern := likePattern(strings.ToLower(raw))
	return plan{fits: func(r *row) bool {
		v, ok := col.value(c.g, r).(string)
		return ok && matchLike(pattern, []rune(strings.ToLower(v)))
	}}, nil
}

// A likeElem is one rune of a pattern, or a wildcard.
type likeElem struct {
	r        rune
	any, one bool // % and _
}

func likePattern(s string) []likeElem {
	var out []likeElem
	escaped := false
	for _, r := range s {
		switch {
		case escaped:
			out, escaped = append(out, likeElem{r: r}), false
		case r == '\\':
			escaped = true
		case r == '%':
			if n := len(out); n == 0 || !out[n-1].any {
				out = append(out, likeElem{any: true})
			}
		case r == '_':
			out = append(out, likeElem{one: true})
		default:
			out = append(out, likeElem{r: r})
		}
	}
	return out
}

// matchLike backtracks to the last % only, so it takes no more than the
// product of both lengths.
func matchLike(p []likeElem, s []rune) bool {
	i, j, star, mark := 0, 0, -1, 0
	for j < len(s) {
		switch {
		case i < len(p) && p[i].any:
			star, mark = i, j
			i++
		case i < len(p) && (p[i].one || p[i].r == s[j]):
			i++
			j++
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	for i < len(p) && p[i].any {
		i++
	}
	return i == len(p)
}

// selectRows finds, orders and cuts the records of a query.
func (c *call) selectRows(q *selectQuery, o *object) ([]*row, *apiError) {
	pl, e := c.plan(q, o, q.where)
	if e != nil {
		return nil, e
	}
	source := o.rows
	if pl.narrow {
		source = slices.Clone(pl.candidates)
		slices.SortFunc(source, func(a, b *row) int { return cmp.Compare(a.seq, b.seq) })
		source = slices.Compact(source)
	}
	var found []*row
	for _, r := range source {
		if (!r.deleted || q.all) && pl.fits(r) {
			found = append(found, r)
		}
	}
	if e := c.sortRows(q, o, found); e != nil {
		return nil, e
	}
	found = found[min(q.offset, len(found)):]
	if q.limit >= 0 && len(found) > q.limit {
		found = found[:q.limit]
	}
	return found, nil
}

func (c *call) sortRows(q *selectQuery, o *object, rows []*row) *apiError {
	cols := make([]*column, len(q.order))
	for i, by := range q.order {
		col, e := c.column(q, o, by.path)
		if e != nil {
			return e
		}
		if col.f.is(unfilterable) {
			return malformed("%sfield '%s' can not be sorted in a query call", where(q.src, by.path.pos), col.f.Name)
		}
		cols[i] = col
	}
	slices.SortStableFunc(rows, func(a, b *row) int {
		for i, by := range q.order {
			x, y := cols[i].value(c.g, a), cols[i].value(c.g, b)
			if n := compareNullable(cols[i].f, x, y, by); n != 0 {
				return n
			}
		}
		return 0
	})
	return nil
}

func compareNullable(f *field, x, y any, by orderBy) int {
	if x == nil || y == nil {
		n := 0
		if x == nil && y != nil {
			n = -1
		} else if x != nil {
			n = 1
		}
		if by.nullsLast {
			n = -n
		}
		return n
	}
	n := compareValues(f, x, y)
	if by.desc {
		return -n
	}
	return n
}

// render builds a record of the answer, nesting what lies behind references.
func (c *call) render(r *row, cols []*column) map[string]any {
	rec := map[string]any{"attributes": c.attributes(r)}
	for _, col := range cols {
		at, owner := rec, r
		for i, ref := range col.via {
			owner = c.g.find(owner.text(ref.Name))
			if owner == nil {
				if at[col.names[i]] == nil {
					at[col.names[i]] = nil
				}
				break
			}
			inner, ok := at[col.names[i]].(map[string]any)
			if !ok {
				inner = map[string]any{"attributes": c.attributes(owner)}
				at[col.names[i]] = inner
			}
			at = inner
		}
		if owner != nil {
			at[col.names[len(col.names)-1]] = col.value(c.g, r)
		}
	}
	return rec
}

func (c *call) columns(q *selectQuery, o *object) ([]*column, *apiError) {
	seen := map[string]bool{}
	var cols []*column
	for _, path := range q.fields {
		col, e := c.column(q, o, path)
		if e != nil {
			return nil, e
		}
		name := strings.Join(col.names, ".")
		if seen[name] {
			return nil, bad("INVALID_FIELD", where(q.src, path.pos)+"duplicate field selected: "+name)
		}
		seen[name] = true
		cols = append(cols, col)
	}
	return cols, nil
}

// A cursor is the rest of an answer that did not fit into one batch.
type cursor struct {
	rows  []*row
	cols  []*column
	batch int
	id    string // "" when the answer fits into one batch
}

func (s *Server) query(w http.ResponseWriter, r *http.Request, c *call, parts []string) {
	src := r.URL.Query().Get("q")
	if src == "" {
		refuse(w, malformed("unexpected token: '<EOF>'"))
		return
	}
	if len(src) > maxSOQL {
		refuse(w, fail(http.StatusBadRequest, "QUERY_TOO_COMPLICATED", "SOQL statements cannot be longer than 100,000 characters."))
		return
	}
	q, e := parseSOQL(src)
	if e != nil {
		refuse(w, e)
		return
	}
	q.all = q.all || parts[0] == "queryAll"
	batch, e := batchSize(r.Header)
	if e != nil {
		refuse(w, e)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	body, e := c.runQuery(q, parts[0] == "tooling", batch)
	if e != nil {
		refuse(w, e)
		return
	}
	answer(w, http.StatusOK, body)
}

func batchSize(h http.Header) (int, *apiError) {
	for _, part := range strings.Split(h.Get("Sforce-Query-Options"), ",") {
		name, value, _ := strings.Cut(part, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "batchSize") {
			continue
		}
		n, err := strconv.Atoi(strings.TrimSpace(value))
		if err != nil {
			return 0, fail(http.StatusBadRequest, "INVALID_QUERY_OPTIONS", "batchSize is not a number")
		}
		return min(max(n, minBatch), defaultBatch), nil
	}
	return defaultBatch, nil
}

func (c *call) runQuery(q *selectQuery, tooling bool, batch int) (any, *apiError) {
	o, e := c.queryObject(q, tooling)
	if e != nil {
		return nil, e
	}
	cols, e := c.columns(q, o)
	if e != nil {
		return nil, e
	}
	rows, e := c.selectRows(q, o)
	if e != nil {
		return nil, e
	}
	if q.count {
		return map[string]any{"totalSize": len(rows), "done": true, "records": []any{}}, nil
	}
	cur := &cursor{rows: rows, cols: cols, batch: batch}
	if len(rows) > batch {
		cur.id = c.g.keep(cur)
	}
	return c.page(cur, 0), nil
}

// maxCursors is how many unread answers an org keeps.
const maxCursors = 10

// keep stores a cursor and drops the oldest beyond maxCursors.
func (g *org) keep(cur *cursor) string {
	g.lastCur++
	id := fmt.Sprintf("01g%012d", g.lastCur)
	g.cursors[id] = cur
	if keys := sortedKeys(g.cursors); len(keys) > maxCursors {
		delete(g.cursors, keys[0])
	}
	return id
}

// page renders one batch of a cursor.
func (c *call) page(cur *cursor, from int) any {
	to := min(from+cur.batch, len(cur.rows))
	records := make([]any, 0, to-from)
	for _, r := range cur.rows[from:to] {
		records = append(records, c.render(r, cur.cols))
	}
	body := map[string]any{"totalSize": len(cur.rows), "done": to == len(cur.rows), "records": records}
	if to < len(cur.rows) {
		body["nextRecordsUrl"] = fmt.Sprintf("%s/query/%s-%d", c.base, cur.id, to)
	}
	return body
}

func (s *Server) queryMore(w http.ResponseWriter, _ *http.Request, c *call, parts []string) {
	id, at, _ := strings.Cut(parts[1], "-")
	from, err := strconv.Atoi(at)
	s.mu.RLock()
	defer s.mu.RUnlock()
	cur := c.g.cursors[id]
	if err != nil || cur == nil || from < 0 || from > len(cur.rows) {
		refuse(w, fail(http.StatusBadRequest, "INVALID_QUERY_LOCATOR", "invalid query locator"))
		return
	}
	answer(w, http.StatusOK, c.page(cur, from))
}
