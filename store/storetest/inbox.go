package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/store"
)

var inboxTests = []test{
	{"verdicts", testVerdicts},
	{"the call keeps its first and newest times", testCallTimes},
	{"every POST is in the log", testLog},
	{"bodies come back as they came in", testBodies},
	{"ids of any content", testNames},
	{"a delivery makes its call due where it is enrolled", testEnrolled},
	{"a delivery in bulk", testDeliverReplay},
	{"a delivery of a call that was undone", testDeliverUndone},
	{"a duplicate asks for nothing", testDuplicateAsksNothing},
	{"rejected bodies are kept", testQuarantine},
	{"a malformed delivery records nothing", testMalformedDelivery},
	{"closed", testClosed},
}

func testVerdicts(t *testing.T, open Open) {
	type step struct {
		result   julian.ResultType
		text     string
		verdict  store.Verdict
		revision int
		reason   string // of a stale one
	}
	for _, x := range []struct {
		name  string
		steps []step
	}{
		{"new, same, changed", []step{
			{julian.Voicemail, "one", store.Accepted, 1, ""},
			{julian.Voicemail, "one", store.Duplicate, 1, ""},
			{julian.Voicemail, "two", store.Revised, 2, ""},
			{julian.Voicemail, "two", store.Duplicate, 2, ""},
		}},
		{"an older revision again", []step{
			{julian.Voicemail, "one", store.Accepted, 1, ""},
			{julian.Voicemail, "two", store.Revised, 2, ""},
			{julian.Voicemail, "one", store.Stale, 2, store.StaleEarlier(1, 2)},
			{julian.Voicemail, "three", store.Revised, 3, ""},
			{julian.Voicemail, "two", store.Stale, 3, store.StaleEarlier(2, 3)},
		}},
		{"interim, then terminal, then interim", []step{
			{julian.ProcessingAnalysis, "one", store.Accepted, 1, ""},
			{julian.Calling, "two", store.Revised, 2, ""},
			{julian.GoalCompleted, "three", store.Revised, 3, ""},
			{julian.ProcessingAnalysis, "four", store.Stale, 3, store.StaleInterim},
			{julian.ProcessingAnalysis, "one", store.Stale, 3, store.StaleInterim},
			{julian.GoalCompleted, "three", store.Duplicate, 3, ""},
			{julian.GoalNotCompleted, "five", store.Revised, 4, ""},
		}},
		{"without a result type is terminal", []step{
			{"", "one", store.Accepted, 1, ""},
			{julian.Scheduled, "two", store.Stale, 1, store.StaleInterim},
		}},
	} {
		t.Run(x.name, func(t *testing.T) {
			f := start(t, open)
			for i, s := range x.steps {
				r := f.deliver(delivery("call", s.result, s.text, at(i)))
				if r.Verdict != s.verdict || r.Revision != s.revision || r.Reason != s.reason {
					t.Fatalf("step %d: %s, revision %d, %q; want %s, revision %d, %q", i, r.Verdict, r.Revision, r.Reason, s.verdict, s.revision, s.reason)
				}
			}
		})
	}
}

func testCallTimes(t *testing.T, open Open) {
	f := start(t, open)
	scheduled := noon.Add(-time.Hour)
	d := delivery("call", julian.ProcessingAnalysis, "one", at(1))
	d.Call.ScheduledAt = &scheduled
	d.Call.Warnings = []julian.Warning{{Field: "duration", Text: "should be a number"}}
	f.deliver(d)
	want := store.Call{
		ID: "call", AgentID: "agent-1", Direction: "outbound", ResultType: julian.ProcessingAnalysis, Interim: true,
		ScheduledAt: scheduled, ReceivedAt: at(1), RevisedAt: at(1), Revision: 1, Hash: d.Hash, Size: len(d.Body),
		Warnings: d.Call.Warnings,
	}
	got, err := f.Call(f.ctx(), "call")
	f.ok(err)
	same(t, "the accepted call", got, want)

	d = delivery("call", julian.GoalCompleted, "two", at(5))
	f.deliver(d)
	f.deliver(delivery("call", julian.GoalCompleted, "two", at(9)))
	want = store.Call{
		ID: "call", AgentID: "agent-1", Direction: "outbound", ResultType: julian.GoalCompleted,
		ReceivedAt: at(1), RevisedAt: at(5), Revision: 2, Hash: d.Hash, Size: len(d.Body),
	}
	got, err = f.Call(f.ctx(), "call")
	f.ok(err)
	same(t, "the revised call", got, want)
}

