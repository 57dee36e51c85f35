package salesforcesim

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"
)

// A column is a field as a query reaches it: on the record itself, or through
// references.
type column struct {
	via   []*field
	f     *field
	kind  bool     // Who.Type: the name of the object behind the last reference
	names []string // as the answer spells them: ["Owner", "Name"]
}

// nameFields are what can be asked of a reference that may point to several
// objects: the fields of Salesforce's Name object.
var nameFields = []string{"Id", "Name", "FirstName", "LastName", "Email", "Phone", "Title", "Username", "IsActive"}

// value follows the references from r.
func (col *column) value(g *org, r *row) any {
	for _, ref := range col.via {
		if r = g.find(r.text(ref.Name)); r == nil {
			return nil
		}
	}
	if col.kind {
		return r.object.Name
	}
	f := r.object.byName[strings.ToLower(col.f.Name)]
	if f == nil {
		return nil
	}
	v := r.get(f)
	if v == nil && f.Type == "boolean" {
		return false
	}
	return v
}

func noColumn(name, entity, shown string) *apiError {
	return bad("INVALID_FIELD", shown+"No such column '"+name+"' on entity '"+entity+
		"'. If you are attempting to use a custom field, be sure to append the '__c' after the custom field name."+
		" Please reference your WSDL or the describe call for the appropriate names.")
}

// column resolves a dotted path.
func (c *call) column(q *selectQuery, o *object, path token) (*column, *apiError) {
	shown := where(q.src, path.pos)
	col := &column{}
	parts := strings.Split(path.text, ".")
	if len(parts) > 1 && strings.EqualFold(parts[0], o.Name) && o.relation(parts[0]) == nil {
		parts = parts[1:]
	}
	if len(parts) > 6 {
		return nil, malformed("%sa path can have five relationships", shown)
	}
	for i, part := range parts[:len(parts)-1] {
		ref := o.relation(part)
		if ref == nil {
			return nil, bad("INVALID_FIELD", shown+"Didn't understand relationship '"+part+
				"' in field path. If you are attempting to use a custom relationship, be sure to append the '__r' after the custom relationship name.")
		}
		col.via = append(col.via, ref)
		col.names = append(col.names, ref.Rel)
		if len(ref.To) > 1 {
			return c.nameColumn(col, parts[i+1:], shown)
		}
		o = c.g.object(ref.To[0])
	}
	last := parts[len(parts)-1]
	if col.f = o.field(last); col.f == nil {
		return nil, noColumn(last, o.Name, shown)
	}
	col.names = append(col.names, col.f.Name)
	return col, nil
}

// nameColumn resolves a path behind a reference to several objects.
func (c *call) nameColumn(col *column, rest []string, shown string) (*column, *apiError) {
	if len(rest) == 1 && strings.EqualFold(rest[0], "Type") {
		col.kind, col.f = true, &field{Name: "Type", Type: "picklist"}
		col.names = append(col.names, "Type")
		return col, nil
	}
	for _, name := range nameFields {
		if len(rest) == 1 && strings.EqualFold(rest[0], name) {
			col.f = &field{Name: name, Type: "string"}
			if known := c.g.object("User").byName[strings.ToLower(name)]; known != nil {
				col.f = known
			}
			col.names = append(col.names, name)
			return col, nil
		}
	}
	return nil, noColumn(strings.Join(rest, "."), "Name", shown)
}

// A predicate decides whether a record fits.
type predicate func(*row) bool

// A plan is a WHERE clause ready to run. candidates is nil when every record
// has to be looked at.
type plan struct {
	fits       predicate
	candidates []*row
	narrow     bool
}

func (c *call) plan(q *selectQuery, o *object, x expr) (plan, *apiError) {
	switch x := x.(type) {
	case nil:
		return plan{fits: func(*row) bool { return true }}, nil
	case logical:
		return c.planLogical(q, o, x)
	case negation:
		in, e := c.plan(q, o, x.operand)
		return plan{fits: func(r *row) bool { return !in.fits(r) }}, e
	}
	return c.planComparison(q, o, x.(comparison))
}

