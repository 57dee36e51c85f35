package sync_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
)

func (w *world) wantNobodyUnborn() {
	w.t.Helper()
	for p, err := range w.journal.AllPeople(w.t.Context()) {
		if err != nil {
			w.t.Fatal(err)
		}
		if strings.HasPrefix(p.Ref.ID, "creating:") {
			w.t.Errorf("the journal still holds what was sent to create %s", p.Ref)
		}
	}
}

func TestRefusedCreationLeavesNothing(t *testing.T) {
	inWorld(t, func(w *world) {
		w.crm.refuse = func(c crm.Change) error {
			if c.Object == "contacts" {
				return &crm.Error{Kind: crm.Permanent, Op: "contacts write", Status: 400, Code: "FIELD_CUSTOM_VALIDATION_EXCEPTION"}
			}
			return nil
		}
		w.deliver(call("c1", "phoneNumber", ann, "email", "ann@example.com", "first", "Ann", "callResult", result("x")))
		w.settle()
		w.wantStatus("c1", store.Failed)
		w.wantNobodyUnborn()
	})
}

func TestRefusedClearingHoldsNobodyUp(t *testing.T) {
	inWorld(t, func(w *world) {
		ref := crm.Ref{Object: "contacts", ID: "900"}
		w.crm.records[ref] = &fakeRecord{props: map[string]string{"phone": ann}}
		w.deliver(call("c1", "phoneNumber", ann, "title", "CEO", "score", "hot", "callResult", result("x")))
		w.settle()
		w.crm.refuse = func(c crm.Change) error {
			if c.Object == "contacts" {
				return &crm.Error{Kind: crm.Permanent, Op: "contacts write", Status: 400, Code: "FIELD_CUSTOM_VALIDATION_EXCEPTION"}
			}
			return nil
		}
		w.deliver(call("c1", "phoneNumber", ann, "callResult", result("y")), call("c2", "phoneNumber", ann, "callResult", result("y")))
		w.settle()
		w.wantStatus("c1", store.Failed)
		w.wantStatus("c2", store.Synced)
		w.wantLive("calls", 2)
		w.crm.refuse = nil
		w.resync(store.Request{}, "c1")
		w.wantStatus("c1", store.Synced)
		w.wantProp(ref, "score", "")
		w.wantProp(ref, "title", "")
	})
}

func TestRefusedGivingBackIsTriedAgain(t *testing.T) {
	for _, named := range []bool{true, false} {
		inWorld(t, func(w *world) {
			old := crm.Ref{Object: "contacts", ID: "900"}
			w.crm.records[old] = &fakeRecord{props: map[string]string{"phone": ann, "title": "CEO"}}
			w.deliver(call("c1", "phoneNumber", ann, "email", "bob@example.com", "first", "Bob", "score", "optedout", "callResult", result("x")))
			w.settle()
			w.crm.refuse = func(c crm.Change) error {
				if _, ok := c.Properties["score"]; !ok || c.ID != old.ID {
					return nil
				}
				e := &crm.Error{Kind: crm.Permanent, Op: "contacts write", Status: 400, Code: "X"}
				if named {
					e.Property = "score"
				}
				return e
			}
			w.deliver(call("c1", "phoneNumber", bob, "first", "Bob", "callResult", result("x")))
			w.settle()
			w.wantStatus("c1", store.Failed)
			w.wantLive("calls", 1)
			w.crm.refuse = nil
			w.resync(store.Request{}, "c1")
			w.wantStatus("c1", store.Synced)
			for name, want := range map[string]string{"score": "", "email": "", "first": "", "title": "CEO", "phone": ann} {
				w.wantProp(old, name, want)
			}
		})
	}
}

func TestRefusalForgetsNotWhatAPersonHadSet(t *testing.T) {
	inWorld(t, func(w *world) {
		ref := crm.Ref{Object: "contacts", ID: "900"}
		w.crm.records[ref] = &fakeRecord{props: map[string]string{"phone": ann, "score": "true"}}
		w.crm.refuse = func(c crm.Change) error {
			if c.Properties["score"].Text == "BAD" {
				return &crm.Error{Kind: crm.Permanent, Op: "contacts write", Status: 400, Code: "X", Property: "score"}
			}
			return nil
		}
		for i, score := range []string{"hot", "BAD", ""} {
			w.deliver(call("c1", "phoneNumber", ann, "score", score, "callResult", result(strings.Repeat("x", i+1))))
			w.settle()
		}
		w.wantProp(ref, "score", "true")
	})
}