func testLog(t *testing.T, open Open) {
	f := start(t, open)
	in := []store.Delivery{
		delivery("call", julian.Calling, "one", at(1)),
		delivery("call", julian.Calling, "one", at(2)),
		delivery("call", julian.Voicemail, "two", at(3)),
		delivery("call", julian.Calling, "one", at(4)),
		rejection("{", at(5)),
	}
	in[1].RequestID = "req-7"
	verdicts := []store.Verdict{store.Accepted, store.Duplicate, store.Revised, store.Stale, store.Rejected}
	var want []store.Delivery
	var last uint64
	for i, d := range in {
		r := f.deliver(d)
		if r.Verdict != verdicts[i] {
			t.Errorf("delivery %d: verdict %s, want %s", i, r.Verdict, verdicts[i])
		}
		if r.Seq <= last {
			t.Errorf("delivery %d: seq %d after %d", i, r.Seq, last)
		}
		last = r.Seq
		d.Seq, d.Verdict, d.Body, d.Call = r.Seq, verdicts[i], nil, nil
		if d.Verdict == store.Stale {
			d.Reason = store.StaleInterim
		}
		want = append([]store.Delivery{d}, want...)
	}
	same(t, "the log", f.deliveries(store.DeliveryFilter{}), want)
}

func testBodies(t *testing.T, open Open) {
	f := start(t, open, "hubspot")
	var want []store.Revision
	for i, size := range []int{0, 1, 300, 70_000, 3 << 20} {
		d := delivery("call", julian.Voicemail, fmt.Sprint(size), at(i))
		body := make([]byte, size)
		for k := range body {
			body[k] = byte(k * k >> 3)
		}
		d.Body = append(body, d.Body...)
		f.deliver(d)
		want = append(want, store.Revision{N: i + 1, At: at(i), Hash: d.Hash, Body: d.Body})
		if got := f.load("hubspot", "call").Body; string(got) != string(d.Body) {
			t.Errorf("Load: the body of %d bytes differs from the newest revision", len(d.Body))
		}
	}
	got, err := f.Revisions(f.ctx(), "call")
	f.ok(err)
	if len(got) != len(want) {
		t.Fatalf("%d revisions, want %d", len(got), len(want))
	}
	for i := range want {
		if string(got[i].Body) != string(want[i].Body) {
			t.Errorf("the body of revision %d differs from what was received", i+1)
		}
		got[i].Body, want[i].Body = nil, nil
	}
	same(t, "revisions", got, want)

	if _, err := f.Revisions(f.ctx(), "nobody"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Revisions of an unknown call: %v, want ErrNotFound", err)
	}
	if _, err := f.Call(f.ctx(), "nobody"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an unknown Call: %v, want ErrNotFound", err)
	}
}

func testNames(t *testing.T, open Open) {
	f := start(t, open, "hubspot", "hub")
	for i, name := range names() {
		f.accepted(name, at(i))
	}
	for i, name := range names() {
		w := f.load("hub", name)
		if w.Call.ID != name || !w.Call.ReceivedAt.Equal(at(i)) {
			t.Errorf("call %q came back as %q of %v", name, w.Call.ID, w.Call.ReceivedAt)
		}
		if n := len(f.deliveries(store.DeliveryFilter{CallID: name})); n != 1 {
			t.Errorf("call %q has %d deliveries, want 1", name, n)
		}
		revisions, err := f.Revisions(f.ctx(), name)
		f.ok(err)
		if len(revisions) != 1 {
			t.Errorf("call %q has %d revisions, want 1", name, len(revisions))
		}
	}
	same(t, "due", f.due("hubspot", at(1000)), names())
	same(t, "due where the name is a beginning", f.due("hub", at(1000)), names())
	f.finish("hub", "a", at(2000))
	same(t, "due elsewhere", f.due("hubspot", at(1000)), names())
	same(t, "due after one is done", f.due("hub", at(1000)), names()[1:])
}

