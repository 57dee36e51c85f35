package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/store"
)

var applyTests = []test{
	{"a state comes back whole", testStateWhole},
	{"a state meets a newer wish", testMerge},
	{"records are replaced by key", testRecords},
	{"records of other calls and destinations stay", testRecordsApart},
	{"unknown calls are left out", testApplyUnknown},
	{"identities", testIdentities},
	{"people", testPeople},
	{"people who moved", testMoved},
	{"people who moved twice at once", testMovedChain},
	{"people who moved and are unknown", testMovedUnknown},
	{"large rows", testLargeRows},
	{"what cannot be encoded", testApplyUnencodable},
}

func testStateWhole(t *testing.T, open Open) {
	f := start(t, open, "hubspot")
	f.accepted("call", at(0))
	want := store.State{
		Status: store.Failed, Wanted: 1, Done: 1, Since: at(1), Next: at(2), Lane: store.Replay, Force: true, Recreate: true, Undone: at(6),
		Attempts: 3, SyncedAt: at(3), Revision: 1, Mapping: "v1", Reason: "because",
		Problem: &store.Problem{
			At: at(4), Kind: crm.Permanent, Record: "call.call#call", Code: "INVALID_OPTION", Text: "no such option",
			Hint: "run setup", RequestID: "r-1",
		},
		Warnings: []string{"one", "two"},
		Person: &store.Choice{
			Ref: crm.Ref{Object: "contacts", ID: "7"}, How: "rule 2: phone",
			Candidates: []crm.Candidate{{Ref: crm.Ref{Object: "contacts", ID: "8"}, Rule: 1, Exact: true, Modified: at(5)}},
		},
	}
	f.apply("hubspot", store.Update{States: map[string]store.State{"call": want}})
	same(t, "state", f.load("hubspot", "call").State, want)
	same(t, "listed", f.calls(store.CallFilter{})[0].States, map[string]store.State{"hubspot": want})
	f.apply("hubspot", store.Update{})
	same(t, "after an empty update", f.load("hubspot", "call").State, want)
}

func testMerge(t *testing.T, open Open) {
	f := start(t, open, "hubspot")
	f.accepted("call", at(0))
	loaded := f.load("hubspot", "call").State

	f.deliver(delivery("call", julian.Busy, "corrected meanwhile", at(5)))
	_, err := f.Request(f.ctx(), "hubspot", []string{"call"}, store.Request{At: at(6), Force: true, Recreate: true, Redo: true})
	f.ok(err)

	done := loaded
	done.Status, done.Done, done.Since, done.Next, done.SyncedAt = store.Synced, loaded.Wanted, at(7), time.Time{}, at(7)
	done.Revision, done.Mapping = 1, "v1"
	f.apply("hubspot", store.Update{States: map[string]store.State{"call": done}})
	want := store.State{
		Status: store.Pending, Wanted: 3, Done: 1, Since: at(0), Next: at(5), Force: true, Recreate: true, Redo: true,
		SyncedAt: at(7), Revision: 1, Mapping: "v1",
	}
	same(t, "state", f.load("hubspot", "call").State, want)
	same(t, "due", f.due("hubspot", at(6)), []string{"call"})
	same(t, "counted", f.stats().Destinations, map[string]map[store.Status]int64{"hubspot": {store.Pending: 1}})

	f.finish("hubspot", "call", at(8))
	same(t, "due when done", f.due("hubspot", at(100)), []string(nil))
}

func record(callID, name string) store.Record {
	return store.Record{
		Key: callID + "#" + name, Block: name, Object: "calls", ID: "id of " + name,
		Properties: map[string]store.Applied{"hs_call_title": {Value: crm.Str("Call"), Kept: "a person wrote it"}},
		Links:      []crm.Ref{{Object: "contacts", ID: "7"}},
	}
}

func testRecords(t *testing.T, open Open) {
	f := start(t, open, "hubspot")
	f.accepted("call", at(0))
	one, two := record("call", "one"), record("call", "two")
	one.ID, one.Intent = "", at(1)
	f.apply("hubspot", store.Update{Records: map[string][]store.Record{"call": {one, two}}})
	same(t, "written", f.load("hubspot", "call").Records, map[string]store.Record{one.Key: one, two.Key: two})

	one.ID, one.Intent, one.Properties = "55", time.Time{}, map[string]store.Applied{"x": {Value: crm.Int(1)}}
	two.Gone, two.Retracted = at(9), true
	three := record("call", "three\x00#")
	f.apply("hubspot", store.Update{Records: map[string][]store.Record{"call": {one, two, three}}})
	want := map[string]store.Record{one.Key: one, two.Key: two, three.Key: three}
	same(t, "replaced", f.load("hubspot", "call").Records, want)

	f.apply("hubspot", store.Update{Forget: map[string][]string{"call": {two.Key, "call#never"}}})
	delete(want, two.Key)
	same(t, "forgotten", f.load("hubspot", "call").Records, want)
}

