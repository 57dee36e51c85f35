package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/store"
)

var forgetTests = []test{
	{"erase a call", testEraseCall},
	{"erase people", testErasePeople},
	{"erase rejected deliveries", testEraseRejected},
	{"list identities and people", testListPeople},
	{"compact", testCompact},
	{"compact while others write", testCompactBusy},
	{"bodies expire", testBodiesExpire},
	{"deliveries expire", testDeliveriesExpire},
	{"what is not settled stays", testUnsettledStays},
}

func (f *fixture) erase(e store.Erasure) store.Erased {
	f.t.Helper()
	out, err := f.Erase(f.ctx(), e)
	f.ok(err)
	return out
}

// expire runs an expiry to its end, two rows a step.
func (f *fixture) expire(x store.Expiry) (bodies, deliveries int) {
	f.t.Helper()
	x.Limit = 2
	for range 1000 {
		out, err := f.Expire(f.ctx(), x)
		f.ok(err)
		bodies, deliveries = bodies+out.Bodies, deliveries+out.Deliveries
		if out.Next == nil {
			return bodies, deliveries
		}
		x.From = out.Next
	}
	f.t.Fatal("the expiry does not end")
	return 0, 0
}

func testEraseCall(t *testing.T, open Open) {
	f := start(t, open, "hubspot", "salesforce")
	f.accepted("goes", at(0))
	f.accepted("goes too", at(1)) // the same beginning
	f.deliver(delivery("goes", julian.GoalCompleted, "corrected", at(2)))
	f.deliver(delivery("goes", julian.GoalCompleted, "corrected", at(3)))
	f.finish("hubspot", "goes", at(4))
	f.apply("hubspot", store.Update{Records: map[string][]store.Record{"goes": {record("goes", "call"), record("goes", "task")}}})

	before := f.stats()
	same(t, "what went", f.erase(store.Erasure{Calls: []string{"goes", "never there"}}),
		store.Erased{Calls: 1, Bodies: 2, Deliveries: 3, States: 2, Records: 2})

	if _, err := f.Call(f.ctx(), "goes"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the call: %v, want ErrNotFound", err)
	}
	if _, err := f.Revisions(f.ctx(), "goes"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("its revisions: %v, want ErrNotFound", err)
	}
	same(t, "calls left", f.callIDs(store.CallFilter{}), []string{"goes too"})
	same(t, "synced calls left", len(f.callIDs(store.CallFilter{Status: store.Synced})), 0)
	same(t, "due left", f.due("salesforce", at(9)), []string{"goes too"})
	if got := f.deliveries(store.DeliveryFilter{}); len(got) != 1 || got[0].CallID != "goes too" {
		t.Errorf("deliveries left: %v", got)
	}
	same(t, "deliveries by verdict left", len(f.deliveries(store.DeliveryFilter{Verdict: store.Revised})), 0)
	same(t, "deliveries by call left", len(f.deliveries(store.DeliveryFilter{CallID: "goes"})), 0)
	after := f.stats()
	if before.Calls != 2 || after.Calls != 1 {
		t.Errorf("%d calls counted before, %d after", before.Calls, after.Calls)
	}
	if after.Deliveries[store.Accepted] != 1 || after.Deliveries[store.Revised]+after.Deliveries[store.Duplicate] != 0 {
		t.Errorf("deliveries counted: %v", after.Deliveries)
	}
	if after.Destinations["hubspot"][store.Synced] != 0 || after.Destinations["salesforce"][store.Pending] != 1 {
		t.Errorf("states counted: %v", after.Destinations)
	}

	same(t, "what goes again", f.erase(store.Erasure{Calls: []string{"goes"}}), store.Erased{})
	f.accepted("goes", at(10)) // nothing is remembered of it
	if n := f.load("hubspot", "goes"); n.Call.Revision != 1 || len(n.Records) != 0 || n.State.Wanted != 1 {
		t.Errorf("delivered again: %+v", n)
	}
}

