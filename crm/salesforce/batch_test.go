package salesforce_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/crm/sandbox"
	"github.com/callsync/callsync/crm/sandbox/salesforcesim"
)

func TestLinks(t *testing.T) {
	w := ready(t)
	contact := w.add("Contact", map[string]any{"LastName": "K"})
	other := w.add("Contact", map[string]any{"LastName": "O"})
	lead := w.add("Lead", map[string]any{"LastName": "L", "Company": "C"})
	account := w.add("Account", map[string]any{"Name": "A"})
	deal := w.add("Opportunity", map[string]any{"Name": "O", "StageName": "Prospecting", "CloseDate": "2030-01-01", "AccountId": account})
	ref := func(object, id string) crm.Ref { return crm.Ref{Object: object, ID: id} }

	res := w.must(w.write(
		newTask("1", nil, ref("Contact", contact), ref("Opportunity", deal), ref("Account", account)),
		newTask("2", nil, ref("Lead", lead), ref("Account", account)),
		newTask("3", nil, ref("Contact", contact), ref("Account", account)),
		newTask("4", map[string]any{"WhatId": account}, ref("Contact", contact), ref("Opportunity", deal)),
	))
	check := func(i int, who, what any) {
		t.Helper()
		f := w.record(res[i].ID).Fields
		if f["WhoId"] != who || f["WhatId"] != what {
			t.Errorf("task %d: WhoId %v, WhatId %v, want %v, %v", i, f["WhoId"], f["WhatId"], who, what)
		}
	}
	check(0, contact, deal)
	check(1, lead, nil)
	check(2, contact, account)
	check(3, contact, account)

	update := func(i int, link, unlink []crm.Ref) crm.Change {
		return crm.Change{Op: crm.Update, Object: "Task", ID: res[i].ID, Link: link, Unlink: unlink}
	}
	w.sim.ResetCounters()
	w.must(w.write(update(2, []crm.Ref{ref("Contact", contact)}, []crm.Ref{ref("Contact", other)})))
	if n := w.count("query all"); n != 0 {
		t.Errorf("%d queries to replace a link", n)
	}
	w.must(w.write(
		update(0, []crm.Ref{ref("Contact", other)}, []crm.Ref{ref("Contact", contact), ref("Opportunity", deal)}),
		update(1, nil, []crm.Ref{ref("Lead", lead)}),
		update(2, []crm.Ref{ref("Lead", lead)}, []crm.Ref{ref("Contact", contact)}),
		update(3, nil, []crm.Ref{ref("Opportunity", deal), ref("Contact", other)}),
	))
	check(0, other, nil)
	check(1, nil, nil)
	check(2, lead, nil)
	check(3, contact, account) // somebody else's links are left alone
}

func TestAPersonGoneBeforeTheirRecordIsWritten(t *testing.T) {
	w := ready(t)
	contact := w.add("Contact", map[string]any{"LastName": "K"})
	w.remove("Contact", contact)
	res := w.write(newTask("1", nil, crm.Ref{Object: "Contact", ID: contact}), newTask("2", map[string]any{"OwnerId": "005000000000XYZ"}))
	if res[0].Err == nil || crm.KindOf(res[0].Err) != crm.Gone {
		t.Errorf("%v, want Gone", res[0].Err)
	}
	if res[1].Err == nil || crm.KindOf(res[1].Err) != crm.Permanent {
		t.Errorf("a wrong owner: %v, want Permanent", res[1].Err)
	}
}

func TestCollectionsStayWithinTheirLimits(t *testing.T) {
	w := ready(t)
	var changes []crm.Change
	var contacts []string
	for i := range 5 {
		contacts = append(contacts, w.add("Contact", map[string]any{"LastName": fmt.Sprint(i)}))
	}
	w.sim.ResetCounters()
	for i := range 450 {
		c := newTask(fmt.Sprintf("call.%d", i), nil, crm.Ref{Object: "Contact", ID: contacts[i%5]})
		if i%2 == 1 {
			at := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
			c = crm.Change{Op: crm.Create, Object: "Event", Key: fmt.Sprintf("call.%d", i), Link: c.Link,
				Properties: props(map[string]any{"StartDateTime": crm.Time(at), "EndDateTime": crm.Time(at)})}
		}
		changes = append(changes, c)
	}
	w.must(w.write(changes...))
	if n := w.requests(); n > 4 {
		t.Errorf("%d requests for 450 records: %v", n, w.sim.Counts())
	}
}

