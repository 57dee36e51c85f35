// Package storetest holds the promises of package store as tests. An
// implementation passes when
//
//	storetest.Run(t, func(t *testing.T) store.Journal { … })
//
// passes; nothing else about it may matter to callsync.
package storetest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/store"
)

// An Open returns an empty journal, which the suite closes.
type Open func(t *testing.T) store.Journal

// Run runs the suite, each test on a journal of its own.
func Run(t *testing.T, open Open) {
	groups := []struct {
		name  string
		tests []test
	}{
		{"Inbox", inboxTests},
		{"Queue", queueTests},
		{"Apply", applyTests},
		{"Reader", readerTests},
		{"Keeper", keeperTests},
		{"Forgetter", forgetTests},
		{"Concurrency", concurrencyTests},
		{"Model", modelTests},
	}
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			for _, x := range g.tests {
				t.Run(x.name, func(t *testing.T) {
					x.run(t, open)
				})
			}
		})
	}
}

type test struct {
	name string
	run  func(t *testing.T, open Open)
}

// noon is when the tests' story begins.
var noon = time.Date(2025, 9, 25, 12, 0, 0, 0, time.UTC)

func at(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }

// A fixture is a journal with helpers that fail the test on an error.
type fixture struct {
	store.Journal
	t testing.TB
}

func start(t *testing.T, open Open, enrolled ...string) *fixture {
	t.Helper()
	f := &fixture{Journal: open(t), t: t}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	if len(enrolled) > 0 {
		f.ok(f.Enroll(f.ctx(), enrolled))
	}
	return f
}

func (f *fixture) ctx() context.Context { return f.t.Context() }

func (f *fixture) ok(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatalf("unexpected error: %v", err)
	}
}

// delivery makes a well-formed delivery as the receiver does.
func delivery(callID string, result julian.ResultType, text string, when time.Time) store.Delivery {
	body := fmt.Appendf(nil, `{"callId": %q, "callResult": {"resultType": %q, "summary": %q}}`, callID, result, text)
	sum := sha256.Sum256(body)
	return store.Delivery{
		At: when, Peer: "192.0.2.1", Status: 200, Size: len(body),
		CallID: callID, Hash: hex.EncodeToString(sum[:]), Body: body,
		Call: &julian.Call{
			CallID: callID, AgentID: "agent-1", Direction: "outbound",
			Result: julian.Result{ResultType: result, Summary: text},
		},
	}
}

func rejection(body string, when time.Time) store.Delivery {
	return store.Delivery{
		At: when, Peer: "192.0.2.9", Status: 400, Verdict: store.Rejected,
		Size: len(body), Reason: "the body is not a JSON object", Body: []byte(body),
	}
}

func (f *fixture) deliver(d store.Delivery) store.Receipt {
	f.t.Helper()
	r, err := f.Deliver(f.ctx(), d)
	f.ok(err)
	return r
}

// accepted delivers a new terminal call.
func (f *fixture) accepted(callID string, when time.Time) {
	f.t.Helper()
	if r := f.deliver(delivery(callID, julian.GoalCompleted, "as first told", when)); r.Verdict != store.Accepted {
		f.t.Fatalf("call %s: verdict %s, want accepted", callID, r.Verdict)
	}
}

// load returns what the journal knows about one call.
func (f *fixture) load(destination, callID string) store.Work {
	f.t.Helper()
	works, err := f.Load(f.ctx(), destination, []string{callID})
	f.ok(err)
	if len(works) != 1 {
		f.t.Fatalf("Load(%s): %d calls, want 1", callID, len(works))
	}
	return works[0]
}

func (f *fixture) apply(destination string, u store.Update) {
	f.t.Helper()
	f.ok(f.Apply(f.ctx(), destination, u))
}

// finish records that a call was synced.
func (f *fixture) finish(destination, callID string, when time.Time) {
	f.t.Helper()
	s := f.load(destination, callID).State
	s.Status, s.Done, s.Since, s.SyncedAt = store.Synced, s.Wanted, when, when
	s.Next, s.Lane, s.Force, s.Recreate = time.Time{}, store.Live, false, false
	f.apply(destination, store.Update{States: map[string]store.State{callID: s}})
}

func (f *fixture) due(destination string, now time.Time) []string {
	f.t.Helper()
	due, err := f.Due(f.ctx(), destination, now, 1000)
	f.ok(err)
	var ids []string
	for _, d := range due {
		ids = append(ids, d.CallID)
	}
	return ids
}

func (f *fixture) calls(filter store.CallFilter) []store.CallView {
	f.t.Helper()
	var out []store.CallView
	for v, err := range f.Calls(f.ctx(), filter) {
		f.ok(err)
		out = append(out, v)
	}
	return out
}

func (f *fixture) callIDs(filter store.CallFilter) []string {
	f.t.Helper()
	var ids []string
	for _, v := range f.calls(filter) {
		ids = append(ids, v.ID)
	}
	return ids
}

func (f *fixture) deliveries(filter store.DeliveryFilter) []store.Delivery {
	f.t.Helper()
	var out []store.Delivery
	for d, err := range f.Deliveries(f.ctx(), filter) {
		f.ok(err)
		out = append(out, d)
	}
	return out
}

func (f *fixture) stats() store.Stats {
	f.t.Helper()
	s, err := f.Stats(f.ctx())
	f.ok(err)
	return s
}

// same compares what was stored with what came back; nil and empty are equal.
func same(t interface {
	Helper()
	Errorf(string, ...any)
}, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// names makes ids of calls that an implementation might confuse: with each
// other's beginnings, with separators, or by their order.
func names() []string {
	return slices.Concat(
		[]string{"a", "ab", "a/b", "a b", "a\x00", "a\x00b", "a\x00\x01", "ä", "%2F", "'; --", "c#call", "c"},
		[]string{strings.Repeat("x", 199), strings.Repeat("x", 200)},
	)
}
