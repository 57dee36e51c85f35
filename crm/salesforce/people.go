package salesforce

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/callsync/callsync/crm"
)

// A finder gathers the people a batch of queries may be about.
type finder struct {
	c     *Connector
	descs map[string]*description // of the objects to look in that the org has
	found map[lookup][]row
}

// A lookup is a value by which an object's rows can be found.
type lookup struct {
	object   string
	kind     crm.MatchKind
	property string // "" for phones, which any phone field may hold
	value    string
}

// localPhone is a lookup that finds by half: by the digits of a number written
// without its country, where no region says which country that is, or by a
// number with an extension.
const localPhone crm.MatchKind = "local phone"

// FindPeople implements [crm.Destination]. Email addresses and other properties
// are asked for in one SOQL statement an object, phone numbers in one SOSL
// search over all objects, as far as the length limits allow. SOSL reads an
// index that lags; SOQL does not.
func (c *Connector) FindPeople(ctx context.Context, queries []crm.PersonQuery) ([][]crm.Candidate, error) {
	f := &finder{c: c, descs: map[string]*description{}, found: map[lookup][]row{}}
	if err := f.describe(ctx, queries); err != nil {
		return nil, err
	}
	if err := f.search(ctx, queries); err != nil {
		return nil, err
	}
	return f.answer(ctx, queries)
}

// describe fetches the descriptions of all objects asked for and refuses rules
// that can find nobody: going on without them would create people who are there.
func (f *finder) describe(ctx context.Context, queries []crm.PersonQuery) error {
	for _, q := range queries {
		for _, object := range q.Objects {
			if !isPerson(object) {
				return &crm.Error{
					Kind: crm.Permanent, Op: "find people",
					Message: object + " is not an object that people are kept in",
					Hint:    "use Contact, Lead or PersonAccount as object in the mapping's [contact] table",
				}
			}
			if _, ok := f.descs[object]; ok {
				continue
			}
			d, err := f.c.catalog.get(ctx, object, nil)
			if err != nil && !isAbsent(err) {
				return err
			}
			f.descs[object] = d
		}
		for _, m := range q.Match {
			if (m.Kind == crm.MatchEmail || m.Kind == crm.MatchExact) && !f.searchable(q.Objects, m.Property) {
				return &crm.Error{
					Kind: crm.Permanent, Op: "find people", Code: "INVALID_FIELD", Property: m.Property,
					Message: fmt.Sprintf("%s cannot be searched by %s", strings.Join(q.Objects, ", "), m.Property),
					Hint:    "correct the match rule at " + m.Pos.String() + ", or give callsync's user access to the field",
				}
			}
		}
	}
	return nil
}

func (f *finder) searchable(objects []string, property string) bool {
	return slices.ContainsFunc(objects, func(object string) bool {
		d := f.descs[object]
		return d != nil && d.fields[property].Filterable
	})
}

// A search is what has to be asked for a batch.
type search struct {
	conditions map[string][]condition // by object
	properties map[string][]string    // that the conditions are on, by object
	numbers    []crm.Phone
}

func (f *finder) plan(queries []crm.PersonQuery) search {
	s := search{conditions: map[string][]condition{}, properties: map[string][]string{}}
	for _, q := range queries {
		for _, m := range q.Match {
			switch m.Kind {
			case crm.MatchPhone:
				if p, ok := crm.ParsePhone(m.Value, f.c.settings.Region); ok {
					s.numbers = append(s.numbers, p)
				}
			case crm.MatchEmail, crm.MatchExact:
				for _, object := range q.Objects {
					s.add(f, object, m)
				}
			}
		}
	}
	return s
}

func (s *search) add(f *finder, object string, m crm.Match) {
	fd, ok := f.field(object, m.Property)
	if !ok {
		return
	}
	literal, ok := literalOf(fd, m.Value)
	if !ok {
		return
	}
	s.conditions[object] = append(s.conditions[object], condition{fd.Name, literal})
	if !slices.Contains(s.properties[object], m.Property) {
		s.properties[object] = append(s.properties[object], m.Property)
	}
}

// search sends the statements and searches that the queries need, at the same
// time, and indexes what they find.
func (f *finder) search(ctx context.Context, queries []crm.PersonQuery) error {
	s := f.plan(queries)
	byValue := map[string]*[]row{}
	var byPhone []row
	g, ctx := errgroup.WithContext(ctx)
	for object, list := range s.conditions {
		rows := new([]row)
		byValue[object] = rows
		g.Go(func() (err error) {
			*rows, err = f.bySOQL(ctx, f.descs[object], list, s.properties[object])
			return err
		})
	}
	g.Go(func() (err error) {
		byPhone, err = f.bySOSL(ctx, s.numbers)
		return err
	})
	if err := g.Wait(); err != nil {
		return err
	}
	for object, rows := range byValue {
		for _, r := range *rows {
			f.indexProperties(object, r, s.properties[object])
		}
	}
	for _, r := range byPhone {
		f.indexPhones(r)
	}
	return nil
}

func (f *finder) field(object, property string) (field, bool) {
	d := f.descs[object]
	if d == nil {
		return field{}, false
	}
	fd, ok := d.fields[property]
	return fd, ok && fd.Filterable
}

func (f *finder) bySOQL(ctx context.Context, d *description, conditions []condition, properties []string) ([]row, error) {
	s := selection{columns: selectColumns(d, properties...), from: d.table, and: people(d)}
	found, err := f.c.query(ctx, d.object+" query", s, conditions, false)
	if err != nil {
		return nil, err
	}
	var out []row
	for _, fields := range found {
		out = append(out, newRow(d, fields))
	}
	return out, nil
}