func TestAMixedBatchGoesOutAsOneGraph(t *testing.T) {
	w := ready(t)
	res := w.must(w.write(newTask("1", nil), newTask("2", nil)))
	w.sim.ResetCounters()
	w.must(w.write(
		newTask("3", nil),
		crm.Change{Op: crm.Update, Object: "Task", ID: res[0].ID, Properties: props(map[string]any{"Subject": "New"})},
		crm.Change{Op: crm.Archive, Object: "Task", ID: res[1].ID},
	))
	if w.count("composite graph") != 1 || w.requests() != 1 {
		t.Errorf("requests: %v, want one composite graph", w.sim.Counts())
	}
	if w.record(res[0].ID).Fields["Subject"] != "New" || !w.record(res[1].ID).Deleted || len(w.sim.Records("Task")) != 3 {
		t.Error("the graph was not carried out")
	}
}

func TestHaltedGraphsAreSentAgain(t *testing.T) {
	w := ready(t)
	var old []string
	for i := range 25 {
		old = append(old, w.must(w.write(newTask(fmt.Sprintf("old.%d", i), nil)))[0].ID)
	}
	contact := w.add("Contact", map[string]any{"LastName": "K"})
	w.sim.ResetCounters()
	var changes []crm.Change
	for i, id := range old {
		subject := "fine"
		if i < 20 {
			subject = strings.Repeat("x", 300)
		}
		changes = append(changes, crm.Change{Op: crm.Update, Object: "Task", ID: id, Properties: props(map[string]any{"Subject": subject})})
	}
	link := crm.Ref{Object: "Contact", ID: contact}
	// One graph of two: the good one is rolled back with the bad one.
	changes = append(changes, newTask("new.1", nil, link), newTask("new.2", map[string]any{"Subject": strings.Repeat("x", 300)}, link))
	res := w.write(changes...)
	if w.count("composite graph") != 1 {
		t.Fatalf("requests: %v, want a composite graph", w.sim.Counts())
	}
	for i, r := range res {
		bad := i < 20 || i == 26
		if bad && (r.Err == nil || asError(t, r.Err).Code != "STRING_TOO_LONG") || !bad && r.Err != nil {
			t.Errorf("change %d: %v", i, r.Err)
		}
	}
	for _, id := range old[20:] {
		if w.record(id).Fields["Subject"] != "fine" {
			t.Errorf("%s was halted and not sent again", id)
		}
	}
	if w.record(res[25].ID).Fields["callsync_key__c"] != "new.1" {
		t.Error("the rolled back task was not sent again")
	}
}

func TestValuesThatLookLikeReferencesStayText(t *testing.T) {
	w := ready(t)
	contact := crm.Ref{Object: "Contact", ID: w.add("Contact", map[string]any{"LastName": "K"})}
	id := w.must(w.write(newTask("1", nil)))[0].ID
	res := w.must(w.write(
		newTask("2", nil, contact),
		newTask("3", map[string]any{"Description": "said @{r0.id}, really"}, contact),
		crm.Change{Op: crm.Update, Object: "Task", ID: id, Properties: props(map[string]any{"Subject": "@{nobody.id}"})},
	))
	if got := w.record(res[1].ID).Fields["Description"]; got != "said @{r0.id}, really" {
		t.Errorf("Description = %q", got)
	}
	if got := w.record(id).Fields["Subject"]; got != "@{nobody.id}" {
		t.Errorf("Subject = %q", got)
	}
}

func TestAFailedRequestIsNotRepeatedForTheRest(t *testing.T) {
	w := ready(t)
	w.sim.AddFault(sandbox.Fault{Operation: "collections create", Status: 503, Kind: "SERVER_UNAVAILABLE"})
	var changes []crm.Change
	for i := range 450 {
		changes = append(changes, newTask(fmt.Sprint(i), nil))
	}
	for i, r := range w.write(changes...) {
		if crm.KindOf(r.Err) != crm.Transient || r.Err == nil {
			t.Fatalf("change %d: %v, want Transient", i, r.Err)
		}
	}
	if n := w.count("collections create"); n != 1 {
		t.Errorf("%d requests, want 1: the rest would have met the same", n)
	}
}

func TestParentsKeepOutOfEachOthersLocks(t *testing.T) {
	w := ready(t, func(s *salesforcesim.Settings) { s.LockParents = true })
	account := w.add("Account", map[string]any{"Name": "A"})
	var changes []crm.Change
	for i := range 100 {
		c := w.add("Contact", map[string]any{"LastName": fmt.Sprint(i), "AccountId": account})
		for j := range 5 {
			changes = append(changes, newTask(fmt.Sprintf("%d/%d", i, j), nil, crm.Ref{Object: "Contact", ID: c}, crm.Ref{Object: "Account", ID: account}))
		}
	}
	w.must(w.write(changes...))
}

