package storetest

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/store"
)

var queueTests = []test{
	{"due: live before replay, earliest first", testDueOrder},
	{"due: not before its time", testDueTime},
	{"due: as many as asked for", testDueLimit},
	{"next due", testNextDue},
	{"backlog", testBacklog},
	{"load keeps the order and leaves out the unknown", testLoad},
	{"request makes calls due", testRequest},
	{"request: a live call stays live", testRequestLane},
	{"request: wishes add up", testRequestAddsUp},
	{"wake", testWake},
	{"leases", testLeases},
}

// later plans a call's next attempt.
func (f *fixture) later(destination, callID string, lane store.Lane, next time.Time) {
	f.t.Helper()
	s := f.load(destination, callID).State
	s.Status, s.Lane, s.Next, s.Attempts = store.Retrying, lane, next, s.Attempts+1
	f.apply(destination, store.Update{States: map[string]store.State{callID: s}})
}

func testDueOrder(t *testing.T, open Open) {
	f := start(t, open, "hubspot")
	plan := []struct {
		id   string
		lane store.Lane
		next int
	}{
		{"replay early", store.Replay, -500}, {"live late", store.Live, 30}, {"live early", store.Live, 1},
		{"replay late", store.Replay, 29}, {"live middle", store.Live, 2}, {"before 1970", store.Live, -2_000_000_000},
		{"not yet", store.Live, 31}, {"nor this", store.Replay, 31},
	}
	for i, p := range plan {
		f.accepted(p.id, at(i))
		f.later("hubspot", p.id, p.lane, at(p.next))
	}
	due, err := f.Due(f.ctx(), "hubspot", at(30), 100)
	f.ok(err)
	same(t, "due", due, []store.Due{
		{CallID: "before 1970", Next: at(-2_000_000_000)},
		{CallID: "live early", Next: at(1)}, {CallID: "live middle", Next: at(2)}, {CallID: "live late", Next: at(30)},
		{CallID: "replay early", Next: at(-500), Lane: store.Replay}, {CallID: "replay late", Next: at(29), Lane: store.Replay},
	})
}

func testBacklog(t *testing.T, open Open) {
	f := start(t, open, "hubspot")
	backlog := func(destination string) store.Backlog {
		b, err := f.Backlog(f.ctx(), destination, at(100))
		f.ok(err)
		return b
	}
	same(t, "empty", backlog("hubspot"), store.Backlog{})
	for i, p := range []struct {
		lane store.Lane
		next int
	}{
		{store.Live, 100}, {store.Live, 101}, {store.Replay, 1}, {store.Replay, 2}, {store.Replay, 100}, {store.Replay, 101}, {store.Live, 200},
	} {
		id := fmt.Sprint("call ", i)
		f.accepted(id, at(i))
		f.later("hubspot", id, p.lane, at(p.next))
	}
	same(t, "due and later", backlog("hubspot"), store.Backlog{Live: 1, Replay: 3, Later: 3})
	f.finish("hubspot", "call 2", at(101))
	same(t, "one done", backlog("hubspot"), store.Backlog{Live: 1, Replay: 2, Later: 3})
	same(t, "elsewhere", backlog("salesforce"), store.Backlog{})
}

func testDueTime(t *testing.T, open Open) {
	f := start(t, open, "hubspot")
	when := at(10).Add(7 * time.Nanosecond)
	f.accepted("call", at(0))
	f.later("hubspot", "call", store.Live, when)
	same(t, "a moment before", f.due("hubspot", when.Add(-1)), []string(nil))
	same(t, "at its time", f.due("hubspot", when), []string{"call"})
	same(t, "elsewhere", f.due("salesforce", at(1000)), []string(nil))
	f.finish("hubspot", "call", at(11))
	same(t, "when done", f.due("hubspot", at(1000)), []string(nil))
}