func (c *call) planLogical(q *selectQuery, o *object, x logical) (plan, *apiError) {
	var plans []plan
	for _, operand := range x.operands {
		in, e := c.plan(q, o, operand)
		if e != nil {
			return plan{}, e
		}
		plans = append(plans, in)
	}
	out := plan{fits: func(r *row) bool {
		for _, in := range plans {
			if in.fits(r) == x.or {
				return x.or
			}
		}
		return !x.or
	}}
	if x.or {
		out.narrow = !slices.ContainsFunc(plans, func(in plan) bool { return !in.narrow })
		for _, in := range plans {
			out.candidates = append(out.candidates, in.candidates...)
		}
		return out, nil
	}
	for _, in := range plans {
		if in.narrow && (!out.narrow || len(in.candidates) < len(out.candidates)) {
			out.narrow, out.candidates = true, in.candidates
		}
	}
	return out, nil
}

func (c *call) planComparison(q *selectQuery, o *object, x comparison) (plan, *apiError) {
	col, e := c.column(q, o, x.path)
	if e != nil {
		return plan{}, e
	}
	f := col.f
	if f.is(unfilterable) {
		return plan{}, bad("INVALID_FIELD", where(q.src, x.path.pos)+"field '"+f.Name+"' can not be filtered in a query call")
	}
	if x.sub != nil {
		if x.values, e = c.semiJoin(x.sub); e != nil {
			return plan{}, e
		}
	}
	if x.op == "like" {
		return c.planLike(q, col, x)
	}
	values := make([]any, len(x.values))
	for i, lit := range x.values {
		if lit.kind == litRange {
			return c.planRange(q, col, x)
		}
		if values[i], e = c.operandFor(q, f, x, lit); e != nil {
			return plan{}, e
		}
	}
	if (f.Type == "boolean" || f.Type == "id" || f.Type == "reference") && strings.ContainsAny(x.op, "<>") {
		return plan{}, bad("INVALID_QUERY_FILTER_OPERATOR", "invalid operator on "+f.Type+" field")
	}
	return c.comparePlan(o, col, x.op, values), nil
}

func (c *call) comparePlan(o *object, col *column, op string, values []any) plan {
	f := col.f
	switch op {
	case "=", "in":
		set := keySet(f, values)
		p := plan{fits: func(r *row) bool { return set[nullableKey(f, col.value(c.g, r))] }}
		p.candidates, p.narrow = candidates(o, col, values)
		return p
	case "!=", "not in":
		set := keySet(f, values)
		return plan{fits: func(r *row) bool { return !set[nullableKey(f, col.value(c.g, r))] }}
	}
	return plan{fits: func(r *row) bool {
		v := col.value(c.g, r)
		if v == nil || values[0] == nil {
			return false
		}
		n := compareValues(f, v, values[0])
		switch op {
		case "<":
			return n < 0
		case "<=":
			return n <= 0
		case ">":
			return n > 0
		}
		return n >= 0
	}}
}

// nullableKey is the key of a value, distinct from every text for null.
func nullableKey(f *field, v any) string {
	if v == nil {
		return "\x00null"
	}
	return f.key(v)
}

func keySet(f *field, values []any) map[string]bool {
	set := make(map[string]bool, len(values))
	for _, v := range values {
		set[nullableKey(f, v)] = true
	}
	return set
}

// candidates finds records by index where the column has one.
func candidates(o *object, col *column, values []any) ([]*row, bool) {
	if len(col.via) > 0 || col.kind || slices.Contains(values, nil) {
		return nil, false
	}
	var found []*row
	switch {
	case col.f.Type == "id":
		for _, v := range values {
			if r := o.live[toText(v)]; r != nil {
				found = append(found, r)
			}
		}
	case o.index[col.f.Name] != nil:
		for _, v := range values {
			found = append(found, o.index[col.f.Name][col.f.key(v)]...)
		}
	default:
		return nil, false
	}
	return found, true
}

func compareValues(f *field, a, b any) int {
	if x, ok := a.(float64); ok {
		y, _ := b.(float64)
		return cmp.Compare(x, y)
	}
	return strings.Compare(f.key(a), f.key(b))
}

