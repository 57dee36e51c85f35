package hubspot_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/crm/sandbox"
	"github.com/callsync/callsync/crm/sandbox/hubspotsim"
)

func TestRead(t *testing.T) {
	for _, together := range []bool{false, true} {
		t.Run(fmt.Sprintf("missing together %v", together), func(t *testing.T) {
			p := open(t, func(o *simOptions, _ *crm.Settings) { o.Settings.MissingTogether = together })
			var refs []crm.Ref
			for i := range 120 {
				id := p.make("contacts", map[string]string{"email": fmt.Sprintf("p%d@example.com", i), "jobtitle": fmt.Sprint(i)})
				refs = append(refs, crm.Ref{Object: "contacts", ID: id})
			}
			winner, loser, archived := refs[0], refs[1], refs[2]
			p.merge(winner.ID, loser.ID)
			p.raw("DELETE", "/crm/v3/objects/contacts/"+archived.ID, "", nil)
			call := crm.Ref{Object: "calls", ID: p.write(call(1, ""))[0]}
			refs = append(refs, call, crm.Ref{Object: "calls", ID: "777"}, crm.Ref{Object: "calls", ID: "seven"})
			p.sim.ResetCounters()

			got, err := p.Read(t.Context(), refs, []string{"jobtitle", "firstname", "callsync_key"})
			if err != nil {
				t.Fatal(err)
			}
			if s := got[1]; s.Ref != winner || s.Gone || s.Properties["jobtitle"] != "0" {
				t.Errorf("merged: %+v, want %v", s, winner)
			}
			for _, i := range []int{2, 121, 122} {
				if !got[i].Gone || !got[i].IsZero() {
					t.Errorf("%v: %+v, want it gone", refs[i], got[i])
				}
			}
			if s := got[119]; s.Ref != refs[119] || s.Properties["jobtitle"] != "119" || s.Properties["firstname"] != "" || s.Modified.IsZero() {
				t.Errorf("plain: %+v", s)
			}
			if s := got[120]; s.Ref != call || s.Properties["callsync_key"] != "call.1#call" {
				t.Errorf("call: %+v", s)
			}
			if n := p.sim.Total(); n != 3 {
				t.Errorf("123 records of two types took %d requests: %s", n, p.requests())
			}
		})
	}
}

func owners(list ...hubspotsim.Owner) func(*simOptions, *crm.Settings) {
	return func(o *simOptions, _ *crm.Settings) { o.Owners = list }
}

func (p *account) resolve(values ...crm.Value) map[crm.Value]string {
	p.t.Helper()
	got, err := p.Resolve(p.t.Context(), values)
	if err != nil {
		p.t.Fatal(err)
	}
	return got
}

func TestResolveOwners(t *testing.T) {
	var list []hubspotsim.Owner
	for i := range 600 { // two pages
		list = append(list, hubspotsim.Owner{ID: fmt.Sprint(100 + i), Email: fmt.Sprintf("o%d@example.com", i)})
	}
	list[7].Archived = true
	p := open(t, owners(list...))
	owner := func(email string) crm.Value { return crm.LookupOf("owner", email) }

	want := map[crm.Value]string{owner("O1@example.com"): "101", owner("o599@example.com"): "699"}
	got := p.resolve(owner("O1@example.com"), owner("o599@example.com"), owner("o7@example.com"), owner("new@example.com"), owner("o1"))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	p.sim.ResetCounters()
	p.resolve(owner("o2@example.com"))
	if n := p.sim.Total(); n != 0 {
		t.Errorf("a known owner took %d requests", n)
	}

	// A miss reads the list again, but not more than once a minute.
	p.sim.AddOwner(hubspotsim.Owner{ID: "900", Email: "new@example.com"})
	if got := p.resolve(owner("new@example.com")); len(got) != 0 || p.sim.Total() != 0 {
		t.Errorf("within the minute: %v with %d requests", got, p.sim.Total())
	}
	p.now.Advance(time.Minute)
	if got := p.resolve(owner("new@example.com")); got[owner("new@example.com")] != "900" {
		t.Errorf("after a minute: %v", got)
	}
	p.sim.ResetCounters()
	p.now.Advance(time.Hour)
	if p.resolve(owner("o2@example.com")); p.sim.Total() == 0 {
		t.Error("the list is never read again, so owners who left would stay")
	}
}