func testErasePeople(t *testing.T, open Open) {
	f := start(t, open, "hubspot", "salesforce")
	jane, joe := contact("1"), contact("12")
	person := func(value string) store.Person {
		return store.Person{Properties: map[string]store.Applied{"phone": applied(value, "call", at(1))}}
	}
	for _, destination := range []string{"hubspot", "salesforce"} {
		f.apply(destination, store.Update{
			People: map[crm.Ref]store.Person{jane: person("jane"), joe: person("joe")},
			Identities: map[string]store.Identity{
				"email:jane@example.com": {Ref: jane}, "phone:+1": {Ref: jane}, "phone:+12": {Ref: joe},
				"phone:+3": {Key: "+3", Intent: at(1)},
			},
		})
	}
	out := f.erase(store.Erasure{
		People:     map[string][]crm.Ref{"hubspot": {jane, contact("nobody")}},
		Identities: map[string][]string{"hubspot": {"phone:+3", "phone:+404"}},
		Kept:       map[string]map[crm.Ref]store.Person{"salesforce": {joe: person("changed")}},
	})
	same(t, "what went", out, store.Erased{People: 1, Identities: 3})
	all := []string{"email:jane@example.com", "phone:+1", "phone:+12", "phone:+3"}
	same(t, "identities left at hubspot", f.identities("hubspot", all...), map[string]store.Identity{"phone:+12": {Ref: joe}})
	same(t, "identities left at salesforce", len(f.identities("salesforce", all...)), 4)
	same(t, "people left at hubspot", f.people("hubspot", jane, joe), map[crm.Ref]store.Person{joe: person("joe")})
	same(t, "people left at salesforce", f.people("salesforce", jane, joe), map[crm.Ref]store.Person{jane: person("jane"), joe: person("changed")})

	// Nothing that named them comes back with somebody else's move.
	f.apply("hubspot", store.Update{Moved: map[crm.Ref]crm.Ref{jane: joe}})
	same(t, "identities after a move", f.identities("hubspot", all...), map[string]store.Identity{"phone:+12": {Ref: joe}})
}

func testEraseRejected(t *testing.T, open Open) {
	f := start(t, open)
	one := f.deliver(rejection("one", at(0))).Seq
	two := f.deliver(rejection("two", at(1))).Seq
	same(t, "what went", f.erase(store.Erasure{Deliveries: []uint64{one, 999}}), store.Erased{Bodies: 1, Deliveries: 1})
	if _, err := f.Quarantined(f.ctx(), one); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("its body: %v, want ErrNotFound", err)
	}
	if body, err := f.Quarantined(f.ctx(), two); err != nil || string(body) != "two" {
		t.Errorf("the other's body: %q, %v", body, err)
	}
	if got := f.deliveries(store.DeliveryFilter{Verdict: store.Rejected}); len(got) != 1 || got[0].Seq != two {
		t.Errorf("rejections left: %v", got)
	}
	if n := f.stats().Deliveries[store.Rejected]; n != 1 {
		t.Errorf("%d rejections counted, want 1", n)
	}
}

func testListPeople(t *testing.T, open Open) {
	f := start(t, open)
	const many = 450 // more than fits in a page
	for _, destination := range []string{"a", "a\x00b"} {
		u := store.Update{People: map[crm.Ref]store.Person{}, Identities: map[string]store.Identity{}}
		for i := range many {
			u.People[contact(fmt.Sprint(i))] = store.Person{Created: destination}
			u.Identities[fmt.Sprint("phone:", i)] = store.Identity{Ref: contact(fmt.Sprint(i)), How: destination}
		}
		f.apply(destination, u)
	}
	people, identities := map[string]bool{}, map[string]bool{}
	for p, err := range f.AllPeople(f.ctx()) {
		f.ok(err)
		if p.Created != p.Destination || p.Ref.Object != contact("").Object {
			t.Fatalf("mixed up: %+v", p)
		}
		people[p.Destination+" "+p.Ref.ID] = true
	}
	for i, err := range f.AllIdentities(f.ctx()) {
		f.ok(err)
		if i.How != i.Destination || i.Key != "phone:"+i.ID {
			t.Fatalf("mixed up: %+v", i)
		}
		identities[i.Destination+" "+i.ID] = true
	}
	if len(people) != 2*many || len(identities) != 2*many {
		t.Errorf("%d people and %d identities, want %d of each", len(people), len(identities), 2*many)
	}
}