// operandFor checks a literal against the field's type.
func (c *call) operandFor(q *selectQuery, f *field, x comparison, lit literal) (any, *apiError) {
	if lit.kind == litNull {
		return nil, nil
	}
	need := func(kind string, quoted bool) *apiError {
		quotes := "should not be enclosed in quotes"
		if quoted {
			quotes = "should be enclosed in quotes"
		}
		return bad("INVALID_FIELD", where(q.src, x.path.pos)+"value of filter criterion for field '"+f.Name+
			"' must be of type "+kind+" and "+quotes)
	}
	switch {
	case f.Type == "boolean":
		if lit.kind != litBool {
			return nil, need("boolean", false)
		}
		return lit.text == "true", nil
	case f.numeric():
		if lit.kind != litNumber {
			return nil, need(f.Type, false)
		}
		return lit.num, nil
	case f.Type == "date":
		if lit.kind != litDate {
			return nil, need("date", false)
		}
		return lit.text, nil
	case f.Type == "datetime":
		if lit.kind != litDateTime {
			return nil, need("dateTime", false)
		}
		return lit.text, nil
	case lit.kind != litString:
		return nil, need("string", true)
	case f.Type == "id" || f.Type == "reference":
		id, ok := canonicalID(lit.text)
		if !ok {
			return nil, bad("INVALID_QUERY_FILTER_OPERATOR", where(q.src, x.path.pos)+"invalid ID field: "+lit.text)
		}
		return id, nil
	}
	text, e := unescape(lit.raw, false)
	if e != nil || text == "" {
		return nil, e // '' is null
	}
	return text, nil
}

// planRange compares with a date literal, which stands for whole days in UTC.
func (c *call) planRange(q *selectQuery, col *column, x comparison) (plan, *apiError) {
	if col.f.Type != "date" && col.f.Type != "datetime" || len(x.values) != 1 || strings.Contains(x.op, "in") {
		return plan{}, bad("INVALID_FIELD", where(q.src, x.path.pos)+"a date literal does not fit field '"+col.f.Name+"'")
	}
	today := c.g.now().UTC().Truncate(24 * time.Hour)
	lit := x.values[0]
	from, to := today, today.AddDate(0, 0, 1)
	switch lit.text {
	case "YESTERDAY":
		from, to = today.AddDate(0, 0, -1), today
	case "TOMORROW":
		from, to = today.AddDate(0, 0, 1), today.AddDate(0, 0, 2)
	case "LAST_N_DAYS":
		from = today.AddDate(0, 0, -lit.n)
	case "NEXT_N_DAYS":
		from, to = today.AddDate(0, 0, 1), today.AddDate(0, 0, lit.n+1)
	}
	layout := dateLayout
	if col.f.Type == "datetime" {
		layout = timeLayout
	}
	lo, hi := from.Format(layout), to.Format(layout)
	return plan{fits: func(r *row) bool {
		v := toText(col.value(c.g, r))
		within := v >= lo && v < hi
		switch x.op {
		case "=":
			return within
		case "!=":
			return !within
		case "<":
			return v != "" && v < lo
		case "<=":
			return v != "" && v < hi
		case ">":
			return v >= hi
		}
		return v >= lo
	}}, nil
}

// semiJoin runs a subquery of one field.
func (c *call) semiJoin(sub *selectQuery) ([]literal, *apiError) {
	o, e := c.queryObject(sub, false)
	if e != nil {
		return nil, e
	}
	if len(sub.fields) != 1 {
		return nil, malformed("a semi join sub-select selects one field")
	}
	col, e := c.column(sub, o, sub.fields[0])
	if e != nil {
		return nil, e
	}
	if col.f.Type != "id" && col.f.Type != "reference" {
		return nil, malformed("The selected field '%s' in the subquery must be an ID or reference field", col.f.Name)
	}
	rows, e := c.selectRows(sub, o)
	if e != nil {
		return nil, e
	}
	values := []literal{}
	for _, r := range rows {
		if id := toText(col.value(c.g, r)); id != "" {
			values = append(values, literal{kind: litString, text: id, raw: id})
		}
	}
	return values, nil
}

func (c *call) queryObject(q *selectQuery, tooling bool) (*object, *apiError) {
	o := c.g.object(q.from.text)
	if o == nil || o.tooling != tooling {
		return nil, fail(http.StatusBadRequest, "INVALID_TYPE", "%ssObject type '%s' is not supported. If you are attempting to use a custom object, be sure to append the '__c' after the entity name. Please reference your WSDL or the describe call for the appropriate names.",
			where(q.src, q.from.pos), q.from.text)
	}
	return o, nil
}