func testRecordsApart(t *testing.T, open Open) {
	f := start(t, open, "hub", "hubspot")
	written := make(map[string]store.Record)
	for i, id := range names() {
		f.accepted(id, at(i))
		for _, destination := range []string{"hub", "hubspot"} {
			r := record(id, destination)
			written[id+" "+destination] = r
			f.apply(destination, store.Update{Records: map[string][]store.Record{id: {r}}})
		}
	}
	for _, id := range names() {
		for _, destination := range []string{"hub", "hubspot"} {
			r := written[id+" "+destination]
			same(t, fmt.Sprintf("call %q at %s", id, destination),
				f.load(destination, id).Records, map[string]store.Record{r.Key: r})
		}
	}
	works, err := f.View(f.ctx(), "a")
	f.ok(err)
	if len(works) != 2 || works[0].Destination != "hub" || works[1].Destination != "hubspot" {
		t.Fatalf("View: %+v", works)
	}
	for _, w := range works {
		r := written["a "+w.Destination]
		same(t, "View at "+w.Destination, w.Records, map[string]store.Record{r.Key: r})
	}
}

func testApplyUnknown(t *testing.T, open Open) {
	f := start(t, open, "hubspot")
	f.accepted("call", at(0))
	s := f.load("hubspot", "call").State
	s.Status, s.Done, s.Next = store.Skipped, s.Wanted, time.Time{}
	f.apply("hubspot", store.Update{
		States:  map[string]store.State{"call": s, "nobody": {Status: store.Pending, Wanted: 1, Next: at(1)}},
		Records: map[string][]store.Record{"nobody": {record("nobody", "one")}},
		Forget:  map[string][]string{"nobody": {"nobody#one"}},
	})
	same(t, "the known one", f.load("hubspot", "call").State, s)
	same(t, "due", f.due("hubspot", at(100)), []string(nil))
	same(t, "calls", f.callIDs(store.CallFilter{}), []string{"call"})
	same(t, "counted", f.stats().Destinations, map[string]map[store.Status]int64{"hubspot": {store.Skipped: 1}})
}

func (f *fixture) identities(destination string, keys ...string) map[string]store.Identity {
	f.t.Helper()
	got, err := f.Identities(f.ctx(), destination, keys)
	f.ok(err)
	return got
}

func (f *fixture) people(destination string, refs ...crm.Ref) map[crm.Ref]store.Person {
	f.t.Helper()
	got, err := f.People(f.ctx(), destination, refs)
	f.ok(err)
	return got
}

func contact(id string) crm.Ref { return crm.Ref{Object: "contacts", ID: id} }

func testIdentities(t *testing.T, open Open) {
	f := start(t, open)
	mail := store.Identity{Ref: contact("7"), How: "email", At: at(1)}
	coming := store.Identity{Key: "+15551234567", Intent: at(2)}
	f.apply("hubspot", store.Update{Identities: map[string]store.Identity{"email:j@example.com": mail, "phone:+15551234567": coming}})
	all := []string{"email:j@example.com", "phone:+15551234567", "email:nobody@example.com", ""}
	same(t, "written", f.identities("hubspot", all...),
		map[string]store.Identity{"email:j@example.com": mail, "phone:+15551234567": coming})
	same(t, "elsewhere", f.identities("salesforce", all...), map[string]store.Identity{})

	coming = store.Identity{Ref: contact("9"), How: "created", At: at(3)}
	f.apply("hubspot", store.Update{Identities: map[string]store.Identity{"email:j@example.com": {}, "phone:+15551234567": coming, "x": {}}})
	same(t, "dropped and replaced", f.identities("hubspot", all...), map[string]store.Identity{"phone:+15551234567": coming})
}

func applied(text, call string, when time.Time) store.Applied {
	return store.Applied{Value: crm.Str(text), Call: call, At: when}
}

// elsewhere is what was applied to somebody, as it stands with whom they became:
// the CRM may have kept the other's value.
func elsewhere(a store.Applied) store.Applied {
	a.Unsure, a.Sent = true, a.Value
	return a
}