func testDueLimit(t *testing.T, open Open) {
	f := start(t, open, "hubspot")
	for i := range 5 {
		f.accepted(fmt.Sprint("call ", i), at(i))
	}
	_, err := f.Request(f.ctx(), "hubspot", []string{"call 0"}, store.Request{At: at(0), Lane: store.Replay})
	f.ok(err)
	f.later("hubspot", "call 1", store.Replay, at(1))
	for limit, want := range [][]string{nil, {"call 0"}, {"call 0", "call 2"}} {
		due, err := f.Due(f.ctx(), "hubspot", at(100), limit)
		f.ok(err)
		var got []string
		for _, d := range due {
			got = append(got, d.CallID)
		}
		same(t, fmt.Sprint("limit ", limit), got, want)
	}
	same(t, "all", f.due("hubspot", at(100)), []string{"call 0", "call 2", "call 3", "call 4", "call 1"})
}

func testNextDue(t *testing.T, open Open) {
	f := start(t, open, "hubspot")
	check := func(want time.Time, wantOK bool) {
		t.Helper()
		next, ok, err := f.NextDue(f.ctx(), "hubspot")
		f.ok(err)
		if ok != wantOK || !next.Equal(want) {
			t.Errorf("NextDue: %v %v, want %v %v", next, ok, want, wantOK)
		}
	}
	check(time.Time{}, false)
	f.accepted("a", at(0))
	f.accepted("b", at(0))
	f.later("hubspot", "a", store.Live, at(50))
	check(at(0), true)
	f.later("hubspot", "b", store.Replay, at(40))
	check(at(40), true)
	f.later("hubspot", "b", store.Replay, at(60))
	check(at(50), true)
	f.finish("hubspot", "a", at(61))
	f.finish("hubspot", "b", at(61))
	check(time.Time{}, false)
}

func testLoad(t *testing.T, open Open) {
	f := start(t, open, "hubspot")
	for i, id := range []string{"a", "b", "c"} {
		f.accepted(id, at(i))
	}
	works, err := f.Load(f.ctx(), "hubspot", []string{"c", "nobody", "a", "", "b"})
	f.ok(err)
	var ids []string
	for _, w := range works {
		ids = append(ids, w.Call.ID)
		if w.Destination != "hubspot" || w.State.Status != store.Pending || len(w.Body) == 0 {
			t.Errorf("call %s: incomplete %+v", w.Call.ID, w)
		}
	}
	same(t, "order", ids, []string{"c", "a", "b"})
	works, err = f.Load(f.ctx(), "hubspot", nil)
	f.ok(err)
	same(t, "nothing asked", works, []store.Work(nil))
}

func testRequest(t *testing.T, open Open) {
	f := start(t, open)
	f.accepted("a", at(0))
	f.accepted("b", at(1))
	n, err := f.Request(f.ctx(), "hubspot", []string{"b", "nobody", "a", "b"}, store.Request{At: at(10), Lane: store.Replay, Force: true})
	f.ok(err)
	if n != 2 {
		t.Errorf("Request: %d calls, want the 2 that are in the journal", n)
	}
	want := store.State{Status: store.Pending, Wanted: 1, Since: at(10), Next: at(10), Lane: store.Replay, Force: true}
	same(t, "a call never seen there", f.load("hubspot", "a").State, want)
	same(t, "due", f.due("hubspot", at(10)), []string{"a", "b"})
	if _, err := f.Call(f.ctx(), "nobody"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Request made a call: %v", err)
	}
	n, err = f.Request(f.ctx(), "hubspot", nil, store.Request{At: at(11)})
	f.ok(err)
	if n != 0 {
		t.Errorf("Request of nothing: %d", n)
	}
}

