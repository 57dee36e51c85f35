package hubspot

import (
	"context"
	"slices"
	"strings"

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
	if err := p.findByID(ctx, queries, found); err != nil {
		return nil, err
	}
	var terms []term
	properties := []string{emailProperty}
	for i, q := range queries {
		if len(found[i]) > 0 {
			continue
		}
		for _, m := range q.Match {
			t, show := p.terms(m)
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
		return nil, err
	}
	people := make([]*person, len(records))
	for i, o := range records {
		people[i] = p.newPerson(o)
	}
	for i, q := range queries {
		if len(found[i]) == 0 {
			found[i] = p.candidates(q, people)
		}
	}
	return found, nil
}

func (p *Portal) findByID(ctx context.Context, queries []crm.PersonQuery, found [][]crm.Candidate) error {
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
		return err
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

// terms returns what to search for because of m, and the properties that must
// come back to verify a hit.
func (p *Portal) terms(m crm.Match) ([]term, []string) {
	switch m.Kind {
	case crm.MatchEmail:
		properties := []string{m.Property}
		if m.Property == emailProperty {
			properties = append(properties, moreEmails)
		}
		return []term{{properties, strings.ToLower(m.Value)}}, properties
	case crm.MatchPhone:
		phone, ok := crm.ParsePhone(m.Value, p.settings.Region)
		switch {
		case !ok:
			return nil, nil
		case m.Property == phoneProperty || m.Property == mobileProperty:
			// People are called on either number, whichever field it is in.
			both := []string{calculatedPhone, calculatedMobile}
			return []term{{both, phone.National}, {both, phone.Domestic}},
				[]string{phoneProperty, mobileProperty, calculatedPhone, calculatedMobile}
		}
		own := []string{m.Property}
		return []term{{own, phone.E164}, {own, strings.TrimPrefix(phone.E164, "+")}, {own, phone.National}, {own, phone.Domestic}}, own
	case crm.MatchExact:
		own := []string{m.Property}
		return []term{{own, strings.ToLower(m.Value)}}, own
	}
	return nil, nil
}

// A person is a contact that a search found, with its numbers taken apart.
type person struct {
	record
	phones map[string]writtenPhone // by property
}

type writtenPhone struct {
	crm.Phone
	ok            bool
	international bool // written with its country code
}

func (p *Portal) newPerson(o record) *person {
	return &person{record: o, phones: map[string]writtenPhone{}}
}

func (p *Portal) candidates(q crm.PersonQuery, people []*person) []crm.Candidate {
	var list []crm.Candidate
	for _, someone := range people {
		for _, m := range q.Match {
			hit, exact := p.matches(m, someone)
			if !hit {
				continue
			}
			list = append(list, crm.Candidate{
				Ref:      crm.Ref{Object: contacts, ID: string(someone.ID)},
				Rule:     m.Rule,
				Exact:    exact,
				Modified: someone.modified(),
			})
			break
		}
	}
	return list
}

func (p *Portal) matches(m crm.Match, someone *person) (hit, exact bool) {
	present := someone.Properties[m.Property]
	switch m.Kind {
	case crm.MatchEmail:
		hit = strings.EqualFold(strings.TrimSpace(present), m.Value)
		if m.Property == emailProperty {
			hit = hit || holds(someone.Properties[moreEmails], m.Value)
		}
		return hit, hit
	case crm.MatchPhone:
		wanted, ok := crm.ParsePhone(m.Value, p.settings.Region)
		if !ok {
			return false, false
		}
		properties := []string{m.Property}
		if m.Property == phoneProperty || m.Property == mobileProperty {
			properties = []string{phoneProperty, mobileProperty}
		}
		for _, name := range properties {
			h, e := p.samePhone(wanted, someone, name)
			hit, exact = hit || h, exact || e
		}
		return hit, exact
	case crm.MatchExact:
		return strings.EqualFold(present, m.Value), present == m.Value
	}
	return false, false
}

// samePhone compares a number with the one in a contact's property. It is exact
// when both are the same E.164 number, partial when only the local part agrees.
// A number written with another country's code is somebody else's.
func (p *Portal) samePhone(wanted crm.Phone, someone *person, property string) (hit, exact bool) {
	w, known := someone.phones[property]
	if !known {
		text := strings.TrimSpace(someone.Properties[property])
		w.international = strings.HasPrefix(text, "+") || strings.HasPrefix(text, "00")
		w.Phone, w.ok = crm.ParsePhone(text, p.settings.Region)
		someone.phones[property] = w
	}
	if w.ok && w.E164 == wanted.E164 {
		return true, true
	}
	if w.international && w.ok {
		return false, false
	}
	calculated := map[string]string{phoneProperty: calculatedPhone, mobileProperty: calculatedMobile}[property]
	local := someone.Properties[calculated]
	return local == wanted.National || local == wanted.Domestic || w.ok && w.National == wanted.National, false
}

// holds reports whether a list separated by semicolons, as HubSpot keeps a
// contact's further emails, contains an address.
func holds(list, email string) bool {
	return slices.ContainsFunc(strings.Split(list, ";"), func(s string) bool {
		return strings.EqualFold(strings.TrimSpace(s), email)
	})
}
