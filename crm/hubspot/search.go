package hubspot

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
)

// A term is one value looked for in one or several properties.
type term struct {
	properties []string
	value      string
}

type searchBody struct {
	FilterGroups []filterGroup `json:"filterGroups"`
	Properties   []string      `json:"properties"`
	Limit        int           `json:"limit"`
	After        string        `json:"after,omitempty"`
}

type filterGroup struct {
	Filters []filter `json:"filters"`
}

type filter struct {
	Property string   `json:"propertyName"`
	Operator string   `json:"operator"`
	Values   []string `json:"values"`
}

type searchAnswer struct {
	Results []record `json:"results"`
	Paging  struct {
		Next struct {
			After text `json:"after"`
		} `json:"next"`
	} `json:"paging"`
}

// search returns the records that hold any of the terms, once each, in as few
// searches as HubSpot's limits allow. It sees what the index sees, which lags.
func (p *Portal) search(ctx context.Context, object string, terms []term, properties []string) ([]record, error) {
	bodies := pack(terms, properties)
	found := make([][]record, len(bodies))
	group, ctx := errgroup.WithContext(ctx)
	for i, body := range bodies {
		group.Go(func() (err error) {
			found[i], err = p.searchPages(ctx, object, body)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var all []record
	seen := map[text]bool{}
	for _, o := range slices.Concat(found...) {
		if !seen[o.ID] && !o.Archived {
			seen[o.ID] = true
			all = append(all, o)
		}
	}
	return all, nil
}

func (p *Portal) searchPages(ctx context.Context, object string, body searchBody) ([]record, error) {
	var all []record
	for {
		var a searchAnswer
		_, err := p.do(ctx, request{
			op:     object + " search",
			method: http.MethodPost,
			path:   p.paths.objects + object + "/search",
			body:   body,
			search: true,
		}, &a)
		if err != nil {
			return nil, err
		}
		all = append(all, a.Results...)
		body.After = string(a.Paging.Next.After)
		if body.After == "" || len(all)+pageSize > maxResults {
			return all, nil
		}
	}
}

// room is kept in a body for the "after" of later pages.
const room = len(`,"after":"10000"`)

// pack distributes terms over as few search bodies as possible. A value looked
// for in several properties becomes one filter group each, which HubSpot ORs;
// with one filter in each of at most five groups no other limit of the search
// guide (six filters a group, 18 in all) is near.
func pack(terms []term, properties []string) []searchBody {
	terms = distinct(terms)
	var bodies []searchBody
	current := newPacking(properties)
	for _, t := range terms {
		if !current.add(t) {
			bodies = append(bodies, current.searchBody)
			current = newPacking(properties)
			current.add(t)
		}
	}
	if len(current.FilterGroups) > 0 {
		bodies = append(bodies, current.searchBody)
	}
	return bodies
}

// distinct drops repeated terms and sorts the rest, so that those with the same
// properties share a body.
func distinct(terms []term) []term {
	byName := func(a, b term) int {
		if c := slices.Compare(a.properties, b.properties); c != 0 {
			return c
		}
		return strings.Compare(a.value, b.value)
	}
	terms = slices.SortedFunc(slices.Values(terms), byName)
	return slices.CompactFunc(terms, func(a, b term) bool { return byName(a, b) == 0 })
}

// A packing is a search body being filled; size is what it will measure.
type packing struct {
	searchBody
	open map[string]int // the group that takes a property's next value
	size int
}

func newPacking(properties []string) *packing {
	b := searchBody{FilterGroups: []filterGroup{}, Properties: properties, Limit: pageSize}
	return &packing{searchBody: b, open: map[string]int{}, size: measure(b) + room}
}

// full reports whether a property needs a group of its own for its next value.
func (p *packing) full(property string) bool {
	i, ok := p.open[property]
	return !ok || len(p.FilterGroups[i].Filters[0].Values) == maxValues
}

// add takes a term in if it fits. A term that does not even fit an empty body
// is taken all the same, for HubSpot to refuse.
func (p *packing) add(t term) bool {
	size, groups := p.size, len(p.FilterGroups)
	for _, name := range t.properties {
		size += measure(t.value) + 1
		if p.full(name) {
			groups++
			size += measure(newGroup(name)) + 1
		}
	}
	if len(p.FilterGroups) > 0 && (size > maxSearchBody || groups > maxGroups) {
		return false
	}
	for _, name := range t.properties {
		if p.full(name) {
			p.open[name] = len(p.FilterGroups)
			p.FilterGroups = append(p.FilterGroups, newGroup(name))
		}
		f := &p.FilterGroups[p.open[name]].Filters[0]
		f.Values = append(f.Values, t.value)
	}
	p.size = size
	return true
}

func newGroup(property string) filterGroup {
	return filterGroup{[]filter{{Property: property, Operator: "IN", Values: []string{}}}}
}

// measure is the length of v as JSON, in bytes, which is never less than in
// characters.
func measure(v any) int {
	b, err := json.Marshal(v)
	if err != nil {
		return maxSearchBody
	}
	return len(b)
}

// searchKeys looks for exact values of one property.
func (p *Portal) searchKeys(ctx context.Context, object, property string, values []string) (map[string]record, error) {
	var terms []term
	for _, v := range values {
		terms = append(terms, term{[]string{property}, strings.ToLower(v)})
	}
	records, err := p.search(ctx, object, terms, []string{property})
	if err != nil {
		return nil, err
	}
	return byValue(records, property), nil
}

// byValue indexes records by a property's exact value. Of several that hold it
// the oldest, which has the lowest id, is kept.
func byValue(records []record, property string) map[string]record {
	m := map[string]record{}
	for _, o := range records {
		v := o.Properties[property]
		if other, ok := m[v]; v != "" && (!ok || older(o, other)) {
			m[v] = o
		}
	}
	return m
}

func older(a, b record) bool {
	if len(a.ID) != len(b.ID) {
		return len(a.ID) < len(b.ID)
	}
	return a.ID < b.ID
}
