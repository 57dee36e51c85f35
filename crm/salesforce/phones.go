package salesforce

import (
	"context"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/simpleforce/simpleforce"

	"github.com/callsync/callsync/crm"
)

const (
	// maxSearch bounds a SOSL search string, in characters. More than 10,000
	// find nothing, and beyond 4,000 Salesforce drops the operators between the
	// terms (SOSL Reference, "FIND {SearchQuery}").
	maxSearch = 4_000
	// maxFound is how many rows one search answers at most.
	maxFound = 2_000
)

// bySOSL finds rows whose phone fields may hold one of the numbers. What it
// returns is a guess that indexPhones verifies: the index compares in its own
// way.
func (f *finder) bySOSL(ctx context.Context, numbers []crm.Phone) ([]row, error) {
	terms := map[string]bool{}
	for _, p := range numbers {
		terms[digits(p.E164)] = true
		for _, local := range localForms(p) {
			terms[local] = true
		}
	}
	var returning []string
	for _, object := range slices.Sorted(maps.Keys(f.descs)) {
		if d := f.descs[object]; d != nil {
			var names []string
			for _, p := range d.phones() {
				names = append(names, p.Name)
			}
			if len(names) > 0 {
				returning = append(returning, returningClause(d, names))
			}
		}
	}
	if len(terms) == 0 || len(returning) == 0 {
		return nil, nil
	}
	tail := " IN PHONE FIELDS RETURNING " + strings.Join(returning, ", ")
	var out []row
	for _, chunk := range searches(slices.Sorted(maps.Keys(terms)), len(url.QueryEscape(tail))) {
		rows, err := f.searchPhones(ctx, chunk, tail)
		if err != nil {
			return nil, err
		}
		out = append(out, rows...)
	}
	return out, nil
}

func returningClause(d *description, phones []string) string {
	clause := d.table + "(" + strings.Join(selectColumns(d, phones...), ", ")
	if and := people(d); and != "" {
		clause += " WHERE " + and
	}
	return clause + ")"
}

// searches splits terms so that each search keeps to the limits of SOSL and of
// a GET; tail is the encoded length of the rest of the statement.
func searches(terms []string, tail int) [][]string {
	var out [][]string
	var chunk []string
	plain, encoded := 0, tail
	for _, t := range terms {
		p := len(searchTerm(t)) + len(" OR ")
		e := len(url.QueryEscape(searchTerm(t) + " OR "))
		if len(chunk) > 0 && (plain+p > maxSearch-2 || encoded+e > maxQuery) {
			out, chunk = append(out, chunk), nil
			plain, encoded = 0, tail
		}
		chunk = append(chunk, t)
		plain, encoded = plain+p, encoded+e
	}
	return append(out, chunk)
}

func (f *finder) searchPhones(ctx context.Context, terms []string, tail string) ([]row, error) {
	quoted := make([]string, len(terms))
	for i, t := range terms {
		quoted[i] = searchTerm(t)
	}
	sosl := "FIND {" + strings.Join(quoted, " OR ") + "}" + tail
	var answer struct {
		SearchRecords []simpleforce.SObject `json:"searchRecords"`
	}
	err := f.c.client.get(ctx, "phone search", f.c.client.data("search?q="+url.QueryEscape(sosl)), &answer)
	if err != nil {
		return nil, f.c.stale(err)
	}
	if len(answer.SearchRecords) >= maxFound && len(terms) > 1 {
		return f.halves(ctx, terms, tail)
	}
	var out []row
	for _, fields := range answer.SearchRecords {
		object := objectOf(stringOf(fields["Id"]))
		if d := f.descs[object]; d != nil {
			out = append(out, newRow(d, fields))
		}
	}
	return out, nil
}

// halves repeats a search whose answer was cut off at maxFound.
func (f *finder) halves(ctx context.Context, terms []string, tail string) ([]row, error) {
	half := len(terms) / 2
	a, err := f.searchPhones(ctx, terms[:half], tail)
	if err != nil {
		return nil, err
	}
	b, err := f.searchPhones(ctx, terms[half:], tail)
	return append(a, b...), err
}

// indexPhones indexes a row by the numbers its phone fields really hold. A
// number with an extension is a switchboard's: whoever has the same number
// without one is not surely the same person, so it is no exact match.
func (f *finder) indexPhones(r row) {
	for _, fd := range f.descs[r.ref.Object].phones() {
		written := text(r.fields[fd.Name])
		if p, ok := crm.ParsePhone(written, f.c.settings.Region); ok && p.Ext == "" {
			f.add(lookup{object: r.ref.Object, kind: crm.MatchPhone, value: p.E164}, r)
		} else if ok {
			f.add(lookup{object: r.ref.Object, kind: localPhone, value: p.E164}, r)
		} else {
			f.add(lookup{object: r.ref.Object, kind: localPhone, value: digits(written)}, r)
		}
	}
}

// localForms are a number's digits as people write them within its country:
// without and, where the country has one, with the trunk prefix.
func localForms(p crm.Phone) []string {
	if p.Domestic == p.National {
		return []string{p.National}
	}
	return []string{p.National, p.Domestic}
}

func digits(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, s)
}