func TestResolveDispositions(t *testing.T) {
	p := open(t)
	no, own, unknown := crm.LookupOf("disposition", "no answer"), crm.LookupOf("disposition", "Meeting booked"), crm.LookupOf("disposition", "Nope")
	got := p.resolve(no, own, unknown, crm.LookupOf("weather", "fine"))
	if want := "73a0d17f-1163-4015-bdd5-ec830791da20"; got[no] != want || got[own] == "" || len(got) != 2 {
		t.Errorf("got %v", got)
	}
}

func TestResolveDispositionsWithoutAccess(t *testing.T) {
	for _, status := range []int{http.StatusForbidden, http.StatusNotFound} {
		p := open(t)
		p.fault(sandbox.Fault{Operation: "dispositions list", Status: status})
		busy := crm.LookupOf("disposition", "Busy")
		if got := p.resolve(busy); got[busy] != "9d9162e7-6cf3-4944-bf63-4dff82258764" {
			t.Errorf("with %d: %v", status, got)
		}
	}
	p := open(t)
	p.fault(sandbox.Fault{Operation: "dispositions list", Status: 503})
	if _, err := p.Resolve(t.Context(), []crm.Value{crm.LookupOf("disposition", "Busy")}); crm.KindOf(err) != crm.Transient || err == nil {
		t.Errorf("a list that may be there in a moment was replaced: %v", err)
	}
}

// associate links two records of the simulator.
func (p *account) associate(from, fromID, to, toID string, typeID int) {
	p.t.Helper()
	body := fmt.Sprintf(`[{"associationCategory":"HUBSPOT_DEFINED","associationTypeId":%d}]`, typeID)
	if status := p.raw("PUT", "/crm/v4/objects/"+from+"/"+fromID+"/associations/"+to+"/"+toID, body, nil); status != 201 && status != 200 {
		p.t.Fatalf("associate: %d", status)
	}
}

func TestRelated(t *testing.T) {
	for _, api := range []string{"2026-03", "v3"} {
		t.Run(api, func(t *testing.T) {
			p := open(t, func(_ *simOptions, s *crm.Settings) { s.API = api })
			ann, bob := p.make("contacts", map[string]string{"email": "ann@example.com"}), p.make("contacts", map[string]string{"email": "bob@example.com"})
			open1 := p.make("deals", map[string]string{"dealname": "A", "dealstage": "contractsent"})
			open2 := p.make("deals", map[string]string{"dealname": "B", "dealstage": "qualifiedtobuy"})
			won := p.make("deals", map[string]string{"dealname": "C", "dealstage": "closedwon"})
			for _, d := range []string{open1, open2, won} {
				p.associate("contacts", ann, "deals", d, 4)
			}
			first, second := p.make("companies", map[string]string{"name": "First"}), p.make("companies", map[string]string{"name": "Second"})
			p.associate("contacts", ann, "companies", first, 279)
			p.associate("contacts", ann, "companies", second, 1) // the primary one
			p.sim.ResetCounters()

			ask := func(person, object, which string) crm.RelatedQuery {
				return crm.RelatedQuery{Person: crm.Ref{Object: "contacts", ID: person}, Relation: crm.Relation{Object: object, Which: which, Pos: crm.Pos{Line: len(which)}}}
			}
			got, err := p.Related(t.Context(), []crm.RelatedQuery{
				ask(ann, "deals", "open"), ask(bob, "deals", "open"), ask(ann, "companies", "primary"), ask(bob, "companies", "primary"), ask(ann, "deals", "open"),
			})
			if err != nil {
				t.Fatal(err)
			}
			deals := []crm.Ref{{Object: "deals", ID: open1}, {Object: "deals", ID: open2}}
			want := [][]crm.Ref{deals, nil, {{Object: "companies", ID: second}}, nil, deals}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if n := p.sim.Total(); n != 3 {
				t.Errorf("%d requests: %s", n, p.requests())
			}
			_, err = p.Related(t.Context(), []crm.RelatedQuery{ask(ann, "tickets", "open")})
			e := asError(t, crm.Result{Err: err}, crm.Permanent)
			if want := `write "deals:open" or "companies:primary" in associate, at :4:0`; e.Hint != want {
				t.Errorf("an unknown relation: hint %q, want %q", e.Hint, want)
			}
		})
	}
}