func testRequestLane(t *testing.T, open Open) {
	f := start(t, open, "hubspot")
	request := func(when int, lane store.Lane) {
		t.Helper()
		_, err := f.Request(f.ctx(), "hubspot", []string{"call"}, store.Request{At: at(when), Lane: lane})
		f.ok(err)
	}
	check := func(what string, lane store.Lane, next int) {
		t.Helper()
		s := f.load("hubspot", "call").State
		if s.Lane != lane || !s.Next.Equal(at(next)) {
			t.Errorf("%s: lane %d at %v, want %d at %v", what, s.Lane, s.Next, lane, at(next))
		}
	}
	f.accepted("call", at(0))
	request(5, store.Replay)
	check("a live call is asked for in bulk", store.Live, 0)
	f.later("hubspot", "call", store.Live, at(900))
	request(6, store.Replay)
	check("a live call that waits for its retry", store.Live, 6)
	f.finish("hubspot", "call", at(7))
	request(8, store.Replay)
	check("a call that is done", store.Replay, 8)
	request(9, store.Live)
	check("a bulk call is asked for by itself", store.Live, 9)
	f.finish("hubspot", "call", at(10))
	request(11, store.Replay)
	f.deliver(delivery("call", julian.Busy, "corrected", at(12)))
	check("a bulk call is delivered anew", store.Live, 12)
}

func testRequestAddsUp(t *testing.T, open Open) {
	f := start(t, open, "hubspot")
	f.accepted("call", at(0))
	for i, r := range []store.Request{{Force: true}, {Recreate: true}, {Redo: true}} {
		r.At = at(5 + i)
		_, err := f.Request(f.ctx(), "hubspot", []string{"call"}, r)
		f.ok(err)
	}
	want := store.State{Status: store.Pending, Wanted: 4, Since: at(0), Next: at(0), Force: true, Recreate: true, Redo: true}
	same(t, "state", f.load("hubspot", "call").State, want)
}

func testWake(t *testing.T, open Open) {
	f := start(t, open, "hubspot")
	hubspot, cancelHubspot := f.Wake("hubspot")
	second, cancelSecond := f.Wake("hubspot")
	salesforce, cancelSalesforce := f.Wake("salesforce")
	defer cancelSalesforce()
	defer cancelHubspot()

	woken := func(c <-chan struct{}) bool {
		select {
		case <-c:
			return true
		default:
			return false
		}
	}
	if woken(hubspot) {
		t.Error("woken before anything happened")
	}
	f.accepted("a", at(0))
	f.accepted("b", at(1))
	if !waitFor(hubspot) || !waitFor(second) {
		t.Error("a delivery does not wake both")
	}
	if woken(salesforce) {
		t.Error("a destination that is not enrolled is woken")
	}
	cancelSecond()
	_, err := f.Request(f.ctx(), "salesforce", []string{"a"}, store.Request{At: at(2)})
	f.ok(err)
	if !waitFor(salesforce) {
		t.Error("a request does not wake")
	}
	for woken(hubspot) {
	}
	f.later("hubspot", "a", store.Live, at(900))
	if !waitFor(hubspot) {
		t.Error("a planned retry does not wake")
	}
}

// waitFor waits for a wake-up for as long as the test may run.
func waitFor(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	case <-time.After(10 * time.Second):
		return false
	}
}

func testLeases(t *testing.T, open Open) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, open)
		lease := func(destination, holder string, want error) {
			t.Helper()
			if err := f.Lease(f.ctx(), destination, holder, time.Minute); !errors.Is(err, want) {
				t.Errorf("Lease(%s, %s): %v, want %v", destination, holder, err, want)
			}
		}
		lease("hubspot", "one", nil)
		lease("hubspot", "two", store.ErrLeased)
		lease("salesforce", "two", nil)
		time.Sleep(40 * time.Second)
		lease("hubspot", "one", nil)
		time.Sleep(40 * time.Second)
		lease("hubspot", "two", store.ErrLeased)
		f.ok(f.Release(f.ctx(), "hubspot", "two"))
		lease("hubspot", "two", store.ErrLeased)
		f.ok(f.Release(f.ctx(), "hubspot", "one"))
		f.ok(f.Release(f.ctx(), "hubspot", "one"))
		lease("hubspot", "two", nil)
		time.Sleep(61 * time.Second)
		lease("hubspot", "one", nil)
		f.ok(f.Release(f.ctx(), "hubspot", "two"))
		lease("hubspot", "two", store.ErrLeased)
	})
}
