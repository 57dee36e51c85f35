package hubspot_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/callsync/callsync/crm"
)

func byEmail(rule int, v string) crm.Match {
	return crm.Match{Rule: rule, Property: "email", Value: v, Kind: crm.MatchEmail}
}

func byPhone(rule int, v string) crm.Match {
	return crm.Match{Rule: rule, Property: "phone", Value: v, Kind: crm.MatchPhone}
}

func byExact(rule int, property, v string) crm.Match {
	return crm.Match{Rule: rule, Property: property, Value: v, Kind: crm.MatchExact}
}

func byID(rule int, v string) crm.Match {
	return crm.Match{Rule: rule, Value: v, Kind: crm.MatchID}
}

// find asks for one person after the search index has caught up.
func (p *account) find(matches ...crm.Match) []crm.Candidate {
	p.t.Helper()
	p.sim.Advance(time.Minute)
	found, err := p.FindPeople(p.t.Context(), []crm.PersonQuery{{Objects: []string{"contacts"}, Match: matches}})
	if err != nil {
		p.t.Fatal(err)
	}
	return found[0]
}

// merge merges b into a.
func (p *account) merge(a, b string) {
	p.t.Helper()
	body := fmt.Sprintf(`{"primaryObjectId":%q,"objectIdToMerge":%q}`, a, b)
	if status := p.raw("POST", "/crm/v3/objects/contacts/merge", body, nil); status != 200 {
		p.t.Fatalf("merge: %d", status)
	}
}

func TestFindPeople(t *testing.T) {
	tests := []struct {
		name    string
		region  string
		contact map[string]string
		match   []crm.Match
		rule    int // -1: not found
		exact   bool
	}{
		{"email", "US", map[string]string{"email": "Ann@Example.com"}, []crm.Match{byEmail(0, "ann@example.com")}, 0, true},
		{"another email", "US", map[string]string{"email": "bob@example.com"}, []crm.Match{byEmail(0, "ann@example.com")}, -1, false},
		{"phone in E.164", "", map[string]string{"phone": "+15551234567"}, []crm.Match{byPhone(0, "+15551234567")}, 0, true},
		{"phone in punctuation", "US", map[string]string{"phone": "(555) 123-4567"}, []crm.Match{byPhone(0, "+15551234567")}, 0, true},
		{"phone in punctuation, region unknown", "", map[string]string{"phone": "(555) 123-4567"}, []crm.Match{byPhone(0, "+15551234567")}, 0, false},
		{"mobile", "US", map[string]string{"mobilephone": "555.123.4567"}, []crm.Match{byPhone(0, "+15551234567")}, 0, true},
		{"phone with extension", "US", map[string]string{"phone": "(555) 123-4567 ext. 12"}, []crm.Match{byPhone(0, "+15551234567")}, 0, true},
		{"other country", "US", map[string]string{"phone": "+44 20 7946 0123"}, []crm.Match{byPhone(0, "+442079460123")}, 0, true},
		{"other country, trunk prefix", "GB", map[string]string{"phone": "020 7946 0123"}, []crm.Match{byPhone(0, "+442079460123")}, 0, true},
		{"same digits, other country written", "US", map[string]string{"phone": "+49 5551234567"}, []crm.Match{byPhone(0, "+15551234567")}, -1, false},
		{"same digits, other region assumed", "DE", map[string]string{"phone": "555 1234567"}, []crm.Match{byPhone(0, "+15551234567")}, 0, false},
		{"exact property", "US", map[string]string{"firstname": "Ann", "jobtitle": "CTO-7"}, []crm.Match{byExact(0, "jobtitle", "CTO-7")}, 0, true},
		{"exact property in another case", "US", map[string]string{"firstname": "Ann", "jobtitle": "cto-7"}, []crm.Match{byExact(0, "jobtitle", "CTO-7")}, 0, false},
		{"phone in another property", "US", map[string]string{"lastname": "A", "company": "+15551234567"}, []crm.Match{{Property: "company", Value: "+15551234567", Kind: crm.MatchPhone}}, 0, true},
		{"phone in another property, local", "US", map[string]string{"lastname": "A", "company": "5551234567"}, []crm.Match{{Property: "company", Value: "+15551234567", Kind: crm.MatchPhone}}, 0, true},
		{"second rule", "US", map[string]string{"phone": "5551234567"}, []crm.Match{byEmail(0, "ann@example.com"), byPhone(3, "+15551234567")}, 3, true},
		{"first of two rules", "US", map[string]string{"email": "ann@example.com", "phone": "5551234567"}, []crm.Match{byEmail(1, "ann@example.com"), byPhone(3, "+15551234567")}, 1, true},
		{"unusable phone", "US", map[string]string{"email": "ann@example.com"}, []crm.Match{byPhone(0, "anonymous")}, -1, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := open(t, func(_ *simOptions, s *crm.Settings) { s.Region = test.region })
			p.make("contacts", map[string]string{"email": "somebody@else.example", "phone": "+1 555 999 0000"})
			if test.contact["email"] == "" {
				test.contact["lastname"] = "Ann"
			}
			id := p.make("contacts", test.contact)
			found := p.find(test.match...)
			if test.rule < 0 {
				if len(found) > 0 {
					t.Fatalf("found %+v", found)
				}
				return
			}
			if len(found) != 1 || found[0].ID != id || found[0].Object != "contacts" {
				t.Fatalf("found %+v, want contact %s", found, id)
			}
			if c := found[0]; c.Rule != test.rule || c.Exact != test.exact || c.Modified.IsZero() || c.Asked != "" {
				t.Errorf("found by rule %d, exact %v, modified %v; want rule %d, exact %v", c.Rule, c.Exact, c.Modified, test.rule, test.exact)
			}
		})
	}
}