// people is the clause that keeps persons apart where an org mixes them: a
// Person Account appears among accounts and among contacts.
func people(d *description) string {
	if _, mixed := d.fields["IsPersonAccount"]; !mixed {
		return ""
	}
	return "IsPersonAccount = " + strconv.FormatBool(d.object == personAccount)
}

func (f *finder) indexProperties(object string, r row, properties []string) {
	for _, p := range properties {
		fd := f.descs[object].fields[p]
		v := text(r.fields[fd.Name])
		f.add(lookup{object, crm.MatchExact, p, canonical(fd, v)}, r)
		f.add(lookup{object, crm.MatchEmail, p, strings.ToLower(v)}, r)
	}
}

func (f *finder) add(l lookup, r row) {
	if l.value != "" && !r.deleted {
		f.found[l] = append(f.found[l], r)
	}
}

// answer turns what was found into candidates, in each query's order of rules
// and objects, after following known ids and converted leads.
func (f *finder) answer(ctx context.Context, queries []crm.PersonQuery) ([][]crm.Candidate, error) {
	var refs []crm.Ref
	for _, q := range queries {
		for _, m := range q.Match {
			if r, ok := knownID(q, m); ok {
				refs = append(refs, r)
			}
		}
	}
	for _, rows := range f.found {
		for _, r := range rows {
			if !r.next.IsZero() {
				refs = append(refs, r.next)
			}
		}
	}
	now, err := f.c.load(ctx, refs, nil)
	if err != nil {
		return nil, err
	}
	out := make([][]crm.Candidate, len(queries))
	for i, q := range queries {
		out[i] = f.candidates(q, now)
	}
	return out, nil
}

func (f *finder) candidates(q crm.PersonQuery, now map[crm.Ref]row) []crm.Candidate {
	var out []crm.Candidate
	add := func(rule int, asked string, r row, exact bool) {
		same := func(c crm.Candidate) bool { return c.Ref == r.ref }
		if slices.ContainsFunc(out, same) {
			return
		}
		c := crm.Candidate{Ref: r.ref, Rule: rule, Exact: exact, Modified: r.modified}
		if asked != r.ref.ID {
			c.Asked = asked
		}
		out = append(out, c)
	}
	for _, m := range q.Match {
		if ref, ok := knownID(q, m); ok {
			if r, ok := now[ref]; ok {
				add(m.Rule, m.Value, r, true)
			}
			continue
		}
		for _, object := range q.Objects {
			for _, h := range f.hits(object, m) {
				r := h.row
				if !r.next.IsZero() {
					var ok bool
					if r, ok = now[h.row.next]; !ok {
						continue // converted into a contact that is deleted
					}
				}
				add(m.Rule, h.row.ref.ID, r, h.exact)
			}
		}
	}
	return out
}

// A hit is a row that a rule found.
type hit struct {
	row   row
	exact bool
}

func (f *finder) hits(object string, m crm.Match) []hit {
	var out []hit
	take := func(l lookup, exact bool) {
		for _, r := range f.found[l] {
			out = append(out, hit{r, exact})
		}
	}
	switch m.Kind {
	case crm.MatchEmail:
		take(lookup{object, crm.MatchEmail, m.Property, strings.ToLower(m.Value)}, true)
	case crm.MatchExact:
		if fd, ok := f.field(object, m.Property); ok {
			take(lookup{object, crm.MatchExact, m.Property, canonical(fd, m.Value)}, true)
		}
	case crm.MatchPhone:
		if p, ok := crm.ParsePhone(m.Value, f.c.settings.Region); ok {
			take(lookup{object: object, kind: crm.MatchPhone, value: p.E164}, true)
			for _, digits := range append(localForms(p), p.E164) {
				take(lookup{object: object, kind: localPhone, value: digits}, false)
			}
		}
	}
	return out
}

// knownID reads a rule that gives a record's id: it must be one, of an object
// the query looks in.
func knownID(q crm.PersonQuery, m crm.Match) (crm.Ref, bool) {
	id, ok := id18(m.Value)
	if m.Kind != crm.MatchID || !ok {
		return crm.Ref{}, false
	}
	object := objectOf(id)
	if !slices.Contains(q.Objects, object) {
		return crm.Ref{}, false
	}
	return crm.Ref{Object: object, ID: id}, true
}

// literalOf renders a value for a comparison with a field; ok is false for a
// value the field cannot hold, which would make Salesforce refuse the statement.
func literalOf(f field, value string) (string, bool) {
	switch f.Type {
	case "double", "int", "currency", "percent", "long":
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return "", false
		}
		return strconv.FormatFloat(n, 'f', -1, 64), true
	case "boolean":
		b, err := strconv.ParseBool(value)
		return strconv.FormatBool(b), err == nil
	case "id", "reference":
		id, ok := id18(value)
		return quote(id), ok
	case "date", "datetime", "time":
		return "", false
	default:
		return quote(value), value != ""
	}
}

// canonical is a value as two equal ones of a field are equal strings.
func canonical(f field, value string) string {
	if f.Type == "id" || f.Type == "reference" {
		if id, ok := id18(value); ok {
			return id
		}
	}
	if literal, ok := literalOf(f, value); ok && !strings.HasPrefix(literal, "'") {
		return literal
	}
	return value
}