// What HubSpot would refuse is not asked for, and what it says is archived is
// not used.
func TestArchivedAndMalformed(t *testing.T) {
	d := against(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/crm/owners/2026-03":
			answer(200, `{"results":[{"id":"1","email":"a@example.com","archived":true},{"id":"2","email":"b@example.com"}]}`)(w, r)
		case "/calling/v1/dispositions":
			answer(200, `[{"id":"x","label":"Old","deleted":true},{"id":"y","label":"New"}]`)(w, r)
		case "/crm/objects/2026-03/contacts/batch/read":
			var body struct {
				Inputs []struct{ ID string } `json:"inputs"`
			}
			if err := json.NewDecoder(r.Body).Decode(&body); err != nil || len(body.Inputs) != 2 {
				t.Errorf("asked for %v (%v)", body.Inputs, err)
			}
			answer(200, `{"results":[{"id":"1","archived":true},{"id":"2"}]}`)(w, r)
		}
	})
	a, b := crm.LookupOf("owner", "a@example.com"), crm.LookupOf("owner", "b@example.com")
	old, fresh := crm.LookupOf("disposition", "Old"), crm.LookupOf("disposition", "New")
	got, err := d.Resolve(t.Context(), []crm.Value{a, b, old, fresh})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[crm.Value]string{b: "2", fresh: "y"}, got); diff != "" {
		t.Error(diff)
	}
	ref := func(id string) crm.Ref { return crm.Ref{Object: "contacts", ID: id} }
	snapshots, err := d.Read(t.Context(), []crm.Ref{ref("1"), ref("2"), ref("seven")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !snapshots[0].Gone || snapshots[1].Gone || !snapshots[2].Gone {
		t.Errorf("got %+v", snapshots)
	}
}

// A contact whose data was deleted for good is gone, and its address cannot be
// written again.
func TestGDPRDeleted(t *testing.T) {
	p := open(t)
	id := p.make("contacts", map[string]string{"email": "ann@example.com"})
	p.raw("POST", "/crm/v3/objects/contacts/gdpr-delete", `{"objectId":"`+id+`"}`, nil)
	got, err := p.Read(t.Context(), []crm.Ref{{Object: "contacts", ID: id}}, []string{"email"})
	if err != nil || !got[0].Gone {
		t.Fatalf("%+v, %v", got, err)
	}
	asError(t, p.Write(t.Context(), []crm.Change{update("contacts", id, "jobtitle", "CTO")})[0], crm.Gone)
	e := asError(t, p.Write(t.Context(), []crm.Change{contact("+15551234567", "ann@example.com")})[0], crm.Permanent)
	if !strings.Contains(e.Hint, "deleted for good") {
		t.Errorf("hint: %s", e.Hint)
	}
}

// Associations come in pages, and a contact's only company is its primary one
// even where HubSpot does not say so.
func TestRelatedPages(t *testing.T) {
	pages := map[string]string{
		"":  `{"from":{"id":"7"},"to":[{"toObjectId":1,"associationTypes":[]}],"paging":{"next":{"after":"1"}}}`,
		"1": `{"from":{"id":"7"},"to":[{"toObjectId":"2","associationTypes":[]}]}`,
	}
	d := against(t, func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Inputs []struct{ ID, After string } `json:"inputs"`
		}
		_ = json.NewDecoder(r.Body).Decode(&body)
		switch r.URL.Path {
		case "/crm/associations/2026-03/contacts/deals/batch/read":
			answer(200, `{"results":[`+pages[body.Inputs[0].After]+`]}`)(w, r)
		case "/crm/associations/2026-03/contacts/companies/batch/read":
			answer(200, `{"results":[{"from":{"id":"7"},"to":[{"toObjectId":9,"associationTypes":[{"category":"HUBSPOT_DEFINED","typeId":279}]}]}]}`)(w, r)
		default:
			answer(200, `{"results":[{"id":"1","properties":{"hs_is_closed":"false"}},{"id":"2","properties":{"hs_is_closed":"false"}}]}`)(w, r)
		}
	})
	person := crm.Ref{Object: "contacts", ID: "7"}
	got, err := d.Related(t.Context(), []crm.RelatedQuery{
		{Person: person, Relation: crm.Relation{Object: "deals", Which: "open"}},
		{Person: person, Relation: crm.Relation{Object: "companies", Which: "primary"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := [][]crm.Ref{{{Object: "deals", ID: "1"}, {Object: "deals", ID: "2"}}, {{Object: "companies", ID: "9"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
