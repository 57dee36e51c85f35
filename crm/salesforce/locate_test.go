package salesforce_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/crm/sandbox/salesforcesim"
)

func (w *world) locate(keys ...crm.KeyRef) []crm.Location {
	w.t.Helper()
	got, err := w.dest.Locate(w.ctx(), keys)
	if err != nil {
		w.t.Fatal(err)
	}
	if len(got) != len(keys) {
		w.t.Fatalf("%d answers for %d keys", len(got), len(keys))
	}
	return got
}

func TestLocate(t *testing.T) {
	w := ready(t)
	task := w.must(w.write(newTask("call.1#call", nil)))[0].ID
	person := w.must(w.write(crm.Change{Op: crm.Create, Object: "Lead", Key: `o'b"@example.com`, Properties: props(map[string]any{"LastName": "L", "Company": "C"})}))[0].ID
	w.sim.ResetCounters()
	got := w.locate(
		crm.KeyRef{Object: "Task", Key: "call.1#call"},
		crm.KeyRef{Object: "Lead", Key: `o'b"@example.com`},
		crm.KeyRef{Object: "Event", Key: "call.1#call"},
		crm.KeyRef{Object: "Task", Key: "CALL.1#call"},
		crm.KeyRef{Object: "Task", Key: "call.2#call"},
	)
	for i, want := range []string{task, person, "", "", ""} {
		if got[i].ID != want || (got[i].State == crm.Found) != (want != "") || got[i].State == crm.Unknown {
			t.Errorf("key %d: %+v, want %q", i, got[i], want)
		}
	}
	if n := w.count("query all"); n != 3 {
		t.Errorf("%d queries, want one an object", n)
	}
}

func TestLocateConsidersDeletedRecords(t *testing.T) {
	w := ready(t)
	task := w.must(w.write(newTask("call.1#call", nil)))[0].ID
	w.remove("Task", task)
	made := w.sim.Now()
	w.sim.Advance(time.Hour)
	for name, tc := range map[string]struct {
		since time.Time
		want  crm.Presence
	}{
		"the lost request made it":        {made, crm.Found},
		"an earlier record":               {made.Add(30 * time.Minute), crm.Absent},
		"no request was sent before":      {time.Time{}, crm.Absent},
		"the clocks differ a little":      {made.Add(time.Minute), crm.Found},
		"a request sent long before that": {made.Add(-time.Hour), crm.Found},
	} {
		if got := w.locate(crm.KeyRef{Object: "Task", Key: "call.1#call", Since: tc.since})[0]; got.State != tc.want {
			t.Errorf("%s: %+v, want state %v", name, got, tc.want)
		}
	}
	again := w.must(w.write(newTask("call.1#call", nil)))[0].ID
	if got := w.locate(crm.KeyRef{Object: "Task", Key: "call.1#call", Since: made})[0]; got.ID != again {
		t.Errorf("%+v, want the live record %s before the deleted one", got, again)
	}
}

func TestLocateFollowsAMerge(t *testing.T) {
	w := ready(t)
	loser := w.must(w.write(crm.Change{Op: crm.Create, Object: "Contact", Key: "+15551234567", Properties: props(map[string]any{"LastName": "L"})}))[0].ID
	master := w.add("Contact", map[string]any{"LastName": "M"})
	if err := w.sim.Merge(master, loser); err != nil {
		t.Fatal(err)
	}
	if got := w.locate(crm.KeyRef{Object: "Contact", Key: "+15551234567"})[0]; got.State != crm.Found || got.ID != master {
		t.Errorf("%+v, want %s", got, master)
	}
}

func TestALostRequestMayStillBeAtWorkWhereKeysAreNotUnique(t *testing.T) {
	for name, unique := range map[string]bool{"unique": true, "plain": false} {
		t.Run(name, func(t *testing.T) {
			w := ready(t, func(s *salesforcesim.Settings) { s.ActivityUnique, s.ActivityExternalID = unique, unique })
			key := crm.KeyRef{Object: "Task", Key: "call.1#call", Since: w.sim.Now()}
			got := w.locate(key)[0]
			if unique && got.State != crm.Absent {
				t.Errorf("%+v, want Absent: the org refuses a double", got)
			}
			if !unique && (got.State != crm.Unknown || got.RetryAfter <= 0) {
				t.Errorf("%+v, want Unknown for a while", got)
			}
			w.sim.Advance(got.RetryAfter)
			if got := w.locate(key)[0]; got.State != crm.Absent {
				t.Errorf("after the wait: %+v, want Absent", got)
			}
		})
	}
}

func TestALostAnswerLeavesOneRecord(t *testing.T) {
	w := ready(t)
	w.sim.AddFault(salesforceFault{Operation: "collections create", When: "after", Reset: true, Times: 1})
	sent := w.sim.Now()
	res := w.write(newTask("call.1#call", nil))
	if res[0].Err == nil || crm.KindOf(res[0].Err) != crm.Transient {
		t.Fatalf("%v, want Transient", res[0].Err)
	}
	got := w.locate(crm.KeyRef{Object: "Task", Key: "call.1#call", Since: sent})[0]
	if got.State != crm.Found || got.ID != w.sim.Records("Task")[0].ID {
		t.Errorf("%+v, want the task that was made", got)
	}
}

