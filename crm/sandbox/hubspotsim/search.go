package hubspotsim

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Limits of a search. Source: HubSpot CRM search guide.
const (
	maxSearchBody    = 3000
	maxGroups        = 5
	maxGroupFilters  = 6
	maxFilters       = 18
	maxFilterValues  = 100
	maxSearchPage    = 200
	maxSearchResults = 10_000
)

type searchInput struct {
	Groups     []filterGroup     `json:"filterGroups"`
	Filters    []filter          `json:"filters"`
	Properties []string          `json:"properties"`
	Query      string            `json:"query"`
	Limit      *int              `json:"limit"`
	After      json.RawMessage   `json:"after"`
	Sorts      []json.RawMessage `json:"sorts"`
}

type filterGroup struct {
	Filters []filter `json:"filters"`
}

type filter struct {
	Property string   `json:"propertyName"`
	Operator string   `json:"operator"`
	Value    *string  `json:"value"`
	Values   []string `json:"values"`
	High     *string  `json:"highValue"`

	typ string // of the property, set when the filter is checked
}

func (s *Server) search(c *call) (int, any, *apiError) {
	if utf8.RuneCount(c.body) > maxSearchBody {
		return 0, nil, invalid(fmt.Sprintf("The search request is too long: at most %d characters are allowed", maxSearchBody))
	}
	var in searchInput
	if fail := c.decode(&in); fail != nil {
		return 0, nil, fail
	}
	if len(in.Filters) > 0 {
		in.Groups = append(in.Groups, filterGroup{in.Filters})
	}
	if fail := in.check(c.typ); fail != nil {
		return 0, nil, fail
	}
	offset, limit, fail := in.page()
	if fail != nil {
		return 0, nil, fail
	}
	order, fail := in.order(c.typ)
	if fail != nil {
		return 0, nil, fail
	}
	x := &c.typ.index
	x.catchUp(c.now, time.Duration(s.settings.SearchLag))
	hits := x.find(&in)
	slices.SortFunc(hits, order)
	total := len(hits)
	answer := pageBody{Total: &total, Results: []objectBody{}}
	for _, doc := range hits[min(offset, total):min(offset+limit, total)] {
		answer.Results = append(answer.Results, objectBody{
			ID: doc.rec.id, Properties: c.typ.project(doc.props, in.Properties, false),
			CreatedAt: stamp(doc.rec.created), UpdatedAt: stamp(doc.upd),
		})
	}
	if offset+limit < total {
		answer.Paging = next(strconv.Itoa(offset + limit))
	}
	return http.StatusOK, answer, nil
}

// find returns the documents any group matches and the query, if any, too.
func (x *searchIndex) find(in *searchInput) []indexed {
	var hits []indexed
	seen := map[string]bool{}
	consider := func(doc indexed, g filterGroup) {
		if !seen[doc.rec.id] && g.matches(doc) && doc.mentions(in.Query) {
			seen[doc.rec.id] = true
			hits = append(hits, doc)
		}
	}
	groups := in.Groups
	if len(groups) == 0 {
		groups = []filterGroup{{}}
	}
	for _, g := range groups {
		if ids, ok := x.narrow(g); ok {
			for id := range ids {
				consider(x.docs[id], g)
			}
			continue
		}
		for _, doc := range x.docs {
			consider(doc, g)
		}
	}
	return hits
}

// narrow returns a superset of a group's hits when one of its filters asks for
// values of a property, so that not every record has to be looked at.
func (x *searchIndex) narrow(g filterGroup) (map[string]bool, bool) {
	for _, f := range g.Filters {
		if f.typ == "number" || f.typ == "datetime" || f.typ == "date" {
			continue // equal values can be written differently
		}
		switch f.Operator {
		case "EQ":
			return x.having(f.Property, strings.ToLower(*f.Value)), true
		case "IN":
			ids := map[string]bool{}
			for _, v := range f.Values {
				for id := range x.having(f.Property, strings.ToLower(v)) {
					ids[id] = true
				}
			}
			return ids, true
		}
	}
	return nil, false
}

// check refuses what HubSpot refuses and notes the properties' types.
func (in *searchInput) check(t *objectType) *apiError {
	if len(in.Groups) > maxGroups {
		return invalid(fmt.Sprintf("A search can have at most %d filterGroups; there are %d", maxGroups, len(in.Groups)))
	}
	total := 0
	for i := range in.Groups {
		filters := in.Groups[i].Filters
		total += len(filters)
		if len(filters) == 0 {
			return invalid("A filterGroup needs at least one filter")
		}
		if len(filters) > maxGroupFilters || total > maxFilters {
			return invalid(fmt.Sprintf("A search can have at most %d filters in a group and %d in all", maxGroupFilters, maxFilters))
		}
		for j := range filters {
			if fail := filters[j].check(t); fail != nil {
				return fail
			}
		}
	}
	return nil
}

