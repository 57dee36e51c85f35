package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/store"
)

var readerTests = []test{
	{"calls by filter", testCallFilters},
	{"calls by state", testCallStates},
	{"many calls", testManyCalls},
	{"deliveries by filter", testDeliveryFilters},
	{"many deliveries", testManyDeliveries},
	{"a list blocks nobody", testListBlocksNobody},
	{"a list ends with its context", testListContext},
	{"view", testView},
	{"stats", testStats},
}

func testCallFilters(t *testing.T, open Open) {
	f := start(t, open, "hubspot")
	for i, result := range []julian.ResultType{julian.Voicemail, julian.Busy, julian.Voicemail, julian.GoalCompleted, julian.OptedOut} {
		d := delivery(fmt.Sprint("call ", i), result, "x", at(i))
		d.Call.AgentID = fmt.Sprint("agent ", i%2)
		f.deliver(d)
	}
	f.deliver(delivery("call 1", julian.OptedOut, "revised", at(50)))
	ids := func(numbers ...int) []string {
		var out []string
		for _, n := range numbers {
			out = append(out, fmt.Sprint("call ", n))
		}
		return out
	}
	for _, x := range []struct {
		name   string
		filter store.CallFilter
		want   []string
	}{
		{"all", store.CallFilter{}, ids(4, 3, 2, 1, 0)},
		{"limit", store.CallFilter{Limit: 2}, ids(4, 3)},
		{"since", store.CallFilter{Since: at(3)}, ids(4, 3)},
		{"until", store.CallFilter{Until: at(3)}, ids(2, 1, 0)},
		{"since and until", store.CallFilter{Since: at(1), Until: at(3)}, ids(2, 1)},
		{"nothing in between", store.CallFilter{Since: at(3), Until: at(3)}, nil},
		{"result of the newest revision", store.CallFilter{Result: julian.OptedOut}, ids(4, 1)},
		{"result no more", store.CallFilter{Result: julian.Busy}, nil},
		{"agent", store.CallFilter{Agent: "agent 0"}, ids(4, 2, 0)},
		{"all at once", store.CallFilter{Agent: "agent 0", Result: julian.Voicemail, Since: at(1), Limit: 9}, ids(2)},
		{"ids", store.CallFilter{IDs: []string{"call 1", "nobody", "call 3", "call 1"}}, ids(3, 1)},
		{"ids and more", store.CallFilter{IDs: ids(0, 1, 2, 3), Since: at(1), Limit: 2}, ids(3, 2)},
		{"destination", store.CallFilter{Destination: "salesforce", Limit: 1}, ids(4)},
	} {
		t.Run(x.name, func(t *testing.T) {
			f := &fixture{f.Journal, t}
			same(t, "calls", f.callIDs(x.filter), x.want)
		})
	}
}

func testCallStates(t *testing.T, open Open) {
	f := start(t, open, "hub", "hubspot")
	for i := range 6 {
		f.accepted(fmt.Sprint("call ", i), at(i))
	}
	fail := func(destination, callID string) {
		s := f.load(destination, callID).State
		s.Status, s.Done, s.Next = store.Failed, s.Wanted, time.Time{}
		f.apply(destination, store.Update{States: map[string]store.State{callID: s}})
	}
	fail("hub", "call 0")
	fail("hub", "call 2")
	fail("hubspot", "call 2")
	fail("hubspot", "call 3")
	f.finish("hub", "call 4", at(60))
	for _, x := range []struct {
		name   string
		filter store.CallFilter
		want   []string
	}{
		{"anywhere", store.CallFilter{Status: store.Failed}, []string{"call 3", "call 2", "call 0"}},
		{"at one", store.CallFilter{Status: store.Failed, Destination: "hub"}, []string{"call 2", "call 0"}},
		{"at the other", store.CallFilter{Status: store.Failed, Destination: "hubspot"}, []string{"call 3", "call 2"}},
		{"at none", store.CallFilter{Status: store.Failed, Destination: "salesforce"}, nil},
		{"limit", store.CallFilter{Status: store.Failed, Limit: 2}, []string{"call 3", "call 2"}},
		{"time", store.CallFilter{Status: store.Failed, Since: at(1), Until: at(3)}, []string{"call 2"}},
		{"ids", store.CallFilter{Status: store.Failed, IDs: []string{"call 0", "call 1"}}, []string{"call 0"}},
		{"synced", store.CallFilter{Status: store.Synced}, []string{"call 4"}},
		{"pending", store.CallFilter{Status: store.Pending, Destination: "hub"}, []string{"call 5", "call 3", "call 1"}},
		{"nobody", store.CallFilter{Status: store.Waiting}, nil},
	} {
		t.Run(x.name, func(t *testing.T) {
			f := &fixture{f.Journal, t}
			same(t, "calls", f.callIDs(x.filter), x.want)
		})
	}
	v := f.calls(store.CallFilter{IDs: []string{"call 2"}})[0]
	if len(v.States) != 2 || v.States["hub"].Status != store.Failed || v.States["hubspot"].Status != store.Failed {
		t.Errorf("states: %+v", v.States)
	}
	v = f.calls(store.CallFilter{Destination: "hub", Limit: 1})[0]
	if _, ok := v.States["hub"]; !ok || len(v.States) != 1 {
		t.Errorf("states of one destination: %+v", v.States)
	}
}