func testEnrolled(t *testing.T, open Open) {
	f := start(t, open)
	f.accepted("early", at(0))
	f.ok(f.Enroll(f.ctx(), []string{"hubspot", "salesforce"}))
	f.accepted("call", at(1))
	want := store.State{Status: store.Pending, Wanted: 1, Since: at(1), Next: at(1)}
	same(t, "hubspot", f.load("hubspot", "call").State, want)
	same(t, "salesforce", f.load("salesforce", "call").State, want)
	same(t, "a call from before", f.load("hubspot", "early").State, store.State{})
	same(t, "due", f.due("hubspot", at(1)), []string{"call"})

	f.finish("hubspot", "call", at(5))
	f.ok(f.Enroll(f.ctx(), []string{"hubspot"}))
	f.deliver(delivery("call", julian.GoalCompleted, "corrected", at(9)))
	want = store.State{Status: store.Pending, Wanted: 2, Done: 1, Since: at(9), Next: at(9), SyncedAt: at(5)}
	same(t, "revised after done", f.load("hubspot", "call").State, want)
	want = store.State{Status: store.Pending, Wanted: 1, Since: at(1), Next: at(1)}
	same(t, "left out of the enrolled, and kept", f.load("salesforce", "call").State, want)

	f.deliver(delivery("call", julian.GoalCompleted, "corrected again", at(20)))
	want = store.State{Status: store.Pending, Wanted: 3, Done: 1, Since: at(9), Next: at(20), SyncedAt: at(5)}
	same(t, "revised while it waits", f.load("hubspot", "call").State, want)
}

// Calls from long ago, taken in at once, neither overtake what is live nor count
// as late since then.
func testDeliverReplay(t *testing.T, open Open) {
	f := start(t, open, "hubspot")
	bulk := func(id, text string, when, due int) store.Verdict {
		d := delivery(id, julian.GoalCompleted, text, at(when))
		d.Lane, d.Due = store.Replay, at(due)
		return f.deliver(d).Verdict
	}
	f.accepted("live", at(1000))
	bulk("old", "one", -9_000_000, 1001)
	same(t, "due", f.due("hubspot", at(1001)), []string{"live", "old"})
	same(t, "oldest", f.stats().Oldest["hubspot"], at(1000))
	same(t, "state", f.load("hubspot", "old").State, store.State{Status: store.Pending, Wanted: 1, Since: at(1001), Next: at(1001), Lane: store.Replay})
	c, err := f.Call(f.ctx(), "old")
	f.ok(err)
	if !c.ReceivedAt.Equal(at(-9_000_000)) || !c.RevisedAt.Equal(at(-9_000_000)) {
		t.Errorf("received %v, revised %v; want when it was delivered first", c.ReceivedAt, c.RevisedAt)
	}
	same(t, "log", f.deliveries(store.DeliveryFilter{CallID: "old"})[0].At, at(-9_000_000))

	bulk("old", "two", -8_000_000, 1002)
	same(t, "a bulk call revised in bulk", f.load("hubspot", "old").State, store.State{Status: store.Pending, Wanted: 2, Since: at(1001), Next: at(1001), Lane: store.Replay})
	if v := bulk("live", "as it was at first", 999, 1003); v != store.Stale {
		t.Errorf("what came before the newest revision is %s in bulk, want stale", v)
	}
	same(t, "a live call with an older revision in bulk", f.load("hubspot", "live").State, store.State{Status: store.Pending, Wanted: 1, Since: at(1000), Next: at(1000)})
	bulk("live", "corrected", 1003, 1003)
	same(t, "a live call revised in bulk", f.load("hubspot", "live").State, store.State{Status: store.Pending, Wanted: 2, Since: at(1000), Next: at(1000)})
	f.deliver(delivery("old", julian.GoalCompleted, "three", at(1004)))
	same(t, "a bulk call delivered", f.load("hubspot", "old").State, store.State{Status: store.Pending, Wanted: 3, Since: at(1001), Next: at(1004)})
}