func badFilter(code, format string, args ...any) *apiError {
	e := invalid("There was a problem with the request.")
	e.Errors = []errorDetail{{Message: fmt.Sprintf(format, args...), Code: code}}
	return e
}

func (f *filter) check(t *objectType) *apiError {
	p := t.properties[f.Property]
	if p == nil || p.Archived {
		return badFilter("PROPERTY_DOESNT_EXIST", "Property %q does not exist", f.Property)
	}
	f.typ = p.Type
	given := 0
	for _, v := range []*string{f.Value, f.High} {
		if v != nil {
			given++
		}
	}
	switch f.Operator {
	case "EQ", "NEQ", "LT", "LTE", "GT", "GTE", "CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN":
		if f.Value == nil || *f.Value == "" || given != 1 || f.Values != nil {
			return badFilter("INVALID_FILTER", "%s on %s takes a value", f.Operator, f.Property)
		}
	case "BETWEEN":
		if given != 2 {
			return badFilter("INVALID_FILTER", "BETWEEN on %s takes a value and a highValue", f.Property)
		}
	case "IN", "NOT_IN":
		if len(f.Values) == 0 || len(f.Values) > maxFilterValues || given != 0 {
			return badFilter("INVALID_FILTER", "%s on %s takes 1 to %d values", f.Operator, f.Property, maxFilterValues)
		}
	case "HAS_PROPERTY", "NOT_HAS_PROPERTY":
	default:
		return badFilter("INVALID_OPERATOR", "Operator %q does not exist", f.Operator)
	}
	for _, v := range f.operands() {
		if f.typ == "number" && !plainNumber(v) {
			return badFilter("INVALID_NUMBER", "%s was not a valid number.", v)
		}
		if _, ok := parseDay(v); !ok && (f.typ == "datetime" || f.typ == "date") {
			return badFilter("INVALID_LONG", "%s was not a valid long.", v)
		}
	}
	return nil
}

func (f *filter) operands() []string {
	list := slices.Clone(f.Values)
	for _, v := range []*string{f.Value, f.High} {
		if v != nil {
			list = append(list, *v)
		}
	}
	return list
}

func (in *searchInput) page() (offset, limit int, fail *apiError) {
	limit = 10
	if in.Limit != nil {
		limit = *in.Limit
	}
	if limit < 0 || limit > maxSearchPage {
		return 0, 0, invalid(fmt.Sprintf("limit must be between 0 and %d", maxSearchPage))
	}
	if after := strings.Trim(string(in.After), `"`); after != "" && after != "null" {
		n, err := strconv.Atoi(after)
		if err != nil || n < 0 {
			return 0, 0, invalid("after is not a paging cursor")
		}
		offset = n
	}
	if offset+limit > maxSearchResults {
		return 0, 0, invalid(fmt.Sprintf("A search returns at most %d results in all", maxSearchResults))
	}
	return offset, limit, nil
}

// order returns the comparison of the request's one sort, which is a property
// name, "-" before it to descend, or an object. Without one, and between
// equals, the oldest record comes first.
func (in *searchInput) order(t *objectType) (func(a, b indexed) int, *apiError) {
	age := func(a, b indexed) int { return cmp.Compare(a.rec.seq, b.rec.seq) }
	if len(in.Sorts) == 0 {
		return age, nil
	}
	if len(in.Sorts) > 1 {
		return nil, invalid("A search can have only one sort")
	}
	var by struct {
		Property  string `json:"propertyName"`
		Direction string `json:"direction"`
	}
	var name string
	if json.Unmarshal(in.Sorts[0], &name) == nil {
		by.Property, by.Direction = strings.TrimPrefix(name, "-"), "ASCENDING"
		if strings.HasPrefix(name, "-") {
			by.Direction = "DESCENDING"
		}
	} else if err := json.Unmarshal(in.Sorts[0], &by); err != nil {
		return nil, invalid("A sort is a property name or an object")
	}
	p := t.properties[by.Property]
	if p == nil {
		return nil, badFilter("PROPERTY_DOESNT_EXIST", "Property %q does not exist", by.Property)
	}
	sign := 1
	if by.Direction == "DESCENDING" {
		sign = -1
	}
	return func(a, b indexed) int {
		x, y := a.props[p.Name], b.props[p.Name]
		return cmp.Or(sign*compare(p.Type, x, y), age(a, b))
	}, nil
}