func TestFindByAdditionalEmail(t *testing.T) {
	p := open(t)
	a := p.make("contacts", map[string]string{"email": "ann@example.com"})
	p.merge(a, p.make("contacts", map[string]string{"email": "ann@home.example"}))
	if found := p.find(byEmail(0, "ann@home.example")); len(found) != 1 || found[0].ID != a || !found[0].Exact {
		t.Fatalf("found %+v, want %s", found, a)
	}
}

func TestFindEverybodyWhoMatches(t *testing.T) {
	p := open(t)
	for i := range 250 {
		p.make("contacts", map[string]string{"lastname": fmt.Sprint(i), "phone": "(555) 123-4567"})
	}
	p.sim.ResetCounters()
	if found := p.find(byPhone(0, "+15551234567")); len(found) != 250 {
		t.Fatalf("%d candidates of 250: the second page is missing", len(found))
	}
	if got := p.sim.Counts()["contacts search"].Requests; got != 2 {
		t.Errorf("two pages took %d searches", got)
	}
}

func TestFindByID(t *testing.T) {
	for _, fresh := range []bool{false, true} {
		t.Run(fmt.Sprintf("merge makes a new record %v", fresh), func(t *testing.T) {
			p := open(t, func(o *simOptions, _ *crm.Settings) { o.Settings.MergeMakesNewRecord = fresh })
			kept := p.make("contacts", map[string]string{"email": "kept@example.com"})
			gone := p.make("contacts", map[string]string{"email": "gone@example.com"})
			winner := p.make("contacts", map[string]string{"email": "winner@example.com"})
			loser := p.make("contacts", map[string]string{"email": "loser@example.com"})
			p.merge(winner, loser)
			p.raw("DELETE", "/crm/v3/objects/contacts/"+gone, "", nil)
			p.sim.ResetCounters()

			ask := func(id string) crm.PersonQuery {
				return crm.PersonQuery{Objects: []string{"contacts"}, Match: []crm.Match{byID(0, id)}}
			}
			found, err := p.FindPeople(t.Context(), []crm.PersonQuery{ask(kept), ask(gone), ask(loser), ask("not-an-id")})
			if err != nil {
				t.Fatal(err)
			}
			if len(found[0]) != 1 || found[0][0].ID != kept || found[0][0].Asked != "" || !found[0][0].Exact {
				t.Errorf("known id: %+v", found[0])
			}
			if len(found[1]) != 0 || len(found[3]) != 0 {
				t.Errorf("archived: %+v, malformed: %+v", found[1], found[3])
			}
			if len(found[2]) != 1 || found[2][0].Asked != loser || found[2][0].ID == loser {
				t.Errorf("merged: %+v", found[2])
			}
			if got := p.requests(); got != "contacts batch read" {
				t.Errorf("ids were looked up with %s", got)
			}
		})
	}
}

func TestFindByIDFallsBackToSearch(t *testing.T) {
	p := open(t)
	id := p.make("contacts", map[string]string{"email": "ann@example.com"})
	if found := p.find(byID(0, "999999"), byEmail(1, "ann@example.com")); len(found) != 1 || found[0].ID != id || found[0].Rule != 1 {
		t.Fatalf("found %+v", found)
	}
	p.sim.ResetCounters()
	p.find(byID(0, id), byEmail(1, "ann@example.com"))
	if got := p.requests(); got != "contacts batch read" {
		t.Errorf("a known id was not enough: %s", got)
	}
}

// A batch of 100 people with an email and a phone each fits four searches: the
// simulator refuses bodies over 3,000 characters, a sixth filter group, and a
// 101st value.
func TestFindPeopleInFewSearches(t *testing.T) {
	p := open(t)
	var queries []crm.PersonQuery
	var ids []string
	for i := range 100 {
		email, phone := fmt.Sprintf("person%03d@company%d.example", i, i%7), fmt.Sprintf("+1555200%04d", i)
		property := map[string]string{"email": email}
		if i%2 == 0 {
			property = map[string]string{"lastname": "X", "phone": fmt.Sprintf("(555) 200-%04d", i)}
		}
		ids = append(ids, p.make("contacts", property))
		queries = append(queries, crm.PersonQuery{Objects: []string{"contacts"}, Match: []crm.Match{byEmail(0, email), byPhone(1, phone)}})
	}
	queries = append(queries, queries...) // the same people once more cost nothing
	p.sim.Advance(time.Minute)
	p.sim.ResetCounters()
	found, err := p.FindPeople(t.Context(), queries)
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range found {
		if len(f) != 1 || f[0].ID != ids[i%100] {
			t.Fatalf("person %d: %+v, want %s", i, f, ids[i%100])
		}
	}
	if got := p.sim.Counts()["contacts search"].Requests; got > 4 {
		t.Errorf("100 people took %d searches", got)
	}
}

func TestFindPeopleNeedsContacts(t *testing.T) {
	p := open(t)
	_, err := p.FindPeople(t.Context(), []crm.PersonQuery{{Objects: []string{"companies"}, Match: []crm.Match{byEmail(0, "a@b.example")}}})
	if crm.KindOf(err) != crm.Permanent || !strings.Contains(err.Error(), "contacts") {
		t.Fatalf("got %v", err)
	}
}