func TestAGraphThatFailsAsAWhole(t *testing.T) {
	w := ready(t)
	id := w.must(w.write(newTask("1", nil)))[0].ID
	update := crm.Change{Op: crm.Update, Object: "Task", ID: id, Properties: props(map[string]any{"Subject": "New"})}
	fault, _ := w.sim.AddFault(sandbox.Fault{Operation: "composite graph", Status: 503})
	w.sim.ResetCounters()
	for i, r := range w.write(newTask("2", nil), update) {
		if r.Err == nil || crm.KindOf(r.Err) != crm.Transient {
			t.Errorf("change %d: %v, want Transient", i, r.Err)
		}
	}
	if n := w.requests(); n != 1 {
		t.Errorf("%d requests: a write whose outcome is unknown was repeated", n)
	}
	w.sim.RemoveFault(fault)
	w.sim.AddFault(sandbox.Fault{Operation: "composite graph", Status: 400, Kind: "INVALID_INPUT"})
	w.must(w.write(newTask("2", nil), update))
	if w.record(id).Fields["Subject"] != "New" || len(w.sim.Records("Task")) != 2 {
		t.Error("what a refused graph held was not written by collections")
	}
}

func TestAnIncompleteAnswerIsUnknownToAll(t *testing.T) {
	w := ready(t)
	w.sim.AddFault(sandbox.Fault{Operation: "collections create", Status: 200, ContentType: "application/json", Body: `[{"id":"00T000000000001AAA","success":true}]`})
	for i, r := range w.write(newTask("1", nil), newTask("2", nil)) {
		if r.Err == nil || crm.KindOf(r.Err) != crm.Transient {
			t.Errorf("change %d: %+v, want Transient", i, r)
		}
	}
}

func TestOnlyActivitiesAreLinked(t *testing.T) {
	w := ready(t)
	res := w.write(
		crm.Change{Op: crm.Update, Object: "Contact", ID: "003000000000001", Link: []crm.Ref{{Object: "Account", ID: "001000000000001"}}},
		newTask("1", nil, crm.Ref{Object: "Contact", ID: "nonsense"}),
		crm.Change{Op: crm.Update, Object: "Task", ID: "nonsense", Properties: props(map[string]any{"Subject": "S"})},
		crm.Change{Op: crm.Create, Object: "Nonesuch__c", Key: "1"},
	)
	for i, r := range res {
		if r.Err == nil || crm.KindOf(r.Err) != crm.Permanent {
			t.Errorf("change %d: %v, want Permanent", i, r.Err)
		}
	}
}

func TestLookingForABadRecordCostsABoundedNumberOfRequests(t *testing.T) {
	w := ready(t)
	var changes []crm.Change
	for i := range 200 {
		changes = append(changes, newTask(fmt.Sprint(i), map[string]any{"ActivityDate": "no date"}))
	}
	w.sim.ResetCounters()
	for i, r := range w.write(changes...) {
		if r.Err == nil || crm.KindOf(r.Err) != crm.Permanent {
			t.Fatalf("change %d: %v, want Permanent", i, r.Err)
		}
	}
	if n := w.count("collections create"); n > 81 {
		t.Errorf("%d requests", n)
	}
	w.sim.AddFault(sandbox.Fault{Operation: "collections create", Status: 404, Kind: "NOT_FOUND"})
	w.sim.ResetCounters()
	w.write(changes...)
	if n := w.count("collections create"); n != 1 {
		t.Errorf("%d requests for a resource that is not there", n)
	}
}

func TestALinkThatMayNotBeWrittenIsSaid(t *testing.T) {
	w := ready(t, func(s *salesforcesim.Settings) { s.ReadOnlyFields = []string{"Task.WhoId"} })
	contact := w.add("Contact", map[string]any{"LastName": "K"})
	e := asError(t, w.write(newTask("1", nil, crm.Ref{Object: "Contact", ID: contact}))[0].Err)
	if e.Kind != crm.Permanent || e.Property != "WhoId" || e.Hint == "" {
		t.Errorf("%+v, want Permanent naming WhoId", e)
	}
}

func TestANodeOfARolledBackGraphIsSentAgain(t *testing.T) {
	w := ready(t)
	id := w.must(w.write(newTask("1", nil)))[0].ID
	w.sim.AddFault(sandbox.Fault{Operation: "composite graph", Status: 200, ContentType: "application/json", Times: 1, Body: `{"graphs":[
		{"graphId":"g0","isSuccessful":false,"graphResponse":{"compositeResponse":[
			{"referenceId":"r0","httpStatusCode":201,"body":{"id":"00T000000000001EAA","success":true}}]}}]}`})
	res := w.write(
		newTask("2", nil),
		crm.Change{Op: crm.Update, Object: "Task", ID: id, Properties: props(map[string]any{"Subject": "New"})},
	)
	if res[0].Err != nil || w.record(res[0].ID).Fields["callsync_key__c"] != "2" {
		t.Errorf("%+v, want the rolled back task written after all", res[0])
	}
	if res[1].Err == nil || crm.KindOf(res[1].Err) != crm.Transient {
		t.Errorf("%v, want Transient: the answer says nothing of it", res[1].Err)
	}
}