func TestUnlearningGoesOnPastAnExpiredBody(t *testing.T) {
	inWorld(t, func(w *world) {
		old := crm.Ref{Object: "contacts", ID: "900"}
		w.crm.records[old] = &fakeRecord{props: map[string]string{"phone": ann, "title": "CEO"}}
		w.deliver(call("c0", "phoneNumber", "+15550000001", "callResult", result("x")))
		w.settle()
		time.Sleep(48 * time.Hour)
		w.deliver(call("c1", "phoneNumber", ann, "email", "bob@example.com", "first", "Bob", "callResult", result("x")))
		w.settle()
		if _, err := w.journal.Expire(w.t.Context(), store.Expiry{Bodies: time.Now().Add(-24 * time.Hour), Limit: 100}); err != nil {
			t.Fatal(err)
		}
		w.deliver(call("c0", "phoneNumber", "+15550000002", "callResult", result("x")), call("c1", "phoneNumber", bob, "first", "Bob", "callResult", result("x")))
		w.settle()
		w.deliver(call("c2", "phoneNumber", "+15557770000", "email", "bob@example.com", "callResult", result("x")))
		w.settle()
		if c := w.state("c2").Person; c.Ref == old {
			t.Error("Bob's email still leads to a stranger")
		}
	})
}

func TestUndoForgetsWhatTheCallTaught(t *testing.T) {
	inWorld(t, func(w *world) {
		jane := crm.Ref{Object: "contacts", ID: "900"}
		w.crm.records[jane] = &fakeRecord{props: map[string]string{"email": "jane@example.com", "phone": "+19990000000"}}
		w.deliver(call("c0", "email", "jane@example.com", "callResult", result("x")))
		w.settle()
		w.deliver(call("c1", "email", "jane@example.com", "phoneNumber", bob, "callResult", result("x")))
		w.settle()
		if _, err := w.loop.Undo(w.t.Context(), "c1"); err != nil {
			t.Fatal(err)
		}
		w.deliver(call("c2", "phoneNumber", bob, "first", "Bob", "callResult", result("x")))
		w.settle()
		if c := w.state("c2").Person; c.Ref == jane {
			t.Error("Bob's number still leads to Jane")
		}
	})
}

// A countingCRM refuses every search with one query in it, and counts them.
type countingCRM struct {
	pickyCRM
	finds *atomic.Int64
}

func (c countingCRM) FindPeople(ctx context.Context, queries []crm.PersonQuery) ([][]crm.Candidate, error) {
	c.finds.Add(1)
	return c.pickyCRM.FindPeople(ctx, queries)
}

func TestRefusalOfEverythingIsNotHuntedDown(t *testing.T) {
	inWorld(t, func(w *world) {
		var finds atomic.Int64
		w.runOn(countingCRM{pickyCRM{w.crm}, &finds})
		for i := range 100 {
			w.deliver(call("c"+time.Duration(i).String(), "email", "odd@example.com", "callResult", result("x")))
		}
		time.Sleep(time.Second)
		if n := finds.Load(); n > 60 {
			t.Errorf("%d searches for a batch of which nothing can go through", n)
		}
		w.settle()
		w.wantStatus("c"+time.Duration(0).String(), store.Failed)
	})
}

func TestUndoKeepsOutWhatIsNotWrittenYet(t *testing.T) {
	inWorld(t, func(w *world) {
		if err := w.loop.Pause(w.t.Context(), "wait"); err != nil {
			t.Fatal(err)
		}
		w.deliver(call("c1", "phoneNumber", ann, "callResult", result("x")))
		if u, err := w.loop.Undo(w.t.Context(), "c1"); err != nil || !u.Undone {
			t.Fatalf("undo of a pending call: %+v, %v", u, err)
		}
		if err := w.loop.Unpause(w.t.Context()); err != nil {
			t.Fatal(err)
		}
		w.settle()
		w.wantStatus("c1", store.Skipped)
		w.wantLive("calls", 0)
		w.wantLive("contacts", 0)
		w.resync(store.Request{Redo: true}, "c1")
		w.wantLive("calls", 1)
	})
}
