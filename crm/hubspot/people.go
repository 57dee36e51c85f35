package hubspot

import (
	"context"
	"slices"

	"github.com/callsync/callsync/crm"
)

// Contact properties that searches use. HubSpot's search guide: phone and
// mobilephone are searched through calculated properties that hold area code
// and local number only, without the country code.
const (
	emailProperty    = "email"
	moreEmails       = "hs_additional_emails"
	phoneProperty    = "phone"
	mobileProperty   = "mobilephone"
	calculatedPhone  = "hs_searchable_calculated_phone_number"
	calculatedMobile = "hs_searchable_calculated_mobile_number"
)

// FindPeople looks contacts up by id first, in one batch, and searches only for
// the queries that no id answered.
func (p *Portal) FindPeople(ctx context.Context, queries []crm.PersonQuery) ([][]crm.Candidate, error) {
	for _, q := range queries {
		if len(q.Objects) > 0 && !slices.Contains(q.Objects, contacts) {
			return nil, &crm.Error{Kind: crm.Permanent, Op: "contacts search", Message: "people in HubSpot are contacts", Hint: `write object = "contacts" in the mapping's [contact]`}
		}
	}
	found := make([][]crm.Candidate, len(queries))
	mark := p.account.mark()
	if err := p.findByID(ctx, queries, found); err != nil {
		return nil, err
	}
	match := newMatcher(p.settings.Region)
	var terms []term
	properties := []string{emailProperty}
	for i, q := range queries {
		if len(found[i]) > 0 {
			continue
		}
		for _, m := range q.Match {
			t, show := match.terms(m)
			terms = append(terms, t...)
			for _, name := range show {
				if len(t) > 0 && !slices.Contains(properties, name) {
					properties = append(properties, name)
				}
			}
		}
	}
	if len(terms) == 0 {
		return found, nil
	}
	records, err := p.search(ctx, contacts, terms, properties)
	if err != nil {
		return nil, p.believe(ctx, mark, err)
	}
	for _, o := range records {
		match.add(o)
	}
	for i, q := range queries {
		if len(found[i]) == 0 {
			found[i] = match.candidates(q)
		}
	}
	return found, nil
}

func (p *Portal) findByID(ctx context.Context, queries []crm.PersonQuery, found [][]crm.Candidate) error {
	mark := p.account.mark()
	var ids []string
	for _, q := range queries {
		for _, m := range q.Match {
			if m.Kind == crm.MatchID && isID(m.Value) {
				ids = append(ids, m.Value)
			}
		}
	}
	if len(ids) == 0 {
		return nil
	}
	records, err := p.byID(ctx, contacts, ids, nil)
	if err != nil {
		return p.believe(ctx, mark, err)
	}
	if slices.ContainsFunc(ids, func(id string) bool { _, ok := pick(records, id); return !ok }) {
		if err := p.confirm(ctx, mark); err != nil {
			return err
		}
	}
	for i, q := range queries {
		for _, m := range q.Match {
			if m.Kind != crm.MatchID {
				continue
			}
			o, ok := pick(records, m.Value)
			if !ok || slices.ContainsFunc(found[i], func(c crm.Candidate) bool { return c.ID == string(o.ID) }) {
				continue
			}
			c := crm.Candidate{Ref: crm.Ref{Object: contacts, ID: string(o.ID)}, Rule: m.Rule, Exact: true, Modified: o.modified()}
			if c.ID != m.Value {
				c.Asked = m.Value
			}
			found[i] = append(found[i], c)
		}
	}
	return nil
}