func testBodiesExpire(t *testing.T, open Open) {
	f := start(t, open, "hubspot")
	for i := range 5 {
		id := fmt.Sprint("call", i)
		f.accepted(id, at(i))
		f.deliver(delivery(id, julian.GoalCompleted, "corrected", at(10+i)))
		f.finish("hubspot", id, at(20))
	}
	if bodies, deliveries := f.expire(store.Expiry{}); bodies+deliveries != 0 {
		t.Errorf("dropped without a limit of age: %d bodies, %d deliveries", bodies, deliveries)
	}
	bodies, deliveries := f.expire(store.Expiry{Bodies: at(13)})
	if bodies != 6 || deliveries != 0 {
		t.Errorf("%d bodies and %d deliveries dropped, want the 2 bodies of 3 calls", bodies, deliveries)
	}
	if again, _ := f.expire(store.Expiry{Bodies: at(13)}); again != 0 {
		t.Errorf("%d bodies dropped a second time", again)
	}

	old, young := f.load("hubspot", "call2"), f.load("hubspot", "call3")
	if old.Body != nil || old.Call.HasBody() || old.State.Status != store.Synced {
		t.Errorf("an expired call: %+v", old)
	}
	if young.Body == nil || !young.Call.HasBody() {
		t.Errorf("a call revised later: %+v", young)
	}
	revisions, err := f.Revisions(f.ctx(), "call2")
	f.ok(err)
	if len(revisions) != 2 || revisions[0].Body != nil || revisions[1].Body != nil || revisions[0].Hash == "" {
		t.Errorf("its revisions: %+v", revisions)
	}
	views, err := f.View(f.ctx(), "call2")
	f.ok(err)
	if len(views) != 1 || views[0].Body != nil {
		t.Errorf("its view: %+v", views)
	}

	// What is gone cannot be synced again, but is still recognized.
	n, err := f.Request(f.ctx(), "hubspot", []string{"call2", "call3"}, store.Request{At: at(30)})
	f.ok(err)
	if due := f.due("hubspot", at(30)); n != 1 || !slices.Equal(due, []string{"call3"}) {
		t.Errorf("Request: %d, due %v; want call3 alone", n, due)
	}
	if r := f.deliver(delivery("call2", julian.GoalCompleted, "corrected", at(31))); r.Verdict != store.Duplicate {
		t.Errorf("the same again: %s", r.Verdict)
	}
	if r := f.deliver(delivery("call2", julian.GoalCompleted, "as first told", at(31))); r.Verdict != store.Stale {
		t.Errorf("the older again: %s", r.Verdict)
	}
	next := delivery("call2", julian.GoalCompleted, "corrected once more", at(32))
	if r := f.deliver(next); r.Verdict != store.Revised || r.Revision != 3 {
		t.Errorf("a correction: %+v", r)
	}
	if w := f.load("hubspot", "call2"); !bytes.Equal(w.Body, next.Body) || w.State.Status != store.Pending {
		t.Errorf("the corrected call: %+v", w)
	}
	revisions, err = f.Revisions(f.ctx(), "call2")
	f.ok(err)
	if len(revisions) != 3 || revisions[1].Body != nil || revisions[2].Body == nil {
		t.Errorf("the corrected call's revisions: %+v", revisions)
	}
}

func testDeliveriesExpire(t *testing.T, open Open) {
	f := start(t, open, "hubspot")
	for i := range 4 {
		f.accepted(fmt.Sprint("call", i), at(i))
		f.finish("hubspot", fmt.Sprint("call", i), at(5))
	}
	f.deliver(delivery("call0", julian.GoalCompleted, "as first told", at(10)))
	rejected := f.deliver(rejection("junk", at(11))).Seq
	f.accepted("late", at(20))
	f.finish("hubspot", "late", at(21))
	bodies, deliveries := f.expire(store.Expiry{Deliveries: at(20)})
	if bodies != 0 || deliveries != 6 {
		t.Errorf("%d bodies and %d deliveries dropped, want 6 deliveries", bodies, deliveries)
	}
	if left := f.deliveries(store.DeliveryFilter{}); len(left) != 1 || left[0].CallID != "late" {
		t.Errorf("left: %v", left)
	}
	if _, err := f.Quarantined(f.ctx(), rejected); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the rejected body: %v, want ErrNotFound", err)
	}
	if w := f.load("hubspot", "call0"); w.Body == nil || w.State.Status != store.Synced {
		t.Errorf("a call whose deliveries are gone: %+v", w)
	}
	if s := f.stats(); s.Calls != 5 || s.Deliveries[store.Accepted] != 1 || s.Deliveries[store.Duplicate] != 0 {
		t.Errorf("counted: %+v", s)
	}
	if r := f.deliver(delivery("call0", julian.GoalCompleted, "as first told", at(30))); r.Verdict != store.Duplicate {
		t.Errorf("the same again: %s", r.Verdict)
	}
}