func testPeople(t *testing.T, open Open) {
	f := start(t, open)
	jane := store.Person{
		Properties: map[string]store.Applied{"firstname": applied("Jane", "call", at(1)), "owner": {Value: crm.LookupOf("owner", "x"), Wire: "12"}},
		Created:    "call",
	}
	f.apply("hubspot", store.Update{People: map[crm.Ref]store.Person{contact("7"): jane}})
	lead := crm.Ref{Object: "contact", ID: "s7"} // "contacts7" the other way
	same(t, "written", f.people("hubspot", contact("7"), contact("8"), lead), map[crm.Ref]store.Person{contact("7"): jane})
	same(t, "elsewhere", f.people("salesforce", contact("7")), map[crm.Ref]store.Person{})

	jane.Properties = map[string]store.Applied{"lastname": applied("Doe", "call", at(2))}
	f.apply("hubspot", store.Update{People: map[crm.Ref]store.Person{contact("7"): jane}})
	same(t, "replaced whole", f.people("hubspot", contact("7")), map[crm.Ref]store.Person{contact("7"): jane})
}

func testMoved(t *testing.T, open Open) {
	f := start(t, open)
	lead, person := crm.Ref{Object: "Lead", ID: "1"}, crm.Ref{Object: "Contact", ID: "2"}
	f.apply("salesforce", store.Update{
		People: map[crm.Ref]store.Person{
			lead: {Created: "first", Properties: map[string]store.Applied{
				"only old": applied("a", "first", at(1)), "older": applied("b", "first", at(1)), "newer": applied("c", "third", at(3)),
			}},
			person: {Properties: map[string]store.Applied{
				"only new": applied("d", "second", at(2)), "older": applied("e", "second", at(2)), "newer": applied("f", "second", at(2)),
			}},
		},
		Identities: map[string]store.Identity{
			"email:a@example.com": {Ref: lead, How: "email", At: at(1)},
			"phone:+1":            {Ref: lead, How: "created", At: at(1)},
			"email:b@example.com": {Ref: person, How: "email", At: at(1)},
			"phone:+2":            {Ref: crm.Ref{Object: "Lead", ID: "12"}, At: at(1)},
		},
	})
	f.apply("salesforce", store.Update{Moved: map[crm.Ref]crm.Ref{lead: person}})
	same(t, "people", f.people("salesforce", lead, person), map[crm.Ref]store.Person{
		lead: {MovedTo: person},
		person: {Properties: map[string]store.Applied{
			"only old": elsewhere(applied("a", "first", at(1))), "only new": applied("d", "second", at(2)),
			"older": applied("e", "second", at(2)), "newer": elsewhere(applied("c", "third", at(3))),
		}},
	})
	same(t, "identities", f.identities("salesforce", "email:a@example.com", "phone:+1", "email:b@example.com", "phone:+2"),
		map[string]store.Identity{
			"email:a@example.com": {Ref: person, How: "email", At: at(1)},
			"phone:+1":            {Ref: person, How: "created", At: at(1)},
			"email:b@example.com": {Ref: person, How: "email", At: at(1)},
			"phone:+2":            {Ref: crm.Ref{Object: "Lead", ID: "12"}, At: at(1)},
		})

	// A second move takes along what the first brought, and what the same
	// update says about the person is the last word.
	third := crm.Ref{Object: "Contact", ID: "3"}
	told := store.Person{Properties: map[string]store.Applied{"x": applied("y", "fourth", at(4))}}
	f.apply("salesforce", store.Update{
		Moved:      map[crm.Ref]crm.Ref{person: third},
		People:     map[crm.Ref]store.Person{third: told},
		Identities: map[string]store.Identity{"phone:+1": {}},
	})
	same(t, "people told anew", f.people("salesforce", lead, person, third),
		map[crm.Ref]store.Person{lead: {MovedTo: person}, person: {MovedTo: third}, third: told})
	same(t, "identities again", f.identities("salesforce", "email:a@example.com", "phone:+1", "email:b@example.com"),
		map[string]store.Identity{
			"email:a@example.com": {Ref: third, How: "email", At: at(1)},
			"email:b@example.com": {Ref: third, How: "email", At: at(1)},
		})
}

func testMovedChain(t *testing.T, open Open) {
	for i := range 5 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			f := start(t, open)
			u := store.Update{
				People:     map[crm.Ref]store.Person{},
				Identities: map[string]store.Identity{},
				Moved:      map[crm.Ref]crm.Ref{contact("a"): contact("b"), contact("b"): contact("c"), contact("x"): contact("x")},
			}
			for k, id := range []string{"a", "b", "c", "x"} {
				u.People[contact(id)] = store.Person{Properties: map[string]store.Applied{id: applied(id, id, at(k)), "all": applied(id, id, at(k))}}
				u.Identities[id] = store.Identity{Ref: contact(id)}
			}
			moved := u.Moved
			u.Moved = nil
			f.apply("hubspot", u)
			f.apply("hubspot", store.Update{Moved: moved})
			same(t, "people", f.people("hubspot", contact("a"), contact("b"), contact("c"), contact("x")), map[crm.Ref]store.Person{
				contact("a"): {MovedTo: contact("c")}, contact("b"): {MovedTo: contact("c")},
				contact("c"): {Properties: map[string]store.Applied{
					"a": elsewhere(applied("a", "a", at(0))), "b": elsewhere(applied("b", "b", at(1))), "c": applied("c", "c", at(2)), "all": applied("c", "c", at(2)),
				}},
				contact("x"): {Properties: map[string]store.Applied{"x": applied("x", "x", at(3)), "all": applied("x", "x", at(3))}},
			})
			same(t, "identities", f.identities("hubspot", "a", "b", "c", "x"), map[string]store.Identity{
				"a": {Ref: contact("c")}, "b": {Ref: contact("c")}, "c": {Ref: contact("c")}, "x": {Ref: contact("x")},
			})
		})
	}
}