func TestOwnersAreResolvedAndCached(t *testing.T) {
	w := ready(t)
	user := func(email string, active bool) string {
		return w.add("User", map[string]any{"Username": fmt.Sprint(len(w.sim.Records("User")), email), "LastName": "U", "Email": email, "Alias": "u", "IsActive": active})
	}
	jane := user("Jane@Example.com", true)
	user("left@example.com", false)
	w.sim.ResetCounters()
	resolve := func(emails ...string) map[crm.Value]string {
		t.Helper()
		var v []crm.Value
		for _, e := range emails {
			v = append(v, crm.LookupOf("owner", e))
		}
		got, err := w.dest.Resolve(w.ctx(), v)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	got := resolve("jane@example.com", "JANE@example.com", "left@example.com", "new@example.com", `' OR Email != '`)
	if len(got) != 2 || got[crm.LookupOf("owner", "jane@example.com")] != jane || got[crm.LookupOf("owner", "JANE@example.com")] != jane {
		t.Errorf("resolved %v, want jane twice", got)
	}
	resolve("jane@example.com", "new@example.com")
	if n := w.count("query"); n != 1 {
		t.Errorf("%d queries, want 1: the rest is known", n)
	}
	added := user("new@example.com", true)
	w.sim.Advance(6 * time.Minute)
	if got := resolve("new@example.com"); got[crm.LookupOf("owner", "new@example.com")] != added {
		t.Errorf("a new user: %v, want %s", got, added)
	}
	labels, err := w.dest.Resolve(w.ctx(), []crm.Value{crm.LookupOf("disposition", "Left voicemail"), crm.LookupOf("planet", "Mars")})
	if err != nil || len(labels) != 1 || labels[crm.LookupOf("disposition", "Left voicemail")] != "Left voicemail" {
		t.Errorf("%v, %v, want the label itself", labels, err)
	}
}

func TestRelated(t *testing.T) {
	w := ready(t)
	account := w.add("Account", map[string]any{"Name": "A"})
	deal := func(close, stage, account string) string {
		return w.add("Opportunity", map[string]any{"Name": "O", "StageName": stage, "CloseDate": close, "AccountId": account})
	}
	deal("2030-01-01", "Closed Lost", account)
	deal("2032-01-01", "Prospecting", account)
	soonest := deal("2031-01-01", "Prospecting", account)
	late := deal("2035-01-01", "Prospecting", account)
	primary := deal("2036-01-01", "Prospecting", account)
	closed := deal("2030-01-01", "Closed Won", account)
	plain := w.add("Contact", map[string]any{"LastName": "P", "AccountId": account})
	player := w.add("Contact", map[string]any{"LastName": "R", "AccountId": account})
	alone := w.add("Contact", map[string]any{"LastName": "N"})
	lead := w.add("Lead", map[string]any{"LastName": "L", "Company": "C"})
	for id, is := range map[string]bool{late: false, primary: true, closed: false} {
		w.add("OpportunityContactRole", map[string]any{"ContactId": player, "OpportunityId": id, "IsPrimary": is})
	}
	minor := w.add("Contact", map[string]any{"LastName": "M"})
	for _, id := range []string{primary, late} {
		w.add("OpportunityContactRole", map[string]any{"ContactId": minor, "OpportunityId": id})
	}
	open, firm := crm.Relation{Object: "Opportunity", Which: "open"}, crm.Relation{Object: "Account", Which: "primary"}
	w.sim.ResetCounters()
	ask := func(object, id string, r crm.Relation) crm.RelatedQuery {
		return crm.RelatedQuery{Person: crm.Ref{Object: object, ID: id}, Relation: r}
	}
	got, err := w.dest.Related(w.ctx(), []crm.RelatedQuery{
		ask("Contact", plain, open), ask("Contact", player, open), ask("Contact", plain, firm),
		ask("Contact", alone, open), ask("Contact", alone, firm), ask("Lead", lead, open),
		ask("Contact", minor, open),
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []crm.Ref{{Object: "Opportunity", ID: soonest}, {Object: "Opportunity", ID: primary}, {Object: "Account", ID: account}, {}, {}, {}, {Object: "Opportunity", ID: late}} {
		if want.IsZero() && len(got[i]) != 0 || !want.IsZero() && (len(got[i]) != 1 || got[i][0] != want) {
			t.Errorf("query %d: %v, want %v", i, got[i], want)
		}
	}
	if n := w.count("query") + w.count("query all"); n != 3 {
		t.Errorf("%d queries, want 3", n)
	}
	unknown := crm.Relation{Object: "Case", Which: "open", Pos: crm.Pos{File: "m.toml", Line: 7, Column: 3}}
	_, err = w.dest.Related(w.ctx(), []crm.RelatedQuery{ask("Contact", plain, unknown)})
	if e := asError(t, err); e.Kind != crm.Permanent || e.Hint != `write "Account:primary" or "Opportunity:open" in associate, at m.toml:7:3` {
		t.Errorf("%+v, want Permanent and what the mapping can say, and where", e)
	}
}

func TestAPersonAccountIsItsOwnAccount(t *testing.T) {
	w := ready(t, func(s *salesforcesim.Settings) { s.PersonAccounts = true })
	account := w.add("Account", map[string]any{"LastName": "P"})
	deal := w.add("Opportunity", map[string]any{"Name": "O", "StageName": "Prospecting", "CloseDate": "2030-01-01"})
	var contact string
	for _, r := range w.sim.Records("Contact") {
		contact = r.ID
	}
	w.add("OpportunityContactRole", map[string]any{"ContactId": contact, "OpportunityId": deal})
	person := crm.Ref{Object: "PersonAccount", ID: account}
	got, err := w.dest.Related(w.ctx(), []crm.RelatedQuery{
		{Person: person, Relation: crm.Relation{Object: "Account", Which: "primary"}},
		{Person: person, Relation: crm.Relation{Object: "Opportunity", Which: "open"}},
	})
	if err != nil || len(got[0]) != 1 || got[0][0].ID != account || len(got[1]) != 1 || got[1][0].ID != deal {
		t.Errorf("%v, %v, want the account itself and %s", got, err, deal)
	}
}