// manyRows is more than any implementation should read at once.
const manyRows = 2500

// fill delivers n calls in few transactions.
func (f *fixture) fill(n int) {
	f.t.Helper()
	errs := make(chan error)
	const senders = 50
	for s := range senders {
		go func() {
			for i := s; i < n; i += senders {
				d := delivery(fmt.Sprintf("call %05d", i), julian.Busy, "x", at(i))
				if _, err := f.Deliver(context.Background(), d); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range senders {
		if err := <-errs; err != nil {
			f.t.Error(err)
		}
	}
	if f.t.Failed() {
		f.t.FailNow()
	}
}

func testManyCalls(t *testing.T, open Open) {
	f := start(t, open, "hubspot")
	f.fill(manyRows)
	var want []string
	for i := range manyRows {
		want = append(want, fmt.Sprintf("call %05d", i))
	}
	slices.Reverse(want)
	same(t, "all", f.callIDs(store.CallFilter{}), want)
	same(t, "pending", f.callIDs(store.CallFilter{Status: store.Pending}), want)
	same(t, "some", f.callIDs(store.CallFilter{Limit: 700}), want[:700])
	same(t, "by id", f.callIDs(store.CallFilter{IDs: want}), want)
	same(t, "one that comes late", f.callIDs(store.CallFilter{Until: at(1)}), want[manyRows-1:])
	same(t, "none", f.callIDs(store.CallFilter{Agent: "nobody"}), []string(nil))
}

func testDeliveryFilters(t *testing.T, open Open) {
	f := start(t, open)
	f.deliver(delivery("a", julian.Voicemail, "one", at(1)))
	f.deliver(delivery("b", julian.Voicemail, "one", at(2)))
	f.deliver(delivery("a", julian.Voicemail, "one", at(3)))
	f.deliver(rejection("{", at(4)))
	f.deliver(delivery("a", julian.Voicemail, "two", at(5)))
	all := f.deliveries(store.DeliveryFilter{})
	seqs := make([]uint64, 6) // by second
	for _, d := range all {
		seqs[d.At.Sub(noon)/time.Second] = d.Seq
	}
	for _, x := range []struct {
		name   string
		filter store.DeliveryFilter
		want   []int // seconds
	}{
		{"all", store.DeliveryFilter{}, []int{5, 4, 3, 2, 1}},
		{"call", store.DeliveryFilter{CallID: "a"}, []int{5, 3, 1}},
		{"unknown call", store.DeliveryFilter{CallID: "nobody"}, nil},
		{"verdict", store.DeliveryFilter{Verdict: store.Accepted}, []int{2, 1}},
		{"rejected", store.DeliveryFilter{Verdict: store.Rejected}, []int{4}},
		{"call and verdict", store.DeliveryFilter{CallID: "a", Verdict: store.Duplicate}, []int{3}},
		{"since", store.DeliveryFilter{Since: at(4)}, []int{5, 4}},
		{"until", store.DeliveryFilter{Until: at(3)}, []int{2, 1}},
		{"before", store.DeliveryFilter{Before: seqs[3]}, []int{2, 1}},
		{"call before", store.DeliveryFilter{CallID: "a", Before: seqs[5]}, []int{3, 1}},
		{"verdict before", store.DeliveryFilter{Verdict: store.Accepted, Before: seqs[2]}, []int{1}},
		{"limit", store.DeliveryFilter{Limit: 2}, []int{5, 4}},
		{"limit and since", store.DeliveryFilter{Limit: 4, Since: at(2), Until: at(5)}, []int{4, 3, 2}},
	} {
		t.Run(x.name, func(t *testing.T) {
			f := &fixture{f.Journal, t}
			var got []int
			for _, d := range f.deliveries(x.filter) {
				got = append(got, int(d.At.Sub(noon)/time.Second))
			}
			same(t, "deliveries", got, x.want)
		})
	}
}

func testManyDeliveries(t *testing.T, open Open) {
	f := start(t, open)
	f.fill(manyRows)
	all := f.deliveries(store.DeliveryFilter{})
	if len(all) != manyRows {
		t.Fatalf("%d deliveries, want %d", len(all), manyRows)
	}
	if !slices.IsSortedFunc(all, func(a, b store.Delivery) int { return int(b.Seq) - int(a.Seq) }) {
		t.Error("not newest first")
	}
	var paged []store.Delivery
	for filter := (store.DeliveryFilter{Limit: 333}); ; filter.Before = paged[len(paged)-1].Seq {
		page := f.deliveries(filter)
		if len(page) == 0 {
			break
		}
		paged = append(paged, page...)
	}
	same(t, "page by page", paged, all)
	same(t, "by verdict", f.deliveries(store.DeliveryFilter{Verdict: store.Accepted}), all)
	same(t, "none", f.deliveries(store.DeliveryFilter{Since: at(manyRows + 1)}), []store.Delivery(nil))
}

func testListBlocksNobody(t *testing.T, open Open) {
	f := start(t, open, "hubspot")
	f.fill(10)
	n := 0
	for _, err := range f.Calls(f.ctx(), store.CallFilter{}) {
		f.ok(err)
		f.accepted(fmt.Sprint("during the list ", n), at(100+n))
		f.finish("hubspot", fmt.Sprint("during the list ", n), at(200))
		n++
	}
	if n < 10 {
		t.Errorf("the list showed %d of the 10 calls that were there all along", n)
	}
	n = 0
	for _, err := range f.Deliveries(f.ctx(), store.DeliveryFilter{}) {
		f.ok(err)
		f.deliver(rejection("during the list", at(300)))
		if n++; n == 5 {
			break
		}
	}
}

func testListContext(t *testing.T, open Open) {
	f := start(t, open)
	f.fill(manyRows)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	n := 0
	for _, err := range f.Calls(ctx, store.CallFilter{}) {
		if last = err; err != nil {
			break
		}
		if n++; n == 1 {
			cancel()
		}
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("after %d calls: %v, want context.Canceled", n, last)
	}
	n = 0
	for _, err := range f.Deliveries(ctx, store.DeliveryFilter{}) {
		last = err
		n++
	}
	if n != 1 || !errors.Is(last, context.Canceled) {
		t.Errorf("deliveries: %d items, %v; want one item with context.Canceled", n, last)
	}
}

func testView(t *testing.T, open Open) {
	f := start(t, open, "hubspot", "salesforce")
	if _, err := f.View(f.ctx(), "call"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an unknown call: %v, want ErrNotFound", err)
	}
	f.accepted("call", at(0))
	f.ok(f.Enroll(f.ctx(), nil))
	f.accepted("alone", at(1))
	works, err := f.View(f.ctx(), "alone")
	f.ok(err)
	same(t, "a call without destinations", works, []store.Work(nil))
	works, err = f.View(f.ctx(), "call")
	f.ok(err)
	if len(works) != 2 {
		t.Fatalf("%d destinations, want 2", len(works))
	}
	for i, destination := range []string{"hubspot", "salesforce"} {
		same(t, destination, works[i], f.load(destination, "call"))
	}
}

func testStats(t *testing.T, open Open) {
	f := start(t, open, "hubspot")
	s := f.stats()
	if s.Calls != 0 || len(s.Deliveries) != 0 || len(s.Oldest) != 0 {
		t.Errorf("an empty journal: %+v", s)
	}
	f.accepted("a", at(1))
	f.accepted("b", at(2))
	f.accepted("c", at(3))
	f.deliver(delivery("b", julian.Busy, "revised", at(4)))
	f.deliver(delivery("b", julian.Busy, "revised", at(5)))
	f.deliver(rejection("{", at(6)))
	f.finish("hubspot", "a", at(7))
	f.later("hubspot", "b", store.Live, at(900))
	s = f.stats()
	if s.Bytes <= 0 {
		t.Errorf("%d bytes on disk", s.Bytes)
	}
	s.Bytes = 0
	same(t, "stats", s, store.Stats{
		Calls:        3,
		Deliveries:   map[store.Verdict]int64{store.Accepted: 3, store.Revised: 1, store.Duplicate: 1, store.Rejected: 1},
		Destinations: map[string]map[store.Status]int64{"hubspot": {store.Synced: 1, store.Retrying: 1, store.Pending: 1}},
		Oldest:       map[string]time.Time{"hubspot": at(2)},
	})
	for _, id := range []string{"b", "c"} {
		s := f.load("hubspot", id).State
		s.Status, s.Done, s.Next = store.Failed, s.Wanted, time.Time{}
		f.apply("hubspot", store.Update{States: map[string]store.State{id: s}})
	}
	same(t, "nothing unserved", f.stats().Oldest, map[string]time.Time{})

	forget := func(id, account string) {
		s := f.load("hubspot", id).State
		s.Forgotten = account
		f.apply("hubspot", store.Update{States: map[string]store.State{id: s}})
	}
	for _, id := range []string{"a", "b", "c"} {
		forget(id, "4242")
	}
	same(t, "of a forgotten account", f.stats().Forgotten, map[string]int64{"hubspot": 3})
	forget("b", "")
	f.erase(store.Erasure{Calls: []string{"c"}})
	same(t, "of a forgotten account", f.stats().Forgotten, map[string]int64{"hubspot": 1})
}
