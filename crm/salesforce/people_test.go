package salesforce_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/crm/sandbox/salesforcesim"
)

func TestFindByEmail(t *testing.T) {
	w := ready(t)
	odd := w.add("Contact", map[string]any{"LastName": "O'Brien {*}", "Email": "o'brien+x@example.com"})
	other := w.add("Lead", map[string]any{"LastName": "B", "Company": "C", "Email": "MiXed@Example.com"})
	deleted := w.add("Contact", map[string]any{"LastName": "D", "Email": "gone@example.com"})
	w.remove("Contact", deleted)

	got := w.find(byEmail("o'brien+x@example.com"), byEmail("mixed@example.com"), byEmail("gone@example.com"), byEmail("' OR Name != '"), byEmail(`\`))
	want := []string{odd, other, "", "", ""}
	for i := range want {
		if ids(got[i]) != want[i] {
			t.Errorf("query %d: %+v, want %q", i, got[i], want[i])
		}
	}
	c := got[1][0]
	if c.Object != "Lead" || c.Rule != 1 || !c.Exact || c.Modified.IsZero() || c.Asked != "" {
		t.Errorf("candidate: %+v", c)
	}
	if n := w.count("query"); n != 2 {
		t.Errorf("%d queries, want one for contacts and one for leads", n)
	}
}

func TestFindByPhoneInAnyPunctuation(t *testing.T) {
	w := ready(t)
	want := map[string]bool{}
	for i, written := range []string{"+15551234567", "(555) 123-4567", "555.123.4567", "1-555-123-4567", "+1 (555) 123 4567"} {
		field := []string{"Phone", "MobilePhone", "HomePhone", "OtherPhone", "AssistantPhone"}[i]
		want[w.add("Contact", map[string]any{"LastName": written, field: written})] = true
	}
	want[w.add("Lead", map[string]any{"LastName": "L", "Company": "C", "MobilePhone": "(555)123-4567"})] = true
	w.add("Contact", map[string]any{"LastName": "fax only", "Fax": "(555) 123-4567"})
	w.add("Contact", map[string]any{"LastName": "another", "Phone": "(555) 123-4568"})
	w.add("Contact", map[string]any{"LastName": "abroad", "Phone": "+49 555 1234567"})
	w.add("Contact", map[string]any{"LastName": "odd", "Phone": `O'Brien {*} "ext"`})
	if got := w.find(byPhone("+15551234567"))[0]; len(got) != 0 {
		t.Fatalf("the index has not caught up, yet found %+v", got)
	}
	w.caughtUp()
	w.sim.ResetCounters()

	got := w.find(byPhone("+15551234567"), byPhone("+493012345"), byPhone(`+1555" OR {*} RETURNING User(Id)`))
	if len(got[0]) != len(want) {
		t.Errorf("%d candidates, want %d: %+v", len(got[0]), len(want), got[0])
	}
	for _, c := range got[0] {
		if !want[c.ID] || !c.Exact {
			t.Errorf("candidate %+v", c)
		}
	}
	if len(got[1])+len(got[2]) != 0 {
		t.Errorf("found %+v and %+v, want nobody", got[1], got[2])
	}
	if n := w.requests(); n != 1 {
		t.Errorf("%d requests, want one search", n)
	}
}

func TestPhoneAbroadIsFoundAsWrittenAtHome(t *testing.T) {
	w := ready(t)
	id := w.add("Contact", map[string]any{"LastName": "B", "Phone": "030 / 901820"})
	w.caughtUp()
	d := w.open(func(s *crm.Settings) { s.Region = "DE" })
	got, err := d.FindPeople(w.ctx(), []crm.PersonQuery{byPhone("+4930901820")})
	if err != nil || ids(got[0]) != id || !got[0][0].Exact {
		t.Errorf("%+v, %v, want %s", got, err, id)
	}
}

func TestLocalAgreementIsNoExactMatch(t *testing.T) {
	w := ready(t)
	local := w.add("Contact", map[string]any{"LastName": "no country", "Phone": "(555) 123-4567"})
	ext := w.add("Contact", map[string]any{"LastName": "switchboard", "Phone": "+1 555 123 4567 x12"})
	w.caughtUp()
	d := w.open(func(s *crm.Settings) { s.Region = "" })
	got, err := d.FindPeople(w.ctx(), []crm.PersonQuery{byPhone("+15551234567")})
	if err != nil {
		t.Fatal(err)
	}
	if ids(got[0]) != ids([]crm.Candidate{{Ref: crm.Ref{ID: local}}, {Ref: crm.Ref{ID: ext}}}) {
		t.Fatalf("%+v, want both", got[0])
	}
	for _, c := range got[0] {
		if c.Exact {
			t.Errorf("%+v is called exact", c)
		}
	}
}

func TestFindKeepsTheOrderOfRulesAndObjects(t *testing.T) {
	w := ready(t)
	lead := w.add("Lead", map[string]any{"LastName": "L", "Company": "C", "Email": "a@example.com", "Phone": "+15551234567"})
	contact := w.add("Contact", map[string]any{"LastName": "K", "Email": "a@example.com"})
	w.caughtUp()
	q := byPhone("+15551234567")
	q.Match = append(q.Match, byEmail("a@example.com").Match...)
	got := w.find(q)[0]
	if len(got) != 2 || got[0].ID != lead || got[0].Rule != 2 || got[1].ID != contact || got[1].Rule != 1 {
		t.Errorf("%+v, want the lead by rule 2, then the contact by rule 1", got)
	}
	only := byEmail("a@example.com")
	only.Objects = []string{"Lead"}
	if got := w.find(only)[0]; ids(got) != lead {
		t.Errorf("looking among leads only: %+v", got)
	}
	swapped := byEmail("a@example.com")
	swapped.Objects = []string{"Lead", "Contact"}
	if got := w.find(swapped)[0]; len(got) != 2 || got[0].ID != lead {
		t.Errorf("leads first: %+v", got)
	}
}

func TestFindByExactProperty(t *testing.T) {
	w := newWorld(t)
	w.setup(crm.Property{Object: "Contact", Name: "ref__c", Type: crm.TypeString}, crm.Property{Object: "Contact", Name: "num__c", Type: crm.TypeNumber})
	id := w.add("Contact", map[string]any{"LastName": "R", "ref__c": `x'y\z`, "num__c": 17})
	w.add("Contact", map[string]any{"LastName": "S", "ref__c": `X'Y\Z`})
	match := func(property, value string) crm.PersonQuery {
		return crm.PersonQuery{Objects: people, Match: []crm.Match{{Property: property, Value: value, Kind: crm.MatchExact}}}
	}
	got := w.find(match("ref__c", `x'y\z`), match("num__c", "17.0"), match("num__c", "no number"), match("ref__c", "nobody"))
	for i, want := range []string{id, id, "", ""} {
		if ids(got[i]) != want {
			t.Errorf("query %d: %+v, want %q", i, got[i], want)
		}
	}
	_, err := w.dest.FindPeople(w.ctx(), []crm.PersonQuery{match("nonesuch__c", "v")})
	if e := asError(t, err); e.Kind != crm.Permanent || e.Property != "nonesuch__c" {
		t.Errorf("an unknown property: %+v, want Permanent naming it", e)
	}
}

func TestFindByKnownID(t *testing.T) {
	w := ready(t)
	id := w.add("Contact", map[string]any{"LastName": "K"})
	gone := w.add("Contact", map[string]any{"LastName": "G"})
	w.remove("Contact", gone)
	got := w.find(byID(id), byID(id[:15]), byID(gone), byID("12345"), byID("' OR '"), byID("00T000000000001"))
	for i, want := range []string{id, id, "", "", "", ""} {
		if ids(got[i]) != want {
			t.Errorf("query %d: %+v, want %q", i, got[i], want)
		}
	}
	elsewhere := byID(id)
	elsewhere.Objects = []string{"Lead"}
	if got := w.find(elsewhere)[0]; len(got) != 0 {
		t.Errorf("%+v, want nobody: only leads are looked at", got)
	}
	if got[0][0].Asked != "" || got[1][0].Asked != "" && !strings.HasPrefix(id, got[1][0].Asked) {
		t.Errorf("asked: %q and %q", got[0][0].Asked, got[1][0].Asked)
	}
}

func TestMergedAndConvertedPeopleAreFollowed(t *testing.T) {
	w := ready(t)
	master := w.add("Contact", map[string]any{"LastName": "M", "Email": "m@example.com"})
	loser := w.add("Contact", map[string]any{"LastName": "L"})
	if err := w.sim.Merge(master, loser); err != nil {
		t.Fatal(err)
	}
	lead := w.add("Lead", map[string]any{"LastName": "X", "Company": "C", "Email": "lead@example.com", "Phone": "+15557654321"})
	became := w.add("Contact", map[string]any{"LastName": "Became"})
	if _, err := w.sim.ConvertLead(lead, "", became); err != nil {
		t.Fatal(err)
	}
	w.caughtUp()
	leads := byEmail("lead@example.com")
	leads.Objects = []string{"Lead"}
	phone := byPhone("+15557654321")
	phone.Objects = []string{"Lead"}
	got := w.find(byID(loser), byID(lead), leads, phone)
	for i, want := range []crm.Candidate{
		{Ref: crm.Ref{Object: "Contact", ID: master}, Asked: loser},
		{Ref: crm.Ref{Object: "Contact", ID: became}, Asked: lead},
		{Ref: crm.Ref{Object: "Contact", ID: became}, Asked: lead},
		{Ref: crm.Ref{Object: "Contact", ID: became}, Asked: lead},
	} {
		if len(got[i]) != 1 || got[i][0].Ref != want.Ref || got[i][0].Asked != want.Asked {
			t.Errorf("query %d: %+v, want %+v", i, got[i], want)
		}
	}
	snaps, err := w.dest.Read(w.ctx(), []crm.Ref{{Object: "Contact", ID: loser}, {Object: "Lead", ID: lead}}, []string{"LastName", "Company"})
	if err != nil {
		t.Fatal(err)
	}
	if snaps[0].ID != master || snaps[0].Properties["LastName"] != "M" || snaps[1].Ref != (crm.Ref{Object: "Contact", ID: became}) {
		t.Errorf("read: %+v", snaps)
	}
}

func TestPersonAccounts(t *testing.T) {
	w := ready(t, func(s *salesforcesim.Settings) { s.PersonAccounts = true })
	account := w.add("Account", map[string]any{"LastName": "P", "PersonEmail": "p@example.com", "PersonMobilePhone": "(555) 123-4567"})
	firm := w.add("Account", map[string]any{"Name": "Firm", "Phone": "(555) 123-4567"})
	inside := w.sim.Records("Contact")[0].ID
	w.caughtUp()
	everywhere := []string{"Contact", "Lead", "PersonAccount"}
	email, phone := byEmail("p@example.com"), byPhone("+15551234567")
	email.Objects, phone.Objects = everywhere, everywhere
	id := byID(account)
	id.Objects = everywhere
	byContact, byFirm := byID(inside), byID(firm)
	byContact.Objects, byFirm.Objects = everywhere, everywhere
	if got := w.find(byFirm)[0]; len(got) != 0 {
		t.Errorf("%+v, want nobody: a firm is no person", got)
	}
	for i, got := range w.find(email, phone, id, byContact) {
		if len(got) != 1 || got[0].Ref != (crm.Ref{Object: "PersonAccount", ID: account}) {
			t.Errorf("query %d: %+v, want the person account alone", i, got)
		}
	}
	person := crm.Ref{Object: "PersonAccount", ID: account}
	res := w.must(w.write(
		newTask("call.p#call", nil, person),
		crm.Change{Op: crm.Update, Object: "PersonAccount", ID: account, Properties: props(map[string]any{"DoNotCall": true, "Email": "new@example.com"})},
	))
	if got := w.record(account).Fields; got["PersonDoNotCall"] != true || got["PersonEmail"] != "new@example.com" {
		t.Errorf("account: %v", got)
	}
	who, _ := w.record(res[0].ID).Fields["WhoId"].(string)
	if !strings.HasPrefix(who, "003") || w.record(who).Fields["AccountId"] != account {
		t.Errorf("WhoId = %q, want the contact inside %s", who, account)
	}
	snap, err := w.dest.Read(w.ctx(), []crm.Ref{person}, []string{"Email", "DoNotCall"})
	if err != nil || snap[0].Properties["Email"] != "new@example.com" || snap[0].Properties["DoNotCall"] != "true" {
		t.Errorf("read: %+v, %v", snap, err)
	}
}

func TestPersonAccountsWhereThereAreNone(t *testing.T) {
	w := ready(t)
	id := w.add("Contact", map[string]any{"LastName": "K", "Email": "k@example.com"})
	q := byEmail("k@example.com")
	q.Objects = []string{"PersonAccount", "Contact"}
	if got := w.find(q)[0]; ids(got) != id {
		t.Errorf("%+v, want %s", got, id)
	}
}

func TestABatchTakesFewRequests(t *testing.T) {
	w := ready(t)
	w.find(byEmail("nobody@example.com")) // fetches the descriptions
	w.sim.ResetCounters()
	var queries []crm.PersonQuery
	for i := range 200 {
		q := byEmail(fmt.Sprintf("somebody.%d@a-rather-long-domain.example.com", i))
		q.Match = append(q.Match, byPhone(fmt.Sprintf("+1555123%04d", i)).Match...)
		queries = append(queries, q)
	}
	w.find(queries...)
	if n := w.requests(); n != 4 {
		t.Errorf("%d requests for 200 people, want a query for contacts, one for leads and two searches: %v", n, w.sim.Counts())
	}
}

func TestASearchThatIsCutOffIsHalved(t *testing.T) {
	w := ready(t)
	searches := 0
	d := w.open(func(s *crm.Settings) {
		s.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			if !strings.HasSuffix(r.URL.Path, "/search") {
				return http.DefaultTransport.RoundTrip(r)
			}
			searches++
			rows := make([]any, 1)
			if strings.Contains(r.URL.Query().Get("q"), " OR ") {
				rows = make([]any, 2000)
			}
			for i := range rows {
				rows[i] = map[string]any{"Id": fmt.Sprintf("003%012d", i), "Phone": "+15551234567"}
			}
			return jsonAnswer(r, map[string]any{"searchRecords": rows}), nil
		})
	})
	got, err := d.FindPeople(w.ctx(), []crm.PersonQuery{byPhone("+15551234567")})
	if err != nil || len(got[0]) != 1 {
		t.Errorf("%d candidates, %v, want the one of the halves", len(got[0]), err)
	}
	if searches != 3 {
		t.Errorf("%d searches, want one and its two halves", searches)
	}
}

func TestPeopleLiveInKnownObjects(t *testing.T) {
	w := ready(t)
	q := byEmail("a@example.com")
	q.Objects = []string{"Case"}
	_, err := w.dest.FindPeople(w.ctx(), []crm.PersonQuery{q})
	if e := asError(t, err); e.Kind != crm.Permanent || !strings.Contains(e.Hint, "Contact") {
		t.Errorf("%+v, want Permanent", e)
	}
}

func TestAFieldTakenAwayIsNotAskedForAgain(t *testing.T) {
	w := ready(t)
	w.find(byPhone("+15551234567"))
	w.sim.Configure(func(s *salesforcesim.Settings) { s.HiddenFields = []string{"Contact.HomePhone"} })
	_, err := w.dest.FindPeople(w.ctx(), []crm.PersonQuery{byPhone("+15551234567")})
	if e := asError(t, err); e.Kind != crm.Transient || e.Code != "INVALID_FIELD" {
		t.Errorf("%+v, want Transient", e)
	}
	w.find(byPhone("+15551234567"))
}