// matches reports whether every filter of the group does.
func (g filterGroup) matches(doc indexed) bool {
	for i := range g.Filters {
		if !g.Filters[i].matches(doc.props) {
			return false
		}
	}
	return true
}

func (f *filter) matches(props map[string]string) bool {
	v, has := props[f.Property]
	switch f.Operator {
	case "HAS_PROPERTY":
		return has
	case "NOT_HAS_PROPERTY":
		return !has
	case "NEQ":
		return !has || !f.equal(props, *f.Value)
	case "NOT_IN":
		return has && !f.in(props)
	case "NOT_CONTAINS_TOKEN":
		return !has || !containsToken(v, *f.Value)
	}
	if !has {
		return false
	}
	switch f.Operator {
	case "EQ":
		return f.equal(props, *f.Value)
	case "IN":
		return f.in(props)
	case "LT":
		return compare(f.typ, v, *f.Value) < 0
	case "LTE":
		return compare(f.typ, v, *f.Value) <= 0
	case "GT":
		return compare(f.typ, v, *f.Value) > 0
	case "GTE":
		return compare(f.typ, v, *f.Value) >= 0
	case "BETWEEN":
		return compare(f.typ, v, *f.Value) >= 0 && compare(f.typ, v, *f.High) <= 0
	}
	return containsToken(v, *f.Value)
}

func (f *filter) equal(props map[string]string, value string) bool {
	return slices.ContainsFunc(folded(f.Property, props), func(v string) bool {
		return compare(f.typ, v, strings.ToLower(value)) == 0
	})
}

// in compares with the values as given: HubSpot wants those of string
// properties in lower case and finds nothing otherwise. Source: HubSpot CRM
// search guide.
func (f *filter) in(props map[string]string) bool {
	for _, v := range folded(f.Property, props) {
		for _, want := range f.Values {
			if f.typ != "string" && f.typ != "phone_number" {
				want = strings.ToLower(want)
			}
			if compare(f.typ, v, want) == 0 {
				return true
			}
		}
	}
	return false
}

// compare orders two values of a property type. Those that do not parse order
// as text.
func compare(typ, a, b string) int {
	switch typ {
	case "number":
		x, errX := strconv.ParseFloat(a, 64)
		y, errY := strconv.ParseFloat(b, 64)
		if errX == nil && errY == nil {
			return cmp.Compare(x, y)
		}
	case "datetime", "date":
		x, okX := parseDay(a)
		y, okY := parseDay(b)
		if okX && okY {
			return x.Compare(y)
		}
	}
	return cmp.Compare(a, b)
}

// parseDay reads a time or a date, in upper or lower case.
func parseDay(v string) (time.Time, bool) {
	if d, err := time.Parse(time.DateOnly, v); err == nil {
		return d, true
	}
	return parseTime(strings.ToUpper(v))
}

// containsToken reports whether every word of pattern is a word of v. A word
// may begin or end with "*", which stands for any letters.
func containsToken(v, pattern string) bool {
	have := tokens(v, false)
	want := tokens(pattern, true)
	for _, w := range want {
		prefix, suffix := strings.HasSuffix(w, "*"), strings.HasPrefix(w, "*")
		core := strings.Trim(w, "*")
		found := slices.ContainsFunc(have, func(h string) bool {
			switch {
			case prefix && suffix:
				return strings.Contains(h, core)
			case prefix:
				return strings.HasPrefix(h, core)
			case suffix:
				return strings.HasSuffix(h, core)
			}
			return h == core
		})
		if !found {
			return false
		}
	}
	return len(want) > 0
}

func tokens(s string, star bool) []string {
	return strings.FieldsFunc(strings.ToLower(s), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !(star && r == '*')
	})
}

// mentions reports whether the document's searchable text holds every word of
// the query, whose last one may be the beginning of a word.
func (doc indexed) mentions(query string) bool {
	if query == "" {
		return true
	}
	for _, name := range []string{
		"firstname", "lastname", "email", "hs_additional_emails", "phone", "mobilephone", "company",
		"hs_searchable_calculated_phone_number", "hs_searchable_calculated_mobile_number",
		"name", "domain", "dealname", "hs_call_title", "hs_call_body", "hs_meeting_title", "hs_meeting_body",
		"hs_task_subject", "hs_task_body", "hs_note_body",
	} {
		if v, ok := doc.props[name]; ok && containsToken(v, strings.TrimSuffix(query, "*")+"*") {
			return true
		}
	}
	return false
}