func testUnsettledStays(t *testing.T, open Open) {
	f := start(t, open)
	f.accepted("wanted nowhere", at(0))
	f.ok(f.Enroll(f.ctx(), []string{"hubspot", "salesforce"}))
	f.accepted("done", at(1))
	f.finish("hubspot", "done", at(2))
	f.finish("salesforce", "done", at(2))
	stay := []string{"wanted nowhere"}
	for _, status := range store.Statuses() {
		if status == store.Synced || status == store.Skipped {
			continue
		}
		id := string(status)
		stay = append(stay, id)
		f.accepted(id, at(3))
		f.finish("hubspot", id, at(4))
		s := f.load("salesforce", id).State
		s.Status = status
		if status != store.Pending && status != store.Retrying {
			s.Done, s.Next = s.Wanted, time.Time{}
		}
		f.apply("salesforce", store.Update{States: map[string]store.State{id: s}})
	}
	f.accepted("to be done again", at(5))
	f.finish("hubspot", "to be done again", at(5))
	f.finish("salesforce", "to be done again", at(5))
	_, err := f.Request(f.ctx(), "hubspot", []string{"to be done again"}, store.Request{At: at(6)})
	f.ok(err)
	stay = append(stay, "to be done again")

	if bodies, deliveries := f.expire(store.Expiry{Bodies: at(99), Deliveries: at(99)}); bodies != 1 || deliveries != 1 {
		t.Errorf("%d bodies and %d deliveries dropped, want what is done alone", bodies, deliveries)
	}
	for _, id := range stay {
		if w := f.load("hubspot", id); w.Body == nil {
			t.Errorf("%s: its body is gone", id)
		}
		if n := len(f.deliveries(store.DeliveryFilter{CallID: id})); n != 1 {
			t.Errorf("%s: %d deliveries, want 1", id, n)
		}
	}
}

// content is everything a journal answers about its calls, for comparison.
func (f *fixture) content() string {
	f.t.Helper()
	var b bytes.Buffer
	for _, v := range f.calls(store.CallFilter{}) {
		revisions, err := f.Revisions(f.ctx(), v.ID)
		f.ok(err)
		views, err := f.View(f.ctx(), v.ID)
		f.ok(err)
		fmt.Fprintf(&b, "%+v %s %+v\n", v, revisions[len(revisions)-1].Body, views)
	}
	for _, d := range f.deliveries(store.DeliveryFilter{}) {
		fmt.Fprintf(&b, "%+v\n", d)
	}
	s := f.stats()
	s.Bytes = 0
	fmt.Fprintf(&b, "%+v", s)
	return b.String()
}

func testCompact(t *testing.T, open Open) {
	f := start(t, open, "hubspot")
	text := strings.Repeat("words that nobody has said before ", 400)
	var gone []string
	for i := range 300 {
		id := fmt.Sprint("call", i)
		f.deliver(delivery(id, julian.GoalCompleted, text+fmt.Sprint(i*i), at(i)))
		if i%3 > 0 {
			gone = append(gone, id)
		}
	}
	f.erase(store.Erasure{Calls: gone})
	before := f.content()
	_, size, err := f.Compact(f.ctx())
	f.ok(err)
	if after := f.content(); after != before {
		t.Error("the journal holds something else after it was compacted")
	}
	if got := f.stats().Bytes; got != size {
		t.Errorf("%d bytes on disk, Compact said %d", got, size)
	}
	f.accepted("next", at(999))
	if d := f.deliveries(store.DeliveryFilter{Limit: 1}); d[0].Seq != 301 {
		t.Errorf("the next delivery is number %d, want 301", d[0].Seq)
	}
	again, size2, err := f.Compact(f.ctx())
	f.ok(err)
	if size2 > again {
		t.Errorf("compacted again it grew from %d to %d bytes", again, size2)
	}
}

// Whatever is written while a compaction runs is there afterwards.
func testCompactBusy(t *testing.T, open Open) {
	f := start(t, open, "hubspot")
	for i := range 200 {
		f.accepted(fmt.Sprint("before", i), at(i))
	}
	done := make(chan error, 1)
	go func() {
		var err error
		for range 3 {
			_, _, e := f.Compact(f.ctx())
			err = errors.Join(err, e)
		}
		done <- err
	}()
	wrote := 0
	for busy := true; busy || wrote < 10; wrote++ {
		id := fmt.Sprint("during", wrote)
		f.accepted(id, at(1000+wrote))
		f.finish("hubspot", id, at(1000+wrote))
		if wrote < 200 {
			f.erase(store.Erasure{Calls: []string{fmt.Sprint("before", wrote)}})
		}
		select {
		case err := <-done:
			f.ok(err)
			busy = false
		default:
		}
	}
	calls := map[string]store.CallView{}
	for _, v := range f.calls(store.CallFilter{}) {
		calls[v.ID] = v
	}
	for i := range wrote {
		if v, ok := calls[fmt.Sprint("during", i)]; !ok || v.States["hubspot"].Status != store.Synced {
			t.Fatalf("call %d of %d written meanwhile: %+v", i, wrote, v)
		}
		if _, ok := calls[fmt.Sprint("before", i)]; ok {
			t.Fatalf("call %d of %d erased meanwhile is back", i, wrote)
		}
	}
	if want := wrote + max(200-wrote, 0); len(calls) != want || f.stats().Calls != int64(want) {
		t.Errorf("%d calls listed and %d counted, want %d", len(calls), f.stats().Calls, want)
	}
}