func testDeliverUndone(t *testing.T, open Open) {
	f := start(t, open, "hubspot", "salesforce")
	d := delivery("call.1", julian.Voicemail, "one", at(1))
	d.Lane, d.Undone = store.Replay, map[string]time.Time{"hubspot": at(0), "elsewhere": at(0)}
	f.deliver(d)
	for destination, want := range map[string]time.Time{"hubspot": at(0), "salesforce": {}} {
		if s := f.load(destination, "call.1").State; !s.Undone.Equal(want) || s.Wanted == s.Done {
			t.Errorf("%s: undone %v, wanted %d of %d; want %v and wanted", destination, s.Undone, s.Wanted, s.Done, want)
		}
	}
	// What is known stays as it is, corrected or not.
	d = delivery("call.1", julian.Voicemail, "two", at(2))
	d.Undone = map[string]time.Time{"salesforce": at(0)}
	f.deliver(d)
	for destination, want := range map[string]time.Time{"hubspot": at(0), "salesforce": {}} {
		if s := f.load(destination, "call.1").State; !s.Undone.Equal(want) {
			t.Errorf("%s: undone %v after a correction, want %v", destination, s.Undone, want)
		}
	}
}

func testDuplicateAsksNothing(t *testing.T, open Open) {
	f := start(t, open, "hubspot")
	f.deliver(delivery("call", julian.Calling, "one", at(0)))
	f.deliver(delivery("call", julian.Voicemail, "two", at(1)))
	f.finish("hubspot", "call", at(2))
	want := f.load("hubspot", "call").State
	f.deliver(delivery("call", julian.Voicemail, "two", at(3)))
	f.deliver(delivery("call", julian.Calling, "one", at(4)))
	same(t, "state", f.load("hubspot", "call").State, want)
	same(t, "due", f.due("hubspot", at(100)), []string(nil))
}

func testQuarantine(t *testing.T, open Open) {
	f := start(t, open, "hubspot")
	d := rejection("no \x00 json", at(1))
	d.CallID = "call"
	r := f.deliver(d)
	if r.Verdict != store.Rejected || r.Seq == 0 {
		t.Fatalf("receipt %+v", r)
	}
	body, err := f.Quarantined(f.ctx(), r.Seq)
	f.ok(err)
	if string(body) != "no \x00 json" {
		t.Errorf("the quarantined body came back as %q", body)
	}
	if _, err := f.Call(f.ctx(), "call"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a rejected delivery made a call: %v", err)
	}
	same(t, "calls", f.callIDs(store.CallFilter{}), []string(nil))
	same(t, "due", f.due("hubspot", at(100)), []string(nil))
	f.accepted("call", at(2))
	if n := len(f.deliveries(store.DeliveryFilter{CallID: "call"})); n != 1 {
		t.Errorf("the call has %d deliveries, want the accepted one: a rejected one belongs to no call", n)
	}
	for _, seq := range []uint64{r.Seq + 1, 99} {
		if _, err := f.Quarantined(f.ctx(), seq); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Quarantined(%d): %v, want ErrNotFound", seq, err)
		}
	}
}

func testMalformedDelivery(t *testing.T, open Open) {
	f := start(t, open, "hubspot")
	for name, d := range map[string]store.Delivery{
		"without call": {At: noon, Hash: "h", Body: []byte("{}")},
		"without id":   {At: noon, Hash: "h", Body: []byte("{}"), Call: &julian.Call{}},
		"without hash": {At: noon, Body: []byte("{}"), Call: &julian.Call{CallID: "call"}},
	} {
		if r, err := f.Deliver(f.ctx(), d); err == nil {
			t.Errorf("%s: answered %+v", name, r)
		}
	}
	if n := len(f.deliveries(store.DeliveryFilter{})); n != 0 {
		t.Errorf("%d deliveries are in the log", n)
	}
}

func testClosed(t *testing.T, open Open) {
	f := start(t, open)
	f.accepted("call", noon)
	f.ok(f.Close())
	if _, err := f.Deliver(f.ctx(), delivery("late", julian.Busy, "", noon)); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Deliver after Close: %v, want ErrUnavailable", err)
	}
	if _, err := f.Call(f.ctx(), "call"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Call after Close: %v, want ErrUnavailable", err)
	}
}