func testMovedUnknown(t *testing.T, open Open) {
	f := start(t, open)
	f.apply("hubspot", store.Update{Moved: map[crm.Ref]crm.Ref{contact("a"): contact("b")}})
	same(t, "nothing was applied to either", f.people("hubspot", contact("a"), contact("b")),
		map[crm.Ref]store.Person{contact("a"): {MovedTo: contact("b")}})

	told := store.Person{Properties: map[string]store.Applied{"x": applied("y", "call", at(1))}}
	f.apply("hubspot", store.Update{People: map[crm.Ref]store.Person{contact("b"): told}})
	f.apply("hubspot", store.Update{Moved: map[crm.Ref]crm.Ref{contact("b"): contact("a")}})
	told.Properties = map[string]store.Applied{"x": elsewhere(applied("y", "call", at(1)))}
	same(t, "and back", f.people("hubspot", contact("a"), contact("b")),
		map[crm.Ref]store.Person{contact("a"): told, contact("b"): {MovedTo: contact("a")}})
}

func testLargeRows(t *testing.T, open Open) {
	f := start(t, open, "hubspot")
	f.accepted("call", at(0))
	r := record("call", "call")
	r.Properties["hs_call_body"] = store.Applied{Value: crm.Str(strings.Repeat("<p>she said — \"yes\"</p>\n", 20_000))}
	s := f.load("hubspot", "call").State
	s.Warnings = []string{strings.Repeat("the address is no user of the portal; ", 500)}
	p := store.Person{Properties: map[string]store.Applied{"notes": applied(strings.Repeat("x", 70_000), "call", at(1))}}
	f.apply("hubspot", store.Update{
		States:  map[string]store.State{"call": s},
		Records: map[string][]store.Record{"call": {r}},
		People:  map[crm.Ref]store.Person{contact("7"): p},
	})
	w := f.load("hubspot", "call")
	same(t, "record", w.Records[r.Key], r)
	same(t, "state", w.State, s)
	same(t, "person", f.people("hubspot", contact("7"))[contact("7")], p)
}

// One value that has no form in the journal stops the whole update, so the error
// must lead to the call it came from.
func testApplyUnencodable(t *testing.T, open Open) {
	f := start(t, open, "hubspot")
	f.accepted("bad", at(0))
	f.accepted("good", at(0))
	before := f.load("hubspot", "good")
	beyond := time.Date(9999, 12, 31, 23, 59, 59, 0, time.FixedZone("", -5*3600)).UTC()
	ref := crm.Ref{Object: "contacts", ID: "creating:+15551230001"}
	updates := map[string]store.Update{
		"state":    {States: map[string]store.State{"bad": {Status: store.Synced, SyncedAt: beyond}}},
		"record":   {Records: map[string][]store.Record{"bad": {{Key: "bad#call", Intent: beyond}}}},
		"property": {People: map[crm.Ref]store.Person{ref: {Properties: map[string]store.Applied{"phone": {Call: "bad", At: beyond}}}}},
		"claim":    {People: map[crm.Ref]store.Person{ref: {Claims: map[string][]store.Claim{"phone": {{Call: "good", At: at(1)}, {Call: "bad", At: beyond}}}}}},
	}
	for what, u := range updates {
		if u.States == nil {
			u.States = map[string]store.State{}
		}
		u.States["good"] = store.State{Status: store.Synced, Wanted: 1, Done: 1, Since: at(1)}
		err := f.Apply(f.ctx(), "hubspot", u)
		if err == nil || !strings.Contains(err.Error(), "call bad") || strings.Contains(err.Error(), "call good") {
			t.Errorf("%s: %v, want an error that names the call", what, err)
		} else if strings.Contains(err.Error(), "+15551230001") {
			t.Errorf("%s: the error holds a phone number: %v", what, err)
		}
		same(t, "the other call after "+what, f.load("hubspot", "good"), before)
	}
}
