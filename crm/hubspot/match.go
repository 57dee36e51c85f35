package hubspot

import (
	"cmp"
	"slices"
	"strings"

	"github.com/callsync/callsync/crm"
)

// A matcher says what to search for because of a match rule, and verifies whom
// the search found: HubSpot's index knows numbers without their country.
type matcher struct {
	region string
	parsed map[string]parsedPhone
	people []*person
	index  map[string][]*person // by every text a rule may look for, folded
}

// A person is a contact that a search found.
type person struct {
	record
	place int // in matcher.people
}

type parsedPhone struct {
	crm.Phone
	ok            bool
	international bool // written with its country code
}

func newMatcher(region string) *matcher {
	return &matcher{region: region, parsed: map[string]parsedPhone{}, index: map[string][]*person{}}
}

// parse reads a number, each text once: a batch compares the same ones often.
func (m *matcher) parse(text string) parsedPhone {
	p, known := m.parsed[text]
	if !known {
		trimmed := strings.TrimSpace(text)
		p.international = strings.HasPrefix(trimmed, "+") || strings.HasPrefix(trimmed, "00")
		p.Phone, p.ok = crm.ParsePhone(trimmed, m.region)
		m.parsed[text] = p
	}
	return p
}

// terms returns what to search for because of a rule, and the properties that
// must come back to verify a hit.
func (m *matcher) terms(rule crm.Match) ([]term, []string) {
	own := []string{rule.Property}
	switch rule.Kind {
	case crm.MatchEmail:
		if rule.Property == emailProperty {
			own = append(own, moreEmails)
		}
		return []term{{own, strings.ToLower(rule.Value)}}, own
	case crm.MatchPhone:
		phone := m.parse(rule.Value)
		switch {
		case !phone.ok:
			return nil, nil
		case isStandardPhone(rule.Property):
			both := []string{calculatedPhone, calculatedMobile}
			return []term{{both, phone.National}, {both, phone.Domestic}},
				[]string{phoneProperty, mobileProperty, calculatedPhone, calculatedMobile}
		}
		return []term{{own, phone.E164}, {own, strings.TrimPrefix(phone.E164, "+")}, {own, phone.National}, {own, phone.Domestic}}, own
	case crm.MatchExact:
		return []term{{own, strings.ToLower(rule.Value)}}, own
	}
	return nil, nil
}

// isStandardPhone is true for the two properties that are searched together:
// people are called on either number, whichever field it is in.
func isStandardPhone(property string) bool {
	return property == phoneProperty || property == mobileProperty
}

// add takes a found contact in.
func (m *matcher) add(o record) {
	someone := &person{record: o, place: len(m.people)}
	m.people = append(m.people, someone)
	for name, value := range o.Properties {
		texts := []string{value}
		if name == moreEmails {
			texts = strings.Split(value, ";")
		}
		for _, t := range texts {
			key := fold(t)
			if list := m.index[key]; key != "" && (len(list) == 0 || list[len(list)-1] != someone) {
				m.index[key] = append(list, someone)
			}
		}
	}
}

// candidates returns the people a query is about.
func (m *matcher) candidates(q crm.PersonQuery) []crm.Candidate {
	var people []*person
	for _, rule := range q.Match {
		terms, _ := m.terms(rule)
		for _, t := range terms {
			people = append(people, m.index[fold(t.value)]...)
		}
	}
	slices.SortFunc(people, func(a, b *person) int { return cmp.Compare(a.place, b.place) })
	var list []crm.Candidate
	for _, someone := range slices.Compact(people) {
		for _, rule := range q.Match {
			if hit, exact := m.matches(rule, someone); hit {
				list = append(list, crm.Candidate{
					Ref:      crm.Ref{Object: contacts, ID: string(someone.ID)},
					Rule:     rule.Rule,
					Exact:    exact,
					Modified: someone.modified(),
				})
				break
			}
		}
	}
	return list
}

func (m *matcher) matches(rule crm.Match, someone *person) (hit, exact bool) {
	present := someone.Properties[rule.Property]
	switch rule.Kind {
	case crm.MatchEmail:
		hit = strings.EqualFold(strings.TrimSpace(present), rule.Value) ||
			rule.Property == emailProperty && holds(someone.Properties[moreEmails], rule.Value)
		return hit, hit
	case crm.MatchPhone:
		wanted := m.parse(rule.Value)
		properties := []string{rule.Property}
		if isStandardPhone(rule.Property) {
			properties = []string{phoneProperty, mobileProperty}
		}
		for _, name := range properties {
			h, e := m.samePhone(wanted, someone, name)
			hit, exact = hit || h, exact || e
		}
		return hit && wanted.ok, exact && wanted.ok
	case crm.MatchExact:
		return strings.EqualFold(present, rule.Value), present == rule.Value
	}
	return false, false
}

// samePhone compares a number with the one in a contact's property. It is exact
// when both are the same E.164 number, partial when only the local part agrees.
// A number written with another country's code is somebody else's.
func (m *matcher) samePhone(wanted parsedPhone, someone *person, property string) (hit, exact bool) {
	there := m.parse(someone.Properties[property])
	switch {
	case there.ok && there.E164 == wanted.E164:
		return true, true
	case there.ok && there.international:
		return false, false
	}
	calculated := map[string]string{phoneProperty: calculatedPhone, mobileProperty: calculatedMobile}[property]
	local := someone.Properties[calculated]
	return local == wanted.National || local == wanted.Domestic || there.ok && there.National == wanted.National, false
}

// holds reports whether a list separated by semicolons, as HubSpot keeps a
// contact's further emails, contains an address.
func holds(list, email string) bool {
	return slices.ContainsFunc(strings.Split(list, ";"), func(s string) bool {
		return strings.EqualFold(strings.TrimSpace(s), email)
	})
}
